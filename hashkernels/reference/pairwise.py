"""The pairwise losses: the function of a pair, its slope, and the sum over all pairs in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from hashkernels.reference.retrieval import relevant

_ROWS = 512


def pair_margin(theta: Tensor, positive: Tensor, positive_margin: float, negative_margin: float) -> Tensor:
    """min(0, theta - positive_margin)^2 for positive pairs, max(0, theta - negative_margin)^2 for the others."""
    return _missed(theta, positive, positive_margin, negative_margin).square()


def pair_likelihood(theta: Tensor, positive: Tensor, scale: float) -> Tensor:
    """softplus(scale * theta) - positive * scale * theta: minus the log-probability of the label of a pair under
    sigmoid(scale * theta)."""
    logit = scale * theta
    return -functional.logsigmoid(torch.where(positive, logit, -logit))


def pair_cauchy(distance: Tensor, positive: Tensor, gamma: float, min_distance: float) -> Tensor:
    """log(1 + d / gamma) for positive pairs, log(1 + gamma / max(d, min_distance)) for the others: minus the
    log-probability of the label of a pair under gamma / (gamma + d)."""
    near = torch.log1p(distance / gamma)
    far = torch.log1p(gamma / distance.clamp(min=min_distance))
    return torch.where(positive, near, far)


def pair_contrastive(distance: Tensor, positive: Tensor, margin: float) -> Tensor:
    """d / 2 for positive pairs, max(0, margin - d) / 2 for the others."""
    return torch.where(positive, distance, (margin - distance).clamp(min=0)) / 2


def class_share(rows: Tensor, columns: Tensor) -> Tensor:
    """The classes in common over the classes of either, [R, C] in float64, from packed classes; 1 where neither has
    one."""
    rows, columns = _bits(rows), _bits(columns)
    common = rows @ columns.T
    either = rows.sum(1, keepdim=True) + columns.sum(1) - common
    return torch.where(either > 0, common / either.clamp(min=1), 1)


def sign_error(u: Tensor) -> tuple[Tensor, Tensor]:
    """The sum of (sgn(u) - u)^2, a scalar in float64, and its gradient like ``u``; the sign counts as a constant."""
    error = u - torch.where(u > 0, 1, -1).to(u.dtype)
    return error.double().square().sum(), 2 * error


def margin_loss(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    left_out: Tensor | None,
    counted: Tensor | None,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of `pair_margin`: what `_pair_loss` returns, each kind of pairs averaged by itself."""

    def value(theta: Tensor, positive: Tensor) -> Tensor:
        return pair_margin(theta, positive, positive_margin, negative_margin)

    def slope(theta: Tensor, positive: Tensor) -> Tensor:
        return 2 * _missed(theta, positive, positive_margin, negative_margin)

    scales = (positive_scale, negative_scale)
    return _pair_loss(value, slope, u, bank, labels, bank_labels, left_out, counted, scales, False, with_grad)


