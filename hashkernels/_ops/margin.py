"""The pairwise margin loss: one op that computes value and gradient, and the autograd function around it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import (
    cuda_arguments,
    define,
    row_stride,
    rows,
    thread_argument,
    thread_count,
    workspace,
)
from hashkernels._ops.retrieval import label_arguments

_FLOATS = {torch.float32: "float32", torch.float64: "float64"}


class MarginLoss(NamedTuple):
    """A differentiable total and, detached, the two terms that it is the sum of and the pairs behind each."""

    total: Tensor  # scalar, of the dtype of u (float32 for the half types)
    positive: Tensor  # scalar float64
    negative: Tensor  # scalar float64
    num_pairs: Tensor  # int64 [2]: ordered positive and negative pairs


def margin_loss(
    u: Tensor,
    labels: Tensor,
    *,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float = 1.0,
    negative_scale: float = 1.0,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    threads: int | None = None,
) -> MarginLoss:
    """positive_scale * mean over positive pairs of min(0, u_i . v_j - positive_margin)^2 + negative_scale * mean over
    negative pairs of max(0, u_i . v_j - negative_margin)^2, without the matrix of all pairs.

    ``u`` is [N, bits]; ``bank`` [M, bits], with its labels, takes the place of v and gets no gradient; without it v is
    u, the pairs i = j are left out, and the gradient runs through both sides. A set without pairs adds 0. Labels come
    from ``pack_labels``. The half types are computed in float32, and the gradient comes back in their own. There is no
    second derivative: asking for one raises ``RuntimeError``.
    """
    dtype = u.dtype if bank is None else torch.promote_types(u.dtype, bank.dtype)
    if dtype not in _FLOATS:
        dtype = torch.float32
    u = u.to(dtype)
    bank = None if bank is None else bank.detach().to(dtype)
    margins = (positive_margin, negative_margin, positive_scale, negative_scale)
    count = thread_argument(threads)
    if torch.is_grad_enabled() and u.requires_grad:
        total, terms, num_pairs = _MarginLoss.apply(  # type: ignore[no-untyped-call]
            u, bank, labels, bank_labels, *margins, count
        )
    else:
        terms, num_pairs, _ = _margin_loss(u.detach(), bank, labels, bank_labels, *margins, False, count)
        total = terms.sum().to(dtype)
    return MarginLoss(total, terms[0], terms[1], num_pairs)


class _MarginLoss(torch.autograd.Function):
    """The gradient costs little beside the value, so the forward computes it, and the backward scales it."""

    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        bank: Tensor | None,
        labels: Tensor,
        bank_labels: Tensor | None,
        positive_margin: float,
        negative_margin: float,
        positive_scale: float,
        negative_scale: float,
        threads: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        margins = (positive_margin, negative_margin, positive_scale, negative_scale)
        terms, num_pairs, grad = _margin_loss(u, bank, labels, bank_labels, *margins, True, threads)
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(terms, num_pairs)
        return terms.sum().to(u.dtype), terms, num_pairs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_total: Tensor, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grad * grad_total, *(None,) * 8


def _pair_tensors(
    u: Tensor, bank: Tensor | None, labels: Tensor, bank_labels: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Rows, columns, the labels of both and the words of a label, as the pointer contract wants them."""
    u = rows("u", u, *_FLOATS)
    columns = u
    if bank is not None:
        columns = rows("bank", bank, u.dtype)
        if columns.shape[1] != u.shape[1]:
            raise ValueError(f"bank must have {u.shape[1]} columns like u, got {columns.shape[1]}")
    column_labels = labels if bank_labels is None else bank_labels
    labels, column_labels, words = label_arguments(
        "labels", labels, u.shape[0], "bank_labels", column_labels, columns.shape[0]
    )
    _validation.check_same_device("u", u, "bank", columns)
    _validation.check_same_device("u", u, "labels", labels)
    return u, columns, labels, column_labels, words


def _margin_loss_cpu(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    margins = (positive_margin, negative_margin, positive_scale, negative_scale)
    u, columns, labels, column_labels, words = _pair_tensors(u, bank, labels, bank_labels)
    kernel = _loader.cpu_kernel("margin_loss")
    if kernel is None:
        return reference.margin_loss(u, bank, labels, bank_labels, *margins, with_grad)
    terms, num_pairs, grad = _margin_loss_fake(u, bank, labels, bank_labels, *margins, with_grad, threads)
    kernel(
        u.data_ptr(),
        _FLOATS[u.dtype],
        u.shape[0],
        u.shape[1],
        row_stride(u),
        0 if bank is None else columns.data_ptr(),
        columns.shape[0],
        row_stride(columns),
        labels.data_ptr(),
        column_labels.data_ptr(),
        words,
        *margins,
        terms.data_ptr(),
        num_pairs.data_ptr(),
        grad.data_ptr() if with_grad else 0,
        thread_count(threads),
    )
    return terms, num_pairs, grad


def _margin_loss_cuda(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    margins = (positive_margin, negative_margin, positive_scale, negative_scale)
    u, columns, labels, column_labels, words = _pair_tensors(u, bank, labels, bank_labels)
    kernel, size = _loader.cuda_kernel("cuda_margin_loss"), _loader.cuda_kernel("cuda_margin_loss_workspace")
    if kernel is None or size is None or u.dtype != torch.float32:
        return reference.margin_loss(u, bank, labels, bank_labels, *margins, with_grad)
    terms, num_pairs, grad = _margin_loss_fake(u, bank, labels, bank_labels, *margins, with_grad, threads)
    space = workspace(u, size(u.shape[0], columns.shape[0], u.shape[1], with_grad))
    kernel(
        u.data_ptr(),
        u.shape[0],
        u.shape[1],
        row_stride(u),
        0 if bank is None else columns.data_ptr(),
        columns.shape[0],
        row_stride(columns),
        labels.data_ptr(),
        column_labels.data_ptr(),
        words,
        *margins,
        terms.data_ptr(),
        num_pairs.data_ptr(),
        grad.data_ptr() if with_grad else 0,
        space.data_ptr(),
        *cuda_arguments(u),
    )
    return terms, num_pairs, grad


def _margin_loss_fake(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    with_grad: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        u.new_empty(2, dtype=torch.float64),
        u.new_empty(2, dtype=torch.int64),
        u.new_empty(tuple(u.shape) if with_grad else (0,)),
    )


_margin_loss = define(
    "margin_loss(Tensor u, Tensor? bank, Tensor labels, Tensor? bank_labels, float positive_margin,"
    " float negative_margin, float positive_scale, float negative_scale, bool with_grad, int threads)"
    " -> (Tensor, Tensor, Tensor)",
    cpu=_margin_loss_cpu,
    cuda=_margin_loss_cuda,
    fake=_margin_loss_fake,
)
