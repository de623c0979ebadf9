"""Images as data URIs, and the nearest items of some queries."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hashkernels.data import RetrievalSplit
from hashkernels.index import topk
from hashkernels.report.experiment import MethodResult

NUM_NEIGHBOURS = 10
_MAX_CLASSES_SHOWN = 10
_NUM_WORST = 4


class Tile(NamedTuple):
    """One image of the grid: a data URI, what it shows in words, and of a neighbour its distance and if it is right."""

    uri: str
    alt: str
    label: str
    distance: int | None
    right: bool | None


class NeighbourRow(NamedTuple):
    """A query, its average precision, and its nearest database items."""

    query: Tile
    average_precision: float
    neighbours: list[Tile]


class NeighbourGrid(NamedTuple):
    """Rows for one query a class, and for the queries that fared worst."""

    by_class: list[NeighbourRow]
    worst: list[NeighbourRow]


def png_uri(image: torch.Tensor) -> str:
    """A uint8 or 0..1 floating-point image [C, H, W] (C in 1, 3, 4) as a PNG data URI."""
    pixels = image if image.dtype == torch.uint8 else (image.clamp(0, 1) * 255).round().to(torch.uint8)
    channels, height, width = pixels.shape
    color_type = {1: 0, 3: 2, 4: 6}[channels]
    rows = pixels.permute(1, 2, 0).reshape(height, width * channels).numpy()
    # Each PNG row begins with the number of its filter; 0 is none.
    raw = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def neighbour_grid(split: RetrievalSplit, result: MethodResult) -> NeighbourGrid | None:
    """The nearest images of some queries, ordered by (distance, index); None where the items are no images."""
    if len(split.item_shape) != 3:
        return None
    by_class = _first_of_each_class(split.query_labels.numpy())
    precision = result.report.per_query.average_precision
    worst = np.argsort(precision, kind="stable")[:_NUM_WORST]
    k = min(NUM_NEIGHBOURS, len(result.database_codes))
    queries = np.concatenate([by_class, worst])
    nearest = topk(result.query_codes[queries], result.database_codes, k, bits=result.report.bits)
    rows = [
        _row(split, int(query), float(precision[query]), distances, indices)
        for query, distances, indices in zip(queries, nearest.distances, nearest.indices, strict=True)
    ]
    return NeighbourGrid(rows[: len(by_class)], rows[len(by_class) :])


def _first_of_each_class(labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim == 1:
        first = np.unique(labels, return_index=True)[1]
    else:
        first = np.unique(labels.argmax(axis=0)[labels.any(axis=0)])
    return np.asarray(first[:_MAX_CLASSES_SHOWN], dtype=np.int64)


def _row(
    split: RetrievalSplit, query: int, precision: float, distances: NDArray[np.int32], indices: NDArray[np.int64]
) -> NeighbourRow:
    own = split.query_labels[query]
    name = _class_name(split, own)
    tiles = []
    for rank, (distance, index) in enumerate(zip(distances.tolist(), indices.tolist(), strict=True), 1):
        other = split.database_labels[index]
        right = bool(own == other) if own.ndim == 0 else bool((own * other).any())
        label = _class_name(split, other)
        alt = f"neighbour {rank}: {label}, distance {distance}, {'right' if right else 'wrong'}"
        tiles.append(Tile(png_uri(split.database_items[index]), alt, label, distance, right))
    return NeighbourRow(Tile(png_uri(split.query_items[query]), f"query: {name}", name, None, None), precision, tiles)


def _class_name(split: RetrievalSplit, label: torch.Tensor) -> str:
    if label.ndim == 0:
        return split.class_names[int(label)]
    return ", ".join(split.class_names[index] for index in label.nonzero()[:, 0].tolist()) or "no class"
