"""Packing and unpacking of bits."""

from __future__ import annotations

import torch
from torch import Tensor

_LABEL_ROWS = 1 << 14


def pack_codes(x: Tensor, little: bool) -> Tensor:
    """[N, L] of any real dtype -> uint8 [N, ceil(L / 8)]: bit = x > 0, pad bits zero."""
    return _pack_bits(x > 0, little)


def unpack_codes(codes: Tensor, bits: int, little: bool) -> Tensor:
    """uint8 [N, W] -> int8 [N, bits] of -1 and +1."""
    shifts = _shifts(codes, little)
    ones = (codes[:, :, None] >> shifts) & 1  # [N, W, 8]
    return ones.reshape(codes.shape[0], codes.shape[1] * 8)[:, :bits].to(torch.int8) * 2 - 1


def pack_labels(labels: Tensor) -> Tensor:
    """Multi-hot [N, C] -> int64 [N, ceil(C / 64)]: bit c % 64 of word c // 64 is class c (bit 63 is the sign)."""
    num_items, num_classes = labels.shape
    num_words = (num_classes + 63) // 64
    words = torch.empty((num_items, num_words), dtype=torch.int64, device=labels.device)
    shifts = torch.arange(64, device=labels.device)
    for start in range(0, num_items, _LABEL_ROWS):
        present = labels[start : start + _LABEL_ROWS] != 0
        present = torch.nn.functional.pad(present, (0, num_words * 64 - num_classes))
        bits = present.reshape(-1, num_words, 64).to(torch.int64) << shifts
        words[start : start + _LABEL_ROWS] = bits.sum(-1)
    return words


def _pack_bits(bits: Tensor, little: bool) -> Tensor:
    num_items, num_bits = bits.shape
    width = (num_bits + 7) // 8
    bits = torch.nn.functional.pad(bits, (0, width * 8 - num_bits))
    bytes_ = bits.reshape(num_items, width, 8).to(torch.uint8) << _shifts(bits, little)
    return bytes_.sum(-1, dtype=torch.uint8)


def _shifts(like: Tensor, little: bool) -> Tensor:
    shifts = torch.arange(8, dtype=torch.uint8, device=like.device)
    return shifts if little else shifts.flip(0)
