"""Every truncation and every flipped bit of a small file: refused with one ValueError, or read as what it then says."""

from __future__ import annotations

import numpy as np
import pytest

from hashkernels.index import formats

CODES = np.arange(10, dtype=np.uint8).reshape(5, 2)
IDS = np.array([5, -2, 9, 2**40, 7])
WRITERS = {
    "faiss": lambda path: formats.write_faiss(path, CODES),
    "faiss with ids": lambda path: formats.write_faiss(path, CODES, IDS),
    "u8bin": lambda path: formats.write_u8bin(path, CODES),
    "bvecs": lambda path: formats.write_bvecs(path, CODES),
    "ivecs": lambda path: formats.write_ivecs(path, CODES),
    "npy": lambda path: formats.write_npy(path, CODES),
    "hex": lambda path: formats.write_hex(path, CODES),
}
# Their lines or rows are the only structure: cut between two, such a file is a shorter one.
WITHOUT_COUNT = ("bvecs", "ivecs", "hex")


def read(kind: str, path):
    return getattr(formats, f"read_{kind.split()[0]}")(path)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_truncation(tmp_path, kind):
    path = tmp_path / "file"
    WRITERS[kind](path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        if kind in WITHOUT_COUNT:
            try:
                rows = read(kind, path)
            except ValueError:
                continue
            line = len(whole) // 5
            if kind == "hex" and length % line == line - 1:  # all but the end of the line
                length += 1
            if length < line:  # half of a first line is a line, too
                continue
            assert length % line == 0
            np.testing.assert_array_equal(rows, CODES[: length // line])
        else:
            with pytest.raises(ValueError, match="file"):
                read(kind, path)
    path.write_bytes(whole + b"\0")
    if kind == "npy":
        np.testing.assert_array_equal(read(kind, path), CODES)
    else:
        with pytest.raises(ValueError, match="file"):
            read(kind, path)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_flipped_bit(tmp_path, kind):
    path = tmp_path / "file"
    WRITERS[kind](path)
    whole = path.read_bytes()
    refused = 0
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read(kind, path)
        except ValueError:
            refused += 1
            continue
        for array in found if isinstance(found, formats.PackedCodes) else (found,):
            # No header may claim more than the file holds: what was read is no larger.
            assert not isinstance(array, np.ndarray) or array.nbytes <= len(whole)
    assert refused > 8 * 4  # the header is not ignored
