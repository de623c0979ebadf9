"""Codes and labels of an evaluation, checked and turned into what the kernels take."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._validation import check_bits, check_codes, check_labels, check_same_device


class Retrieval(NamedTuple):
    """Packed codes uint8 [Q, W] and [N, W] and packed labels (int64 [N], or words [N, W']) on one device."""

    queries: Tensor
    database: Tensor
    query_labels: Tensor
    database_labels: Tensor
    bits: int


def check_retrieval(
    query_codes: Any, database_codes: Any, query_labels: Any, database_labels: Any, *, bits: int | None
) -> Retrieval:
    """The arguments of an evaluation; each error names the one that does not fit."""
    if bits is not None:
        check_bits(bits)
    queries = checked_codes("query_codes", query_codes, bits)
    database = checked_codes("database_codes", database_codes, bits)
    if database.shape[1] != queries.shape[1]:
        raise ValueError(
            f"database_codes must have {queries.shape[1]} bytes a code like query_codes, got {database.shape[1]}"
        )
    check_same_device("query_codes", queries, "database_codes", database)
    first = _checked_labels("query_labels", query_labels, queries)
    second = _checked_labels("database_labels", database_labels, database)
    if first.ndim != second.ndim:
        forms = {1: "class ids [N]", 2: "multi-hot [N, C]"}
        raise ValueError(f"database_labels must be {forms[first.ndim]} like query_labels, got {forms[second.ndim]}")
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"database_labels must have {first.shape[1]} classes like query_labels, got {second.shape[1]}")
    return Retrieval(
        queries,
        database,
        _ops.pack_labels(first),
        _ops.pack_labels(second),
        queries.shape[1] * 8 if bits is None else bits,
    )


def checked_codes(name: str, value: Any, bits: int | None) -> Tensor:
    """At least one packed code uint8 [N, W] of an array or a tensor; pad bits zero where ``bits`` is given."""
    codes = check_codes(name, to_tensor(name, value), bits, synchronize=True)
    if codes.shape[0] == 0:
        raise ValueError(f"{name} must hold at least one code, got none")
    return codes


def _checked_labels(name: str, value: Any, codes: Tensor) -> Tensor:
    labels = check_labels(name, to_tensor(name, value), codes.shape[0], synchronize=True)
    if labels.ndim == 2 and labels.shape[1] == 0:
        raise ValueError(f"{name} given as multi-hot must have at least one class, got none")
    return labels.to(codes.device)
