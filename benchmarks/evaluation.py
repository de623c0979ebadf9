"""Evaluation at the shapes of the usual protocols, against the usual loop, torchmetrics and pytorch-metric-learning.

Codes are random, labels synthetic: class ids, or several labels an item with about as many as real tags. Peers rank 10
of the queries and our own pass in index order 500, and their time is scaled to all of them; each peer is checked
against ours in index order over the same queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .codes import bit_counts, random_codes
from .harness import OURS, Case, Trial, peers
from .metrics import torchmetrics_map

_TORCHMETRICS = peers("torchmetrics", "torchmetrics")
_LEARNING = peers("pytorch_metric_learning", "pytorch-metric-learning")
_PEER_QUERIES, _ORDERED_QUERIES = 10, 500


def usual_loop(query_signs: Any, database_signs: Any, query_onehot: Any, database_onehot: Any, k: int) -> float:
    """The loop that deep-hashing repositories share: labels by a product, a sort, mean of count over rank."""
    bits = database_signs.shape[1]
    total = 0.0
    for signs, labels in zip(query_signs, query_onehot, strict=True):
        relevant = (database_onehot @ labels) > 0
        order = np.argsort(0.5 * (bits - database_signs @ signs), kind="stable")
        (ranks,) = np.nonzero(relevant[order][:k])
        if len(ranks):
            total += np.mean(np.arange(1, len(ranks) + 1) / (ranks + 1.0))
    return total / len(query_signs)


def metric_learning_map(query_signs: Any, labels: Any, database_signs: Any, database_labels: Any) -> float:
    """pytorch-metric-learning with its own neighbours over float signs: a matrix of distances and a top-k."""
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(
        include=("mean_average_precision",),
        k=len(database_signs),
        knn_func=CustomKNN(LpDistance(normalize_embeddings=False)),
        device=torch.device("cpu"),
    )
    found = calculator.get_accuracy(query_signs, labels, database_signs, database_labels)
    return float(found["mean_average_precision"])


def make_labels(rng: np.random.Generator, count: int, classes: int, multi_hot: int) -> Any:
    """Class ids, or one to five labels an item, some far more frequent than others."""
    if not multi_hot:
        return rng.integers(classes, size=count)
    weights = 1.0 / np.arange(1, classes + 1)
    hot = rng.random((count, classes)) < np.minimum(2.5 * weights / weights.sum(), 0.9)
    hot[np.arange(count), rng.choice(classes, size=count, p=weights / weights.sum())] = True
    return hot.astype(np.uint8)


def build(queries: int, database: int, bits: int, classes: int, multi_hot: int, k: int) -> Trial:
    rng = np.random.default_rng(0)
    codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    labels = tuple(make_labels(rng, count, classes, multi_hot) for count in (queries, database))
    few, ordered = min(queries, _PEER_QUERIES), min(queries, _ORDERED_QUERIES)
    signs = tuple(hk.unpack_codes(part, bits).astype(np.float64) for part in (codes[0][:few], codes[1]))
    onehot = labels if multi_hot else tuple(np.eye(classes, dtype=np.int64)[part] for part in labels)
    whole = k >= database

    def ours(ties: Any, count: int = queries) -> hk.RetrievalReport:
        return hk.evaluate(codes[0][:count], codes[1], labels[0][:count], labels[1], bits=bits, k=k, ties=ties)

    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: ours("expected").map,
        "hashkernels index order": lambda: ours("index", ordered).map,
        "usual loop": lambda: usual_loop(*signs, onehot[0][:few], onehot[1], k),
    }
    for name in _TORCHMETRICS if whole else ():
        distances = torch.from_numpy(bit_counts(codes[0][:few], codes[1]))
        targets = torch.from_numpy((onehot[0][:few].astype(np.float32) @ onehot[1].T.astype(np.float32)) > 0)
        contenders[name] = partial(torchmetrics_map, distances, targets, bits)
    for name in _LEARNING if whole and not multi_hot else ():
        contenders[name] = partial(metric_learning_map, signs[0], labels[0][:few], signs[1], labels[1])

    def check(results: Mapping[str, Any]) -> None:
        report = ours("index", few)
        assert abs(report.map - results["usual loop"]) < 1e-12
        low, high = report.map_bounds
        for name in (*_TORCHMETRICS, *_LEARNING):
            assert low - 1e-5 <= results.get(name, low) <= high + 1e-5, (name, results[name], low, high)

    share = {name: few / queries for name in contenders if not name.startswith(OURS)}
    share["hashkernels index order"] = ordered / queries
    return Trial(contenders, check, share)


def case(name: str, queries: int, database: int, bits: int, classes: int, multi_hot: int, k: int) -> Case:
    """A case of the shape, with peers that know its labels and its cutoff."""
    whole = k >= database
    known = (*(_TORCHMETRICS if whole else ()), *(_LEARNING if whole and not multi_hot else ()))
    return Case(
        f"evaluation, {name}",
        (OURS, "hashkernels index order", "usual loop", *known),
        build,
        {
            "queries": queries,
            "database": database,
            "bits": bits,
            "classes": classes,
            "multi_hot": multi_hot,
            "k": k,
        },
        {
            "queries": 20,
            "database": 600,
            "bits": bits,
            "classes": classes,
            "multi_hot": multi_hot,
            "k": 600 if whole else 300,
        },
        "pairs",
        lambda queries, database, **_: queries * database,
    )


CASES = (
    case("CIFAR-10", 10_000, 50_000, 48, 10, 0, 50_000),
    case("NUS-WIDE", 2_100, 193_734, 48, 21, 1, 193_734),
    case("NUS-WIDE, mAP@5000", 2_100, 193_734, 48, 21, 1, 5_000),
    case("ImageNet-100, mAP@1000", 5_000, 128_503, 64, 100, 0, 1_000),
    case("COCO, mAP@5000", 5_000, 112_218, 48, 80, 1, 5_000),
    case("uniform codes, mAP@1000", 1_000, 200_000, 64, 10, 0, 1_000),
)
