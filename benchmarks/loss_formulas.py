"""The losses as plain torch formulas of a whole batch, the way they are usually written, for class ids.

Each takes the embeddings, what they are compared with (the batch itself, or a bank whose column ``own`` is the item),
and the loss of ours that it must equal, for its settings, centers, weights and codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Inputs(NamedTuple):
    """A batch, and what it is compared with."""

    u: Tensor  # [N, bits]
    labels: Tensor  # [N]
    others: Tensor  # [C, bits]: the batch or the bank
    other_labels: Tensor  # [C]
    own: Tensor  # [N]: the column that is the item itself


Formula = Callable[[Inputs, Any], Tensor]


def _masks(x: Inputs) -> tuple[Tensor, Tensor]:
    """Relevant and irrelevant pairs, without those of an item with itself."""
    same = x.labels[:, None] == x.other_labels
    other = x.own[:, None] != torch.arange(len(x.others))
    return same & other, ~same & other


def _mean_over(values: Tensor, *masks: Tensor) -> Tensor:
    mask = torch.stack(masks).any(0)
    return (values * mask).sum() / mask.sum()


def _sign(u: Tensor) -> Tensor:
    return torch.where(u > 0, 1.0, -1.0).to(u.dtype)


def _likelihood(x: Inputs, u: Tensor, others: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    theta = scale * (u @ others.T)
    near, far = _masks(x)
    return F.softplus(theta) - near * theta, near, far


def ecm(x: Inputs, loss: Any) -> Tensor:
    theta, (near, far) = x.u @ x.others.T, _masks(x)
    short = (theta - loss.bits).clamp(max=0) ** 2 / loss.bits**2
    long = (theta - loss.alpha).clamp(min=0) ** 2 / loss.alpha**2
    quantization = loss.quantization_weight * ((_sign(x.u) - x.u) ** 2).sum()
    return _mean_over(short, near) + _mean_over(long, far) + quantization


def dpsh(x: Inputs, loss: Any) -> Tensor:
    error = (_sign(x.u) - x.u) ** 2
    return _mean_over(*_likelihood(x, x.u, x.others, 0.5)) + loss.quantization_weight * error.mean()


def dhn(x: Inputs, loss: Any) -> Tensor:
    error = torch.log(torch.cosh(x.u.abs() - 1))
    return _mean_over(*_likelihood(x, x.u, x.others, loss.scale)) + loss.quantization_weight * error.mean()


def hashnet(x: Inputs, loss: Any) -> Tensor:
    values, near, far = _likelihood(x, torch.tanh(x.u), torch.tanh(x.others), loss.alpha)
    return _mean_over(values, near) + _mean_over(values, far)


def dbdh(x: Inputs, loss: Any) -> Tensor:
    v = x.u.clamp(-1, 1)
    balance = v.mean(1).square().mean()
    return _mean_over(*_likelihood(x, v, x.others.clamp(-1, 1), 0.5)) + loss.balance_weight * balance


def dsdh(x: Inputs, loss: Any) -> Tensor:
    error = (loss.codes[x.own].to(x.u.dtype) - x.u) ** 2
    return _mean_over(*_likelihood(x, x.u, x.others, 0.5)) + loss.quantization_weight * error.mean()


def dsh(x: Inputs, loss: Any) -> Tensor:
    distance = x.u.square().sum(1, keepdim=True) + x.others.square().sum(1) - 2 * (x.u @ x.others.T)
    near, far = _masks(x)
    contrast = (near * distance + ~near * (loss.margin - distance).clamp(min=0)) / 2
    return _mean_over(contrast, near, far) + loss.quantization_weight * (x.u.abs() - 1).abs().sum(1).mean()


def dch(x: Inputs, loss: Any) -> Tensor:
    cosine = F.normalize(x.u, dim=1) @ F.normalize(x.others, dim=1).T
    distance = (1 - cosine) * (loss.bits / 2)
    near, far = _masks(x)
    pulled = torch.log1p(distance.clamp(min=0) / loss.gamma)
    apart = distance.clamp(min=loss.min_distance)
    pushed = torch.log(loss.gamma + apart) - torch.log(apart)
    corner = (1 - F.normalize(x.u, dim=1).abs().sum(1) / math.sqrt(loss.bits)) * (loss.bits / 2)
    quantization = torch.log1p(corner / loss.gamma).mean()
    return _mean_over(pulled, near) + _mean_over(pushed, far) + loss.quantization_weight * quantization


def dtsh(x: Inputs, loss: Any) -> Tensor:
    """A loop over the queries, as in common implementations: all triplets at once are N^3 numbers."""
    theta, (near, far) = loss.scale * (x.u @ x.others.T), _masks(x)
    total, count = x.u.new_zeros(()), 0
    for row, positive, negative in zip(theta, near, far, strict=True):
        gap = row[negative][None] + loss.margin - row[positive][:, None]
        total, count = total + F.softplus(gap).sum(), count + gap.numel()
    return total / max(count, 1) + loss.quantization_weight * ((_sign(x.u) - x.u) ** 2).mean()


def _histograms(x: Inputs, loss: Any, *weights: Tensor) -> list[Tensor]:
    """Soft histograms [N, bins + 1] of the distances, by a tensor of pairs times bins."""
    code, others = torch.tanh(x.u * (loss.slope / 2)), torch.tanh(x.others * (loss.slope / 2))
    position = (loss.bits - code @ others.T) / 2 * (loss.num_bins / loss.bits)
    kernel = (1 - (position[:, :, None] - torch.arange(loss.num_bins + 1)).abs()).clamp(min=0)  # [N, C, bins + 1]
    return [(kernel * weight[:, :, None]).sum(1) for weight in weights]


def mihash(x: Inputs, loss: Any) -> Tensor:
    def entropy(share: Tensor) -> Tensor:
        return -(share * torch.log2(share.clamp(min=torch.finfo(share.dtype).tiny))).sum(1)

    near, far = _masks(x)
    near_bins, far_bins = _histograms(x, loss, near, far)
    num_near, num_far = near.sum(1), far.sum(1)
    total = num_near + num_far
    conditional = num_near * entropy(near_bins / num_near.clamp(min=1)[:, None])
    conditional = conditional + num_far * entropy(far_bins / num_far.clamp(min=1)[:, None])
    information = entropy((near_bins + far_bins) / total[:, None]) - conditional / total
    valid = (num_near > 0) & (num_far > 0)
    return -(information * valid).sum() / valid.sum()


def talr(x: Inputs, loss: Any) -> Tensor:
    near, far = _masks(x)
    hits, counts = _histograms(x, loss, near, near | far)
    precision = (2 * hits.cumsum(1) - hits + 1) / (2 * counts.cumsum(1) - counts + 1)
    valid = near.any(1)
    return -((hits * precision).sum(1) / near.sum(1).clamp(min=1) * valid).sum() / valid.sum()


def csq(x: Inputs, loss: Any) -> Tensor:
    code, target = torch.tanh(x.u), loss.centers[x.labels].to(x.u.dtype)
    likelihood = F.binary_cross_entropy((code + 1) / 2, (target + 1) / 2)
    return likelihood + loss.quantization_weight * (code.abs() - 1).square().mean()


def dpn(x: Inputs, loss: Any) -> Tensor:
    return (loss.margin - loss.centers[x.labels] * x.u).clamp(min=0).sum(1).mean()


def orthohash(x: Inputs, loss: Any) -> Tensor:
    cosine = F.normalize(x.u, dim=1) @ F.normalize(loss.centers.to(x.u.dtype), dim=1).T
    shift = loss.margin * F.one_hot(x.labels, loss.num_classes)
    return F.cross_entropy(loss.scale * (cosine - shift), x.labels)


def greedyhash(x: Inputs, loss: Any) -> Tensor:
    code = x.u + (_sign(x.u) - x.u).detach()
    logits = code @ loss.classifier.weight.to(x.u.dtype).T
    return F.cross_entropy(logits, x.labels) + loss.quantization_weight * (x.u.abs() - 1).abs().pow(3).mean()
