"""Images as data URIs, and the rows of a grid of queries with their neighbours."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import NamedTuple

import numpy as np
import torch


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
