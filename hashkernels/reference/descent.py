"""Discrete cyclic coordinate descent, with the roundings that csrc/include/hashkernels/descent.h gives."""

from __future__ import annotations

import torch
from torch import Tensor


def discrete_descent(codes: Tensor, pull: Tensor, gram: Tensor, sweeps: int) -> Tensor:
    """Codes int8 [N, bits] of -1/+1 after ``sweeps`` passes over their bits, one bit of all items at a time."""
    code, field = codes.to(pull.dtype), pull.clone()
    bits = range(codes.shape[1])
    for bit in bits:
        field -= code[:, bit, None] * gram[bit]
    for _ in range(sweeps):
        for bit in bits:
            value = code[:, bit].clone()
            turned = (field[:, bit] + value * gram[bit, bit]) * value < 0
            field += torch.where(turned, value * 2, 0)[:, None] * gram[bit]
            code[:, bit] = torch.where(turned, -value, value)
    return code.to(torch.int8)
