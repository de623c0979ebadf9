"""The networks of a surrogate posterior: all blocks of one size in one set of stacked parameters.

One network a block is ``Linear(size -> hidden), SiLU, Dropout, Linear(hidden -> 2^size)`` (LBHash, Fig. 8). One by one,
they spend their time starting small operations and drawing dropout masks; stacked, a step is two batched products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from hashkernels import _ops
from hashkernels.losses._precision import full_precision, sum_dtype

_DIGITS = 16


def kept_digits(probability: float) -> str:
    """The share of elements that a dropout with this probability, rounded to 2^-16, keeps: its binary digits after the
    point; none where nothing is dropped."""
    levels = 1 << _DIGITS
    kept = levels - min(round(probability * levels), levels - 1)
    return "" if kept == levels else f"{kept:0{_DIGITS}b}".rstrip("0")


def draw_kept(shape: tuple[int, ...], digits: str, device: torch.device) -> tuple[torch.Tensor | None, float]:
    """Which elements a dropout keeps, as bits, and what it multiplies them by.

    Each of ``shape`` [..., H] is kept with the probability of `kept_digits`: int64 [..., ceil(H / 64)], element h is
    bit h % 64 of word h // 64; None where nothing is dropped. The others are multiplied by 1 / that probability.

    Each element takes one random bit for every binary digit of the probability, one alone for 1/2: the generator of a
    CPU is serial and takes most of the time of ``F.dropout``.
    """
    if not digits:
        return None, 1.0
    words = torch.zeros((*shape[:-1], (shape[-1] + 63) // 64), dtype=torch.int64, device=device)
    for digit in reversed(digits):  # a share p of ones becomes (digit + p) / 2
        draw = torch.randint(-(1 << 63), (1 << 63) - 1, words.shape, device=device)
        words = words | draw if digit == "1" else words & draw
    return words, (1 << len(digits)) / int(digits, 2)


class BlockStack(torch.nn.Module):
    """``count`` networks of ``size`` input bits and 2^size outputs, parameters stacked along the first dimension.

    Each slice has the layout of ``torch.nn.Linear`` (``[out, in]``) and its initial distribution.
    """

    def __init__(self, count: int, size: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        # As text, which a compiler takes for a constant: a number it may leave open.
        self.kept_digits = kept_digits(dropout)
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

    def draw_kept(self, num_items: int, dropout: bool) -> tuple[torch.Tensor | None, float]:
        """Which units [count, num_items, hidden] one pass keeps, and their factor; see `draw_kept`."""
        shape = (self.bias_in.shape[0], num_items, self.bias_in.shape[1])
        return draw_kept(shape, self.kept_digits if dropout else "", self.bias_in.device)

    def logits(self, x: torch.Tensor, *, dropout: bool, freeze: bool = False) -> torch.Tensor:
        """Logits [count, N, 2^size] of ``x`` [count, N, size]; with ``freeze`` no gradient reaches the parameters."""
        weight_in, bias_in, weight_out, bias_out = self._weights(freeze)
        hidden = F.silu(torch.baddbmm(bias_in.unsqueeze(1), x, weight_in.mT))
        kept, scale = self.draw_kept(x.shape[1], dropout)
        if kept is not None:
            factor = _ops.unpack_kept(kept, hidden.shape[2]).to(hidden.dtype).mul_(scale)
            hidden = hidden.mul_(factor)  # in place: silu keeps its input, not its output, for the backward pass
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
        """Two cross-entropies [2] of one pass, summed over blocks and items, each with a gradient of its own; of half
        types in float32.

        The gradient of the first, to the patterns ``patterns[:, 0]`` [count, N], reaches only the parameters; that of
        the second, to ``patterns[:, 1]``, only ``x``: what two passes with stopped gradients would give, at the price
        of one. In the second, items count by ``weight`` [N] where it is given. With ``freeze`` the parameters get none.
        """
        kept, scale = self.draw_kept(x.shape[1], dropout)
        weights = self._weights(freeze)
        _ops.reverse_mode_only(x, *weights)
        result: torch.Tensor = _SplitNLL.apply(  # type: ignore[no-untyped-call]
            x, *weights, kept, scale, patterns, weight
        )
        return result

    def shared_nll(
        self, x: torch.Tensor, own: torch.Tensor, patterns: torch.Tensor, shares: torch.Tensor, *, dropout: bool
    ) -> torch.Tensor:
        """`split_nll` to ``own`` [count, N], and in place of a second pattern to ``patterns`` [count, M] of M classes,
        where class m counts for item n by ``shares[n, m]``."""
        kept, scale = self.draw_kept(x.shape[1], dropout)
        weights = self._weights(freeze=False)
        _ops.reverse_mode_only(x, *weights)
        result: torch.Tensor = _SharedNLL.apply(  # type: ignore[no-untyped-call]
            x, *weights, kept, scale, own, patterns, shares
        )
        return result

    def _weights(self, freeze: bool) -> tuple[torch.Tensor, ...]:
        parameters = self.weight_in, self.bias_in, self.weight_out, self.bias_out
        return tuple(p.detach() for p in parameters) if freeze else parameters


class _SplitNLL(torch.autograd.Function):
    """Both cross-entropies share the logits, and in the backward pass one product of the softmax with the weights."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_in: torch.Tensor,
        bias_in: torch.Tensor,
        weight_out: torch.Tensor,
        bias_out: torch.Tensor,
        kept: torch.Tensor | None,
        scale: float,
        patterns: torch.Tensor,
        weight: torch.Tensor | None,
    ) -> torch.Tensor:
        hidden, slope = _ops.hidden_units(x, weight_in, bias_in, kept, scale)
        logits = torch.baddbmm(bias_out.unsqueeze(1), hidden, weight_out.mT)
        weight = None if weight is None else weight.to(x.dtype)
        errors, nll = _ops.pattern_errors(logits, patterns, weight)
        ctx.save_for_backward(x, weight_in, weight_out, patterns, weight, slope, hidden, errors)
        return nll.to(sum_dtype(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *_first_order(_SplitNLL._gradients, ctx, grad), None, None, None, None

    @staticmethod
    def _gradients(
        saved: Sequence[Any], inputs: bool, parameters: bool, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        own_grad, target_grad = grad.unbind()
        x, weight_in, weight_out, patterns, weight, slope, hidden, errors = saved
        product = torch.bmm(errors, weight_out)
        grad_x, *grad_in = _ops.hidden_gradients(
            product, slope, x, weight_in, weight_out, patterns, with_inputs=inputs, with_parameters=parameters
        )
        del product
        grads: tuple[torch.Tensor | None, ...] = (None, None, None, None)
        if parameters:
            grads = _of_parameters(grad_in, errors, hidden, own_grad)
        if inputs:
            grad_x *= target_grad
            if weight is not None:
                grad_x *= weight.unsqueeze(1)
        return grad_x if inputs else None, *grads


class _SharedNLL(torch.autograd.Function):
    """As `_SplitNLL`, where a logit of the second term is the mean of those of several classes: so is the row of
    weights that makes it, and no array of items, classes and blocks is needed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight_in: torch.Tensor,
        bias_in: torch.Tensor,
        weight_out: torch.Tensor,
        bias_out: torch.Tensor,
        kept: torch.Tensor | None,
        scale: float,
        own: torch.Tensor,
        patterns: torch.Tensor,
        shares: torch.Tensor,
    ) -> torch.Tensor:
        hidden, slope = _ops.hidden_units(x, weight_in, bias_in, kept, scale)
        logits = torch.baddbmm(bias_out.unsqueeze(1), hidden, weight_out.mT)
        weight = shares.sum(1)
        rows = shares @ _rows(weight_out, patterns)  # [count, N, H]
        meant = (hidden * rows).sum(2) + bias_out.gather(1, patterns) @ shares.T  # [count, N]
        missed = weight * logits.gather(2, own.unsqueeze(2)).squeeze(2) - meant
        errors, nll = _ops.pattern_errors(logits, torch.stack((own, own), dim=1), weight)
        ctx.save_for_backward(x, weight_in, weight_out, own, weight, rows, slope, hidden, errors)
        return torch.stack((nll[0], nll[1] + missed.sum(dtype=nll.dtype))).to(sum_dtype(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return *_first_order(_SharedNLL._gradients, ctx, grad), *(None,) * 5

    @staticmethod
    def _gradients(
        saved: Sequence[Any], inputs: bool, parameters: bool, grad: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        own_grad, target_grad = grad.unbind()
        x, weight_in, weight_out, own, weight, rows, slope, hidden, errors = saved
        layer = slope, x, weight_in, weight_out, torch.stack((own, own), dim=1)
        product = torch.bmm(errors, weight_out)  # by the units, of the first term
        grads: tuple[torch.Tensor | None, ...] = (None, None, None, None)
        if parameters:
            _, *grad_in = _ops.hidden_gradients(product, *layer, with_inputs=False, with_parameters=True)
            grads = _of_parameters(grad_in, errors, hidden, own_grad)
        if not inputs:
            return None, *grads
        product = weight.unsqueeze(1) * (product + _rows(weight_out, own)) - rows
        grad_x, *_ = _ops.hidden_gradients(product, *layer, with_inputs=True, with_parameters=False)
        return grad_x * target_grad, *grads


_Gradients = tuple[torch.Tensor | None, ...]


def _first_order(gradients: Callable[..., _Gradients], ctx: Any, grad: torch.Tensor) -> _Gradients:
    """What ``gradients`` finds from the saved tensors, of which x and the two matrices of weights come first."""
    saved = ctx.saved_tensors  # once: a checkpoint gives them no second time
    inputs, parameters = ctx.needs_input_grad[0], any(ctx.needs_input_grad[1:5])
    with torch.no_grad(), full_precision(grad):
        grads = gradients(saved, inputs, parameters, grad)
    return tuple(None if g is None else _ops.first_order(g, *saved[:3], grad) for g in grads)


def _of_parameters(
    grad_in: Sequence[torch.Tensor], errors: torch.Tensor, hidden: torch.Tensor, own_grad: torch.Tensor
) -> _Gradients:
    """The gradients of both layers' weights and biases, where those of the first are found already."""
    return tuple(grad * own_grad for grad in (*grad_in, torch.bmm(errors.mT, hidden), errors.sum(1)))


def _rows(weight: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``weight[k, index[k, i]]`` of [count, P, H] and [count, I]: [count, I, H]."""
    count, num_patterns, hidden = weight.shape
    first = torch.arange(count, device=index.device).unsqueeze(1) * num_patterns
    return weight.reshape(-1, hidden).index_select(0, (index + first).flatten()).view(count, -1, hidden)
