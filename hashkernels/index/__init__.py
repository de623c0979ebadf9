"""Exact search over packed codes."""

from __future__ import annotations

from hashkernels.index.binary_index import BinaryIndex
from hashkernels.index.search import (
    LimitedRangeResult,
    RangeResult,
    SearchResult,
    hamming_distance,
    range_count,
    range_search,
    topk,
)
from hashkernels.index.sharded import ShardedIndex

__all__ = [
    "BinaryIndex",
    "LimitedRangeResult",
    "RangeResult",
    "SearchResult",
    "ShardedIndex",
    "hamming_distance",
    "range_count",
    "range_search",
    "topk",
]
