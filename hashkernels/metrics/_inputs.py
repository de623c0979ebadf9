"""Codes and labels of an evaluation, checked and turned into what the kernels take."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import labels_to_tensor, to_tensor
from hashkernels._unpacked import warn_of_unpacked
from hashkernels._validation import (
    PACKABLE_DTYPES,
    check_bits,
    check_codes,
    check_labels,
    check_packable,
    check_same_device,
    check_tensor,
    counted,
    dtype_name,
)
from hashkernels._warnings import warn

_SIGN_DTYPES = tuple(dtype for dtype in PACKABLE_DTYPES if dtype != torch.uint8)


class Retrieval(NamedTuple):
    """Packed codes uint8 [Q, W] and [N, W] on one device, and packed labels (int64 [N], or words [N, W']).

    Where relevance is given without labels, ``labelled`` is False and all labels are the same. ``label_form`` names the
    form of the labels.
    """

    queries: Tensor
    database: Tensor
    query_labels: Tensor
    database_labels: Tensor
    bits: int
    label_form: str
    labelled: bool


def check_retrieval(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    *,
    bits: int | None,
    labelled: bool = True,
    allow_empty_database: bool = False,
) -> Retrieval:
    """The arguments of an evaluation; each error names the one that does not fit."""
    queries, bits = packed_codes("query_codes", query_codes, bits)
    database, database_bits = packed_codes("database_codes", database_codes, bits, allow_empty=allow_empty_database)
    if database.shape[1] != queries.shape[1]:
        raise ValueError(
            f"database_codes must have {counted(queries.shape[1], 'byte')} a code like query_codes, "
            f"got {database.shape[1]}"
        )
    bits = bits if bits is not None else database_bits
    if bits is not None and database_bits is not None:
        check_codes("query_codes", queries, bits, synchronize=True)
    queries, database = _on_one_device(queries, database)
    if not labelled:
        return Retrieval(
            queries,
            database,
            torch.zeros(queries.shape[0], dtype=torch.int64, device=queries.device),
            torch.zeros(database.shape[0], dtype=torch.int64, device=database.device),
            queries.shape[1] * 8 if bits is None else bits,
            "relevance",
            False,
        )
    first, second = label_pair(query_labels, database_labels, queries, database)
    return Retrieval(
        queries,
        database,
        _ops.pack_labels(first),
        _ops.pack_labels(second),
        queries.shape[1] * 8 if bits is None else bits,
        label_form(first),
        True,
    )


def label_pair(query_labels: Any, database_labels: Any, queries: Tensor, database: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of one form, one row for each row of ``queries`` and of ``database``, on their device."""
    first = checked_labels("query_labels", query_labels, queries)
    second = checked_labels("database_labels", database_labels, database)
    warn_of_no_class("query_labels", first)
    if first.ndim != second.ndim:
        forms = {1: "class ids [N]", 2: "multi-hot [N, C]"}
        raise ValueError(f"database_labels must be {forms[first.ndim]} like query_labels, got {forms[second.ndim]}")
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"database_labels must have {first.shape[1]} classes like query_labels, got {second.shape[1]}")
    return first, second


def warn_of_no_class(name: str, labels: Tensor) -> None:
    """Say that -1, which often stands for no class, is one: items that have it are relevant to each other."""
    if labels.ndim == 1 and labels.dtype.is_signed and bool((labels == -1).any()):
        warn(f"{name} hold -1, a class id like any other: leave out queries that have no class")


def label_form(labels: Tensor) -> str:
    """Name of the form of checked labels."""
    return "class ids" if labels.ndim == 1 else f"multi-hot labels of {labels.shape[1]} classes"


def packed_codes(name: str, value: Any, bits: int | None, *, allow_empty: bool = False) -> tuple[Tensor, int | None]:
    """Packed codes, and the code length where it is known: ``bits``, or the columns of codes given as signs.

    Signs are bool, or -1 and +1 of a signed integer or float dtype, [N, bits]. Warned of are zeros among them, packed
    as -1, and uint8 that looks like a byte a bit where no ``bits`` say what it is.
    """
    if bits is not None:
        check_bits(bits)
    tensor = to_tensor(name, opened(name, value))
    if tensor.dtype == torch.uint8:
        codes = checked_codes(name, tensor, bits, allow_empty=allow_empty)
        if bits is None:
            warn_of_unpacked(name, codes)
        return codes, bits
    check_tensor(name, tensor, 2)
    if tensor.dtype not in _SIGN_DTYPES:
        raise TypeError(f"{name} must be uint8 packed codes, bool, or real -1/+1, got {dtype_name(tensor.dtype)}")
    if bits is not None and tensor.shape[1] != bits:
        hint = "; packed codes must be uint8" if tensor.shape[1] == (bits + 7) // 8 else ""
        raise ValueError(f"{name} given as -1/+1 must have {bits} columns for {bits} bits, got {tensor.shape[1]}{hint}")
    check_bits(tensor.shape[1], f"columns of {name}")
    if tensor.dtype != torch.bool:
        _check_signs(name, tensor)
    return checked_codes(name, _ops.pack_codes(tensor, False), None, allow_empty=allow_empty), int(tensor.shape[1])


def packed_signs(name: str, value: Any, bits: int | None = None) -> Tensor:
    """Outputs of a model [N, bits], packed by sign."""
    tensor = check_packable(name, value)
    if bits is not None and tensor.shape[1] != bits:
        raise ValueError(f"{name} must have {bits} columns, got {tensor.shape[1]}")
    try:
        return _ops.pack_codes(tensor, False)
    except ValueError:  # which calls them x
        raise ValueError(f"{name} must not contain NaN") from None


def opened(name: str, value: Any) -> Any:
    """The memory-mapped array of an .npy file that is named; anything else as it is."""
    if not isinstance(value, str | os.PathLike):
        return value
    try:
        return np.load(value, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # the header is a Python literal: the parser's own errors come through
        raise ValueError(f"{name} must name a whole .npy file: {os.fspath(value)}: {error}") from None


def checked_codes(name: str, value: Any, bits: int | None, *, allow_empty: bool = False) -> Tensor:
    """At least one packed code uint8 [N, W] of an array or a tensor; pad bits zero where ``bits`` is given."""
    codes = check_codes(name, to_tensor(name, opened(name, value)), bits, synchronize=True)
    if codes.shape[0] == 0 and not allow_empty:
        raise ValueError(f"{name} must hold at least one code, got none")
    return codes


def checked_labels(name: str, value: Any, codes: Tensor) -> Tensor:
    """Class ids or multi-hot labels, one row for each code, on the device of the codes."""
    labels = labels_to_tensor(name, opened(name, value))
    if labels.ndim == 2 and labels.shape[1] == 1:
        raise ValueError(
            f"{name} must be class ids [N], or multi-hot [N, C] of two classes or more, got {tuple(labels.shape)}"
        )
    labels = check_labels(name, labels, codes.shape[0], synchronize=True)
    if labels.ndim == 2 and labels.shape[1] == 0:
        raise ValueError(f"{name} given as multi-hot must have at least one class, got none")
    return labels.to(codes.device)


def _check_signs(name: str, tensor: Tensor) -> None:
    zeros = tensor == 0
    if not bool((zeros | (tensor == 1) | (tensor == -1)).all()):
        kind = dtype_name(tensor.dtype)
        raise ValueError(f"{name} of {kind} must hold only -1 and +1: pack embeddings with pack_codes")
    if bool(zeros.any()):
        warn(f"{name} hold {int(zeros.sum())} zeros, packed as -1: give -1/+1, or packed codes")


def _on_one_device(queries: Tensor, database: Tensor) -> tuple[Tensor, Tensor]:
    """Both where one of them is on a GPU, if the other is in host memory. A database that would leave no room there
    stays, and streams."""
    if queries.is_cuda and database.device.type == "cpu":
        if not _fits(database, queries.device):
            return queries, database
        database = database.to(queries.device)
    elif database.is_cuda and queries.device.type == "cpu":
        queries = queries.to(database.device)
    check_same_device("query_codes", queries, "database_codes", database)
    return queries, database


def _fits(database: Tensor, device: torch.device) -> bool:
    """Whether codes and labels of 8 bytes would fill at most half of the memory that is free on the GPU."""
    free, _ = torch.cuda.mem_get_info(device)
    return 2 * (database.numel() + 8 * len(database)) <= free
