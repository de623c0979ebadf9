"""Codes as databases and embedding models hand them out: hex strings, signed integers, int8, strings of 0 and 1."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._arrays import to_tensor
from hashkernels._files import atomic_write
from hashkernels._validation import MAX_BITS, check_bits, check_codes, check_int, check_tensor
from hashkernels.index.formats._codes import check_bit_order, code_array, id_array, reordered
from hashkernels.index.native_file import BitOrder

_CHUNK = 1 << 16


def from_hex(strings: Iterable[str]) -> npt.NDArray[np.uint8]:
    """Codes from strings of hex digits, two a byte, as perceptual hashes are printed.

    Args:
        strings: all of the same even length; upper and lower case are the same.

    Returns:
        uint8 [N, length / 2].

    Raises:
        ValueError: no strings, another length than the first, or a character that is no hex digit.
        TypeError: not strings.

    >>> from_hex(["00ff", "a5A5"])
    array([[  0, 255],
           [165, 165]], dtype=uint8)
    """
    if isinstance(strings, str):
        raise TypeError("strings must be a list of str, got one str")
    raw, width, number = bytearray(), 0, 0
    for number, text in enumerate(strings, 1):
        if not isinstance(text, str):
            raise TypeError(f"strings must be str, got {type(text).__name__} at {number}")
        width = width or len(text)
        if len(text) != width or len(text) % 2 or not 2 <= len(text) <= MAX_BITS // 4:
            raise ValueError(f"strings must be of one even length up to {MAX_BITS // 4}, got {len(text)} at {number}")
        if text.strip("0123456789abcdefABCDEF"):
            raise ValueError(f"strings must hold hex digits only, got {text[:40]!r} at {number}")
        raw += bytes.fromhex(text)
    if not number:
        raise ValueError("strings must hold at least one code, got none")
    return np.frombuffer(raw, np.uint8).reshape(number, width // 2)


def to_hex(codes: Any) -> list[str]:
    """Strings of two hex digits a byte, of uint8 [N, W].

    >>> to_hex(np.array([[0, 255]], np.uint8))
    ['00ff']
    """
    return [row.tobytes().hex() for row in code_array("codes", codes)]


def read_hex(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Codes from a text file with one string of hex digits a line; see ``from_hex``.

    Raises:
        ValueError: not such a file.
        OSError: it cannot be opened.
    """
    with open(path, encoding="ascii") as file:
        try:
            return from_hex(line.rstrip("\r\n") for line in file)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: not a .hex file, which holds hex digits alone") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def write_hex(path: str | os.PathLike[str], codes: Any) -> None:
    """Write uint8 [N, W] as lines of hex digits, atomically."""
    rows = code_array("codes", codes)
    with atomic_write(path) as file:
        for first in range(0, len(rows), _CHUNK):
            file.writelines(f"{line}\n".encode() for line in to_hex(rows[first : first + _CHUNK]))


