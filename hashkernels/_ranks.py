"""The processes that share an evaluation or an index: the ranks of a process group, or this process alone.

Whatever can fail runs inside ``together``, after which every rank knows of every failure: no rank goes on to a
collective that another has left. A rank that died or hangs can say nothing: what is asked of the group then fails, no
later than the timeout it was made with.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch import distributed as dist

Ints = npt.NDArray[np.int64]
T = TypeVar("T")


class Ranks:
    """Ranks of ``distributed``: False, this process alone; True, the default group; or a process group."""

    def __init__(self, distributed: Any = False) -> None:
        self.alone = distributed is False
        self.rank, self.size = 0, 1
        self._group: Any = None
        if self.alone:
            return
        if not dist.is_available() or not dist.is_initialized():
            raise RuntimeError("distributed needs torch.distributed.init_process_group first")
        if distributed is not True:
            if not isinstance(distributed, dist.ProcessGroup):
                raise TypeError(f"distributed must be a bool or a process group, got {type(distributed).__name__}")
            self._group = distributed
        self.rank, self.size = dist.get_rank(self._group), dist.get_world_size(self._group)

    def together(self, work: Callable[[], T]) -> T:
        """The result of ``work``; where it fails on any rank, every rank raises."""
        if self.alone:
            return work()
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # whatever it is, the other ranks must hear of it
            failure = error
        said = None if failure is None else (type(failure).__name__, str(failure))
        heard = self.gather(said)
        if failure is not None:
            raise failure
        for rank, other in enumerate(heard):
            if other is not None:
                kind = {"ValueError": ValueError, "TypeError": TypeError}.get(other[0], RuntimeError)
                text = other[1] if kind.__name__ == other[0] else f"{other[0]}: {other[1]}"
                raise kind(f"rank {rank} failed: {text}")
        return result  # type: ignore[return-value]  # no failure means that work returned

    def agree(self, **settings: Any) -> None:
        """Raise the same ``ValueError`` on every rank where one has other settings than rank 0."""
        everyone = self.gather(settings)
        for name, first in everyone[0].items():
            for rank, others in enumerate(everyone):
                if others[name] != first:
                    raise ValueError(
                        f"{name} must be the same on every rank, "
                        f"got {first} on rank 0 and {others[name]} on rank {rank}"
                    )

    def digest(self, *tensors: Tensor | npt.NDArray[Any]) -> str:
        """Short name of the contents of tensors, the same on every rank that holds the same; none for one alone."""
        if self.alone:
            return ""
        state = hashlib.blake2b(digest_size=8)
        for tensor in tensors:
            array = tensor.cpu().numpy() if isinstance(tensor, Tensor) else tensor
            state.update(f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return state.hexdigest()

    def gather(self, value: T) -> list[T]:
        """The value of each rank."""
        if self.alone:
            return [value]
        values: list[Any] = [None] * self.size
        with _all_there():
            dist.all_gather_object(values, value, group=self._group)
        return values

    def gather_arrays(self, array: Ints) -> list[Ints]:
        """An int64 array of one shape from each rank."""
        if self.alone:
            return [array]
        mine = torch.from_numpy(np.ascontiguousarray(array)).to(self.device())
        parts = [torch.empty_like(mine) for _ in range(self.size)]
        with _all_there():
            dist.all_gather(parts, mine, group=self._group)
        return [part.cpu().numpy() for part in parts]

    def gather_rows(self, tensor: Tensor, counts: Sequence[int]) -> list[Tensor]:
        """The tensor of each rank, without its gradient; they differ in the number of rows alone, which is
        ``counts[rank]``."""
        if self.alone:
            return [tensor.detach()]
        padded = tensor.new_zeros((max(counts), *tensor.shape[1:]), requires_grad=False)
        padded[: len(tensor)] = tensor.detach()
        padded = padded.to(self.device(tensor.device))
        parts = [torch.empty_like(padded) for _ in counts]
        with _all_there():
            dist.all_gather(parts, padded, group=self._group)
        return [part[:count].to(tensor.device) for part, count in zip(parts, counts, strict=True)]

    def sum(self, array: Ints) -> Ints:
        """The sum over ranks of an int64 array."""
        if self.alone:
            return array
        total = torch.from_numpy(np.array(array, order="C")).to(self.device())
        with _all_there():
            dist.all_reduce(total, group=self._group)
        summed: Ints = total.cpu().numpy()
        return summed

    def device(self, near: torch.device | None = None) -> torch.device:
        """Where the backend of the group wants its tensors: on the current GPU, if it serves nothing else; on the GPU
        ``near``, if it serves those."""
        backend = str(dist.get_backend(self._group))
        if near is not None and near.type == "cuda" and "nccl" in backend:
            return near
        return torch.device("cuda" if backend in ("nccl", "cuda:nccl") else "cpu")


@contextmanager
def _all_there() -> Iterator[None]:
    """Says what it means when the group cannot answer."""
    try:
        yield
    except RuntimeError as error:
        raise RuntimeError(f"a rank of the process group died or did not answer in time: {error}") from error
