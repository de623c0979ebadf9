"""What readers return and writers take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._arrays import to_tensor
from hashkernels._validation import check_codes, check_tensor


class PackedCodes(NamedTuple):
    """Codes out of a file."""

    codes: npt.NDArray[np.uint8]  # [N, ceil(bits / 8)]
    bits: int
    ids: npt.NDArray[Any] | None  # int64 or uint64 [N]; None: a code is known by its position


def code_array(name: str, codes: Any) -> npt.NDArray[np.uint8]:
    """Contiguous uint8 [N, W] of an array, CPU tensor or DLPack object."""
    array: npt.NDArray[np.uint8] = np.ascontiguousarray(check_codes(name, to_tensor(name, codes)).cpu().numpy())
    return array


def id_array(name: str, ids: Any, count: int) -> npt.NDArray[Any]:
    """Integers [count]."""
    array = np.asarray(check_tensor(name, to_tensor(name, ids), 1).cpu().numpy())
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if len(array) != count:
        raise ValueError(f"{name} must have one id for each of {count} codes, got {len(array)}")
    return array
