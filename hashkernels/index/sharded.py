"""One index in parts: files on one machine, and the ranks of a process group."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeVar, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, like, to_tensors
from hashkernels._ranks import Ranks
from hashkernels._validation import (
    check_bits,
    check_choice,
    check_codes,
    check_filter,
    check_int,
    check_tensor,
    check_threads,
)
from hashkernels.index.binary_index import BinaryIndex
from hashkernels.index.ids import IdArray, as_dtype, check_sought
from hashkernels.index.merging import Nearest, Within, merge_nearest, merge_within
from hashkernels.index.persistence import Verify
from hashkernels.index.search import (
    LimitedRangeResult,
    RangeResult,
    RangeRow,
    SearchResult,
    check_limit,
    range_result,
    range_rows,
)
from hashkernels.index.snapshot import Snapshot
from hashkernels.index.storage import Storage

T = TypeVar("T")
_NONE = torch.iinfo(torch.int32).max


class ShardedIndex:
    """Indexes searched as one, with the results, bit by bit, of one index to which all were added in this order.

    Args:
        shards: the parts, in order; some may hold no codes. Either all have ids, unlike each other, or none has: then a
            code is known by its position in the whole.
        bits: the length of a code; needed only where a rank has no shards.
        distributed: False, all shards are here; True, every rank of ``torch.distributed``'s default group (or of the
            group given) holds shards of its own, those of rank 0 first. Then every rank makes the same calls with the
            same arguments, and gets the same results. An error on one rank, or a rank that is lost, is an error on all.
        verify: "full", see that no id is in two shards, which takes as long as to sort the ids (0.1 to 2 seconds for 10
            million), reads them where a file has not been looked at yet, and brings those of all ranks to each; "none",
            do not. An id that comes to a second shard later is not noticed: results may then name it twice.

    Raises:
        ValueError: the shards, of all ranks, differ in bits, bit order or kind of ids, have an id in common, or there
            are none and no ``bits``; or an argument is out of range.
        TypeError: a shard is no ``BinaryIndex``, or another argument not as above.
        RuntimeError: ``distributed`` without a process group, or a rank is lost.

    >>> import numpy as np
    >>> first, second = BinaryIndex(8), BinaryIndex(8)
    >>> first.add(np.array([[1], [3]], np.uint8))
    >>> second.add(np.array([[7]], np.uint8))
    >>> ShardedIndex([first, second]).search(np.array([[7]], np.uint8), 2)
    SearchResult(distances=array([[0, 1]], dtype=int32), indices=array([[2, 1]]))
    """

    def __init__(
        self,
        shards: Sequence[BinaryIndex],
        *,
        bits: int | None = None,
        distributed: Any = False,
        verify: Literal["full", "none"] = "full",
    ) -> None:
        self._ranks = Ranks(distributed)
        self._shards, self._bits = self._ranks.together(lambda: _checked_shards(shards, bits, verify))
        self._ranks.agree(bits=self._bits, verify=verify)
        everyone = self._ranks.gather([(shard.bitorder, _kind(shard._state)) for shard in self._shards])
        held = [shard for rank in everyone for shard in rank]
        # Without a shard anywhere there is nothing to be searched, in any order.
        self._bitorder = held[0][0] if held else "big"
        for bitorder, _ in held:
            if bitorder != self._bitorder:
                raise ValueError(f"shards must hold codes in {self._bitorder} order, got one in {bitorder} order")
        id_dtype = _common_id_dtype(kind for _, kind in held)
        counts = [[count for _, (count, _) in rank] for rank in everyone]
        # A shard sees to its own ids.
        if verify == "full" and id_dtype is not None and sum(count > 0 for rank in counts for count in rank) > 1:
            ids = self._ranks.together(lambda: torch.from_numpy(_ids_of(self._shards)))
            parts = self._ranks.gather_rows(ids, [sum(rank) for rank in counts])
            self._ranks.together(
                lambda: _check_apart(
                    (parts[0] if len(parts) == 1 else torch.cat(parts)).numpy().view(id_dtype),
                    [count for rank in counts for count in rank],
                )
            )

    @classmethod
    def load(
        cls,
        paths: Sequence[str | os.PathLike[str]],
        *,
        mmap: bool = True,
        verify: Verify = "lazy",
        distributed: Any = False,
    ) -> ShardedIndex:
        """Over files, each as ``BinaryIndex.load`` opens it; distributed, over the files of this rank.

        With ``verify="full"`` an id in two of the files, of all ranks, is an error, too; otherwise it is not noticed.

        Raises:
            ValueError, OSError: as ``BinaryIndex.load``; and what the constructor raises.
        """
        if isinstance(paths, str | os.PathLike):
            raise TypeError(f"paths must be a list of files, got the one {os.fspath(paths)!r}")
        ranks = Ranks(distributed)
        shards = ranks.together(lambda: [BinaryIndex.load(path, mmap=mmap, verify=verify) for path in paths])
        return cls(shards, distributed=distributed, verify="full" if verify == "full" else "none")

    def __repr__(self) -> str:
        return f"ShardedIndex(bits={self._bits}, shards={len(self._shards)})"

    @property
    def bits(self) -> int:
        """The length of a code."""
        return self._bits

    @property
    def ntotal(self) -> int:
        """How many codes the shards hold together; distributed, a call that every rank makes."""
        return sum(self._ranks.gather(sum(shard.ntotal for shard in self._shards)))

    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: Literal[False] = False,
    ) -> SearchResult[ArrayT]: ...
    @overload
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: Literal[True],
    ) -> str: ...
    def search(
        self,
        queries: ArrayT,
        k: int,
        *,
        filter: ArrayT | None = None,
        threads: int | None = None,
        explain: bool = False,
    ) -> SearchResult[ArrayT] | str:
        """The k nearest codes of each query, as ``BinaryIndex.search`` of the whole would give them.

        Args:
            queries, k, threads: as there.
            filter: bool [ntotal] by position in the whole; or ids, of which those that no shard has are ignored; or, of
                shards without ids, positions in 0..``ntotal`` - 1.
            explain: check the arguments and say how the search would run, without running it: as there, in one word
                where it runs alike in all shards that hold codes; else in one for each of them, of all ranks in their
                order, as in "hash, planes, planes".

        Raises:
            ValueError, TypeError: as there; on every rank, where one finds a reason.
            RuntimeError: a rank is lost.
        """
        view = self._view(queries, filter, k=k, explain=explain)
        k = check_int("k", k, 1, view.total)
        if explain:
            return self._explained(
                view, threads, lambda part, threads: part.method(view.codes, threads, k=min(k, part.count))
            )

        def of_shard(part: Storage, mask: Tensor | None, threads: int) -> Nearest:
            return part.topk(view.codes, min(k, part.count), mask, threads)

        def nearest() -> Nearest:
            found = self._each(view, threads, of_shard)
            translated: list[Nearest] = [(distances, view.named(i, positions)) for i, (distances, positions) in found]
            # k columns of nothing, so that every rank sends arrays of one shape.
            shape = (len(view.codes), k)
            translated.append(
                (torch.full(shape, _NONE, dtype=torch.int32, device="cpu"), torch.full(shape, -1, device="cpu"))
            )
            return merge_nearest(translated, k)

        mine = self._ranks.together(nearest)
        sent = torch.stack([mine[0].long(), mine[1]]).numpy()
        parts = [torch.from_numpy(part) for part in self._ranks.gather_arrays(sent)]
        distances, ids = merge_nearest([(part[0].int(), part[1]) for part in parts], k)
        return SearchResult(like(queries, distances), like(queries, view.result(ids)))

    @overload
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        explain: Literal[False] = False,
    ) -> RangeResult[ArrayT] | LimitedRangeResult[ArrayT]: ...
    @overload
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        explain: Literal[True],
    ) -> str: ...
    def range_search(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        max_results: int | None = None,
        threads: int | None = None,
        explain: bool = False,
    ) -> RangeResult[ArrayT] | LimitedRangeResult[ArrayT] | str:
        """All codes within ``radius``, as ``BinaryIndex.range_search`` of the whole would give them; see ``search``."""
        view = self._view(queries, filter, radius=radius, max_results=max_results, explain=explain)
        radius = check_int("radius", radius, 0, self._bits)
        limit = check_limit(max_results, view.total)
        if explain:
            return self._explained(view, threads, lambda part, threads: part.method(view.codes, threads, radius=radius))
        return range_result(queries, self._within(view, view.codes, radius, limit, threads), limit)

    def range_count(
        self, queries: ArrayT, radius: int, *, filter: ArrayT | None = None, threads: int | None = None
    ) -> ArrayT:
        """How many codes lie within ``radius`` of each query, as ``BinaryIndex.range_count`` of the whole says."""
        view = self._view(queries, filter, radius=radius)
        radius = check_int("radius", radius, 0, self._bits)

        def of_shard(part: Storage, mask: Tensor | None, threads: int) -> Tensor:
            return part.range_count(view.codes, radius, mask, threads)

        def here() -> Tensor:
            counts = [found for _, found in self._each(view, threads, of_shard)]
            return sum(counts, start=torch.zeros(len(view.codes), dtype=torch.int64, device="cpu"))

        return like(queries, torch.stack(self._ranks.gather(self._ranks.together(here))).sum(0))

    def range_iterator(
        self,
        queries: ArrayT,
        radius: int,
        *,
        filter: ArrayT | None = None,
        batch: int = 256,
        threads: int | None = None,
    ) -> Iterator[RangeRow[ArrayT]]:
        """What ``range_search`` finds, query by query, as ``BinaryIndex.range_iterator`` gives it.

        Distributed, the ranks meet once every ``batch`` queries: each has to go through all of the rows.
        """
        view = self._view(queries, filter, radius=radius, batch=batch)
        radius, batch = check_int("radius", radius, 0, self._bits), check_int("batch", batch, 1)
        self._ranks.together(lambda: check_threads(threads))
        return range_rows(
            queries,
            len(view.codes),
            batch,
            lambda rows: self._within(view, view.codes[rows], radius, None, threads),
        )

    def _view(self, queries: ArrayT, filter: ArrayT | None, **settings: Any) -> _View:
        """What one call works on, checked, and agreed upon with the other ranks."""

        def local() -> tuple[Tensor, list[Snapshot]]:
            (codes,) = to_tensors(queries=queries)
            check_codes("queries", codes, self._bits, self._bitorder)
            if codes.device.type != "cpu":
                raise ValueError(f"queries must be on cpu like the index, got {codes.device}")
            return codes, [shard._checked_state() for shard in self._shards]

        codes, states = self._ranks.together(local)
        everyone = self._ranks.gather([_kind(state) for state in states])
        self._ranks.agree(queries=self._ranks.digest(codes), **settings)
        kinds = [kind for rank in everyone for kind in rank]
        total = sum(count for count, _ in kinds)
        if not total:
            raise ValueError("the index must hold at least one code to be searched, got none")
        before = sum(count for rank in everyone[: self._ranks.rank] for count, _ in rank)
        view = _View(codes, states, before, total, _common_id_dtype(kinds))
        view.masks = self._ranks.together(lambda: view.masks_of(queries, filter))
        return view

    def _explained(self, view: _View, threads: int | None, method: Callable[[Storage, int], str]) -> str:
        """How the shards of all ranks that hold codes are searched: in one word, or each in its own."""

        def of_shard(part: Storage, mask: Tensor | None, threads: int) -> str:
            return method(part, threads)

        here = self._ranks.together(lambda: [found for _, found in self._each(view, threads, of_shard)])
        methods = [found for rank in self._ranks.gather(here) for found in rank]
        return methods[0] if len(set(methods)) == 1 else ", ".join(methods)

    def _within(self, view: _View, codes: Tensor, radius: int, limit: int | None, threads: int | None) -> Within:
        """What all shards of all ranks find, by id."""

        def of_shard(part: Storage, mask: Tensor | None, threads: int) -> Within:
            return part.range_search(codes, radius, mask, limit, threads)

        def here() -> Within:
            found = self._each(view, threads, of_shard)
            translated: list[Within] = [(row[0], row[1], view.named(i, row[2]), row[3]) for i, row in found]
            nothing, none = (
                torch.zeros(len(codes) + 1, dtype=torch.int64, device="cpu"),
                torch.zeros(0, dtype=torch.int64, device="cpu"),
            )
            return merge_within([*translated, (nothing, none.int(), none, nothing[1:])], limit)

        parts = self._ranks.gather(self._ranks.together(here))
        offsets, distances, ids, counts = merge_within(parts, limit)
        return offsets, distances, view.result(ids), counts

    def _each(
        self, view: _View, threads: int | None, search: Callable[[Storage, Tensor | None, int], T]
    ) -> list[tuple[int, T]]:
        """``search`` of every shard here that holds codes, several at a time where there are threads for it."""
        threads = check_threads(threads) or _ops.get_num_threads()
        filled = [i for i, state in enumerate(view.states) if state.storage.count]
        if not filled:
            return []
        workers = min(threads, len(filled))

        def run(i: int) -> tuple[int, T]:
            return i, search(view.states[i].storage, view.masks[i], threads // workers)

        if workers == 1:
            return [run(i) for i in filled]
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(run, filled))


class _View:
    """The shards of this rank during one call."""

    def __init__(self, codes: Tensor, states: list[Snapshot], before: int, total: int, id_dtype: str | None) -> None:
        self.codes, self.states, self.total = codes, states, total
        self._id_dtype = id_dtype
        counts = [state.storage.count for state in states]
        self._starts = [before + sum(counts[:i]) for i in range(len(counts))]
        self.masks: list[Tensor | None] = []

    def named(self, i: int, positions: Tensor) -> Tensor:
        """Positions in shard i as ids, or positions in the whole, int64; -1 stays."""
        ids = self.states[i].ids
        if ids is None:
            return torch.where(positions < 0, positions, positions + self._starts[i])
        return torch.from_numpy(ids.of(positions.numpy()).view(np.int64))

    def result(self, ids: Tensor) -> Tensor:
        """Ids in their own dtype."""
        return torch.from_numpy(ids.numpy().view(np.uint64)) if self._id_dtype == "uint64" else ids

    def masks_of(self, queries: ArrayT, filter: ArrayT | None) -> list[Tensor | None]:
        """The filter for each shard."""
        if filter is None:
            return [None] * len(self.states)
        chosen = to_tensors(queries=queries, filter=filter)[1]
        if self._id_dtype is not None and check_tensor("filter", chosen, 1).dtype != torch.bool:
            wanted = check_sought("filter", chosen)
            return [self._mask_of_ids(state, wanted) for state in self.states]
        allowed = check_filter("filter", chosen, self.total)
        if allowed.dtype != torch.bool:
            allowed = torch.zeros(self.total, dtype=torch.bool, device="cpu").index_fill_(0, allowed, True)
        return [allowed[s : s + state.storage.count] for s, state in zip(self._starts, self.states, strict=True)]

    @staticmethod
    def _mask_of_ids(state: Snapshot, wanted: npt.NDArray[Any]) -> Tensor:
        allowed = torch.zeros(state.storage.count, dtype=torch.bool, device="cpu")
        if state.ids is not None and state.storage.count:
            places = state.ids.positions(as_dtype(wanted, state.ids.values.dtype))
            allowed[torch.from_numpy(places[places >= 0])] = True
        return allowed


def _checked_shards(shards: Any, bits: int | None, verify: str) -> tuple[tuple[BinaryIndex, ...], int]:
    """The shards, and the length of their codes."""
    check_choice("verify", verify, ("full", "none"))
    bits = None if bits is None else check_bits(bits)
    if not isinstance(shards, Iterable):
        raise TypeError(f"shards must be a list of BinaryIndex, got {type(shards).__name__}")
    shards = tuple(shards)
    for shard in shards:
        if not isinstance(shard, BinaryIndex):
            raise TypeError(f"shards must be BinaryIndex, got {type(shard).__name__}")
        if bits is not None and shard.bits != bits:
            raise ValueError(f"shards must hold codes of {bits} bits, got one of {shard.bits}")
        bits = shard.bits
    if bits is None:
        raise ValueError("shards must hold at least one index, or bits be given, got neither")
    return shards, bits


def _kind(state: Snapshot) -> tuple[int, str | None]:
    """How many codes there are, and the dtype of their ids."""
    return state.storage.count, None if state.ids is None else state.ids.values.dtype.name


def _ids_of(shards: Iterable[BinaryIndex]) -> npt.NDArray[np.int64]:
    """Those of all that the shards hold, one after another, whatever their dtype."""
    held = (shard._checked_state().ids for shard in shards)
    return np.concatenate([np.empty(0, np.int64), *(ids.values.view(np.int64) for ids in held if ids is not None)])


def _check_apart(ids: IdArray, counts: Sequence[int]) -> None:
    """Raise ``ValueError`` where an id is in two shards, which hold that many each; takes as long as to sort them."""
    ordered = np.sort(ids, kind="stable")
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if len(twice):
        first, second = np.searchsorted(np.cumsum(counts), np.flatnonzero(ids == twice[0])[:2], side="right")
        raise ValueError(f"shards must have ids unlike each other's, got {twice[0]} in shards {first} and {second}")


def _common_id_dtype(kinds: Iterable[tuple[int, str | None]]) -> str | None:
    """That of all shards that hold codes."""
    dtypes = [*dict.fromkeys(dtype for count, dtype in kinds if count)]
    if len(dtypes) > 1:
        raise ValueError(f"shards must all have ids of one dtype, or none, got {dtypes[0]} and {dtypes[1]}")
    return dtypes[0] if dtypes else None
