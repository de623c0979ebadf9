"""Data sets, splits, and the files that results are written to."""

from __future__ import annotations

from hashkernels.data.datasets import DATASETS, load_arrays, load_dataset, load_npz, load_source
from hashkernels.data.splits import RetrievalSplit, as_items, as_labels, first_test_queries, hold_out_queries

__all__ = [
    "DATASETS",
    "RetrievalSplit",
    "as_items",
    "as_labels",
    "first_test_queries",
    "hold_out_queries",
    "load_arrays",
    "load_dataset",
    "load_npz",
    "load_source",
]
