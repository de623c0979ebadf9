"""Train a method on a split, evaluate its codes exactly, and keep all that a report shows."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import hashkernels
from hashkernels.centers import minimum_distance
from hashkernels.centers.bounds import tightest_distance
from hashkernels.codes import unpack_codes
from hashkernels.data import RetrievalSplit
from hashkernels.losses import HashLoss
from hashkernels.metrics import RetrievalReport, evaluate
from hashkernels.train import (
    HashModel,
    History,
    Progress,
    build_loss,
    build_model,
    encode,
    fit,
    method_recipe,
    method_title,
)

PRECISION_CUTOFF = 100
PRECISION_RADIUS = 2


class CenterDistance(NamedTuple):
    """How far apart the classes lie: the least Hamming distance between the majority codes of two classes.

    Attributes:
        least: over the codes of the database; None with fewer than two classes there.
        bound: no codes of as many classes as are there can be further apart (`tightest_distance` without its linear
            program); with fewer than two, of all classes.
    """

    least: int | None
    bound: int


@dataclass(frozen=True)
class MethodResult:
    """One trained and evaluated method.

    Attributes:
        name, title: of the method, on the command line and in tables.
        report: metrics of the codes; cutoffs are 100 and the whole database.
        center_distance: of the learned codes.
        distinct_codes: number of different codes in the database.
        query_codes, database_codes: packed, uint8.
        history: of the training run.
        model, loss: as trained.
    """

    name: str
    title: str
    report: RetrievalReport
    center_distance: CenterDistance
    distinct_codes: int
    query_codes: NDArray[np.uint8]
    database_codes: NDArray[np.uint8]
    history: History
    model: HashModel
    loss: HashLoss

    @property
    def precision_at(self) -> float:
        """Precision among the nearest 100 (or among all, in a smaller database)."""
        return self.report.precision_at[self.report.ks[0]]

    @property
    def precision_within(self) -> float:
        """Precision within Hamming radius 2."""
        return float(self.report.precision_within[min(PRECISION_RADIUS, self.report.bits)])

    def summary(self) -> dict[str, Any]:
        """The numbers of the summary table and what they depend on, ready for ``json.dumps``; no times, no paths."""
        last = self.history.records[-1]
        return {
            "title": self.title,
            "map": self.report.map,
            "map_bounds": list(self.report.map_bounds),
            f"precision_at_{self.report.ks[0]}": self.precision_at,
            f"precision_within_{PRECISION_RADIUS}": self.precision_within,
            "min_center_distance": self.center_distance.least,
            "center_distance_bound": self.center_distance.bound,
            "distinct_codes": self.distinct_codes,
            "bit_balance": last.bit_balance,
            "final_loss": last.loss,
            "bits": self.report.bits,
            "queries": self.report.num_queries,
            "database": self.report.num_database,
            "protocol": self.report.protocol,
            "training": dict(self.history.settings),
        }

    def settings(self, split: RetrievalSplit) -> dict[str, Any]:
        """What a checkpoint says about where the model comes from."""
        return {
            "method": self.name,
            "bits": self.report.bits,
            "num_classes": split.num_classes,
            "data": split.name,
            "protocol": split.protocol,
            "training": dict(self.history.settings),
            "versions": versions(),
        }


def run_method(
    split: RetrievalSplit,
    method: str,
    bits: int,
    *,
    epochs: int,
    seed: int = 0,
    hidden: int | None = None,
    preset: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    **training: Any,
) -> MethodResult:
    """Train one method from scratch on a split and evaluate it.

    Args:
        split: from `hashkernels.data`.
        method: one of `hashkernels.train.method_names`.
        bits: code length.
        epochs, seed, progress: as in `hashkernels.train.fit`; the seed also draws weights and centers.
        hidden: width of a hidden layer, for embeddings.
        preset: of the method's loss, as in `hashkernels.train.build_loss`.
        training: further options of `hashkernels.train.fit`, in place of the method's own.

    Raises:
        ValueError: an unknown method or a setting out of its range.
    """
    model = build_model(split.item_shape, bits, seed=seed, hidden=hidden)
    loss = build_loss(method, bits, split.num_classes, num_train=len(split.train_items), seed=seed, preset=preset)
    history = fit(
        model,
        loss,
        (split.train_items, split.train_labels),
        epochs=epochs,
        seed=seed,
        progress=progress,
        **dict(method_recipe(method).training) | training,
    )
    query_codes = encode(model, split.query_items.numpy())
    database_codes = encode(model, split.database_items.numpy())
    num_database = len(database_codes)
    query_labels, database_labels = split.query_labels.numpy(), split.database_labels.numpy()
    return MethodResult(
        name=method,
        title=method_title(method),
        report=evaluate(
            query_codes,
            database_codes,
            query_labels,
            database_labels,
            bits=bits,
            k=sorted({min(PRECISION_CUTOFF, num_database), num_database}),
        ),
        center_distance=center_distance(database_codes, database_labels, bits, split.num_classes),
        distinct_codes=len(np.unique(database_codes, axis=0)),
        query_codes=query_codes,
        database_codes=database_codes,
        history=history,
        model=model,
        loss=loss,
    )


def center_distance(codes: NDArray[np.uint8], labels: NDArray[Any], bits: int, num_classes: int) -> CenterDistance:
    """Least distance between the majority codes of the classes, and the bound on it.

    Args:
        codes: packed, uint8 [N, ceil(bits / 8)].
        labels: class ids [N] or multi-hot [N, num_classes]; a class without items is left out.

    Example:
        >>> codes = np.array([[0b11110000], [0b11110000], [0b00001111]], np.uint8)
        >>> center_distance(codes, np.array([0, 0, 1]), 8, 2)
        CenterDistance(least=8, bound=8)
    """
    signs = unpack_codes(codes, bits).astype(np.int64)
    if labels.ndim == 1:
        classes, places = np.unique(labels, return_inverse=True)
        votes = np.zeros((len(classes), bits), dtype=np.int64)
        np.add.at(votes, places, signs)
    else:
        votes = labels[:, labels.any(axis=0)].astype(np.int64).T @ signs
    majority = np.where(votes > 0, 1, -1).astype(np.int8)
    least = None
    if len(majority) > 1:
        least, num_classes = minimum_distance(majority), len(majority)
    return CenterDistance(least, tightest_distance(bits=bits, num_classes=num_classes, linear_program=False))


def versions() -> dict[str, str]:
    """Versions of what the numbers depend on."""
    return {
        "hashkernels": hashkernels.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "threads": str(torch.get_num_threads()),
    }
