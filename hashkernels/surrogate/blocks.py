"""The networks of a surrogate posterior: all blocks of one size in one set of stacked parameters.

One network a block is ``Linear(size -> hidden), SiLU, Dropout, Linear(hidden -> 2^size)`` (LBHash, Fig. 8). One by one,
they spend their time starting small operations and drawing dropout masks; stacked, a step is two batched products.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

_DIGITS = 16


def dropout_scale(shape: tuple[int, ...], probability: float, like: torch.Tensor) -> torch.Tensor:
    """A dropout factor for every element: 0 with ``probability`` (rounded to 2^-16), else 1 / (1 - probability).

    Each element takes one random bit for every binary digit of the probability, one alone for 1/2: the generator of a
    CPU is serial and takes most of the time of ``F.dropout``.
    """
    levels = 1 << _DIGITS
    kept = levels - min(round(probability * levels), levels - 1)
    if kept == levels:
        return like.new_ones(shape)
    count = math.prod(shape)
    words = torch.zeros((count + 63) // 64, dtype=torch.int64, device=like.device)
    for digit in reversed(f"{kept:0{_DIGITS}b}".rstrip("0")):  # a share p of ones becomes (digit + p) / 2
        draw = torch.randint(-(1 << 63), (1 << 63) - 1, words.shape, device=like.device)
        words = words | draw if digit == "1" else words & draw
    bits = words.view(torch.uint8) >> torch.arange(8, dtype=torch.uint8, device=like.device).unsqueeze(1)
    flat = bits.bitwise_and_(1).to(like.dtype).mul_(levels / kept).flatten()
    return flat[:count].view(shape)


class BlockStack(torch.nn.Module):
    """``count`` networks of ``size`` input bits and 2^size outputs, parameters stacked along the first dimension.

    Each slice has the layout of ``torch.nn.Linear`` (``[out, in]``) and its initial distribution.
    """

    def __init__(self, count: int, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.dropout = dropout
        self.weight_in = torch.nn.Parameter(torch.empty(count, hidden, size))
        self.bias_in = torch.nn.Parameter(torch.empty(count, hidden))
        self.weight_out = torch.nn.Parameter(torch.empty(count, 1 << size, hidden))
        self.bias_out = torch.nn.Parameter(torch.empty(count, 1 << size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan_in), weights and biases: what ``torch.nn.Linear`` does."""
        for weight, bias in ((self.weight_in, self.bias_in), (self.weight_out, self.bias_out)):
            bound = weight.shape[-1] ** -0.5
            torch.nn.init.uniform_(weight, -bound, bound)
            torch.nn.init.uniform_(bias, -bound, bound)

    def extra_repr(self) -> str:
        return f"count={self.bias_in.shape[0]}, size={self.size}"

    def draw_dropout(self, num_items: int, dropout: bool) -> torch.Tensor | None:
        """The dropout factors [count, num_items, hidden] of one pass, None where nothing is dropped."""
        if not dropout or self.dropout == 0:
            return None
        count, hidden = self.bias_in.shape
        return dropout_scale((count, num_items, hidden), self.dropout, self.bias_in)

    def logits(self, x: torch.Tensor, *, dropout: bool, freeze: bool = False) -> torch.Tensor:
        """Logits [count, N, 2^size] of ``x`` [count, N, size]; with ``freeze`` no gradient reaches the parameters."""
        weight_in, bias_in, weight_out, bias_out = self._weights(freeze)
        hidden = F.silu(torch.baddbmm(bias_in.unsqueeze(1), x, weight_in.mT))
        scale = self.draw_dropout(x.shape[1], dropout)
        if scale is not None:
            hidden = hidden.mul_(scale)  # in place: silu keeps its input, not its output, for the backward pass
        return torch.baddbmm(bias_out.unsqueeze(1), hidden, weight_out.mT)

    def split_nll(
        self,
        x: torch.Tensor,
        patterns: torch.Tensor,
        weight: torch.Tensor | None,
        *,
        dropout: bool,
        freeze: bool = False,
    ) -> torch.Tensor:
        """Two cross-entropies [2] of one pass, summed over blocks and items, each with a gradient of its own.

        The gradient of the first, to the patterns ``patterns[:, 0]`` [count, N], reaches only the parameters; that of
        the second, to ``patterns[:, 1]``, only ``x``: what two passes with stopped gradients would give, at the price
        of one. In the second, items count by ``weight`` [N] where it is given. With ``freeze`` the parameters get none.
        """
        scale = self.draw_dropout(x.shape[1], dropout)
        result: torch.Tensor = _SplitNLL.apply(  # type: ignore[no-untyped-call]
            x, *self._weights(freeze), scale, patterns, weight
        )
        return result

    def _weights(self, freeze: bool) -> tuple[torch.Tensor, ...]:
        parameters = self.weight_in, self.bias_in, self.weight_out, self.bias_out
        return tuple(p.detach() for p in parameters) if freeze else parameters