def likelihood_loss(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    left_out: Tensor | None,
    counted: Tensor | None,
    scale: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    overlap: bool,
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of `pair_likelihood`: what `_pair_loss` returns. ``overlap``: that of positive pairs of packed classes
    times their `class_share`."""

    def value(theta: Tensor, positive: Tensor) -> Tensor:
        return pair_likelihood(theta, positive, scale)

    def slope(theta: Tensor, positive: Tensor) -> Tensor:
        logit = scale * theta
        return torch.where(positive, -torch.sigmoid(-logit), torch.sigmoid(logit)) * scale

    scales = (positive_scale, negative_scale)
    weight = class_share if overlap and labels.ndim == 2 else None
    return _pair_loss(
        value, slope, u, bank, labels, bank_labels, left_out, counted, scales, weighted, with_grad, weight=weight
    )


def cauchy_loss(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    left_out: Tensor | None,
    counted: Tensor | None,
    gamma: float,
    distance_scale: float,
    positive_min_distance: float,
    negative_min_distance: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of `pair_cauchy` on max(min_distance, distance_scale * (1 - theta)), each kind of pairs with its own
    least distance: what `_pair_loss` returns."""

    def least(positive: Tensor) -> Tensor:
        return torch.where(positive, positive_min_distance, negative_min_distance)

    def value(theta: Tensor, positive: Tensor) -> Tensor:
        distance = (distance_scale * (1 - theta)).maximum(least(positive))
        return pair_cauchy(distance, positive, gamma, negative_min_distance)

    def slope(theta: Tensor, positive: Tensor) -> Tensor:
        distance = distance_scale * (1 - theta)
        near = distance < least(positive)
        distance = distance.maximum(least(positive))
        by_distance = torch.where(positive, 1 / (gamma + distance), -gamma / (distance * (gamma + distance)))
        return torch.where(near, 0, -distance_scale * by_distance)

    scales = (positive_scale, negative_scale)
    return _pair_loss(value, slope, u, bank, labels, bank_labels, left_out, counted, scales, weighted, with_grad)


def contrastive_loss(
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    left_out: Tensor | None,
    counted: Tensor | None,
    margin: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    with_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss of `pair_contrastive` on squared distances: what `_pair_loss` returns."""

    def value(theta: Tensor, positive: Tensor) -> Tensor:
        return pair_contrastive((-2 * theta).clamp(min=0), positive, margin)

    def slope(theta: Tensor, positive: Tensor) -> Tensor:
        return torch.where(positive, -1, (margin + 2 * theta > 0).to(theta.dtype))

    scales = (positive_scale, negative_scale)
    return _pair_loss(
        value, slope, u, bank, labels, bank_labels, left_out, counted, scales, weighted, with_grad, distances=True
    )


def _bits(words: Tensor) -> Tensor:
    """The bits of int64 [N, W], as float64 [N, 64 W]."""
    places = torch.arange(64, device=words.device)
    return (words.unsqueeze(2) >> places & 1).flatten(1).double()


def _missed(theta: Tensor, positive: Tensor, positive_margin: float, negative_margin: float) -> Tensor:
    return torch.where(positive, (theta - positive_margin).clamp(max=0), (theta - negative_margin).clamp(min=0))


def _pair_loss(
    value: Callable[[Tensor, Tensor], Tensor],
    slope: Callable[[Tensor, Tensor], Tensor],
    u: Tensor,
    bank: Tensor | None,
    labels: Tensor,
    bank_labels: Tensor | None,
    left_out: Tensor | None,
    counted: Tensor | None,
    scales: tuple[float, float],
    weighted: bool,
    with_grad: bool,
    *,
    distances: bool = False,
    weight: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Terms float64 [2] (positive, negative), pair counts int64 [2], and the gradient of their sum like ``u``.

    ``value`` and its derivative ``slope`` are functions of theta and of whether i and j are relevant to each other,
    where theta is u_i . v_j or, for ``distances``, -1/2 |u_i - v_j|^2. ``weight`` of the labels of rows and columns
    multiplies the loss of positive pairs. The sums over the P positive and the Q negative ordered pairs are multiplied
    by their scales, and divided each by its own count, or where ``weighted`` both by positive_scale * P +
    negative_scale * Q. Without a bank v is u, the pairs i = j are left out, and the gradient runs through both sides;
    with one, ``left_out`` int64 [N] is the column that makes no pair with each row, and ``counted`` bool [M] says which
    columns make any. A gradient that is not wanted is empty.
    """
    columns = u if bank is None else bank
    column_labels = labels if bank_labels is None else bank_labels
    sums = torch.zeros(2, dtype=torch.float64, device=u.device)
    counts = torch.zeros(2, dtype=torch.int64, device=u.device)
    positive_grad = torch.zeros_like(u, memory_format=torch.contiguous_format) if with_grad else u.new_empty(0)
    negative_grad = torch.zeros_like(positive_grad)
    sides = 2.0 if bank is None else 1.0
    lengths, column_lengths = (x.square().sum(1) / 2 if distances else None for x in (u, columns))
    with torch.autocast(u.device.type, enabled=False):
        for start in range(0, u.shape[0], _ROWS):
            rows = slice(start, start + _ROWS)
            theta = u[rows] @ columns.T  # [rows, columns]
            if lengths is not None and column_lengths is not None:
                theta = theta - lengths[rows, None] - column_lengths
            positive = relevant(labels[rows], column_labels)
            negative = ~positive
            if bank is None:
                positive.diagonal(start).fill_(False)
                negative.diagonal(start).fill_(False)
            if left_out is not None:
                counts_not = left_out[rows, None] == torch.arange(len(columns), device=u.device)
                positive, negative = positive & ~counts_not, negative & ~counts_not
            if counted is not None:
                positive, negative = positive & counted, negative & counted
            shares: Tensor | float = 1.0
            if weight is not None:
                shares = torch.where(positive, weight(labels[rows], column_labels), 1).to(u.dtype)
            values = value(theta, positive).double() * shares
            sums += torch.stack([torch.where(kind, values, 0).sum() for kind in (positive, negative)])
            counts += torch.stack((positive.sum(), negative.sum()))
            if with_grad:
                slopes = sides * slope(theta, positive) * shares
                for kind, out in ((positive, positive_grad), (negative, negative_grad)):
                    of_kind = torch.where(kind, slopes, 0)
                    out[rows] = of_kind @ columns
                    if distances:
                        out[rows] -= of_kind.sum(1, keepdim=True) * u[rows]
    scale = torch.cat([sums.new_full((1,), number) for number in scales])  # a GPU would wait for a list from the host
    divisors = (scale * counts).sum().expand(2) if weighted else counts.double()
    weights = scale / torch.where(divisors > 0, divisors, 1)  # what has nothing to add up adds nothing
    grad = positive_grad * weights[0].to(u.dtype) + negative_grad * weights[1].to(u.dtype)
    return sums * weights, counts, grad
