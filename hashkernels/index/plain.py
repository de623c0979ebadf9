"""Which searches one native call answers from arrays to arrays; all others go the way of ops, which also says what is
wrong with their arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT
from hashkernels._validation import MAX_THREADS


def is_plain_search(search: _ops.PlainSearch, number: Any, count: int, bits: int, threads: Any) -> bool:
    """Whether nobody watches ops, there are codes, and ``number`` is a k in 1..count or a radius in 0..bits."""
    return (
        count > 0
        and type(number) is int
        and (1 <= number <= count if search == "topk" else 0 <= number <= bits)
        and (threads is None or (type(threads) is int and 1 <= threads <= MAX_THREADS))
        and _ops.nobody_watches()
    )


def plain_queries(
    search: _ops.PlainSearch, queries: Any, number: int, num_bytes: int, pad: int = 0
) -> npt.NDArray[np.uint8] | None:
    """The queries of ``is_plain_search`` as an array, if one call takes them: they have no bit of ``pad``."""
    array = as_array(queries)
    results = number if search == "topk" else 1
    return array if array is not None and _ops.are_plain_codes(array, num_bytes, pad, results) else None


def as_array(codes: Any) -> npt.NDArray[Any] | None:
    """An array as it is, a tensor of bytes of the CPU as an array over the same memory; nothing else."""
    if type(codes) is Tensor:
        is_plain = codes.dtype == torch.uint8 and codes.is_cpu and codes.layout == torch.strided and not codes.is_neg()
        return codes.numpy() if is_plain else None
    return codes if type(codes) is np.ndarray else None


def in_kind_of(queries: ArrayT, found: Iterable[npt.NDArray[Any]]) -> list[ArrayT]:
    """Results in the kind of the queries."""
    results: list[Any] = list(found)
    return [torch.from_numpy(part) for part in results] if isinstance(queries, Tensor) else results
