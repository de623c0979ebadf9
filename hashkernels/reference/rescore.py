"""Dot products of float queries with candidates, summed in the order that csrc/include/hashkernels/rescore.h gives."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels.reference.codes import unpack_codes


def score_codes(queries: Tensor, codes: Tensor, little: bool) -> Tensor:
    """float32 [Q, C] of float32 [Q, bits] and packed codes uint8 [Q, C, W]."""
    bits = queries.shape[1]
    signs = unpack_codes(codes.flatten(0, 1), bits, little).reshape(*codes.shape[:2], bits)
    values = torch.nn.functional.pad(queries[:, None] * signs, (0, 8 * codes.shape[2] - bits))
    groups = values.reshape(*values.shape[:2], values.shape[2] // 4, 4)
    groups = (groups[..., 0] + groups[..., 1]) + (groups[..., 2] + groups[..., 3])
    sums = queries.new_zeros((*groups.shape[:2], 4))
    for group in range(groups.shape[2]):
        sums[..., group % 4] += groups[..., group]
    return (sums[..., 0] + sums[..., 1]) + (sums[..., 2] + sums[..., 3])


def score_vectors(queries: Tensor, vectors: Tensor, positions: Tensor) -> Tensor:
    """float32 [Q, C] of float32 [Q, D], float32 or int8 [N, D], and positions int64 [Q, C], negative ones -infinity."""
    rows = vectors[positions.clamp(min=0)].float()
    values = torch.nn.functional.pad(queries[:, None] * rows, (0, -queries.shape[1] % 8))
    values = values.reshape(*positions.shape, values.shape[2] // 8, 8)
    sums = queries.new_zeros((*positions.shape, 8))
    for step in range(values.shape[2]):
        sums += values[:, :, step]
    sums = sums[..., ::2] + sums[..., 1::2]
    sums = sums[..., ::2] + sums[..., 1::2]
    return torch.where(positions < 0, -torch.inf, sums[..., 0] + sums[..., 1])
