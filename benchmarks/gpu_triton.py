"""The margin loss in Triton, as a user would write it: tiles of inner products, value and gradient in one pass.

A program has a block of rows, walks all columns, and keeps the gradient of its rows in registers. Products are in TF32,
Triton's default for float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit
def _pairs(  # type: ignore[no-untyped-def]
    u,
    v,
    u_labels,
    v_labels,
    grad,
    sums,
    num_rows,
    num_columns,
    positive_margin,
    negative_margin,
    weights,
    itself: tl.constexpr,
    bits: tl.constexpr,
    block: tl.constexpr,
):
    positive_weight, negative_weight = tl.load(weights), tl.load(weights + 1)
    sides = 2.0 if itself else 1.0
    rows = tl.program_id(0) * block + tl.arange(0, block)
    bit = tl.arange(0, bits)
    left = tl.load(u + rows[:, None] * bits + bit[None, :], mask=rows[:, None] < num_rows, other=0.0)
    own = tl.load(u_labels + rows, mask=rows < num_rows, other=-1)
    total = tl.zeros((block, bits), dtype=tl.float32)
    loss = tl.zeros((block,), dtype=tl.float32)
    for start in range(0, num_columns, block):
        columns = start + tl.arange(0, block)
        right = tl.load(v + columns[:, None] * bits + bit[None, :], mask=columns[:, None] < num_columns, other=0.0)
        others = tl.load(v_labels + columns, mask=columns < num_columns, other=-2)
        theta = tl.dot(left, tl.trans(right))
        counts = (rows[:, None] < num_rows) & (columns[None, :] < num_columns)
        if itself:
            counts = counts & (rows[:, None] != columns[None, :])
        same = own[:, None] == others[None, :]
        error = tl.where(same, tl.minimum(theta - positive_margin, 0.0), tl.maximum(theta - negative_margin, 0.0))
        weight = tl.where(counts, tl.where(same, positive_weight, negative_weight), 0.0)
        loss += tl.sum(weight * error * error, axis=1)
        total += tl.dot(2.0 * sides * weight * error, right)
    tl.store(grad + rows[:, None] * bits + bit[None, :], total, mask=rows[:, None] < num_rows)
    tl.store(sums + rows, loss, mask=rows < num_rows)


def margin_loss(
    u: Tensor,
    labels: Tensor,
    bank: Tensor | None,
    bank_labels: Tensor | None,
    *,
    positive_margin: float,
    negative_margin: float,
) -> tuple[Tensor, Tensor]:
    """Value and gradient by u [N, bits]; labels are in 0..1023. Without a bank u against itself."""
    itself = bank is None
    columns, column_labels = (u, labels) if bank is None or bank_labels is None else (bank, bank_labels)
    both = torch.bincount(labels, minlength=1024) * torch.bincount(column_labels, minlength=1024)
    positive = both.sum() - (len(u) if itself else 0)
    negative = len(u) * (len(columns) - (1 if itself else 0)) - positive
    weights = 1 / torch.stack((positive, negative)).float()
    grad, sums = torch.empty_like(u), torch.empty(len(u), device=u.device)
    block = 64
    _pairs[(triton.cdiv(len(u), block),)](
        u,
        columns,
        labels,
        column_labels,
        grad,
        sums,
        len(u),
        len(columns),
        positive_margin,
        negative_margin,
        weights,
        itself,
        u.shape[1],
        block,
    )
    return sums.sum(), grad
