"""Averages over the queries of each class, and over classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from hashkernels.metrics._fixed import fixed_mean, fixed_sum


class QueryClasses(NamedTuple):
    """Packed labels of the queries: class ids int64 [Q], or words int64 [Q, W] whose bit c % 64 of word c // 64 says
    that a query is of class c."""

    labels: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Tensor) -> QueryClasses:
        """Of labels as kernels take them."""
        return cls(labels.cpu().numpy().copy())

    def any(self) -> npt.NDArray[np.bool_]:
        """bool [Q], whether a query is of any class."""
        if self.labels.ndim == 1:
            return np.ones(self.labels.shape, dtype=np.bool_)
        found: npt.NDArray[np.bool_] = (self.labels != 0).any(axis=1)
        return found

    def members(self) -> dict[int, npt.NDArray[np.bool_]]:
        """bool [Q] for each class that some query is of, in the order of classes."""
        if self.labels.ndim == 1:
            return {int(name): self.labels == name for name in np.unique(self.labels)}
        found = {}
        for name in range(self.labels.shape[1] * 64):
            member = (self.labels[:, name // 64] >> np.int64(name % 64)) & 1 != 0
            if member.any():
                found[name] = member
        return found


class PerClass(NamedTuple):
    """Mean average precision by class of the query.

    classes: int64 [C], ascending. num_queries: int64 [C], how many counted queries are of the class.
    average_precision: float64 [C], their mean. macro: mean over the classes, each counting the same.
    """

    classes: npt.NDArray[np.int64]
    num_queries: npt.NDArray[np.int64]
    average_precision: npt.NDArray[np.float64]
    macro: float


def average_by_class(
    classes: QueryClasses, values: npt.NDArray[np.float64], counted: npt.NDArray[np.bool_]
) -> PerClass:
    """Means of ``values`` float64 [Q] in 0..1 over the counted queries of each class."""
    members = {name: member & counted for name, member in classes.members().items() if (member & counted).any()}
    sizes = [int(member.sum()) for member in members.values()]
    means = [
        fixed_mean(fixed_sum(values[member]).item(), size) for member, size in zip(members.values(), sizes, strict=True)
    ]
    macro = fixed_mean(fixed_sum(np.array(means, dtype=np.float64)).item(), len(means))
    return PerClass(np.array(list(members), dtype=np.int64), np.array(sizes, dtype=np.int64), np.array(means), macro)
