"""Exact search over packed codes."""

from __future__ import annotations

from hashkernels.index.binary_index import BinaryIndex
from hashkernels.index.search import RangeResult, SearchResult, hamming_distance, range_search, topk

__all__ = ["BinaryIndex", "RangeResult", "SearchResult", "hamming_distance", "range_search", "topk"]
