"""A loss of the batches of all processes together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed, nn

from hashkernels._ranks import Ranks
from hashkernels._validation import check_item_positions, check_same_device
from hashkernels.losses._base import Batch, HashLoss

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup


class DistributedLoss(nn.Module):
    """Any loss, over the batches of all ranks of a process group as if one process had them all.

    Under ``DistributedDataParallel`` every process has a part of a batch. A loss of pairs or triplets of that part
    alone leaves out all pairs across processes, and a bank, centers or learned codes see the items of one process
    alone, and part between them. Here every rank gathers the embeddings, labels and indices of all, in the order of
    ranks, and takes the loss of the whole::

        model = DistributedDataParallel(model)
        loss = DistributedLoss(DPSHLoss(64, num_classes, num_train=num_train))
        loss(model(images), labels, indices=indices).backward()

    The value is that of the whole batch on every rank. The gradient of ``u`` is the number of ranks times that of the
    whole loss, for ``DistributedDataParallel`` divides the sum over ranks by it: the model gets the gradient that one
    process would find, at the same learning rate. What a loss keeps is renewed by the items of all ranks, and stays the
    same on all. Batches may differ in size, and be empty. Every rank does the work of the whole loss. (For the same
    outputs as one process, too, batch normalisation must be ``torch.nn.SyncBatchNorm``.)

    Parameters of the loss (a classifier, a surrogate posterior) get the gradient of the whole loss on every rank. Wrap
    such a loss as well: ``DistributedDataParallel(DistributedLoss(...))`` gives all ranks the same parameters to begin
    with, and averages what their dropout makes different. (Its buffers need no broadcast, which a large bank would
    feel: ``broadcast_buffers=False``, of newer torch ``forward_sync_buffers=False``.) `DTSHLoss` with a bank draws
    other items on every rank unless torch's generators are seeded alike.

    Every call is collective, in evaluation mode too: all ranks must call equally often. An error on one is raised on
    all. Ranks first tell each other how many items they have: over a backend ``"nccl"`` every call waits for the GPU to
    hear it, over ``"cpu:gloo,cuda:nccl"`` none does.

    Args:
        loss: a `HashLoss`; a `hashkernels.surrogate.SurrogateLoss` is wrapped as a whole. It is ``self.loss``, whose
            ``state_dict()`` one process alone can load.
        group: the process group; default: all processes.

    Raises:
        TypeError: ``loss`` is no `HashLoss`, or ``group`` no process group that this rank is in; a wrong dtype.
        ValueError: as the loss; ranks whose labels, dtypes or indices are not of one kind.
        RuntimeError: no process group; a rank died or hangs.

    Example:
        >>> from torch import distributed
        >>> from hashkernels.losses import DPSHLoss
        >>> distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
        >>> loss = DistributedLoss(DPSHLoss(16, num_classes=10))
        >>> round(loss(torch.zeros(4, 16), torch.tensor([3, 3, 1, 2])).item(), 4)
        0.7931
        >>> distributed.destroy_process_group()
    """

    def __init__(self, loss: HashLoss, group: ProcessGroup | None = None) -> None:
        super().__init__()
        if not isinstance(loss, HashLoss):
            raise TypeError(f"loss must be a HashLoss, got {type(loss).__name__}")
        if group is not None and not (distributed.is_available() and isinstance(group, distributed.ProcessGroup)):
            raise TypeError(f"group must be a process group that this rank is in, got {type(group).__name__}")
        self.loss = loss
        self.group = group

    @property
    def last_terms(self) -> dict[str, Tensor]:
        """The terms of the latest call, detached scalars that add up to the loss of the whole batch."""
        return self.loss.last_terms

    def forward(self, u: Tensor, labels: Tensor, *, indices: Tensor | None = None) -> Tensor:
        """The loss of the whole batch.

        Args:
            u, labels, indices: of this rank's part, as for `HashLoss.forward`: labels of one form on all ranks, indices
                on all or on none. Indices are positions in the whole training set, as ``DistributedSampler`` draws
                them, not in a part of it.

        Returns:
            A scalar, the same on every rank.
        """
        ranks = Ranks(True if self.group is None else self.group)
        batch, failure = None, None
        try:
            batch = self._checked(u, labels, indices)
        except Exception as error:  # whatever it is, the other ranks must hear of it
            failure = error
        kinds = [_Kind(*row.tolist()) for row in ranks.gather_arrays(np.array(_Kind.of(batch)))]
        if any(kind.failed for kind in kinds):
            ranks.together(lambda: _raise(failure))
        _check_alike(kinds)
        assert batch is not None
        counts = [kind.items for kind in kinds]
        parts = ranks.gather_rows(batch.u, counts)
        # The value of u, with as many times its gradient as there are ranks.
        parts[ranks.rank] = batch.u + (ranks.size - 1) * (batch.u - batch.u.detach())
        hot = batch.labels.dtype == torch.bool
        gathered = torch.cat(ranks.gather_rows(batch.labels.byte() if hot else batch.labels, counts))
        positions = None if batch.indices is None else torch.cat(ranks.gather_rows(batch.indices, counts))
        total: Tensor = self.loss(torch.cat(parts), gathered, indices=positions)
        return total

    def _checked(self, u: Any, labels: Any, indices: Any) -> Batch:
        batch = self.loss._checked(u, labels, indices, None, None)
        if indices is None:
            return batch
        positions = check_item_positions("indices", indices, len(batch.u))
        check_same_device("u", batch.u, "indices", positions)
        return batch._replace(indices=positions.to(torch.int64))


class _Kind(NamedTuple):
    """What ranks must know of each other's part of a batch."""

    failed: int
    items: int
    double: int  # whether u is float64
    multi_hot: int
    indexed: int

    @classmethod
    def of(cls, batch: Batch | None) -> _Kind:
        if batch is None:
            return cls(1, 0, 0, 0, 0)
        double = batch.u.dtype == torch.float64
        return cls(0, len(batch.u), int(double), int(batch.labels.ndim == 2), int(batch.indices is not None))


def _check_alike(kinds: list[_Kind]) -> None:
    """Raise the same ``ValueError`` on every rank where they differ."""
    told = {
        "u": ("double", ("float32", "float64")),
        "labels": ("multi_hot", ("class ids", "multi-hot")),
        "indices": ("indexed", ("none", "some")),
    }
    for name, (attribute, names) in told.items():
        said = [names[getattr(kind, attribute)] for kind in kinds]
        for rank, other in enumerate(said):
            if other != said[0]:
                raise ValueError(
                    f"{name} must be of one kind on every rank, got {said[0]} on rank 0 and {other} on rank {rank}"
                )


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error