class _SplitNLL(torch.autograd.Function):
    """Both cross-entropies share the logits, and in the backward pass one product of the softmax with the weights.

    With p the softmax, the gradient at the hidden layer of the term to pattern t is (p - e_t) W: that of the second
    term differs from that of the first by a difference of two rows of W, which it looks up. What is not a large product
    is most of the time that can be saved: the slope of the activation comes from its sigmoid, results are written over
    what is no longer needed, since fresh memory is slow, and products with the few bits of a block have them as rows,
    not columns, which is four times as fast.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_in: torch.Tensor,
        bias_in: torch.Tensor,
        weight_out: torch.Tensor,
        bias_out: torch.Tensor,
        scale: torch.Tensor | None,
        patterns: torch.Tensor,
        weight: torch.Tensor | None,
    ) -> torch.Tensor:
        before = torch.baddbmm(bias_in.unsqueeze(1), x, weight_in.mT)
        gate = before.sigmoid()
        slope = gate.clone() if scale is None else scale.mul_(gate)
        hidden = before.mul_(slope)
        slope.addcmul_(hidden, gate, value=-1).add_(hidden)  # silu' = gate + silu - silu gate, each times the scale
        del gate  # its memory serves the logits
        logits = torch.baddbmm(bias_out.unsqueeze(1), hidden, weight_out.mT)
        probs = F.softmax(logits, dim=2)
        # The largest logit and the largest probability, which is far from 0, give the logarithm of the divisor.
        log_divisor = logits.amax(2, keepdim=True) - probs.amax(2, keepdim=True).log()
        nll = log_divisor - logits.gather(2, patterns.mT)  # [count, N, 2]
        errors = probs.scatter_add_(2, patterns[:, 0].unsqueeze(2), -probs.new_ones(()).expand(*probs.shape[:2], 1))
        ctx.save_for_backward(x, weight_in, weight_out, patterns, weight, slope, hidden, errors)
        if weight is not None:
            nll[:, :, 1] *= weight
        return nll.sum((0, 1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        own_grad, target_grad = grad.unbind()
        x, weight_in, weight_out, patterns, weight, slope, hidden, errors = ctx.saved_tensors
        at_hidden = torch.bmm(errors, weight_out).mul_(slope)  # [count, N, hidden], of the first term

        grad_x = None
        if ctx.needs_input_grad[0]:
            rows = _row_differences(weight_out, patterns)
            target_at_hidden = torch.addcmul(at_hidden, rows, slope, out=rows)
            grad_x = torch.bmm(weight_in.mT, target_at_hidden.mT).mT * target_grad
            if weight is not None:
                grad_x = grad_x * weight.unsqueeze(1)
            del rows, target_at_hidden

        grads: tuple[torch.Tensor | None, ...] = (None, None, None, None)
        if any(ctx.needs_input_grad[1:5]):
            grad_in = torch.bmm(x.mT, at_hidden).mT * own_grad, at_hidden.sum(1).mul_(own_grad)
            del at_hidden
            grads = *grad_in, torch.bmm(errors.mT, hidden).mul_(own_grad), errors.sum(1).mul_(own_grad)
        return grad_x, *grads, None, None, None


def _row_differences(weight_out: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """``weight_out[k, patterns[k, 0, n]] - weight_out[k, patterns[k, 1, n]]``: [count, N, hidden]."""
    count, num_patterns, hidden = weight_out.shape
    first = torch.arange(count, device=patterns.device).view(-1, 1, 1) * num_patterns
    pairs = (patterns.mT + first).reshape(-1, 2)
    signs = weight_out.new_tensor((1.0, -1.0)).expand(pairs.shape)
    rows = F.embedding_bag(pairs, weight_out.reshape(-1, hidden), mode="sum", per_sample_weights=signs)
    return rows.view(count, -1, hidden)
