"""Codes, labels and search results on disk."""

from __future__ import annotations

import csv
import io
import itertools
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashkernels._validation import check_bits, counted
from hashkernels.codes import BitOrder, pack_codes
from hashkernels.data.files import save_npz, save_text
from hashkernels.data.formats import read_npy
from hashkernels.index import RangeResult, SearchResult
from hashkernels.index.formats import from_integers
from hashkernels.index.formats._codes import reordered

FOUND_FORMATS = (".npz", ".csv")
FoundBy = Literal["index", "id"]  # what codes are named by: their position in the database, or ids of the user's


class LoadedCodes(NamedTuple):
    """Packed codes, and their length where it is known."""

    codes: NDArray[np.uint8]  # [N, bytes]
    bits: int | None


def load_codes(
    path: str | os.PathLike[str],
    bits: int | None = None,
    *,
    bitorder: BitOrder = "big",
    packed_in: BitOrder | None = None,
) -> LoadedCodes:
    """Packed codes from .npy: uint8 [N, bytes] as they are; float, int8 or bool [N, bits] packed by sign; 64-bit
    integers [N], as databases store perceptual hashes, the most significant bit first.

    Other integers are refused: they are more often packed codes of the wrong dtype than signs. ``bits`` is what the
    length should be; where it is None, packed codes alone do not say how long they are. ``bitorder`` is that of the
    codes that are returned; those that are packed in ``packed_in`` are brought into it, and left alone by default.

    Raises:
        ValueError: another shape or length, NaN, or a file that is no .npy.
        TypeError: another dtype.
    """
    array = read_npy(path)
    if array.ndim == 1 and array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        _check_length(path, "64-bit integers", 64, bits)
        return LoadedCodes(from_integers(array, bitorder=bitorder), 64)
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(
            f"{path} must hold codes [N, bytes], embeddings [N, bits] or 64-bit integers [N], "
            f"got {array.dtype} {array.shape}"
        )
    if array.dtype == np.uint8:
        return LoadedCodes(reordered(array, packed_in or bitorder, bitorder), bits)
    is_float = array.dtype.kind == "f" and array.dtype.itemsize <= 8
    if not is_float and array.dtype not in (np.bool_, np.int8):
        raise TypeError(f"{path} must hold uint8 codes, or embeddings as floats, int8 or bool, got {array.dtype}")
    if is_float and np.isnan(array).any():
        raise ValueError(f"{path} must not contain NaN")
    columns = check_bits(array.shape[1], f"columns of {path}")
    _check_length(path, f"embeddings of {counted(columns, 'column')}", columns, bits)
    return LoadedCodes(pack_codes(array, bitorder=bitorder), columns)


def _check_length(path: str | os.PathLike[str], what: str, length: int, bits: int | None) -> None:
    if bits is not None and bits != length:
        raise ValueError(f"{path} must hold codes of {counted(bits, 'bit')}, got {what}")


def save_found(
    path: str | os.PathLike[str], found: SearchResult[Any] | RangeResult[Any], named_by: FoundBy = "index"
) -> None:
    """Write search results as .npz (the arrays by name) or .csv (query, rank, distance, ``named_by``), atomically.

    Raises:
        ValueError: another ending.
    """
    check_found_format(path)
    if Path(path).suffix == ".npz":
        save_npz(path, **found._asdict())
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["query", "rank", "distance", named_by])
    for query, row in enumerate(found_rows(found)):
        writer.writerows((query, rank, distance, index) for rank, (distance, index) in enumerate(row, 1))
    save_text(path, text.getvalue())


def check_found_format(path: str | os.PathLike[str]) -> None:
    """Raise ``ValueError`` unless the name ends in a format that `save_found` writes."""
    if Path(path).suffix not in FOUND_FORMATS:
        raise ValueError(f"output must end in {' or '.join(FOUND_FORMATS)}, got {path}")


def found_rows(found: SearchResult[Any] | RangeResult[Any]) -> list[list[tuple[int, int]]]:
    """(distance, index) pairs of each query, in order."""
    if isinstance(found, RangeResult):
        pairs = list(zip(found.distances.tolist(), found.indices.tolist(), strict=True))
        ends = found.offsets.tolist()
        return [pairs[start:end] for start, end in itertools.pairwise(ends)]
    rows = zip(found.distances.tolist(), found.indices.tolist(), strict=True)
    return [list(zip(distances, indices, strict=True)) for distances, indices in rows]