def from_integers(values: Any, bits: int = 64, *, bitorder: BitOrder = "big") -> npt.NDArray[np.uint8]:
    """Codes from integers, as databases store perceptual hashes: the most significant bit is the first of the code.

    Args:
        values: integers [N], a NumPy array or tensor. Of 64 bits either sign is meant: -1 is all ones.
        bits: in 1..64; of fewer than 64, values are in 0..2^bits - 1.
        bitorder: of the codes to make, as of ``pack_codes``.

    Returns:
        uint8 [N, ceil(bits / 8)], pad bits zero.

    Raises:
        ValueError: a value does not fit ``bits``.
        TypeError: values are not integers.

    >>> from_integers(np.array([-1, 1]))
    array([[255, 255, 255, 255, 255, 255, 255, 255],
           [  0,   0,   0,   0,   0,   0,   0,   1]], dtype=uint8)
    """
    check_int("bits", bits, 1, 64)
    array = check_tensor("values", to_tensor("values", values), 1).cpu().numpy()
    if array.dtype.kind not in "iu":
        raise TypeError(f"values must be integers, got {array.dtype}")
    if bits < 64 and array.size and (array.min() < 0 or int(array.max()) >> bits):
        raise ValueError(f"values must be in 0..{(1 << bits) - 1}, got {array.min()}..{array.max()}")
    words = array.astype(np.int64).view(np.uint64) << np.uint64(64 - bits)
    codes = words.astype(">u8").view(np.uint8).reshape(-1, 8)[:, : (bits + 7) // 8].copy()
    return reordered(codes, "big", bitorder)


def to_integers(codes: Any, bits: int = 64, *, bitorder: BitOrder = "big") -> npt.NDArray[np.int64]:
    """The reverse of ``from_integers``: int64 [N], negative where the first of 64 bits is set.

    >>> to_integers(from_integers(np.array([-5, 9])))
    array([-5,  9])
    """
    check_int("bits", bits, 1, 64)
    check_bit_order(bitorder)
    rows = code_array("codes", codes)
    check_codes("codes", to_tensor("codes", rows), bits, bitorder)
    words = np.zeros((len(rows), 8), np.uint8)
    words[:, : rows.shape[1]] = reordered(rows, bitorder, "big")
    return (words.view(">u8")[:, 0].astype(np.uint64) >> np.uint64(64 - bits)).view(np.int64)


def from_signed_bytes(values: Any) -> npt.NDArray[np.uint8]:
    """Codes from sentence-transformers' ``precision="binary"``: int8 [N, W], each byte less 128.

    What ``precision="ubinary"`` gives is uint8 [N, W] packed codes as they are.

    Raises:
        ValueError: values are not [N, W].
        TypeError: values are not int8.

    >>> from_signed_bytes(np.array([[-128, 127]], np.int8))
    array([[  0, 255]], dtype=uint8)
    """
    array = check_tensor("values", to_tensor("values", values), 2).cpu().numpy()
    if array.dtype != np.int8:
        raise TypeError(f"values must be int8, got {array.dtype}")
    flipped: npt.NDArray[np.uint8] = np.ascontiguousarray(array).view(np.uint8) ^ np.uint8(0x80)
    return flipped


def to_signed_bytes(codes: Any) -> npt.NDArray[np.int8]:
    """The reverse of ``from_signed_bytes``: int8 [N, W] of uint8 [N, W]."""
    return (code_array("codes", codes) ^ np.uint8(0x80)).view(np.int8)


def to_bit_strings(codes: Any, bits: int, *, bitorder: BitOrder = "big") -> list[str]:
    """Strings of ``bits`` characters 0 and 1, the first bit first: what PostgreSQL's type ``bit(n)`` reads.

    >>> to_bit_strings(np.array([[0b10100000]], np.uint8), 3)
    ['101']
    >>> to_bit_strings(np.array([[0b00000101]], np.uint8), 3, bitorder="little")
    ['101']
    """
    rows = code_array("codes", codes)
    check_bit_order(bitorder)
    check_codes("codes", to_tensor("codes", rows), check_bits(bits), bitorder)
    digits = np.unpackbits(rows, axis=1, count=bits, bitorder=bitorder) + np.uint8(ord("0"))
    return [row.tobytes().decode() for row in digits]


def write_pgvector(
    path: str | os.PathLike[str], codes: Any, bits: int, ids: Any = None, *, bitorder: BitOrder = "big"
) -> None:
    """Write what ``COPY table (id, code) FROM`` reads into a table with columns ``id bigint, code bit(bits)``.

    A line holds the id (default: the position), a tab, and the bits; pgvector's ``<~>`` is their Hamming distance.

    Args:
        path: the file; what is there is replaced, atomically.
        codes: uint8 [N, ceil(bits / 8)].
        bits: the length of a code.
        ids: integers below 2^63 [N].
        bitorder: of the codes; the first bit comes first in either.

    Raises:
        ValueError: the shapes do not fit, an id is too large, or pad bits are set.
        TypeError: codes are not uint8, or ids not integers.
    """
    rows = code_array("codes", codes)
    labels = np.arange(len(rows)) if ids is None else id_array("ids", ids, len(rows))
    with atomic_write(path) as file:
        for first in range(0, max(len(rows), 1), _CHUNK):
            part = slice(first, first + _CHUNK)
            lines = zip(labels[part].tolist(), to_bit_strings(rows[part], bits, bitorder=bitorder), strict=True)
            file.writelines(f"{label}\t{digits}\n".encode() for label, digits in lines)
