"""Center codes of the classes, kept up to date while training."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hashkernels.losses._centers import center_tensor
from hashkernels.losses._codes import code_sign

UPDATES = ("center_loss", "ema", "majority")


class ClassCenters(nn.Module):
    """One center a class, moved by every batch that has items of the class; other centers stay.

    With the items ``u_1 .. u_n`` of class ``m`` in the batch, and ``rate`` in 0..1:

    - ``center_loss``: ``c += rate * sum_i (u_i - c) / (1 + n)``
    - ``ema``: ``c += rate * (mean_i u_i - c)``
    - ``majority``: ``c = sgn(votes)`` with ``votes += sum_i sgn(u_i)``; a bit without a majority stays.

    An item of several classes counts for each of them. Until a class has been seen its center is unknown, and the
    first mean of its items becomes the center, unless centers were given.
    """

    values: Tensor
    known: Tensor
    votes: Tensor | None

    def __init__(self, num_classes: int, bits: int, initial: Any, update: str, rate: float) -> None:
        super().__init__()
        self.update_rule = update
        self.rate = rate
        given = initial is not None
        start = center_tensor(initial, num_classes, bits) if given else torch.zeros(num_classes, bits)
        self.register_buffer("values", start.to(torch.get_default_dtype()))
        self.register_buffer("known", torch.full((num_classes,), given))
        votes = torch.zeros(num_classes, bits, dtype=torch.int64) if update == "majority" else None
        self.register_buffer("votes", votes)

    @torch.no_grad()
    def start(self, u: Tensor, membership: Tensor) -> None:
        """Give the classes that are seen for the first time the mean of their items."""
        counts = membership.sum(dim=0)
        fresh = ~self.known & (counts > 0)
        means = (membership.T @ u) / counts.clamp(min=1)[:, None]
        self.values.copy_(torch.where(fresh[:, None], means.to(self.values.dtype), self.values))
        self.known |= fresh

    @torch.no_grad()
    def update(self, u: Tensor, membership: Tensor) -> None:
        """Move the centers of the classes in the batch; ``membership`` is ``[N, num_classes]`` of 0/1 like ``u``."""
        counts = membership.sum(dim=0)[:, None]
        if self.votes is not None:
            self.votes += (membership.T @ code_sign(u)).round().to(torch.int64)
            self.values.copy_(torch.where(self.votes == 0, self.values, self.votes.sign().to(self.values.dtype)))
            return
        shift = membership.T @ u - counts * self.values.to(u.dtype)
        share = counts + 1 if self.update_rule == "center_loss" else counts.clamp(min=1)
        self.values += (self.rate * shift / share).to(self.values.dtype)

    def codes(self, dtype: torch.dtype, *, binary: bool) -> Tensor:
        """A copy of the centers ``[num_classes, bits]``, or their signs."""
        values = self.values.to(dtype, copy=True)
        return code_sign(values) if binary else values

    def extra_repr(self) -> str:
        return f"update={self.update_rule!r}, rate={self.rate}"
