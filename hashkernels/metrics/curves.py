"""Mean precision and recall along the ranking, and within each Hamming radius, with bands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats
from hashkernels._validation import check_choice, check_int
from hashkernels.metrics._assemble import blocks
from hashkernels.metrics._average_precision import precision_sums
from hashkernels.metrics._fixed import FIXED_ONE, fixed_mean, fixed_means, fixed_sum
from hashkernels.metrics._ranking import Ranking, hits_at
from hashkernels.metrics.counts import RetrievalCounts
from hashkernels.metrics.query_metric import check_count_rule, check_counts, check_cutoff
from hashkernels.metrics.report import CountTies

_NUM_RANKS = 48
_RULES: tuple[CountTies, ...] = ("expected", "pessimistic", "optimistic")

Unanswered = Literal["zero", "skip"]


class TieBand(NamedTuple):
    """Mean over the queries at each rank: its exact mean, least and greatest value over all orders of ties."""

    expected: npt.NDArray[np.float64]
    least: npt.NDArray[np.float64]
    greatest: npt.NDArray[np.float64]


class RankCurve(NamedTuple):
    """ranks: int64 [K], ascending. precision, recall: of the first k items, [K] each."""

    ranks: npt.NDArray[np.int64]
    precision: TieBand
    recall: TieBand


class RadiusCurve(NamedTuple):
    """Means over the queries within each Hamming radius 0..bits, float64 [bits + 1] each.

    precision: an empty ball counts as 0. recall. average_precision: exact mean over the orders of ties, over the hits
    in the ball; without a hit 0. The errors are standard errors of the means over the draw of the queries.
    """

    precision: npt.NDArray[np.float64]
    recall: npt.NDArray[np.float64]
    average_precision: npt.NDArray[np.float64]
    precision_error: npt.NDArray[np.float64]
    recall_error: npt.NDArray[np.float64]
    average_precision_error: npt.NDArray[np.float64]


class WithinRadius(NamedTuple):
    """Means over the queries of what lies within a Hamming radius.

    precision, recall, map: means under the policies asked for. num_empty: queries with nothing within the radius.
    num_without_hit: queries with nothing relevant there, the empty ones included.
    """

    precision: float
    recall: float
    map: float
    num_empty: int
    num_without_hit: int


def rank_curve(
    counts: RetrievalCounts, ranks: Sequence[int] | None = None, *, unanswerable: Unanswered = "zero"
) -> RankCurve:
    """Precision and recall among the first k items, for many k, under every order of ties.

    Args:
        counts: from ``retrieval_counts``.
        ranks: cutoffs in 1..N; default about 50, spaced evenly on a log scale from 1 to N.
        unanswerable: what a query with nothing relevant in the whole database means: "zero", or "skip", not counted.

    Returns:
        RankCurve.

    Raises:
        ValueError: a rank or a policy out of range; "skip" where no query has anything relevant.
        TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, rank_curve
        >>> curve = rank_curve(RetrievalCounts(np.array([[2, 2]]), np.array([[1, 1]])), (1, 2, 4))
        >>> curve.precision.expected.tolist(), curve.precision.least.tolist(), curve.recall.greatest.tolist()
        ([0.5, 0.5, 0.5], [0.0, 0.5, 0.5], [0.5, 0.5, 1.0])
    """
    counts = check_counts(counts)
    check_choice("unanswerable", unanswerable, get_args(Unanswered))
    if ranks is None:
        spaced = np.unique(np.rint(np.geomspace(1, counts.num_ranked, _NUM_RANKS)).astype(np.int64))
    else:
        if not np.iterable(ranks):
            raise TypeError(f"ranks must be a sequence of cutoffs, got {type(ranks).__name__}")
        spaced = np.unique(np.array([check_cutoff(k, counts) for k in ranks], dtype=np.int64))
    total: Any = np.zeros((2, len(_RULES), spaced.size), dtype=object)
    counted = 0
    for _, ranking in blocks(counts):
        chosen = _answerable(ranking, unanswerable)
        counted += int(chosen.sum())
        relevant = np.maximum(ranking.relevant, 1)
        for column, k in enumerate(spaced.tolist()):
            spread = hits_at(ranking.cut(k))
            hits = np.stack([spread.under(rule) for rule in _RULES])
            total[0, :, column] += fixed_sum((hits / k)[:, chosen])
            total[1, :, column] += fixed_sum((hits / relevant)[:, chosen])
    _check_counted(counted, "relevant in the database")
    precision, recall = (TieBand(*(fixed_means(values, counted) for values in part)) for part in total)
    return RankCurve(spaced, precision, recall)


def radius_curve(counts: RetrievalCounts, *, unanswerable: Unanswered = "zero") -> RadiusCurve:
    """Precision, recall and mean average precision within each Hamming radius, with standard errors.

    Args:
        counts, unanswerable: as in ``rank_curve``.

    Raises:
        ValueError, TypeError: as ``rank_curve``.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, radius_curve
        >>> curve = radius_curve(RetrievalCounts(np.array([[0, 2], [1, 1]]), np.array([[0, 1], [1, 0]])))
        >>> curve.precision.tolist(), curve.recall.tolist(), curve.precision_error.tolist()
        ([0.5, 0.5], [0.5, 1.0], [0.5, 0.0])
    """
    counts = check_counts(counts)
    check_choice("unanswerable", unanswerable, get_args(Unanswered))
    total: Any = np.zeros((3, counts.bits + 1), dtype=object)
    squares = total.copy()
    counted = 0
    for _, ranking in blocks(counts):
        chosen = _answerable(ranking, unanswerable)
        counted += int(chosen.sum())
        values = _in_balls(ranking, "expected")[..., chosen]
        total += fixed_sum(values)
        squares += fixed_sum(values * values)
    _check_counted(counted, "relevant in the database")
    return RadiusCurve(*(fixed_means(part, counted) for part in total), *_standard_errors(total, squares, counted))


def within_radius(
    counts: RetrievalCounts,
    radius: int,
    *,
    empty_ball: Unanswered = "zero",
    zero_hit: Unanswered = "zero",
    ties: CountTies = "expected",
) -> WithinRadius:
    """Precision, recall and mean average precision among the items within one Hamming radius.

    Papers that re-rank a ball differ in what an empty one means; here the policy has a name.

    Args:
        counts: from ``retrieval_counts``.
        radius: in 0..bits, inclusive.
        empty_ball: a query with nothing within the radius has precision and average precision 0 ("zero"), or is left
            out of both means ("skip"). It counts in recall.
        zero_hit: a query with nothing relevant within the radius has average precision 0 ("zero"), or is left out of
            that mean ("skip").
        ties: rule for average precision; precision and recall know no ties.

    Returns:
        WithinRadius; average precision is over the relevant items within the radius.

    Raises:
        ValueError: an argument out of range, or policies that leave no query. TypeError: counts of another type.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import RetrievalCounts, within_radius
        >>> counts = RetrievalCounts(np.array([[0, 2], [1, 1]]), np.array([[0, 1], [1, 0]]))
        >>> within_radius(counts, 0).map, within_radius(counts, 0, empty_ball="skip").map
        (0.5, 1.0)
    """
    counts, rule = check_counts(counts), check_count_rule(ties)
    radius = check_int("radius", radius, 0, counts.bits)
    check_choice("empty_ball", empty_ball, get_args(Unanswered))
    check_choice("zero_hit", zero_hit, get_args(Unanswered))
    items, hits, values = [], [], []
    for _, ranking in blocks(counts):
        items.append(ranking.ends[radius])
        hits.append(ranking.positive_ends[radius])
        values.append(_in_balls(ranking, rule)[:, radius])
    found, relevant, (precision, recall, average) = (np.concatenate(part, axis=-1) for part in (items, hits, values))
    in_precision = (found > 0) | (empty_ball == "zero")
    in_map = in_precision & ((relevant > 0) | (zero_hit == "zero"))
    _check_counted(int(in_map.sum()), f"within radius {radius}")
    return WithinRadius(
        precision=_mean(precision, in_precision),
        recall=_mean(recall, np.ones_like(in_map)),
        map=_mean(average, in_map),
        num_empty=int((found == 0).sum()),
        num_without_hit=int((relevant == 0).sum()),
    )


def _in_balls(ranking: Ranking, rule: str) -> Floats:
    """Precision, recall and average precision within each radius, [3, bits + 1, Q]."""
    hits = ranking.positive_ends
    average = precision_sums(ranking).under(rule)[1:] / np.maximum(hits, 1)
    return np.stack(
        [hits / np.maximum(ranking.ends, 1), hits / np.maximum(ranking.relevant, 1), np.minimum(average, 1.0)]
    )


def _answerable(ranking: Ranking, unanswerable: str) -> npt.NDArray[np.bool_]:
    return (ranking.relevant > 0) | (unanswerable != "skip")


def _check_counted(counted: int, where: str) -> None:
    if counted == 0:
        raise ValueError(f'counts must hold a query with something {where} where others are left out ("skip")')


def _mean(values: Floats, chosen: npt.NDArray[np.bool_]) -> float:
    return fixed_mean(fixed_sum(values[chosen]).item(), int(chosen.sum()))


def _standard_errors(total: Any, squares: Any, count: int) -> list[Floats]:
    """Of means of ``count`` values, from the fixed-point sums of the values and of their squares."""
    spread = np.maximum(count * squares * FIXED_ONE - total * total, 0)
    scale = count * count * max(count - 1, 1) * FIXED_ONE**2
    return [np.sqrt(np.array([value / scale for value in part], dtype=np.float64)) for part in spread.tolist()]
