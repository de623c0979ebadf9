"""FAISS' flat binary index, alone (IBxF) or under an id map (IBMp, IBM2), read and written without FAISS.

Layout, little-endian and unpadded (faiss/impl/index_write.cpp): a four-letter name, then the header int32 d, int32
code_size, int64 ntotal, uint8 is_trained, int32 metric_type. IBxF: a vector of uint8 codes. IBMp and IBM2: the whole
inner index, then a vector of int64 ids. A vector is a uint64 count and the values.
"""

from __future__ import annotations

import os
import struct
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from hashkernels._files import atomic_write
from hashkernels._validation import MAX_BITS, check_choice
from hashkernels.index.formats._codes import PackedCodes, code_array, id_array
from hashkernels.index.formats._cursor import Cursor

_HEADER = "<iiqBi"
_FLAT = b"IBxF"
_ID_MAPS = (b"IBMp", b"IBM2")
_METRIC_L2 = 1  # what FAISS writes for Hamming distance


def read_faiss(path: str | os.PathLike[str]) -> PackedCodes:
    """Read a FAISS binary index that holds plain codes, as ``faiss.write_index_binary`` writes it.

    Returns:
        ``PackedCodes``: codes uint8 [N, bits / 8], a read-only view of the mapped file; ids int64 [N], or None.

    Raises:
        ValueError: the file is truncated, damaged, or holds another kind of index.
        OSError: it cannot be opened.
    """
    cursor = Cursor(path, "a flat binary index of FAISS")
    name = bytes(cursor.array(np.uint8, 4))
    if name not in (_FLAT, *_ID_MAPS):
        raise cursor.refusal(f"it must begin with IBxF, IBMp or IBM2, got {name!r}")
    outer = _read_header(cursor)
    if name == _FLAT:
        codes, ids = _read_codes(cursor, outer), None
    else:
        inner_name = bytes(cursor.array(np.uint8, 4))
        if inner_name != _FLAT:
            raise cursor.refusal(f"an id map must hold IBxF, got {inner_name!r}")
        if (inner := _read_header(cursor)) != outer:
            raise cursor.refusal(f"an id map of (bits, codes) {outer} holds an index of {inner}")
        codes = _read_codes(cursor, inner)
        (count,) = cursor.fields("<Q")
        if count != outer[1]:
            raise cursor.refusal(f"{outer[1]} ids expected, got {count}")
        ids = cursor.array("<i8", count).astype(np.int64)
    cursor.finish()
    return PackedCodes(codes, outer[0], ids)


def write_faiss(
    path: str | os.PathLike[str], codes: Any, ids: Any = None, *, id_map: Literal["IBM2", "IBMp"] = "IBM2"
) -> None:
    """Write codes as a FAISS ``IndexBinaryFlat``, with ids under an ``IndexBinaryIDMap2``, atomically.

    Args:
        path: the file; what is there is replaced.
        codes: uint8 [N, W], a NumPy array or CPU tensor. FAISS takes all 8 W bits to be part of a code.
        ids: integers below 2^63 [N], or None for positions.
        id_map: "IBMp" writes an ``IndexBinaryIDMap`` instead, which cannot reconstruct by id.

    Raises:
        ValueError: the shapes do not fit, an id is too large, or ``id_map`` is neither.
        TypeError: codes are not uint8, or ids not integers.

    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.faiss"
    >>> write_faiss(path, np.array([[1, 2], [3, 4]], np.uint8), np.array([70, 80]))
    >>> read_faiss(path).ids
    array([70, 80])
    """
    name = check_choice("id_map", id_map, ("IBM2", "IBMp")).encode()
    rows = code_array("codes", codes)
    labels = None if ids is None else id_array("ids", ids, len(rows)).astype("<i8")
    with atomic_write(path) as file:
        if labels is not None:
            _write_header(file, name, rows)
        _write_header(file, _FLAT, rows)
        file.write(struct.pack("<Q", rows.size))
        file.write(rows.data)
        if labels is not None:
            file.write(struct.pack("<Q", len(labels)))
            file.write(labels.data)


def _read_header(cursor: Cursor) -> tuple[int, int]:
    """Bits and the number of codes."""
    bits, width, count, trained, metric = cursor.fields(_HEADER)
    if not 8 <= bits <= MAX_BITS or bits % 8 or width != bits // 8:
        raise cursor.refusal(f"bits must be a multiple of 8 up to {MAX_BITS}, got {bits} bits in {width} bytes")
    if count < 0 or trained != 1 or metric != _METRIC_L2:
        raise cursor.refusal(f"damaged header: {count} codes, is_trained {trained}, metric {metric}")
    return bits, count


def _read_codes(cursor: Cursor, header: tuple[int, int]) -> npt.NDArray[np.uint8]:
    bits, count = header
    (size,) = cursor.fields("<Q")
    if size != count * bits // 8:
        raise cursor.refusal(f"{count} codes of {bits} bits expected, got {size} bytes")
    return cursor.array(np.uint8, count, bits // 8)


def _write_header(file: BinaryIO, name: bytes, rows: npt.NDArray[np.uint8]) -> None:
    count, width = rows.shape
    file.write(name + struct.pack(_HEADER, 8 * width, width, count, 1, _METRIC_L2))
