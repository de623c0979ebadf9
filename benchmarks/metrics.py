"""Mean average precision over the whole ranking, against the usual NumPy loop and torchmetrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .codes import bit_counts, random_codes
from .harness import OURS, Case, Trial, peers

_TORCHMETRICS = peers("torchmetrics", "torchmetrics")
_PEER_QUERIES = 20  # the peers take so long a query that they rank this many, and their time is scaled


def usual_map(signs: Any, database_signs: Any, labels: Any, database_labels: Any) -> float:
    """The loop that deep-hashing repositories share: a sort of the whole database for each query."""
    bits = database_signs.shape[1]
    total = 0.0
    for query, label in zip(signs, labels, strict=True):
        order = np.argsort(0.5 * (bits - database_signs @ query), kind="stable")
        (ranks,) = np.nonzero((database_labels == label)[order])
        if len(ranks):
            total += np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1.0))
    return total / len(signs)


def torchmetrics_map(distances: torch.Tensor, targets: torch.Tensor, bits: int) -> float:
    """Takes a score of zero or less for "not retrieved", so the scores have to be positive."""
    from torchmetrics.functional.retrieval import retrieval_average_precision

    scores = (bits + 1 - distances).float()
    values = [retrieval_average_precision(score, target) for score, target in zip(scores, targets, strict=True)]
    return float(torch.stack(values).mean())


def build(queries: int, database: int, bits: int, classes: int) -> Trial:
    random = np.random.default_rng(0)
    query_codes, database_codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    query_labels, database_labels = random.integers(classes, size=queries), random.integers(classes, size=database)
    few = min(queries, _PEER_QUERIES)
    signs = hk.unpack_codes(query_codes[:few], bits).astype(np.float64)
    database_signs = hk.unpack_codes(database_codes, bits).astype(np.float64)

    def ours(ties: Any, count: int = queries) -> float:
        arguments = (query_codes[:count], database_codes, query_labels[:count], database_labels)
        return hk.evaluate(*arguments, bits=bits, ties=ties).map

    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: ours("expected"),
        "hashkernels index order": lambda: ours("index"),
        "usual loop": lambda: usual_map(signs, database_signs, query_labels[:few], database_labels),
    }
    for name in _TORCHMETRICS:
        distances = torch.from_numpy(bit_counts(query_codes[:few], database_codes))
        targets = torch.from_numpy(query_labels[:few, None] == database_labels[None, :])
        contenders[name] = partial(torchmetrics_map, distances, targets, bits)

    def check(results: Mapping[str, Any]) -> None:
        exact = usual_map(signs, database_signs, query_labels[:few], database_labels)
        report = hk.evaluate(query_codes[:few], database_codes, query_labels[:few], database_labels, bits=bits)
        assert abs(ours("index", few) - exact) < 1e-12
        low, high = report.map_bounds
        for name, value in results.items():
            if not name.startswith(OURS):
                assert low - 1e-6 <= value <= high + 1e-6, (name, value, low, high)

    share = {name: few / queries for name in contenders if not name.startswith(OURS)}
    return Trial(contenders, check, share)


CASES = tuple(
    Case(
        "mean average precision",
        (OURS, "hashkernels index order", "usual loop", *_TORCHMETRICS),
        build,
        {"queries": 1000, "database": 50_000, "bits": bits, "classes": 10},
        {"queries": 30, "database": 800, "bits": bits, "classes": 10},
        "pairs",
        lambda queries, database, **_: queries * database,
    )
    for bits in (16, 32, 48, 64)
)
