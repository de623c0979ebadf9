"""Retrieval metrics as a ``torchmetrics.Metric``. torchmetrics is imported when the class is first asked for."""

from __future__ import annotations

import types
from collections.abc import Callable
from copy import copy
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hashkernels._validation import (
    check_bits,
    check_choice,
    check_codes,
    check_int,
    check_labels,
    check_tensor,
    check_threads,
    require,
)
from hashkernels.metrics._inputs import packed_signs
from hashkernels.metrics._settings import check_policies
from hashkernels.metrics.evaluate import evaluate
from hashkernels.metrics.report import RetrievalReport

_NAME = "HashRetrievalMetric"
_STATES = ("query_codes", "query_labels", "database_codes", "database_labels")


class _HashRetrieval:
    """Mean average precision of hash codes as a ``torchmetrics.Metric``: exact, with ties as in ``evaluate``.

    Queries and database come in any order, with ``role``; packed, they are kept until ``compute``, on every process
    those that it saw, and torchmetrics gathers them. A sampler that repeats items to even out the processes
    (``DistributedSampler`` without ``drop_last``) repeats them here, too. For a database beyond memory use
    ``RetrievalEvaluator``.

    Args:
        bits: code length.
        options: of ``hashkernels.evaluate``: k, ties, denominator, zero_hit, protocol, index_order, threads. Options of
            ``torchmetrics.Metric`` are given as ``metric_options``, a dict.

    ``compute`` gives ``map`` as a float64 scalar, and leaves all the rest in ``report``.

    Raises:
        ImportError: torchmetrics is missing.
        ValueError, TypeError: as ``hashkernels.evaluate``.

    Example:
        >>> import torch
        >>> from hashkernels.metrics import HashRetrievalMetric
        >>> metric = HashRetrievalMetric(bits=8, k=2)
        >>> u, labels = torch.eye(8) - 0.5, torch.arange(8) % 2
        >>> metric.update(u[:2], labels[:2], role="query")
        >>> metric.update(u, labels, role="database")
        >>> round(metric.compute().item(), 6)
        1.0
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    if TYPE_CHECKING:
        add_state: Callable[..., None]
        query_codes: list[Tensor] | Tensor
        query_labels: list[Tensor] | Tensor
        database_codes: list[Tensor] | Tensor
        database_labels: list[Tensor] | Tensor

    def __init__(self, bits: int, *, metric_options: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**(metric_options or {}))
        self.bits = check_bits(bits)
        _check_options(**options)
        self.options = options
        self.report: RetrievalReport | None = None
        for name in _STATES:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, codes: Tensor, labels: Tensor, role: str) -> None:
        """Take in a batch: packed codes uint8, or outputs of a model [N, bits], which are packed by sign; class ids [N]
        or multi-hot labels [N, C]; and "query" or "database"."""
        check_choice("role", role, ("query", "database"))
        name = f"{role} codes"
        # copied: a loader may write its next batch into the same memory
        if check_tensor(name, codes, 2).dtype == torch.uint8:
            packed = check_codes(name, codes, self.bits).clone()
        else:
            packed = packed_signs(name, codes, self.bits)
        kept = check_labels(f"{role} labels", labels, int(codes.shape[0])).clone()
        getattr(self, f"{role}_codes").append(packed)
        getattr(self, f"{role}_labels").append(kept)

    def forward(self, codes: Tensor, labels: Tensor, role: str) -> None:
        """The same as ``update``: a batch alone has no metric."""
        # Equal metrics of a collection share their lists, and each of them is called.
        for name in _STATES:
            setattr(self, name, copy(getattr(self, name)))
        self.update(codes, labels, role)

    def compute(self) -> Tensor:
        """Mean average precision over all batches of all processes."""
        parts = (self.query_codes, self.database_codes, self.query_labels, self.database_labels)
        if any(len(part) == 0 for part in parts):
            raise RuntimeError("compute needs queries and a database")
        joined = [torch.cat(part) if isinstance(part, list) else part for part in parts]
        self.report = evaluate(*joined, bits=self.bits, **self.options)
        return torch.tensor(self.report.map, dtype=torch.float64, device=joined[0].device)


def _check_options(
    *,
    k: Any = None,
    ties: Any = "expected",
    denominator: Any = "hits",
    zero_hit: Any = "zero",
    protocol: Any = None,
    index_order: bool = False,
    threads: int | None = None,
    **others: Any,
) -> None:
    """Those that can be checked before there are codes; others are a ``TypeError``."""
    if others:
        raise TypeError(f"{_NAME} got an unexpected keyword argument {next(iter(others))!r}")
    ks = check_policies(k, ties, denominator, zero_hit, protocol).k
    for cutoff in ks if isinstance(ks, tuple) else () if ks is None else (ks,):
        check_int("k", cutoff, 1)
    check_threads(threads)


@cache
def _metric_class() -> type:
    base = require("torchmetrics", extra="bench").Metric
    # under the name by which pickle finds it again, through __getattr__
    names = {"__module__": __name__, "__qualname__": _NAME, "__doc__": _HashRetrieval.__doc__}
    return types.new_class(_NAME, (_HashRetrieval, base), {}, lambda namespace: namespace.update(names))


def __getattr__(name: str) -> Any:
    if name == _NAME:
        return _metric_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
