"""The nearest images of some queries of a split."""

from __future__ import annotations

from hashkernels._page.pictures import NeighbourGrid
from hashkernels.data import RetrievalSplit
from hashkernels.metrics import query_grid
from hashkernels.report.experiment import MethodResult


def neighbour_grid(split: RetrievalSplit, result: MethodResult) -> NeighbourGrid | None:
    """The nearest images of some queries, ordered by (distance, index); None where the items are no images."""
    if len(split.item_shape) != 3:
        return None
    return query_grid(
        result.report,
        result.query_codes,
        result.database_codes,
        split.query_labels,
        split.database_labels,
        split.query_items,
        split.database_items,
        class_names=split.class_names,
    )
