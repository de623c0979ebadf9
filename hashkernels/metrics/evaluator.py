"""Retrieval metrics over a stream: the database passes by in parts and is never in memory at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._ranks import Ranks
from hashkernels._validation import check_bits, check_choice, check_int, check_labels, check_tensor, check_threads
from hashkernels.metrics._assemble import assemble
from hashkernels.metrics._index_order import IndexOrder
from hashkernels.metrics._inputs import (
    Retrieval,
    checked_labels,
    label_form,
    opened,
    packed_codes,
    warn_of_no_class,
)
from hashkernels.metrics._nearest import Nearest
from hashkernels.metrics._pairs import Pairs, excluded_pairs, relevance_pairs
from hashkernels.metrics._settings import check_policies
from hashkernels.metrics._task import Task
from hashkernels.metrics.counts import RetrievalCounts, count
from hashkernels.metrics.per_class import QueryClasses
from hashkernels.metrics.protocols import PROTOCOLS, ProtocolName
from hashkernels.metrics.report import Denominator, RetrievalReport, Ties, ZeroHit

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

Role = Literal["query", "database"]

# Rows looked at together, so that a memory-mapped file of any size takes a few megabytes.
_CHUNK = 1 << 18
# The length of a database that has not been seen to its end; a query and an item still fit into one int64.
_ENDLESS = 1 << 40


class RetrievalEvaluator:
    """``hashkernels.evaluate`` for codes that come in parts: from a loader, or from files larger than memory.

    All queries come first, in one or several updates; then the database, in its order, in any number of parts. Memory
    is O(Q * bits), and O(Q * k) more where the order of the database is asked for. The report is bit-identical to that
    of ``hashkernels.evaluate`` over everything at once.

    Args:
        bits: code length.
        num_classes: checked against the labels where given: class ids in 0..num_classes-1, or as many columns.
        k, ties, denominator, zero_hit, protocol, threads: as in ``hashkernels.evaluate``. A protocol finds the value in
            index order only with ``index_order=True``.
        index_order: also find the value in index order; this and ties="index" need a k, whose nearest items are kept.
        relevance, exclude: as in ``hashkernels.evaluate``, with positions in the database in the order that it comes,
            but no matrix and no tensor of relevance; not with ``distributed``, where no rank knows the position of its
            part. With ``relevance`` the labels of every update are None.
        distributed: True or a process group: every rank sees all queries and its own part of the database, parts in the
            order of ranks; ``compute`` is then a collective call, and gives every rank the same report.

    Raises:
        ValueError, TypeError: an option out of range, or index order without k.

    Example:
        >>> import numpy as np
        >>> import hashkernels as hk
        >>> codes = np.arange(200, dtype=np.uint8)[:, None]
        >>> labels = np.arange(200) % 7
        >>> evaluator = hk.RetrievalEvaluator(bits=8, k=50)
        >>> evaluator.update(codes[:10], labels[:10], role="query")
        >>> for start in range(0, 200, 64):
        ...     evaluator.update(codes[start : start + 64], labels[start : start + 64], role="database")
        >>> evaluator.compute().map == hk.evaluate(codes[:10], codes, labels[:10], labels, k=50).map
        True

    A file of packed codes is read as it goes by: ``update("codes.npy", "labels.npy", "database")``.
    """

    def __init__(
        self,
        bits: int,
        num_classes: int | None = None,
        *,
        k: int | Sequence[int] | None = None,
        ties: Ties = "expected",
        denominator: Denominator = "hits",
        zero_hit: ZeroHit = "zero",
        protocol: ProtocolName | None = None,
        index_order: bool = False,
        relevance: Any = None,
        exclude: Any = None,
        distributed: bool | ProcessGroup = False,
        threads: int | None = None,
    ) -> None:
        self.bits = check_bits(bits)
        self.num_classes = None if num_classes is None else check_int("num_classes", num_classes, 1)
        self._policies = check_policies(k, ties, denominator, zero_hit, protocol)
        self._wants_order = index_order or ties == "index"
        self._nearest_k = 0
        if self._wants_order:
            wanted = k if k is not None or protocol is None else PROTOCOLS[protocol].k
            if wanted is None:
                raise ValueError("k must be given where the order of a stream counts: its nearest k items are kept")
            self._nearest_k = int(np.max(wanted))
            check_int("k", self._nearest_k, 1)
        if distributed is not False and (relevance is not None or exclude is not None):
            raise ValueError("relevance and exclude are not for a distributed stream: evaluate takes all three")
        self._relevance, self._exclude = relevance, exclude
        self._distributed = distributed
        self._threads = check_threads(threads)
        self.reset()

    def reset(self) -> None:
        """Forget all queries and the database."""
        self._query_parts: list[tuple[Tensor, Tensor]] = []
        self._queries: tuple[Tensor, Tensor] | None = None
        self._label_form: str | None = None
        self._counts: RetrievalCounts | None = None
        self._nearest: Nearest | None = None
        self._listed: _Listed | None = None
        self._gains: list[Pairs] = []
        self._num_database = 0

    @property
    def num_queries(self) -> int:
        """Queries so far."""
        return sum(int(codes.shape[0]) for codes, _ in self._query_parts)

    @property
    def num_database(self) -> int:
        """Database items so far, in this process."""
        return self._num_database

    @property
    def counts(self) -> RetrievalCounts:
        """Counts over the database so far, in this process."""
        return self._count_queries()

    def update(self, codes: Any, labels: Any, role: Role) -> None:
        """Take in queries, or the next part of the database.

        Args:
            codes: as in ``hashkernels.evaluate``: uint8 [N, ceil(bits / 8)], or -1/+1 [N, bits]; N may be 0. A
                memory-mapped array, or an .npy file by its name, is read in parts. All are brought to the
                device of the first queries.
            labels: class ids (integers [N]) or multi-hot ({0, 1}, [N, C]); one form and one C throughout. None with
                ``relevance``.
            role: "query" or "database".

        Raises:
            ValueError: codes or labels that do not fit the evaluator or each other; nothing is taken in then.
            TypeError: dtypes that are not codes or labels.
            RuntimeError: a database before any query, or queries after a part of the database.
        """
        check_choice("role", role, ("query", "database"))
        codes_name, labels_name = f"{role} codes", f"{role} labels"
        tensor = to_tensor(codes_name, opened(codes_name, codes))
        if self._relevance is not None and labels is not None:
            raise TypeError(f"{labels_name} must be None beside relevance, got {type(labels).__name__}")
        given = None if self._relevance is not None else to_tensor(labels_name, opened(labels_name, labels))
        if role == "query" and given is not None:
            warn_of_no_class(labels_name, given)
        if role == "query" and self._counts is not None:
            raise RuntimeError("all queries must come before the database, of which a part came already: see reset")
        if role == "database" and self.num_queries == 0:
            raise RuntimeError('queries must come before the database: update with role="query" first')
        rows = int(check_tensor(codes_name, tensor, 2).shape[0])
        if given is not None and given.ndim and given.shape[0] != rows:
            raise ValueError(f"{labels_name} must have one row for each of {rows} items, got {given.shape[0]}")
        taken = _Taken(self._counts, None if self._nearest is None else self._nearest.copy())
        for start in range(0, rows, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            packed, _ = packed_codes(codes_name, tensor[chunk], self.bits)
            self._take(taken, role, packed, given[chunk] if given is not None and given.ndim else given)
        # only now: an error in any part leaves the evaluator as it was
        if taken.queries:
            self._query_parts += taken.queries
            self._queries = self._listed = None
        self._gains += taken.gains
        self._counts, self._nearest = taken.counts, taken.nearest
        self._label_form = taken.label_form or self._label_form
        self._num_database += taken.num_database

    def compute(self) -> RetrievalReport:
        """The report over what came so far; more of the database may follow.

        Raises:
            RuntimeError: no query or no database item, on any rank.
            ValueError: k beyond the database; ranks that disagree on queries, bits, k or another option; as
                ``hashkernels.evaluate``.
        """
        ranks = Ranks(self._distributed)
        counts = ranks.together(self._count_queries)
        queries, labels = self._joined_queries()
        ranks.agree(
            bits=self.bits,
            **self._policies._asdict(),
            index_order=self._wants_order,
            labels=self._label_form,
            queries=ranks.digest(queries, labels),
        )
        overall = counts.across(ranks)
        if overall.num_database == 0:
            raise RuntimeError(f"compute needs a database, got none for {self.num_queries} queries")
        if self._listed is not None:
            self._listed.check_end(overall.num_database)
        settings = self._policies.settings(overall.num_ranked)
        orders: dict[int, IndexOrder] | None = None
        if self._wants_order:
            nearest = self._nearest or Nearest(self.num_queries, self._nearest_k)
            ks = sorted({1, *settings.ks})
            orders = nearest.across(ranks).index_order(ks).by_cutoff(ks)
        labelled = self._relevance is None
        return assemble(
            overall,
            settings,
            orders,
            self._threads,
            query_classes=QueryClasses.of(labels) if labelled else None,
            gains=Pairs.joined(self._gains) if self._gains else None,
        )

    def _joined_queries(self) -> tuple[Tensor, Tensor]:
        if self._queries is None:
            codes, labels = zip(*self._query_parts, strict=True)
            self._queries = torch.cat(codes), torch.cat(labels)
            self._query_parts = [self._queries]
        return self._queries

    def _count_queries(self) -> RetrievalCounts:
        if self._counts is not None:
            return self._counts
        if self.num_queries == 0:
            raise RuntimeError("compute needs queries and a database, got no query")
        nothing = np.zeros((self.num_queries, self.bits + 1), dtype=np.int64)
        return RetrievalCounts(nothing, nothing.copy())

    def _take(self, taken: _Taken, role: Role, codes: Tensor, given: Tensor | None) -> None:
        labels, form = self._packed_labels(f"{role} labels", given, codes)
        if self._label_form not in (None, form):
            raise ValueError(f"{role} labels must be {self._label_form} like those before, got {form}")
        taken.label_form = form
        if role == "query":
            # copied: a loader may write its next batch into the same memory
            device = self._query_parts[0][0].device if self._query_parts else codes.device
            taken.queries.append((codes.to(device, copy=True), labels.to(device, copy=True)))
            return
        queries, query_labels = self._joined_queries()
        if self._listed is None:
            self._listed = _Listed.of(self._relevance, self._exclude, self.num_queries)
        codes, labels = codes.to(queries.device), labels.to(queries.device)
        part = Retrieval(queries, codes, query_labels, labels, self.bits, form, given is not None)
        relevance, left_out = self._listed.within(self._num_database + taken.num_database, int(codes.shape[0]))
        task = Task(part, relevance, left_out)
        if relevance is not None and self._listed.graded:
            taken.gains.append(relevance._replace(items=relevance.distances(queries, codes)))
        counts = count(task, self._threads)
        taken.counts = counts if taken.counts is None else taken.counts + counts
        taken.num_database += int(codes.shape[0])
        if self._wants_order:
            if taken.nearest is None:
                taken.nearest = Nearest(self.num_queries, self._nearest_k)
            taken.nearest.add(task, self._threads)

    def _packed_labels(self, name: str, given: Tensor | None, codes: Tensor) -> tuple[Tensor, str]:
        """Labels as kernels take them, all the same where relevance stands for them, and the name of their form."""
        if given is None:
            return torch.zeros(codes.shape[0], dtype=torch.int64, device=codes.device), "relevance"
        check_labels(name, given, int(codes.shape[0]), self.num_classes, synchronize=True)
        return _ops.pack_labels(checked_labels(name, given, codes)), label_form(given)


class _Listed(NamedTuple):
    """Relevant pairs and pairs left out, by position in a database whose end is not known yet."""

    relevance: Pairs | None
    left_out: Pairs | None
    graded: bool

    @classmethod
    def of(cls, relevance: Any, exclude: Any, num_queries: int) -> _Listed:
        left_out = None if exclude is None else excluded_pairs("exclude", exclude, num_queries, _ENDLESS)
        if relevance is None:
            return cls(None, left_out, False)
        wanted = relevance_pairs("relevance", relevance, num_queries, _ENDLESS)
        if left_out is not None:
            wanted = wanted.without(left_out)
        return cls(wanted, left_out, bool((wanted.gains != wanted.gains[:1]).any()))

    def within(self, first: int, size: int) -> tuple[Pairs | None, Pairs | None]:
        """Those of the part of ``size`` items that begins at ``first``."""
        relevance = None if self.relevance is None else self.relevance.within(first, size)
        return relevance, None if self.left_out is None else self.left_out.within(first, size)

    def check_end(self, num_database: int) -> None:
        """Raise where a pair names an item that never came."""
        for name, pairs in (("relevance", self.relevance), ("exclude", self.left_out)):
            if pairs is not None and pairs.items.max(initial=0) >= num_database:
                raise ValueError(f"{name} must name items in 0..{num_database - 1}, got {pairs.items.max()}")


@dataclass
class _Taken:
    """What one update adds."""

    counts: RetrievalCounts | None
    nearest: Nearest | None
    queries: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    gains: list[Pairs] = field(default_factory=list)
    label_form: str | None = None
    num_database: int = 0
