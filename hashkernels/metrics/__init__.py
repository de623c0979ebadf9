"""Retrieval metrics of binary codes: exact under ties, bit-identical everywhere."""

from __future__ import annotations

from hashkernels.metrics.code_statistics import CodeStatistics, code_statistics
from hashkernels.metrics.counts import RetrievalCounts, retrieval_counts
from hashkernels.metrics.evaluate import evaluate, evaluate_counts
from hashkernels.metrics.report import (
    Bounds,
    Denominator,
    DistanceHistogram,
    PerQuery,
    PrecisionRecallCurve,
    RetrievalReport,
    Ties,
    ZeroHit,
)

__all__ = [
    "Bounds",
    "CodeStatistics",
    "Denominator",
    "DistanceHistogram",
    "PerQuery",
    "PrecisionRecallCurve",
    "RetrievalCounts",
    "RetrievalReport",
    "Ties",
    "ZeroHit",
    "code_statistics",
    "evaluate",
    "evaluate_counts",
    "retrieval_counts",
]
