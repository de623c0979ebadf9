"""The files of public benchmarks: .u8bin (big-ann-benchmarks), .bvecs and .ivecs (TEXMEX: SIFT1M and its like).

.u8bin: uint32 rows, uint32 columns, the rows as bytes. .bvecs and .ivecs: each row is an int32 count of columns, then
the columns, as bytes or int32. All little-endian. Ground truth comes as .ivecs: the nearest positions of each query.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._arrays import to_tensor
from hashkernels._files import atomic_write
from hashkernels._validation import check_tensor
from hashkernels.index.formats._codes import code_array
from hashkernels.index.formats._cursor import Cursor


def read_u8bin(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Rows of a .u8bin file, uint8 [N, columns], as a read-only view of the mapped file.

    Raises:
        ValueError: the file is truncated, has bytes to spare, or no columns.
        OSError: it cannot be opened.
    """
    cursor = Cursor(path, "a .u8bin file")
    count, width = cursor.fields("<II")
    if width == 0:
        raise cursor.refusal("rows must have at least 1 column, got 0")
    rows = cursor.array(np.uint8, count, width)
    cursor.finish()
    return rows


def write_u8bin(path: str | os.PathLike[str], codes: Any) -> None:
    """Write uint8 [N, W] as .u8bin, atomically.

    Raises:
        ValueError: codes are not [N, W], or too many for the format.
        TypeError: codes are not uint8.
    """
    rows = code_array("codes", codes)
    if len(rows) > 0xFFFFFFFF:
        raise ValueError(f"codes must be at most {0xFFFFFFFF} for .u8bin, got {len(rows)}")
    with atomic_write(path) as file:
        file.write(struct.pack("<II", *rows.shape))
        file.write(rows.data)


def read_bvecs(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Rows of a .bvecs file, uint8 [N, columns], as a read-only strided view of the mapped file; see ``read_ivecs``."""
    return _read_rows(path, np.dtype(np.uint8), "a .bvecs file")


def read_ivecs(path: str | os.PathLike[str]) -> npt.NDArray[np.int32]:
    """Rows of an .ivecs file, int32 [N, columns], as a read-only strided view of the mapped file.

    Raises:
        ValueError: the file is empty, truncated, or its rows differ in length.
        OSError: it cannot be opened.
    """
    return _read_rows(path, np.dtype("<i4"), "an .ivecs file")


def write_bvecs(path: str | os.PathLike[str], codes: Any) -> None:
    """Write uint8 [N, W] as .bvecs, atomically.

    Raises:
        ValueError: codes are not [N, W].
        TypeError: codes are not uint8.
    """
    _write_rows(path, code_array("codes", codes))


def write_ivecs(path: str | os.PathLike[str], values: Any) -> None:
    """Write integers [N, columns] as .ivecs, atomically.

    Raises:
        ValueError: values are not [N, columns], or not all of them are int32.
        TypeError: values are not integers.
    """
    array = check_tensor("values", to_tensor("values", values), 2).cpu().numpy()
    if array.dtype.kind not in "iu":
        raise TypeError(f"values must be integers, got {array.dtype}")
    limits = np.iinfo(np.int32)
    if array.size and (int(array.min()) < limits.min or int(array.max()) > limits.max):
        raise ValueError(f"values must be in {limits.min}..{limits.max}, got {array.min()}..{array.max()}")
    _write_rows(path, array.astype("<i4"))


def _read_rows(path: str | os.PathLike[str], dtype: np.dtype[Any], kind: str) -> npt.NDArray[Any]:
    cursor = Cursor(path, kind)
    size = cursor.left
    (width,) = cursor.fields("<i")
    step = 4 + width * dtype.itemsize
    if width < 1 or size % step:
        raise cursor.refusal(f"rows of {width} columns do not fill {size} bytes (truncated?)")
    raw = Cursor(path, kind).array(np.uint8, size // step, step)
    if (raw[:, :4] != raw[0, :4]).any():
        raise cursor.refusal(f"all rows must have {width} columns like the first")
    return raw[:, 4:].view(dtype)


def _write_rows(path: str | os.PathLike[str], rows: npt.NDArray[Any]) -> None:
    if not rows.size:
        raise ValueError(f"the format has no empty arrays, got shape {rows.shape}")
    raw = np.empty((len(rows), 4 + rows.shape[1] * rows.itemsize), np.uint8)
    raw[:, :4] = np.array([rows.shape[1]], "<i4").view(np.uint8)
    raw[:, 4:] = np.ascontiguousarray(rows).view(np.uint8)
    with atomic_write(path) as file:
        file.write(raw.data)
