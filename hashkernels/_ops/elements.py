"""The op of losses of single values, and its autograd function.

On few items most of the time of a formula goes into starting its operations, their derivatives and the nodes of the
graph between them; here there is one of each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._first_order import first_order, reverse_mode_only, scaled
from hashkernels._ops._library import define, thread_argument, thread_count

_FLOATS = (torch.float32, torch.float64)


class ElementTerm(NamedTuple):
    """A function of ``reference.element``, and the weight of its sum over all values."""

    function: str
    weight: float
    parameter: float = 0.0


class ElementLoss(NamedTuple):
    """A differentiable total and, detached, the terms that it is the sum of."""

    total: Tensor  # scalar, of the dtype of u
    terms: Tensor  # one for each term, of the same dtype


def element_loss(
    u: Tensor, *terms: ElementTerm, targets: Tensor | None = None, divisor: int = 1, threads: int | None = None
) -> ElementLoss:
    """The sum of some terms over all values of ``u`` (float32 or float64 [N, bits]), divided by ``divisor`` (0 as 1).

    ``targets``, int8 [N, bits] of -1, 0 (none) and +1, must be given for the functions that have them. There is no
    second derivative, and none in forward mode: asking for one raises ``RuntimeError``. On CUDA torch computes it.
    """
    if not terms:
        raise ValueError("terms must hold at least one, got none")
    reverse_mode_only(u)
    names, weights, parameters = zip(*terms, strict=True)
    functions = [
        reference.ELEMENT_FUNCTIONS.index(_validation.check_choice("function", name, reference.ELEMENT_FUNCTIONS))
        for name in names
    ]
    # The weights stay apart from the number of items, which a compiled graph may leave open.
    arguments = (targets, functions, list(parameters), list(weights), divisor)
    count = thread_argument(threads)
    if torch.is_grad_enabled() and u.requires_grad:
        return ElementLoss(*_ElementLoss.apply(u, *arguments, count))  # type: ignore[no-untyped-call]
    total, sums, _ = _element_loss(u.detach(), *arguments, False, count)
    return ElementLoss(total, sums)


class _ElementLoss(torch.autograd.Function):
    """The gradient comes with the value; the backward scales it."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
        *arguments, threads = rest
        total, terms, grad = _element_loss(u, *arguments, True, threads)
        ctx.save_for_backward(u, grad)
        ctx.mark_non_differentiable(terms)
        ctx.set_materialize_grads(False)
        return total, terms

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        u, grad = ctx.saved_tensors
        return None if grad_total is None else first_order(scaled(grad, grad_total), u, grad_total), *(None,) * 6


def _checked(u: Tensor, targets: Tensor | None) -> tuple[Tensor, Tensor | None]:
    if u.dtype not in _FLOATS:
        raise TypeError(f"u must be float32 or float64, got {_validation.dtype_name(u.dtype)}")
    if targets is None:
        return u.contiguous(), None
    if targets.dtype != torch.int8:
        raise TypeError(f"targets must be int8, got {_validation.dtype_name(targets.dtype)}")
    if targets.shape != u.shape:
        raise ValueError(f"targets must have shape {tuple(u.shape)} like u, got {tuple(targets.shape)}")
    _validation.check_same_device("u", u, "targets", targets)
    return u.contiguous(), targets.contiguous()


def _check_functions(targets: Tensor | None, functions: list[int], *others: list[float]) -> None:
    counts = [len(functions), *map(len, others)]
    if not functions or len(set(counts)) > 1:
        raise ValueError(f"functions, parameters and weights must have one length of at least 1, got {counts}")
    for function in functions:
        _validation.check_int("functions", function, 0, len(reference.ELEMENT_FUNCTIONS) - 1)
    needy = [reference.ELEMENT_FUNCTIONS[i] for i in functions if i < reference.NUM_WITH_TARGETS]
    if targets is None and needy:
        raise ValueError(f"targets must be given for {needy[0]}")


def _on_cpu(
    u: Tensor,
    targets: Tensor | None,
    functions: list[int],
    parameters: list[float],
    weights: list[float],
    divisor: int,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    _check_functions(targets, functions, parameters, weights)
    u, targets = _checked(u, targets)
    weights = [weight / max(divisor, 1) for weight in weights]
    kernel = _loader.cpu_kernel("element_loss")
    if kernel is None:
        return reference.element_loss(u, targets, functions, parameters, weights, with_grad)
    total, terms, grad = _results(u, len(functions), with_grad)
    kernel(
        u.dtype == torch.float64,
        u.data_ptr(),
        0 if targets is None else targets.data_ptr(),
        u.numel(),
        functions,
        parameters,
        weights,
        terms.data_ptr(),
        total.data_ptr(),
        grad.data_ptr() if with_grad else 0,
        thread_count(threads),
    )
    return total, terms, grad


def _on_cuda(
    u: Tensor,
    targets: Tensor | None,
    functions: list[int],
    parameters: list[float],
    weights: list[float],
    divisor: int,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    _check_functions(targets, functions, parameters, weights)
    weights = [weight / max(divisor, 1) for weight in weights]
    return reference.element_loss(*_checked(u, targets), functions, parameters, weights, with_grad)


def _results(u: Tensor, num_terms: int, with_grad: bool) -> tuple[Tensor, Tensor, Tensor]:
    shape = tuple(u.shape) if with_grad else (0,)
    return u.new_empty(()), u.new_empty(num_terms), u.new_empty(shape)


def _fake(u: Tensor, targets: Tensor | None, functions: list[int], *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _results(u, len(functions), rest[-2])


_element_loss = define(
    "element_loss(Tensor u, Tensor? targets, int[] functions, float[] parameters, float[] weights, "
    "SymInt divisor, bool with_grad, int threads) -> (Tensor, Tensor, Tensor)",
    cpu=_on_cpu,
    cuda=_on_cuda,
    fake=_fake,
)
