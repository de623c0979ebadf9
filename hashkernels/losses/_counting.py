"""What is renewed after so many items seen in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hashkernels.losses._base import HashLoss


@dataclass
class _Seen:
    """Items seen since the latest update."""

    items: int = 0

    def add(self, u: Tensor, every: int, update: Callable[[], None]) -> None:
        if u.is_cuda and torch.cuda.is_current_stream_capturing():
            raise RuntimeError(f"update_every must be 0 in a CUDA graph, whose replays count no items, got {every}")
        self.items += len(u)
        if self.items >= every:
            self.items %= every  # one update a call: what a large batch is ahead must not make later calls update, too
            update()


class CountingLoss(HashLoss):
    """Base of losses that make an update after every ``update_every`` items seen in training (0 or None: never).

    The host counts: to look at a number on a GPU it would have to wait for all that runs there. A state dict has the
    count as the scalar ``items_seen``. Processes count for themselves, also where ``DistributedDataParallel``
    broadcasts buffers.
    """

    update_every: int | None

    def __init__(self, bits: int, num_classes: int, **options: Any) -> None:
        super().__init__(bits, num_classes, **options)
        self._seen = _Seen()

    @property
    def items_seen(self) -> Tensor:
        """Items seen in training since the latest update, a scalar int64 on the CPU."""
        return torch.tensor(self._seen.items, device="cpu")

    @items_seen.setter
    def items_seen(self, number: Tensor) -> None:
        self._seen.items = int(number)

    def _count_items(self, u: Tensor, update: Callable[[], None]) -> None:
        """Count the items of a batch, and make the update when it is due."""
        if not self.update_every:
            return
        add = self._seen.add
        if torch.compiler.is_compiling():
            # A graph would be compiled anew for every count. No decorator, which takes seconds to import.
            add = torch.compiler.disable(add)  # type: ignore[no-untyped-call]
        add(u, self.update_every, update)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}items_seen"] = self.items_seen.to(next(self.buffers()).device)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        *rest: Any,
    ) -> None:
        key = f"{prefix}items_seen"
        others = {name: value for name, value in state_dict.items() if name != key}
        super()._load_from_state_dict(others, prefix, local_metadata, strict, missing_keys, *rest)
        if key in state_dict:
            self._seen.items = int(state_dict[key])
        elif strict:
            missing_keys.append(key)
