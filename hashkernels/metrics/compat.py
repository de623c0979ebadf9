"""What the evaluators in common use would have printed for the same codes and labels.

They differ in the order of ties, the denominator of average precision, and what becomes of a query without a hit. Where
their own sort is not stable, index order stands for it: then their number depends on the machine.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashkernels._ops.sums import Floats
from hashkernels.metrics._assemble import assemble, blocks
from hashkernels.metrics._fixed import fixed_mean, fixed_sum
from hashkernels.metrics._ranking import Ranking
from hashkernels.metrics._settings import Settings
from hashkernels.metrics.report import Denominator, RetrievalReport, Ties, ZeroHit

_DENOMINATORS: tuple[Denominator, Denominator] = ("hits", "relevant")


class CompatRow(NamedTuple):
    """One evaluator: its name, how it reads ties, denominator and queries without a hit, and the mAP that it gives.

    ``map`` is None where it would have nothing to average.
    """

    evaluator: str
    definition: str
    map: float | None


def compat_rows(report: RetrievalReport) -> tuple[CompatRow, ...]:
    """What each evaluator would have found at the largest k of ``report``.

    Args:
        report: of ``hashkernels.evaluate`` with ``index_order=True``, ties="index" or a protocol.

    Returns:
        CompatRow for each. Evaluators that know no cutoff are there only where the whole database is ranked.

    Raises:
        ValueError: the order of the database is not known.

    Example:
        >>> import numpy as np
        >>> import hashkernels as hk
        >>> codes = np.array([[0], [0], [1], [255]], dtype=np.uint8)
        >>> labels = np.array([1, 0, 1, 2])
        >>> report = hk.evaluate(codes[:1], codes, labels[:1], labels, index_order=True)
        >>> {row.evaluator: round(row.map, 4) for row in report.compat()}["usual loop"]
        0.8333
    """
    if report.index_order is None:
        raise ValueError("compat needs the order of the database: evaluate with index_order=True or a protocol")
    k = report.ks[-1]
    relevant = report.per_query.relevant

    def value(ties: Ties, denominator: Denominator, zero_hit: ZeroHit) -> float | None:
        settings = Settings((k,), ties, denominator, zero_hit)
        try:
            return assemble(report.counts, settings, report.index_order).map
        except ValueError:  # "skip" without a query that counts
            return None

    over_hits, over_all = (
        assemble(report.counts, Settings((k,), "index", denominator, "zero"), report.index_order).per_query
        for denominator in _DENOMINATORS
    )
    labelled = np.ones(relevant.shape, dtype=np.bool_) if report.query_classes is None else report.query_classes.any()
    first_hit = report.index_order[1].hits / np.maximum(over_hits.hits, 1.0)
    rows = [
        CompatRow("usual loop", "index order, over hits, no hit is 0", value("index", "hits", "zero")),
        CompatRow("HashNet, thulab", "index order, over hits, no hit is left out", value("index", "hits", "skip")),
        CompatRow(
            "CSQ",
            "index order, over hits, no hit is 0, queries without a label are left out",
            _mean(over_hits.average_precision[labelled]),
        ),
        CompatRow("torchmetrics", "index order, over hits, no hit is 0", value("index", "hits", "zero")),
        CompatRow(
            "pytorch-metric-learning 2.9",
            "index order, over all relevant, nothing relevant is left out",
            _mean(over_all.average_precision[relevant > 0]),
        ),
        CompatRow(
            "TALR",
            "index order, over hits, no hit is 0, a hit at rank 1 adds nothing",
            _mean(np.maximum(over_hits.average_precision - first_hit, 0.0)),
        ),
        CompatRow("over min(k, R)", "index order, over min(k, relevant), no hit is 0", value("index", "min", "zero")),
    ]
    if k >= report.num_ranked:
        merged = np.concatenate([_merged_ties(ranking) for _, ranking in blocks(report.counts)])
        rows.append(CompatRow("scikit-learn", "ties merged, nothing relevant is 0", _mean(merged)))
    rule = f"over {report.denominator}, no hit is {report.zero_hit}"
    rules: tuple[Ties, ...] = ("expected", "optimistic", "pessimistic")
    rows += [
        CompatRow(f"hashkernels, {ties}", rule, value(ties, report.denominator, report.zero_hit)) for ties in rules
    ]
    return tuple(rows)


def compat_text(rows: tuple[CompatRow, ...]) -> str:
    """The rows as a table."""
    names = max(len(row.evaluator) for row in rows)
    return "\n".join(
        f"{row.evaluator:<{names}}  {'-' if row.map is None else format(row.map, '.6f'):>8}  {row.definition}"
        for row in rows
    )


def _mean(values: Floats) -> float | None:
    return fixed_mean(fixed_sum(values).item(), values.size) if values.size else None


def _merged_ties(ranking: Ranking) -> Floats:
    """Precision at the end of each tie, times its share of the relevant items."""
    precision = ranking.positive_ends / np.maximum(ranking.ends, 1)
    total = (precision * ranking.positives).cumsum(axis=0)[-1]
    merged: Floats = np.minimum(total / np.maximum(ranking.relevant, 1), 1.0)
    return merged
