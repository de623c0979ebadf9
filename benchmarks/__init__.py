"""Benchmarks: one file a kernel or loss. Each case first checks every contender's result, then times them in turn.

``hashkernels bench`` runs them and prints ratios; ``pytest benchmarks`` runs the same cases under pytest-benchmark.
"""

from __future__ import annotations

from . import descent, distance, evaluation, index, losses, margin_loss, metrics, packing, search, surrogate
from .harness import Case, Measurement, Trial, environment, measure, thread_limit
from .limits import machine_limits
from .search import data_set_cases

__all__ = [
    "CASES",
    "Case",
    "Measurement",
    "Trial",
    "data_set_cases",
    "environment",
    "machine_limits",
    "measure",
    "thread_limit",
]

CASES: tuple[Case, ...] = (
    *packing.CASES,
    *distance.CASES,
    *search.CASES,
    *index.CASES,
    *metrics.CASES,
    *evaluation.CASES,
    *margin_loss.CASES,
    *losses.CASES,
    *surrogate.CASES,
    *descent.CASES,
)
