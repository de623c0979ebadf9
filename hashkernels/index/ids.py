"""Ids of the caller's choosing, in the order of the codes, and the way back from an id to its position."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._arrays import to_tensor
from hashkernels._validation import check_tensor

IdArray = npt.NDArray[Any]  # int64 or uint64 [n]
_DTYPES = (np.dtype(np.int64), np.dtype(np.uint64))


class Ids:
    """The ids of an index at one moment: unique, of one dtype. Adding gives new ones and leaves these as they are.

    Positions are found in runs of sorted ids whose lengths at least double from the last to the first, so that any
    number of additions costs O(N log N).
    """

    def __init__(self, room: IdArray, count: int, runs: tuple[tuple[IdArray, IdArray], ...] | None = None) -> None:
        self._room, self.count = room, count
        self._runs = runs

    @property
    def values(self) -> IdArray:
        """The ids by position."""
        return self._room[: self.count]

    def of(self, at: npt.NDArray[np.int64]) -> IdArray:
        """The ids at positions of any shape; -1 stays -1, which of uint64 is the largest number."""
        found: IdArray = self.values[np.maximum(at, 0)] if self.count else np.empty(at.shape, self._room.dtype)
        found[at < 0] = np.array(-1, np.int64).view(found.dtype)
        return found

    def positions(self, ids: IdArray) -> npt.NDArray[np.int64]:
        """Where ids are; -1 for those that are not there."""
        found = np.full(ids.shape, -1, np.int64)
        for ordered, places in self._sorted():
            at = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
            hit = ordered[at] == ids
            found[hit] = places[at[hit]]
        return found

    def added(self, ids: IdArray) -> Ids:
        """These and others, checked to be new and unlike each other."""
        if not len(ids):
            return self
        order = np.argsort(ids, kind="stable")
        ordered = ids[order]
        _check_unique("ids", ordered)
        if (known := ids[self.positions(ids) >= 0]).size:
            raise ValueError(f"ids must be new to the index, which holds {known[0]} already")
        needed = self.count + len(ids)
        room = self._room
        if needed > len(room):
            room = np.empty(max(needed, 2 * len(room)), room.dtype)
            room[: self.count] = self.values
        room[self.count : needed] = ids
        runs = [*self._sorted(), (ordered, order + self.count)]
        while len(runs) > 1 and len(runs[-2][0]) <= 2 * len(runs[-1][0]):
            values, places = (np.concatenate(column) for column in zip(*runs[-2:], strict=True))
            order = np.argsort(values, kind="stable")
            runs[-2:] = [(values[order], places[order])]
        return Ids(room, needed, tuple(runs))

    def kept(self, keep: npt.NDArray[np.bool_]) -> Ids:
        """Those where bool [count] is true."""
        return ids_of(self.values[keep])

    def _sorted(self) -> tuple[tuple[IdArray, IdArray], ...]:
        # Ids out of a file are sorted when they are first looked for: a search only reads them by position.
        if self._runs is None:
            order = np.argsort(self.values, kind="stable")
            self._runs = ((self.values[order], order),) if self.count else ()
        return self._runs


def no_ids(dtype: np.dtype[Any]) -> Ids:
    """Of an index that is to have some."""
    return Ids(np.empty(0, dtype), 0, ())


def ids_of(values: IdArray) -> Ids:
    """Over ids that are unique; a mapped file stays where it is."""
    return Ids(values, len(values))


def check_sought(name: str, ids: Any) -> IdArray:
    """int64 or uint64 [n], or other integers as int64, which need not be ids of anything."""
    array = np.asarray(check_tensor(name, to_tensor(name, ids), 1).cpu().numpy())
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    return array if array.dtype in _DTYPES else array.astype(np.int64)


def check_ids(name: str, ids: Any, count: int | None = None) -> IdArray:
    """As ``check_sought``, without -1, which stands for nothing found and is no id."""
    array = check_sought(name, ids)
    if count is not None and len(array) != count:
        raise ValueError(f"{name} must have one id for each of {count} codes, got {len(array)}")
    _check_unreserved(name, array)
    return array


def check_stored(name: str, ids: IdArray) -> None:
    """All that ids of an index have to be. Takes as long as to sort them."""
    _check_unreserved(name, ids)
    # Mostly they ascend, which this kind of sort is through with in one pass.
    _check_unique(name, np.sort(ids, kind="stable"))


def _check_unreserved(name: str, ids: IdArray) -> None:
    if (ids.view(np.int64) == -1).any():
        reserved = np.array(-1, np.int64).view(ids.dtype)
        raise ValueError(f"{name} must not hold {reserved}: it stands for nothing found")


def _check_unique(name: str, ordered: IdArray) -> None:
    if (equal := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        raise ValueError(f"{name} must be unique, got {equal[0]} twice")


def as_dtype(ids: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Ids to look for among those of ``dtype``; what that cannot hold becomes -1, which is no id."""
    if ids.dtype == dtype:
        return ids
    return np.where(ids.view(np.int64) < 0, np.array(-1).view(dtype), ids.astype(dtype))
