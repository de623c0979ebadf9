"""Codes stored bit-sliced: plane b of a block of 512 codes holds bit b % 8, from the least significant, of byte b // 8
of every code, that of code i as bit i % 8 of the plane's byte i // 8."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels.reference.codes import pack_codes, unpack_codes

BLOCK_CODES = 512


def slice_codes(codes: Tensor, first: int, planes: Tensor) -> None:
    """Write uint8 [n, W] at positions first, first + 1, ... of int64 planes [blocks, 8 W, 8]."""
    if codes.shape[0] == 0:
        return
    begin, end = first // BLOCK_CODES, -(-(first + codes.shape[0]) // BLOCK_CODES)
    rows = unslice_codes(planes[begin:end])
    rows[first - begin * BLOCK_CODES :][: codes.shape[0]] = codes
    num_planes = planes.shape[1]
    bits = unpack_codes(rows, num_planes, little=True).reshape(-1, BLOCK_CODES, num_planes)
    packed = pack_codes(bits.transpose(1, 2).reshape(-1, BLOCK_CODES), little=True)
    planes[begin:end] = packed.view(torch.int64).reshape(-1, num_planes, 8)


def unslice_codes(planes: Tensor) -> Tensor:
    """All positions of int64 planes [blocks, 8 W, 8] as uint8 [512 blocks, W]."""
    num_planes = planes.shape[1]
    packed = planes.reshape(-1, 8).view(torch.uint8)
    bits = unpack_codes(packed, BLOCK_CODES, little=True).reshape(-1, num_planes, BLOCK_CODES)
    return pack_codes(bits.transpose(1, 2).reshape(-1, num_planes), little=True)
