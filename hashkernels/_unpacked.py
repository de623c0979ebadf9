"""Codes of a byte a bit where packed ones are meant, and packed codes where signs are: told by some of their bytes."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels._warnings import warn

# What codes of a byte a bit hold: {0, 1}, masks of images, and -1/+1 as uint8.
_UNPACKED = ((0, 1), (0, 255), (1, 255))
_LOOKED_AT = 1 << 12
_SAMPLED_ROWS = 16


def warn_of_unpacked(name: str, codes: Tensor) -> None:
    """Of codes uint8 [N, W] whose length nobody has said. Distances of codes of a byte a bit come out right, or in the
    right order; the number of bits does not."""
    if codes.shape[1] < 8 or not codes.numel():
        return
    first = codes[:_LOOKED_AT]
    low, high = (int(value) for value in torch.aminmax(first))
    if (low, high) in _UNPACKED and bool(((first == low) | (first == high)).all()):
        as_signs = "" if low == 0 else ", viewed as int8"
        warn(
            f"{name} hold only {low} and {high}, taken as packed codes of {8 * codes.shape[1]} bits: if they are of "
            f"{codes.shape[1]} bits, give them to pack_codes first{as_signs}"
        )


def may_be_unpacked(codes: npt.NDArray[Any]) -> bool:
    """Whether it is worth to look for what `warn_of_unpacked` says: bytes from all over the rows have two values."""
    return codes.shape[1] >= 8 and len(set(_sample(codes, 2))) == 2


def warn_of_packed(name: str, signs: npt.NDArray[Any]) -> None:
    """Of numbers uint8 [N, L] to be packed by sign that are packed codes, whose bytes are nearly all above 0."""
    sample = _sample(signs, 16)
    enough = len(sample) >= 64
    if enough and 16 * sample.count(0) < len(sample) < 2 * len(sample.translate(None, b"\0\1\xff")):
        warn(
            f"{name} of uint8 is nearly everywhere above 0, so nearly all bits are 1: packed codes need no pack_codes, "
            "of other numbers subtract a threshold first"
        )


def _sample(codes: npt.NDArray[Any], columns: int) -> bytes:
    return codes[:: max(1, len(codes) // _SAMPLED_ROWS), :columns].tobytes()
