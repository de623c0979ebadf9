"""Exact search over packed codes."""

from __future__ import annotations

from hashkernels.index.binary_index import BinaryIndex
from hashkernels.index.jaccard import JaccardRangeResult, JaccardResult
from hashkernels.index.pairs import Pairs
from hashkernels.index.rescoring import RescoredResult
from hashkernels.index.search import (
    LimitedRangeResult,
    NearestWithin,
    RangeResult,
    RangeRow,
    SearchResult,
    hamming_distance,
    range_count,
    range_nearest,
    range_search,
    topk,
)
from hashkernels.index.sharded import ShardedIndex

__all__ = [
    "BinaryIndex",
    "JaccardRangeResult",
    "JaccardResult",
    "LimitedRangeResult",
    "NearestWithin",
    "Pairs",
    "RangeResult",
    "RangeRow",
    "RescoredResult",
    "SearchResult",
    "ShardedIndex",
    "hamming_distance",
    "range_count",
    "range_nearest",
    "range_search",
    "topk",
]
