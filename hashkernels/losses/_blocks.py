"""Sums over all pairs in blocks of rows, so that memory does not grow with the number of pairs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

BLOCK_ELEMENTS = 1 << 22


def sum_blocks(block: Callable[[slice], Tensor], num_rows: int, elements_per_row: int) -> Tensor:
    """Sum of ``block(rows)`` over blocks of rows that hold about ``BLOCK_ELEMENTS`` elements each.

    More than one block: the backward computes each block again instead of keeping what the forward made of it.
    """
    step = max(1, BLOCK_ELEMENTS // max(elements_per_row, 1))
    if num_rows <= step:
        return block(slice(0, num_rows))
    parts = []
    for start in range(0, num_rows, step):
        rows = slice(start, min(start + step, num_rows))
        part: Tensor = checkpoint(block, rows, use_reentrant=False, preserve_rng_state=False)
        parts.append(part)
    return torch.stack(parts).sum(dim=0)
