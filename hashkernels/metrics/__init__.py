"""Retrieval metrics of binary codes: exact under ties, bit-identical everywhere."""

from __future__ import annotations

from hashkernels.metrics.code_statistics import CodeStatistics, code_statistics
from hashkernels.metrics.counts import RetrievalCounts, retrieval_counts
from hashkernels.metrics.evaluate import evaluate, evaluate_counts
from hashkernels.metrics.f_score import f_score, f_score_within
from hashkernels.metrics.hit_rate import hit_rate
from hashkernels.metrics.mis_rank import MisRanks, mis_ranks
from hashkernels.metrics.ndcg import ndcg
from hashkernels.metrics.query_metric import QueryMetric
from hashkernels.metrics.r_precision import r_precision
from hashkernels.metrics.report import (
    Bounds,
    CountTies,
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
    "CountTies",
    "Denominator",
    "DistanceHistogram",
    "MisRanks",
    "PerQuery",
    "PrecisionRecallCurve",
    "QueryMetric",
    "RetrievalCounts",
    "RetrievalReport",
    "Ties",
    "ZeroHit",
    "code_statistics",
    "evaluate",
    "evaluate_counts",
    "f_score",
    "f_score_within",
    "hit_rate",
    "mis_ranks",
    "ndcg",
    "r_precision",
    "retrieval_counts",
]
