"""The networks of a surrogate posterior but for their two large products: hidden layer, softmax, gradients."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def unpack_kept(kept: Tensor, hidden: int) -> Tensor:
    """bool [..., hidden] from int64 [..., ceil(hidden / 64)]: unit h is bit h % 64 of word h // 64."""
    place = torch.arange(64, device=kept.device)
    return (((kept.unsqueeze(-1) >> place) & 1) != 0).flatten(-2)[..., :hidden]


def hidden_units(x: Tensor, weight: Tensor, bias: Tensor, kept: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """``scale * silu(x weight^T + bias)`` of the kept units, 0 for the others, and its slope: [B, N, H] both.

    ``x`` is [B, N, S], ``weight`` [B, H, S], ``bias`` [B, H], ``kept`` as ``unpack_kept`` takes it, [B, N, W].
    """
    before = torch.baddbmm(bias.unsqueeze(1), x, weight.mT)
    gate = before.sigmoid()
    slope = gate * scale if kept is None else torch.where(unpack_kept(kept, weight.shape[1]), gate * scale, 0)
    units = before.mul_(slope)
    slope.addcmul_(units, gate, value=-1).add_(units)  # silu' = gate + silu - silu gate, each times the factor
    return units, slope


def pattern_errors(logits: Tensor, patterns: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """The softmax of ``logits`` [B, N, P] less 1 at ``patterns[:, 0]`` (int64 [B, 2, N]), and minus the
    log-probabilities of both patterns, summed over blocks and items: float64 [2]. In the second sum items count by
    ``weights`` [N] where it is given."""
    probs = functional.softmax(logits, dim=2)
    # The largest logit and the largest probability, which is far from 0, give the logarithm of the divisor.
    log_divisor = logits.amax(2, keepdim=True) - probs.amax(2, keepdim=True).log()
    nll = log_divisor - logits.gather(2, patterns.mT)  # [B, N, 2]
    errors = probs.scatter_add_(2, patterns[:, 0].unsqueeze(2), -probs.new_ones(()).expand(*probs.shape[:2], 1))
    if weights is not None:
        nll[:, :, 1] *= weights
    return errors, nll.sum((0, 1), dtype=torch.float64)


def hidden_gradients(
    product: Tensor,
    slope: Tensor,
    x: Tensor,
    weight: Tensor,
    weight_out: Tensor,
    patterns: Tensor,
    with_inputs: bool,
    with_parameters: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients at the hidden layer of two cross-entropies: that to ``patterns[:, 1]`` by ``x``, and that to
    ``patterns[:, 0]`` by ``weight`` and by the bias; those not wanted are empty.

    ``product`` [B, N, H] is the gradient of the latter by the units. With p the softmax, that of the term to pattern t
    is (p - e_t) weight_out: the former differs from it by a difference of two rows of ``weight_out`` [B, P, H].
    """
    # A product with the few bits of a block has them as rows, not columns, which is several times as fast.
    at_hidden = product * slope
    grad_x, grad_weight, grad_bias = (x.new_empty(0) for _ in range(3))
    if with_inputs:
        rows = _row_differences(weight_out, patterns)
        grad_x = torch.bmm(weight.mT, torch.addcmul(at_hidden, rows, slope, out=rows).mT).mT.contiguous()
    if with_parameters:
        grad_weight, grad_bias = torch.bmm(x.mT, at_hidden).mT.contiguous(), at_hidden.sum(1)
    return grad_x, grad_weight, grad_bias


def _row_differences(weight_out: Tensor, patterns: Tensor) -> Tensor:
    """``weight_out[k, patterns[k, 0, n]] - weight_out[k, patterns[k, 1, n]]``: [B, N, H]."""
    count, num_patterns, hidden = weight_out.shape
    first = torch.arange(count, device=patterns.device).view(-1, 1, 1) * num_patterns
    pairs = (patterns.mT + first).reshape(-1, 2)
    signs = 1 - 2 * torch.arange(2, dtype=weight_out.dtype, device=weight_out.device)  # which no GPU has to wait for
    signs = signs.expand(pairs.shape)
    rows = functional.embedding_bag(pairs, weight_out.reshape(-1, hidden), mode="sum", per_sample_weights=signs)
    return rows.view(count, patterns.shape[2], hidden)
