"""Queries with the images of their nearest items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._page.pictures import NeighbourGrid, NeighbourRow, Tile, png_uri
from hashkernels._validation import check_int, check_tensor, dtype_name
from hashkernels.metrics._inputs import label_pair, packed_codes
from hashkernels.metrics.report import RetrievalReport

_MAX_CLASSES_SHOWN = 10
_NUM_WORST = 4
_CHANNELS = (1, 3, 4)


def query_grid(
    report: RetrievalReport,
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    query_images: Any,
    database_images: Any,
    *,
    class_names: Sequence[str] | None = None,
    num_neighbours: int = 10,
) -> NeighbourGrid:
    """The nearest images of one query of each class (ten at most), and of the queries with the least average precision.

    Args:
        report: the evaluation of these codes.
        query_codes, database_codes, query_labels, database_labels: as in ``hashkernels.evaluate``, with labels.
        query_images, database_images: uint8, or floating point in 0..1; [N, C, H, W] with 1, 3 or 4 channels, as torch
            has them, or [N, H, W] or [N, H, W, C].
        class_names: what to call classes 0, 1, ...; one without a name is called by its number.
        num_neighbours: images a query, by (distance, index).

    Returns:
        NeighbourGrid for ``report.save(path, grid=...)``; the images are kept in it.

    Raises:
        ValueError: shapes that do not fit each other or ``report``. TypeError: a wrong dtype.

    Example:
        >>> import numpy as np
        >>> import hashkernels as hk
        >>> codes, labels = np.array([[0], [1], [255]], np.uint8), np.array([0, 0, 1])
        >>> images = np.zeros((3, 4, 4), np.uint8)
        >>> report = hk.evaluate(codes[:1], codes, labels[:1], labels)
        >>> grid = query_grid(report, codes[:1], codes, labels[:1], labels, images[:1], images)
        >>> [(tile.distance, tile.right) for tile in grid.by_class[0].neighbours]
        [(0, True), (1, True), (8, False)]
    """
    queries, _ = packed_codes("query_codes", query_codes, report.bits)
    database, _ = packed_codes("database_codes", database_codes, report.bits)
    own, other = label_pair(query_labels, database_labels, queries, database)
    shown = (
        _images("query_images", query_images, queries.shape[0]),
        _images("database_images", database_images, database.shape[0]),
    )
    if queries.shape[0] != report.num_queries:
        raise ValueError(f"query_codes must be the {report.num_queries} queries of the report, got {queries.shape[0]}")
    k = min(check_int("num_neighbours", num_neighbours, 1), int(database.shape[0]))
    precision = report.per_query.average_precision
    by_class = _first_of_each_class(own)
    chosen = by_class + np.argsort(precision, kind="stable")[:_NUM_WORST].tolist()
    distances, indices = _ops.topk(queries[chosen], database, k, None, None)

    def row(place: int, query: int) -> NeighbourRow:
        tiles = []
        for rank, (distance, index) in enumerate(
            zip(distances[place].tolist(), indices[place].tolist(), strict=True), 1
        ):
            right = _relevant(own[query], other[index])
            name = _class_name(other[index], class_names)
            alt = f"neighbour {rank}: {name}, distance {distance}, {'right' if right else 'wrong'}"
            tiles.append(Tile(png_uri(shown[1][index]), alt, name, distance, right))
        name = _class_name(own[query], class_names)
        tile = Tile(png_uri(shown[0][query]), f"query: {name}", name, None, None)
        return NeighbourRow(tile, float(precision[query]), tiles)

    rows = [row(place, query) for place, query in enumerate(chosen)]
    return NeighbourGrid(rows[: len(by_class)], rows[len(by_class) :])


def _images(name: str, value: Any, count: int) -> Tensor:
    """Images [N, C, H, W]."""
    images = to_tensor(name, value)
    if images.ndim == 3:
        images = images.unsqueeze(1)
    check_tensor(name, images, 4)
    if images.shape[1] not in _CHANNELS:
        if images.shape[3] not in _CHANNELS:
            raise ValueError(f"{name} must have 1, 3 or 4 channels, got shape {tuple(images.shape)}")
        images = images.permute(0, 3, 1, 2)
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"{name} must be uint8 or floating point in 0..1, got {dtype_name(images.dtype)}")
    if images.shape[0] != count:
        raise ValueError(f"{name} must have one image for each of {count} codes, got {images.shape[0]}")
    return images.cpu()


def _first_of_each_class(labels: Tensor) -> list[int]:
    rows = labels.cpu().numpy()
    if rows.ndim == 1:
        first = np.unique(rows, return_index=True)[1]
    else:
        first = np.unique(rows.argmax(axis=0)[rows.any(axis=0)])
    return [int(query) for query in first[:_MAX_CLASSES_SHOWN]]


def _relevant(own: Tensor, other: Tensor) -> bool:
    return bool(own == other) if own.ndim == 0 else bool((own.bool() & other.bool()).any())


def _class_name(label: Tensor, names: Sequence[str] | None) -> str:
    classes = [int(label)] if label.ndim == 0 else label.nonzero()[:, 0].tolist()
    known = {} if names is None else dict(enumerate(names))
    return ", ".join(known.get(index, str(index)) for index in classes) or "no class"
