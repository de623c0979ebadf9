"""Retrieval metrics of binary codes: exact under ties, bit-identical everywhere."""

from __future__ import annotations

from typing import Any

from hashkernels.metrics._pairs import qrels_relevance
from hashkernels.metrics.average_precision_at_r import average_precision_at_r
from hashkernels.metrics.bootstrap import ConfidenceInterval, bootstrap_mean
from hashkernels.metrics.callback import RetrievalCallback
from hashkernels.metrics.code_statistics import CodeStatistics, code_statistics
from hashkernels.metrics.compat import CompatRow
from hashkernels.metrics.counts import RetrievalCounts, retrieval_counts
from hashkernels.metrics.curves import (
    RadiusCurve,
    RankCurve,
    TieBand,
    Unanswered,
    WithinRadius,
    radius_curve,
    rank_curve,
    within_radius,
)
from hashkernels.metrics.evaluate import evaluate, evaluate_counts
from hashkernels.metrics.evaluator import RetrievalEvaluator, Role
from hashkernels.metrics.f_score import f_score, f_score_within
from hashkernels.metrics.hit_rate import hit_rate
from hashkernels.metrics.loaders import evaluate_loaders
from hashkernels.metrics.lower_bound import (
    RankExtremes,
    average_precision_bound,
    lowest_average_precision,
    rank_extremes,
)
from hashkernels.metrics.mis_rank import MisRanks, mis_ranks
from hashkernels.metrics.ndcg import ndcg
from hashkernels.metrics.neighbours import HammingNeighbours
from hashkernels.metrics.pages.grids import query_grid
from hashkernels.metrics.per_class import PerClass
from hashkernels.metrics.protocols import PROTOCOLS, Protocol, ProtocolName
from hashkernels.metrics.query_metric import QueryMetric
from hashkernels.metrics.r_precision import r_precision
from hashkernels.metrics.recognition import (
    LogisticRecognition,
    NeighbourRecognition,
    knn_recognition,
    logistic_recognition,
)
from hashkernels.metrics.report import (
    Bounds,
    CountTies,
    Denominator,
    DistanceHistogram,
    PerQuery,
    PrecisionRecallCurve,
    RankingReport,
    RetrievalReport,
    Ties,
    ZeroHit,
)
from hashkernels.metrics.scores import evaluate_scores
from hashkernels.metrics.separation import (
    ClassDistances,
    Separation,
    SeparationTracker,
    class_distances,
    majority_centers,
    separation,
)

__all__ = [
    "PROTOCOLS",
    "Bounds",
    "ClassDistances",
    "CodeStatistics",
    "CompatRow",
    "ConfidenceInterval",
    "CountTies",
    "Denominator",
    "DistanceHistogram",
    "HammingNeighbours",
    "HashRetrievalMetric",
    "LogisticRecognition",
    "MisRanks",
    "NeighbourRecognition",
    "PerClass",
    "PerQuery",
    "PrecisionRecallCurve",
    "Protocol",
    "ProtocolName",
    "QueryMetric",
    "RadiusCurve",
    "RankCurve",
    "RankExtremes",
    "RankingReport",
    "RetrievalCallback",
    "RetrievalCounts",
    "RetrievalEvaluator",
    "RetrievalReport",
    "Role",
    "Separation",
    "SeparationTracker",
    "TieBand",
    "Ties",
    "Unanswered",
    "WithinRadius",
    "ZeroHit",
    "average_precision_at_r",
    "average_precision_bound",
    "bootstrap_mean",
    "class_distances",
    "code_statistics",
    "evaluate",
    "evaluate_counts",
    "evaluate_loaders",
    "evaluate_scores",
    "f_score",
    "f_score_within",
    "hit_rate",
    "knn_recognition",
    "logistic_recognition",
    "lowest_average_precision",
    "majority_centers",
    "mis_ranks",
    "ndcg",
    "qrels_relevance",
    "query_grid",
    "r_precision",
    "radius_curve",
    "rank_curve",
    "rank_extremes",
    "retrieval_counts",
    "separation",
    "within_radius",
]


def __getattr__(name: str) -> Any:
    if name == "HashRetrievalMetric":
        # subclasses a class of torchmetrics, which not everyone has
        from hashkernels.metrics import torchmetrics_adapter

        return torchmetrics_adapter.HashRetrievalMetric
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
