"""Pairs of a query and a database item: which items are relevant with which gain, or are left out of a ranking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels._arrays import to_real_array
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
        hint = " (leave items out with exclude)" if name == "relevance" else ""
        raise ValueError(f"{name} must hold finite gains of at least 0{hint}")
    kept = gains > 0
    return _checked(name, queries[kept], items[kept], gains[kept], num_queries, num_database)


def excluded_pairs(name: str, value: Any, num_queries: int, num_database: int) -> Pairs:
    """Items to leave out: positions (see ``_is_id_array``), -1 for none, or a form that relevance may have, where an
    item without gain stays."""
    if not _is_id_array(value):
        listed = relevance_pairs(name, value, num_queries, num_database)
        return Pairs.ungraded(listed.queries, listed.items)
    ids = np.asarray(value.cpu() if isinstance(value, Tensor) else value)
    if ids.ndim not in (1, 2) or ids.shape[0] != num_queries:
        raise ValueError(f"{name} must have shape [{num_queries}] or [{num_queries}, E], got {ids.shape}")
    if ids.shape == (num_queries, num_database) and num_database > 2 and ids.min() >= 0 and ids.max() <= 1:
        raise ValueError(f"{name} given as a matrix of 0 and 1 must be bool, unsigned or float, got {ids.dtype}")
    ids = ids.reshape(num_queries, -1)
    queries, columns = np.nonzero(ids != -1)
    items = ids[queries, columns].astype(np.int64)
    return _checked(name, queries, items, np.ones(items.size), num_queries, num_database)


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
        TypeError: judgments that are not a mapping, or a gain that is not a number.

    Example:
        >>> from hashkernels.metrics import qrels_relevance
        >>> qrels_relevance({"q7": {"a": 2, "c": 1}}, ["q3", "q7"], ["a", "b", "c"])
        {1: {0: 2.0, 2: 1.0}}
    """
    if not isinstance(qrels, Mapping):
        raise TypeError(f"qrels must map each query id to gains by item id, got {type(qrels).__name__}")
    rows, columns = _positions("query_ids", query_ids), _positions("database_ids", database_ids)
    relevance = {}
    for query, judged in qrels.items():
        if not isinstance(judged, Mapping):
            raise TypeError(f"qrels must map each query id to gains by item id, got {type(judged).__name__}")
        if query in rows:
            relevance[rows[query]] = {columns[item]: _gain(gain) for item, gain in judged.items() if item in columns}
    return relevance


def _gain(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"qrels must have numbers as gains, got {value!r}") from None


def _positions(name: str, ids: Iterable[Any]) -> dict[Any, int]:
    names = ids.tolist() if isinstance(ids, Tensor) else list(ids)  # elements of a tensor are equal to no id
    positions = {item: position for position, item in enumerate(names)}
    if len(positions) != len(names):
        raise ValueError(f"{name} must be distinct, got {len(names) - len(positions)} that come twice")
    return positions


def _is_id_array(value: Any) -> bool:
    """Whether these are positions: integers [Q], or signed ones [Q, E]. Unsigned ones of two dimensions have no -1 for
    none, and are a matrix of 0 and 1 [Q, N], as masks often are."""
    if isinstance(value, Tensor):
        is_integer = not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
        return value.layout == torch.strided and is_integer and (value.dtype.is_signed or value.ndim == 1)
    return isinstance(value, np.ndarray) and value.dtype.kind in ("iu" if value.ndim == 1 else "i")


def _listed(name: str, value: Any, num_queries: int, num_database: int) -> tuple[Ints, Ints, Floats]:
    """Queries, items and gains of any form, in any order."""
    if isinstance(value, Mapping) and not hasattr(value, "tocoo"):  # a matrix by keys, of scipy, is a dict, too
        return _from_mapping(name, value)
    if isinstance(value, Tensor) and value.layout != torch.strided:
        _check_shape(name, value.shape, num_queries, num_database)
        entries = value.detach().cpu().to_sparse(layout=torch.sparse_coo).coalesce()
        queries, items = entries.indices().numpy()
        return queries, items, to_real_array(name, entries.values()).astype(np.float64)
    if isinstance(value, Tensor | np.ndarray):
        dense = to_real_array(name, value)
        _check_shape(name, dense.shape, num_queries, num_database)
        queries, items = np.nonzero(dense)
        return queries, items, dense[queries, items].astype(np.float64)
    if hasattr(value, "tocoo"):
        _check_shape(name, value.shape, num_queries, num_database)
        entries = value.tocoo(copy=True)
        entries.sum_duplicates()
        gains = to_real_array(name, entries.data).astype(np.float64)
        return entries.row.astype(np.int64), entries.col.astype(np.int64), gains
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
        entries = judged if isinstance(judged, Mapping) else dict.fromkeys(_whole(name, judged), 1.0)
        queries += [query] * len(entries)
        items += entries
        gains += entries.values()
    for numbers in (queries, items):
        if any(isinstance(number, bool) or not isinstance(number, int | np.integer) for number in numbers):
            raise TypeError(f"{name} given as a dict must name positions: qrels_relevance turns names into them")
    if any(isinstance(gain, str | bytes) for gain in gains):  # which NumPy would read
        raise TypeError(f"{name} given as a dict must have numbers as gains")
    try:
        return np.array(queries, dtype=np.int64), np.array(items, dtype=np.int64), np.array(gains, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"{name} given as a dict must have numbers as gains") from None
    except OverflowError:
        raise ValueError(f"{name} given as a dict must have positions and gains that fit 64 bits") from None


def _whole(name: str, items: Any) -> list[Any]:
    if isinstance(items, np.ndarray | Tensor):
        return list(np.asarray(items).ravel().tolist())
    if not isinstance(items, Iterable):
        raise TypeError(f"{name} given as a dict must have items, or gains by item, got {type(items).__name__}")
    return list(items)


def _from_csr(name: str, parts: tuple[Any, ...], num_queries: int) -> tuple[Ints, Ints, Floats]:
    arrays = [to_real_array(name, part) for part in parts]
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
        hint = " (positions [Q, E] must be signed)" if name == "exclude" else ""
        raise ValueError(f"{name} must have shape ({num_queries}, {num_database}){hint}, got {tuple(shape)}")


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
