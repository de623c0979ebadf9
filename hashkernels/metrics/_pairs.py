"""Pairs of a query and a database item: which items are relevant with which gain, or are left out of a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels._ops.sums import Floats, Ints

_BLOCK = 1 << 20


class Pairs(NamedTuple):
    """Sorted by (query, item), none twice: int64 [P], int64 [P], and float64 [P] above zero."""

    queries: Ints
    items: Ints
    gains: Floats

    @classmethod
    def ungraded(cls, queries: Ints, items: Ints) -> Pairs:
        """Pairs with gain 1."""
        return cls(queries, items, np.broadcast_to(1.0, queries.shape))

    @classmethod
    def joined(cls, parts: Sequence[Pairs]) -> Pairs:
        """All pairs of several parts, sorted by (query, item, gain)."""
        queries, items, gains = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.lexsort((gains, items, queries))
        return cls(queries[order], items[order], gains[order])

    def chosen(self, which: npt.NDArray[np.bool_]) -> Pairs:
        """Those where ``which`` bool [P] is True."""
        return Pairs(self.queries[which], self.items[which], self.gains[which])

    def within(self, first: int, count: int) -> Pairs:
        """Those of items first .. first + count - 1, numbered from 0."""
        inside = (self.items >= first) & (self.items < first + count)
        return self if inside.all() and first == 0 else self.chosen(inside)._replace(items=self.items[inside] - first)

    def without(self, others: Pairs) -> Pairs:
        """Those that are not among ``others``."""
        return self.chosen(~others.contains(self.queries, self.items))

    def of_queries(self, block: slice) -> Pairs:
        """Those of a contiguous block of queries, numbered from 0."""
        begin, end = np.searchsorted(self.queries, [block.start, block.stop])
        return Pairs(self.queries[begin:end] - block.start, self.items[begin:end], self.gains[begin:end])

    def contains(self, queries: Ints, items: Ints) -> npt.NDArray[np.bool_]:
        """Whether each of the given pairs is among these."""
        width = 1 + int(max(self.items.max(initial=0), items.max(initial=0)))
        keys, wanted = self.queries * width + self.items, queries * width + items
        if keys.size == 0:
            return np.zeros(wanted.shape, dtype=np.bool_)
        found: npt.NDArray[np.bool_] = keys[np.searchsorted(keys, wanted).clip(max=keys.size - 1)] == wanted
        return found

    def distances(self, queries: Tensor, database: Tensor) -> Ints:
        """Hamming distances of the pairs, int64 [P], a block of pairs at a time."""
        width = int(queries.shape[1])
        found = np.empty(self.queries.size, dtype=np.int64)
        # rows of whole words, whose last bytes stay zero
        words = np.zeros((min(_BLOCK, found.size), (width + 7) // 8), dtype=np.uint64)
        differing = words.view(np.uint8)[:, :width]
        for start in range(0, found.size, _BLOCK):
            block = slice(start, min(start + _BLOCK, found.size))
            left, right = (
                codes[torch.from_numpy(positions[block]).to(codes.device)].to(queries.device)
                for codes, positions in ((queries, self.queries), (database, self.items))
            )
            size = block.stop - start
            differing[:size] = (left ^ right).cpu().numpy()
            counted = np.bitwise_count(words[:size])
            found[block] = sum(counted.T, np.zeros(size, dtype=np.int64))
        return found


def relevance_pairs(name: str, value: Any, num_queries: int, num_database: int) -> Pairs:
    """Relevance in any of the forms that ``hashkernels.evaluate`` takes; pairs without gain are dropped."""
    queries, items, gains = _listed(name, value, num_queries, num_database)
    if not np.isfinite(gains).all() or gains.min(initial=0.0) < 0:
        raise ValueError(f"{name} must hold finite gains of at least 0 (leave items out with exclude)")
    kept = gains > 0
    return _checked(name, queries[kept], items[kept], gains[kept], num_queries, num_database)


def excluded_pairs(name: str, value: Any, num_queries: int, num_database: int) -> Pairs:
    """Items to leave out: integers [Q] or [Q, E], -1 for none, or a form that relevance may have."""
    if _is_id_array(value):
        ids = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
        if ids.shape[0] != num_queries or ids.ndim > 2:
            raise ValueError(f"{name} must have shape [{num_queries}] or [{num_queries}, E], got {ids.shape}")
        ids = ids.reshape(num_queries, -1).astype(np.int64)
        queries, columns = np.nonzero(ids != -1)
        items, gains = ids[queries, columns], np.ones(queries.size)
    else:
        queries, items, gains = _listed(name, value, num_queries, num_database)
    return _checked(name, queries, items, np.ones_like(gains), num_queries, num_database)


def qrels_relevance(
    qrels: Mapping[Any, Mapping[Any, float]], query_ids: Iterable[Any], database_ids: Iterable[Any]
) -> dict[int, dict[int, float]]:
    """Judgments by name, as of ``trec_eval`` or ``ranx``, turned into the positions that ``relevance=`` takes.

    Args:
        qrels: for each query id the gain of each judged item id.
        query_ids: the id of each query, in the order of its codes.
        database_ids: the id of each database item, in the order of its codes.

    Returns:
        dict of the position of a query to a dict of the position of an item to its gain. Judgments of queries and items
        that are not listed are left out: ``trec_eval`` instead counts judged items that were not retrieved.

    Raises:
        ValueError: an id that is listed twice.

    Example:
        >>> from hashkernels.metrics import qrels_relevance
        >>> qrels_relevance({"q7": {"a": 2, "c": 1}}, ["q3", "q7"], ["a", "b", "c"])
        {1: {0: 2.0, 2: 1.0}}
    """
    rows, columns = _positions("query_ids", query_ids), _positions("database_ids", database_ids)
    return {
        rows[query]: {columns[item]: float(gain) for item, gain in judged.items() if item in columns}
        for query, judged in qrels.items()
        if query in rows
    }


def _positions(name: str, ids: Iterable[Any]) -> dict[Any, int]:
    names = list(ids)
    positions = {item: position for position, item in enumerate(names)}
    if len(positions) != len(names):
        raise ValueError(f"{name} must be distinct, got {len(names) - len(positions)} that come twice")
    return positions


def _is_id_array(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.layout == torch.strided and value.dtype in (torch.int32, torch.int64)
    return isinstance(value, np.ndarray) and value.dtype.kind == "i"


def _listed(name: str, value: Any, num_queries: int, num_database: int) -> tuple[Ints, Ints, Floats]:
    """Queries, items and gains of any form, in any order."""
    if isinstance(value, Mapping):
        return _from_mapping(name, value)
    if isinstance(value, Tensor) and value.layout != torch.strided:
        _check_shape(name, value.shape, num_queries, num_database)
        entries = value.detach().cpu().to_sparse(layout=torch.sparse_coo).coalesce()
        queries, items = entries.indices().numpy()
        return queries, items, entries.values().to(torch.float64).numpy()
    if isinstance(value, Tensor | np.ndarray):
        dense = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        _check_shape(name, dense.shape, num_queries, num_database)
        queries, items = np.nonzero(dense)
        return queries, items, dense[queries, items].astype(np.float64)
    if hasattr(value, "tocoo"):
        _check_shape(name, value.shape, num_queries, num_database)
        entries = value.tocoo(copy=True)
        entries.sum_duplicates()
        return entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data.astype(np.float64)
    if isinstance(value, tuple) and len(value) in (2, 3):
        return _from_csr(name, value, num_queries)
    raise TypeError(
        f"{name} must be a dict, a sparse or dense matrix [Q, N], or a CSR tuple (data, indices, indptr) or "
        f"(indices, indptr), got {type(value).__name__}"
    )


def _from_mapping(name: str, value: Mapping[Any, Any]) -> tuple[Ints, Ints, Floats]:
    queries: list[int] = []
    items: list[int] = []
    gains: list[float] = []
    for query, judged in value.items():
        entries = judged if isinstance(judged, Mapping) else dict.fromkeys(_whole(judged), 1.0)
        queries += [query] * len(entries)
        items += entries
        gains += entries.values()
    for numbers in (queries, items):
        if any(isinstance(number, bool) or not isinstance(number, int | np.integer) for number in numbers):
            raise TypeError(f"{name} given as a dict must name positions: qrels_relevance turns names into them")
    try:
        return np.array(queries, dtype=np.int64), np.array(items, dtype=np.int64), np.array(gains, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} given as a dict must have numbers as gains") from None


def _whole(items: Any) -> list[Any]:
    return list(np.asarray(items).ravel().tolist() if isinstance(items, np.ndarray | Tensor) else items)


def _from_csr(name: str, parts: tuple[Any, ...], num_queries: int) -> tuple[Ints, Ints, Floats]:
    arrays = [np.asarray(part.cpu() if isinstance(part, Tensor) else part) for part in parts]
    items, offsets = arrays[-2:]
    if any(part.ndim != 1 for part in arrays) or items.dtype.kind not in "iu" or offsets.dtype.kind not in "iu":
        raise TypeError(f"{name} given as CSR must be one-dimensional, indices and indptr of integers")
    offsets = offsets.astype(np.int64)
    steps = offsets[1:] - offsets[:-1]
    if offsets.size != num_queries + 1 or offsets[0] != 0 or offsets[-1] != items.size or (steps < 0).any():
        raise ValueError(
            f"{name} given as CSR must have an indptr of {num_queries + 1} ascending offsets from 0 to {items.size}"
        )
    gains = arrays[0].astype(np.float64) if len(arrays) == 3 else np.ones(items.size)
    if gains.size != items.size:
        raise ValueError(f"{name} given as CSR must have as many gains as indices, {items.size}, got {gains.size}")
    return np.repeat(np.arange(num_queries), steps), items.astype(np.int64), gains


def _check_shape(name: str, shape: Any, num_queries: int, num_database: int) -> None:
    if tuple(shape) != (num_queries, num_database):
        raise ValueError(f"{name} must have shape ({num_queries}, {num_database}), got {tuple(shape)}")


def _checked(name: str, queries: Ints, items: Ints, gains: Floats, num_queries: int, num_database: int) -> Pairs:
    for kind, numbers, count in (("queries", queries, num_queries), ("items", items, num_database)):
        if numbers.size and (numbers.min() < 0 or numbers.max() >= count):
            wrong = numbers.min() if numbers.min() < 0 else numbers.max()
            raise ValueError(f"{name} must name {kind} in 0..{count - 1}, got {wrong}")
    ascends = (queries[1:] > queries[:-1]) | ((queries[1:] == queries[:-1]) & (items[1:] >= items[:-1]))
    if not ascends.all():
        order = np.lexsort((items, queries))
        queries, items, gains = queries[order], items[order], gains[order]
    twice = (queries[1:] == queries[:-1]) & (items[1:] == items[:-1])
    if twice.any():
        place = int(np.argmax(twice))
        raise ValueError(f"{name} must name an item once a query, got item {items[place]} twice for {queries[place]}")
    return Pairs(queries, items, gains)
