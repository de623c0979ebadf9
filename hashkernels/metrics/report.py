"""What an evaluation found, with all that is needed to find it again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._validation import require
from hashkernels.metrics import _wording
from hashkernels.metrics.bootstrap import ConfidenceInterval, bootstrap_mean
from hashkernels.metrics.per_class import PerClass, QueryClasses, average_by_class
from hashkernels.metrics.protocols import ProtocolName

if TYPE_CHECKING:
    from hashkernels._page.pictures import NeighbourGrid
    from hashkernels.metrics._index_order import IndexOrder
    from hashkernels.metrics._pairs import Pairs
    from hashkernels.metrics.code_statistics import CodeStatistics
    from hashkernels.metrics.compat import CompatRow
    from hashkernels.metrics.counts import RetrievalCounts
    from hashkernels.metrics.curves import RadiusCurve, RankCurve, Unanswered, WithinRadius
    from hashkernels.metrics.mis_rank import MisRanks
    from hashkernels.metrics.query_metric import QueryMetric

FORMAT = "hashkernels evaluation 1"
"""What the dict of a report says it is."""

Ties = Literal["expected", "index", "optimistic", "pessimistic"]
CountTies = Literal["expected", "optimistic", "pessimistic"]
Denominator = Literal["hits", "min", "relevant"]
ZeroHit = Literal["zero", "skip", "error"]


class Bounds(NamedTuple):
    """Least and greatest value over all orders of the ties."""

    lo: float
    hi: float


class DistanceHistogram(NamedTuple):
    """Pairs of a query and a database item at each distance 0..bits, summed over the queries: int64 [bits + 1] each."""

    relevant: npt.NDArray[np.int64]
    irrelevant: npt.NDArray[np.int64]


class PrecisionRecallCurve(NamedTuple):
    """Mean precision and mean recall within each Hamming radius 0..bits: float64 [bits + 1] each."""

    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]


class PerQuery(NamedTuple):
    """Values of each query at the largest k, [Q] each.

    average_precision: float64, under the tie rule of the report.
    least, greatest: float64, its exact bounds over all orders of ties.
    relevant: int64, relevant items in the whole database.
    hits: float64, relevant items within k: exact under the rule, their mean number for "expected".
    counted: bool, False where ``zero_hit="skip"`` left the query out of ``map``.
    """

    average_precision: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    greatest: npt.NDArray[np.float64]
    relevant: npt.NDArray[np.int64]
    hits: npt.NDArray[np.float64]
    counted: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RankingReport:
    """Result of an evaluation of any ranking with ties, such as ``evaluate_scores``. All arrays are NumPy arrays.

    Attributes:
        map: mean average precision at the largest k asked for.
        map_bounds: (lo, hi), the exact least and greatest ``map`` over all orders of ties, over the same queries.
        map_expected: the same mean under ties="expected", whatever rule ``map`` is under.
        map_index: the same mean in the order of the database, where it was asked for; else None.
        map_at, precision_at, recall_at: value for each k asked for.
        per_query: values of each query at the largest k.
        ks, ties, denominator, zero_hit, num_queries, num_database: the settings that the numbers depend on; ``ks``
            ascends.
        num_ranked: length of the longest ranking, less than ``num_database`` only where items were left out.
        num_counted: queries in the mean ``map``; fewer than ``num_queries`` only with ``zero_hit="skip"``.
        protocol_name: the named protocol that was asked for, or None.
        query_classes: labels of the queries, where they were given.
    """

    map: float
    map_bounds: Bounds
    map_expected: float
    map_index: float | None
    map_at: Mapping[int, float]
    precision_at: Mapping[int, float]
    recall_at: Mapping[int, float]
    per_query: PerQuery
    ks: tuple[int, ...]
    ties: Ties
    denominator: Denominator
    zero_hit: ZeroHit
    num_queries: int
    num_database: int
    num_ranked: int
    num_counted: int
    protocol_name: ProtocolName | None = None
    query_classes: QueryClasses | None = None

    @property
    def code_length(self) -> int | None:
        """Bits of a code, where codes were ranked."""
        return None

    @property
    def protocol(self) -> str:
        """One line to print beside the number: with it, and the same codes and labels, anyone finds the same number."""
        return _wording.protocol_line(self)

    def quote(self, *, digits: int = 4) -> str:
        """The result in one line that a paper can print: the value under each reading of ties, and every setting.

        Args:
            digits: after the point, in 1..15.

        Returns:
            The expected value, the value in index order where it was asked for (``index_order=True``, ties="index" or a
            protocol), the interval over all orders, and the settings.
        """
        return _wording.quote(self, digits)

    def bootstrap(
        self, *, num_resamples: int = 1000, confidence: float = 0.95, seed: int | np.random.Generator = 0
    ) -> ConfidenceInterval:
        """Confidence interval of ``map`` over the draw of the queries: see ``bootstrap_mean``."""
        values = self.per_query.average_precision[self.per_query.counted]
        return bootstrap_mean(values, num_resamples=num_resamples, confidence=confidence, seed=seed)

    def per_class(self) -> PerClass:
        """Mean average precision of the queries of each class, and the mean over classes.

        A query with several labels counts in each of its classes; a class without a counted query is left out.

        Raises:
            ValueError: the evaluation was not given labels.
        """
        if self.query_classes is None:
            raise ValueError("per_class needs an evaluation with labels: counts, relevance and scores name no classes")
        return average_by_class(self.query_classes, self.per_query.average_precision, self.per_query.counted)

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for ``json.dumps``; keys that are cutoffs become strings.

        Args:
            per_query: also list the values of every query.
        """
        settings = ("ties", "denominator", "zero_hit", "num_queries", "num_database", "num_counted")
        result: dict[str, Any] = {
            "map": self.map,
            "map_bounds": list(self.map_bounds),
            "map_expected": self.map_expected,
            "map_index": self.map_index,
            "map_at": {str(k): value for k, value in self.map_at.items()},
            "precision_at": {str(k): value for k, value in self.precision_at.items()},
            "recall_at": {str(k): value for k, value in self.recall_at.items()},
            "settings": {"k": list(self.ks), **{name: getattr(self, name) for name in settings}},
            "protocol": self.protocol,
            "protocol_name": self.protocol_name,
        }
        if per_query:
            result["per_query"] = {name: part.tolist() for name, part in self.per_query._asdict().items()}
        return result

    def __repr__(self) -> str:  # one line, not every array: what a notebook shows
        return f"{type(self).__name__}({self.quote()})"

    def __str__(self) -> str:
        return "\n".join(_wording.summary_lines(self))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class RetrievalReport(RankingReport):
    """Result of ``hashkernels.evaluate``. All arrays are NumPy arrays, whatever came in and on whichever device.

    Attributes:
        precision_within: float64 [bits + 1], mean precision among the items within each Hamming radius; a query with
            nothing within the radius counts as 0.
        recall_within: float64 [bits + 1], mean share of the relevant items within each radius.
        distance_histogram: pairs of relevant and of irrelevant items at each distance.
        bits: code length.
        counts: what the metrics were found from; other metrics and settings can be found from it at no cost.
        query_statistics, database_statistics: use of the bits by the codes, where ``statistics=True`` asked for it.
        index_order: hits and summed precision of each query in index order, by cutoff, where it was asked for.
        gains: what ``ndcg`` needs of relevance whose gains differ.

    Further attributes as in ``RankingReport``.
    """

    precision_within: npt.NDArray[np.float64]
    recall_within: npt.NDArray[np.float64]
    distance_histogram: DistanceHistogram
    bits: int
    counts: RetrievalCounts
    query_statistics: CodeStatistics | None = None
    database_statistics: CodeStatistics | None = None
    index_order: Mapping[int, IndexOrder] | None = None
    gains: Pairs | None = None

    @property
    def code_length(self) -> int | None:
        """Bits of a code."""
        return self.bits

    @property
    def pr_curve(self) -> PrecisionRecallCurve:
        """Precision against recall by Hamming radius 0..bits, which no order of ties can change."""
        return PrecisionRecallCurve(self.precision_within, self.recall_within)

    def f_score(self, k: int) -> QueryMetric:
        """``f_score`` at k under the tie rule of the report."""
        from hashkernels.metrics.f_score import f_score

        return f_score(self.counts, k, ties=self._count_ties("f_score"))

    def f_score_within(self) -> npt.NDArray[np.float64]:
        """``f_score_within``: mean F-score within each Hamming radius, float64 [bits + 1]."""
        from hashkernels.metrics.f_score import f_score_within

        return f_score_within(self.counts)

    def hit_rate(self, k: int) -> QueryMetric:
        """``hit_rate`` at k under the tie rule of the report."""
        from hashkernels.metrics.hit_rate import hit_rate

        return hit_rate(self.counts, k, ties=self._count_ties("hit_rate"))

    def r_precision(self) -> QueryMetric:
        """``r_precision`` under the tie rule of the report."""
        from hashkernels.metrics.r_precision import r_precision

        return r_precision(self.counts, ties=self._count_ties("r_precision"))

    def average_precision_at_r(self) -> QueryMetric:
        """``average_precision_at_r``, the MAP@R of metric learning, under the tie rule of the report."""
        from hashkernels.metrics.average_precision_at_r import average_precision_at_r

        return average_precision_at_r(self.counts, ties=self._count_ties("average_precision_at_r"))

    def ndcg(self, k: int | None = None) -> QueryMetric:
        """NDCG at k under the tie rule of the report: with the gains of ``relevance=``, else with gain 1."""
        from hashkernels.metrics.graded import graded_ndcg_of_pairs
        from hashkernels.metrics.ndcg import ndcg

        if self.gains is not None:
            return graded_ndcg_of_pairs(self.counts, self.gains, k, self._count_ties("ndcg"))
        return ndcg(self.counts, k, ties=self._count_ties("ndcg"))

    def mis_ranks(self) -> MisRanks:
        """``mis_ranks`` under the tie rule of the report."""
        from hashkernels.metrics.mis_rank import mis_ranks

        return mis_ranks(self.counts, ties=self._count_ties("mis_ranks"))

    def rank_curve(self, ranks: Sequence[int] | None = None) -> RankCurve:
        """``rank_curve``: precision and recall at many ranks, expected over ties, with the band of all their orders."""
        from hashkernels.metrics.curves import rank_curve

        return rank_curve(self.counts, ranks, unanswerable=self._unanswerable())

    def radius_curve(self) -> RadiusCurve:
        """``radius_curve``: precision, recall and average precision within each radius, with standard errors."""
        from hashkernels.metrics.curves import radius_curve

        return radius_curve(self.counts, unanswerable=self._unanswerable())

    def within_radius(
        self, radius: int, *, empty_ball: Unanswered = "zero", zero_hit: Unanswered = "zero"
    ) -> WithinRadius:
        """``within_radius`` under the tie rule of the report."""
        from hashkernels.metrics.curves import within_radius

        ties = self._count_ties("within_radius")
        return within_radius(self.counts, radius, empty_ball=empty_ball, zero_hit=zero_hit, ties=ties)

    def compat(self) -> tuple[CompatRow, ...]:
        """What known evaluators would have found at the largest k: see ``hashkernels.metrics.compat``.

        Raises:
            ValueError: the order of the database is not known; ask ``evaluate`` for it with ``index_order=True``.
        """
        from hashkernels.metrics.compat import compat_rows

        return compat_rows(self)

    def compat_table(self) -> str:
        """``compat`` as a text table."""
        from hashkernels.metrics.compat import compat_text

        return compat_text(self.compat())

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for ``json.dumps``; keys that are cutoffs become strings.

        Args:
            per_query: also list the values of every query.
        """
        result = {"format": FORMAT, **super().to_dict(per_query=per_query)}
        result["settings"] = {"bits": self.bits, **result["settings"]}
        result["quote"] = self.quote()
        radii, ranks = self.radius_curve()._asdict(), self.rank_curve()
        names = {"precision": "precision_within", "recall": "recall_within", "average_precision": "map_within"}
        result |= {kept: radii[name].tolist() for name, kept in names.items()}
        result["standard_errors"] = {kept: radii[f"{name}_error"].tolist() for name, kept in names.items()}
        result["rank_curve"] = {
            "ranks": ranks.ranks.tolist(),
            "precision": {name: part.tolist() for name, part in ranks.precision._asdict().items()},
            "recall": {name: part.tolist() for name, part in ranks.recall._asdict().items()},
        }
        result["distance_histogram"] = {name: part.tolist() for name, part in self.distance_histogram._asdict().items()}
        for name in ("query_statistics", "database_statistics"):
            statistics = getattr(self, name)
            if statistics is not None:
                result[name] = statistics.to_dict()
        if self.query_classes is not None:
            classes = self.per_class()._asdict()
            result["per_class"] = {n: part if n == "macro" else part.tolist() for n, part in classes.items()}
        if self.index_order is not None:
            result["compat"] = [row._asdict() for row in self.compat()]
        return result

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        title: str | None = None,
        grid: NeighbourGrid | None = None,
        command: str | None = None,
    ) -> None:
        """Write a page that a browser shows, or all numbers as JSON, by the ending of the name; never half of a file.

        Args:
            path: ends in .html or .json. What is there is replaced. A JSON file is what ``hashkernels compare`` takes.
            title: of the run; default the name of the file.
            grid: images of queries with their neighbours, for the page: see ``query_grid``.
            command: the command line that made the page.

        Raises:
            ValueError: another ending. OSError: the file cannot be written. ImportError: a page without matplotlib or
            jinja2 (``pip install 'hashkernels[report]'``).
        """
        from hashkernels.metrics.pages.save import save_report

        save_report(self, path, title=title, grid=grid, command=command)

    def plot_pr(self, axes: Any = None, **look: Any) -> Any:
        """Draw precision against recall by Hamming radius.

        Args:
            axes: matplotlib axes; default those of a new figure. Every further report that is drawn on the same axes
                gets another colour, line style and marker.
            look: goes to ``Axes.plot``.

        Returns:
            The axes.

        Raises:
            ImportError: no matplotlib (``pip install 'hashkernels[report]'``).
        """
        return self._draw("draw_pr", axes, look)

    def plot_precision_at(self, axes: Any = None, **look: Any) -> Any:
        """Draw precision among the first k items, with the band of all orders of ties; as ``plot_pr``."""
        return self._draw("draw_at_rank", axes, look, value="precision")

    def plot_recall_at(self, axes: Any = None, **look: Any) -> Any:
        """Draw recall among the first k items, with the band of all orders of ties; as ``plot_pr``."""
        return self._draw("draw_at_rank", axes, look, value="recall")

    def plot_precision_within(self, axes: Any = None, **look: Any) -> Any:
        """Draw precision within each radius, with the 95 % interval over queries; as ``plot_pr``."""
        return self._draw("draw_within", axes, look, value="precision")

    def plot_map_within(self, axes: Any = None, **look: Any) -> Any:
        """Draw mean average precision within each radius, with the 95 % interval over queries; as ``plot_pr``."""
        return self._draw("draw_within", axes, look, value="map")

    def plot_distances(self, axes: Any = None) -> Any:
        """Draw the shares of relevant and of other pairs at each distance; axes as ``plot_pr``."""
        from hashkernels.metrics.pages.figures import draw_distances

        axes = _axes(axes)
        draw_distances(axes, self.to_dict())
        return axes

    def plot_per_class(self, axes: Any = None, **look: Any) -> Any:
        """Draw mean average precision of each class, least first; as ``plot_pr``, where ``look`` may hold a color and a
        label."""
        return self._draw("draw_per_class", axes, look)

    def __str__(self) -> str:
        return "\n".join(
            [*_wording.summary_lines(self), *_wording.radius_lines(self), *_wording.statistics_lines(self)]
        )

    def _count_ties(self, metric: str) -> CountTies:
        if self.ties == "index":
            raise ValueError(
                f'{metric} must be asked for under ties other than "index", which counts by distance do not know: '
                f"call hashkernels.metrics.{metric} with report.counts"
            )
        return self.ties

    def _unanswerable(self) -> Unanswered:
        return "skip" if self.zero_hit == "skip" else "zero"

    def _draw(self, name: str, axes: Any, look: Mapping[str, Any], **options: Any) -> Any:
        from hashkernels._page.figures import look_of
        from hashkernels.metrics.pages import figures

        axes = _axes(axes)
        getattr(figures, name)(axes, self.to_dict(), {**look_of(len(axes.lines)), **look}, **options)
        return axes


def _axes(axes: Any) -> Any:
    """The axes, or new ones for None."""
    return require("matplotlib.pyplot", extra="report").subplots()[1] if axes is None else axes
