"""What an index holds at one moment, and its ids as positions and back."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hashkernels._arrays import ArrayT, to_tensors
from hashkernels._validation import check_positions
from hashkernels.index.ids import Ids, as_dtype, check_ids
from hashkernels.index.search import allowed_mask
from hashkernels.index.storage import Storage


class Snapshot(NamedTuple):
    """All that an index holds at one moment; a search works on one, whatever is added or removed meanwhile."""

    storage: Storage
    ids: Ids | None  # None: positions

    def allowed(self, queries: ArrayT, filter: ArrayT | None) -> Tensor | None:
        """The filter of a search as bool [count]."""
        if filter is None or self.ids is None or to_tensors(queries=queries, filter=filter)[1].dtype == torch.bool:
            return allowed_mask(queries, filter, self.storage.count)
        chosen = self.positions("filter", to_tensors(queries=queries, filter=filter)[1])
        allowed = torch.zeros(self.storage.count, dtype=torch.bool, device="cpu")
        allowed[chosen] = True
        return allowed.to(to_tensors(queries=queries)[0].device)

    def ids_of(self, positions: Tensor) -> Tensor:
        """The ids of codes by position; a negative position stands for nothing found."""
        return (
            positions
            if self.ids is None
            else torch.from_numpy(self.ids.of(positions.cpu().numpy())).to(positions.device)
        )

    def positions(self, name: str, ids: Tensor) -> Tensor:
        """Where codes of the index are, int64 [n]; ``name`` is that of the argument."""
        if self.ids is None:
            return check_positions(name, ids, self.storage.count)
        given = check_ids(name, ids)
        places = self.ids.positions(as_dtype(given, self.ids.values.dtype))
        if (missing := given[places < 0]).size:
            raise ValueError(f"{name} must name codes of the index, got {missing[0]}")
        return torch.from_numpy(places)
