"""The op of the likelihood of triplets, value and gradient in one pass over them, and its autograd function."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._first_order import first_order, reverse_mode_only, scaled
from hashkernels._ops._library import cuda_arguments, define, rows, thread_argument, thread_count

_FLOATS = (torch.float32, torch.float64)


def triplet_likelihood(
    similarities: Tensor,
    relevant: Tensor,
    irrelevant: Tensor,
    weights: Tensor,
    *,
    margin: float,
    threads: int | None = None,
) -> Tensor:
    """The sum over queries q of weights[q] * sum over p and n of softplus(similarities[q, n] + margin -
    similarities[q, p]), without a list of the triplets: a scalar of the dtype of ``similarities``.

    ``similarities`` is [Q, N], float32 or float64; p are the items marked in ``relevant``, n those in ``irrelevant``,
    bool [Q, N] both, which have none in common; ``weights`` float64 [Q], a constant. There is no second derivative,
    and none in forward mode: asking for one raises ``RuntimeError``. On CUDA torch computes float64, a bounded number
    of triplets at a time.
    """
    reverse_mode_only(similarities)
    arguments = (relevant, irrelevant, weights, margin, thread_argument(threads))
    if torch.is_grad_enabled() and similarities.requires_grad:
        loss: Tensor = _TripletLikelihood.apply(similarities, *arguments)  # type: ignore[no-untyped-call]
        return loss
    *constants, count = arguments
    total: Tensor = _triplet_likelihood(similarities.detach(), *constants, False, count)[0]
    return total.to(similarities.dtype)


class _TripletLikelihood(torch.autograd.Function):
    """The gradient comes with the value; the backward scales it."""

    @staticmethod
    def forward(
        ctx: Any,
        similarities: Tensor,
        relevant: Tensor,
        irrelevant: Tensor,
        weights: Tensor,
        margin: float,
        threads: int,
    ) -> Tensor:
        total, grad = _triplet_likelihood(similarities, relevant, irrelevant, weights, margin, True, threads)
        ctx.save_for_backward(similarities, grad)
        loss: Tensor = total.to(grad.dtype)
        return loss

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor) -> tuple[Tensor | None, ...]:
        similarities, grad = ctx.saved_tensors
        return first_order(scaled(grad, grad_total), similarities, grad_total), *(None,) * 5


def _checked(
    similarities: Tensor, relevant: Tensor, irrelevant: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    similarities = rows("similarities", similarities, *_FLOATS)
    shape = tuple(similarities.shape)
    for name, tensor, dtype, wanted in (
        ("relevant", relevant, torch.bool, shape),
        ("irrelevant", irrelevant, torch.bool, shape),
        ("weights", weights, torch.float64, shape[:1]),
    ):
        if tensor.dtype != dtype:
            raise TypeError(
                f"{name} must be {_validation.dtype_name(dtype)}, got {_validation.dtype_name(tensor.dtype)}"
            )
        if tuple(tensor.shape) != wanted:
            raise ValueError(f"{name} must have shape {wanted}, got {tuple(tensor.shape)}")
        _validation.check_same_device("similarities", similarities, name, tensor)
    return similarities.contiguous(), relevant.contiguous(), irrelevant.contiguous(), weights.contiguous()


def _on_cpu(
    similarities: Tensor,
    relevant: Tensor,
    irrelevant: Tensor,
    weights: Tensor,
    margin: float,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor]:
    tensors = _checked(similarities, relevant, irrelevant, weights)
    kernel = _loader.cpu_kernel("triplet_likelihood")
    if kernel is None:
        return reference.triplet_likelihood(*tensors, margin, with_grad)
    similarities, relevant, irrelevant, weights = tensors
    total, grad = _results(similarities, with_grad)
    kernel(
        similarities.data_ptr(),
        similarities.dtype == torch.float64,
        relevant.data_ptr(),
        irrelevant.data_ptr(),
        weights.data_ptr(),
        *similarities.shape,
        margin,
        total.data_ptr(),
        grad.data_ptr() if with_grad else 0,
        thread_count(threads),
    )
    return total, grad


def _on_cuda(
    similarities: Tensor,
    relevant: Tensor,
    irrelevant: Tensor,
    weights: Tensor,
    margin: float,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor]:
    tensors = _checked(similarities, relevant, irrelevant, weights)
    kernel = None if similarities.dtype == torch.float64 else _loader.cuda_kernel("cuda_triplet_likelihood")
    if kernel is None:
        return reference.triplet_likelihood(*tensors, margin, with_grad)
    similarities, relevant, irrelevant, weights = tensors
    total, grad = _results(similarities, with_grad)
    query_losses = torch.empty_like(weights)
    kernel(
        similarities.data_ptr(),
        relevant.data_ptr(),
        irrelevant.data_ptr(),
        weights.data_ptr(),
        *similarities.shape,
        margin,
        total.data_ptr(),
        grad.data_ptr() if with_grad else 0,
        query_losses.data_ptr(),
        *cuda_arguments(similarities),
    )
    return total, grad


def _results(similarities: Tensor, with_grad: bool) -> tuple[Tensor, Tensor]:
    shape = tuple(similarities.shape) if with_grad else (0,)
    return similarities.new_empty((), dtype=torch.float64), similarities.new_empty(shape)


def _fake(similarities: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _results(similarities, rest[-2])


_triplet_likelihood = define(
    "triplet_likelihood(Tensor similarities, Tensor relevant, Tensor irrelevant, Tensor weights, float margin, "
    "bool with_grad, int threads) -> (Tensor, Tensor)",
    cpu=_on_cpu,
    cuda=_on_cuda,
    fake=_fake,
)
