"""What readers return and writers take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._arrays import to_tensor
from hashkernels._validation import check_choice, check_codes, check_tensor
from hashkernels.index.native_file import BitOrder

_BYTES = np.arange(256, dtype=np.uint8)
_REVERSED = np.packbits(np.unpackbits(_BYTES[:, None], axis=1), axis=1, bitorder="little")[:, 0]


class PackedCodes(NamedTuple):
    """Codes out of a file."""

    codes: npt.NDArray[np.uint8]  # [N, ceil(bits / 8)]
    bits: int
    ids: npt.NDArray[Any] | None  # int64 or uint64 [N]; None: a code is known by its position
    bitorder: BitOrder = "big"  # of the codes; pad bits are at the other end of the last byte


def code_array(name: str, codes: Any) -> npt.NDArray[np.uint8]:
    """Contiguous uint8 [N, W] of an array, CPU tensor or DLPack object."""
    array: npt.NDArray[np.uint8] = np.ascontiguousarray(check_codes(name, to_tensor(name, codes)).cpu().numpy())
    return array


def check_bit_order(bitorder: str) -> None:
    """Raise unless ``bitorder`` is one."""
    check_choice("bitorder", bitorder, ("big", "little"))


def reordered(codes: npt.NDArray[np.uint8], given: BitOrder, wanted: BitOrder) -> npt.NDArray[np.uint8]:
    """The same codes in another bit order: the bits of each byte are turned round, pad bits with them."""
    check_bit_order(given)
    check_bit_order(wanted)
    return codes if given == wanted else _REVERSED[codes]


def id_array(name: str, ids: Any, count: int) -> npt.NDArray[np.int64]:
    """Integers [count] as int64, which is what other programs have for ids."""
    array = np.asarray(check_tensor(name, to_tensor(name, ids), 1).cpu().numpy())
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if len(array) != count:
        raise ValueError(f"{name} must have one id for each of {count} codes, got {len(array)}")
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must be below 2^63, got {array.max()}")
    return array.astype(np.int64)
