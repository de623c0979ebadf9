"""Average precision over all orders of ties, in closed form from the counts at each distance.

With N and P items and relevant items before a tie of n items, p of them relevant, k of whose places are within the
cutoff:

- the exact mean of the precision summed over the relevant places of the tie is (McSherry and Najork 2008)
  (p / n) [(P + 1) A + m B], m = (p - 1) / (n - 1), A = sum of 1/(N + t), B = sum of (t - 1)/(N + t) over t = 1..k;
- with h relevant items one after the other from rank N + 1, the sum is (P + 1) A + B over t = 1..h: the greatest that
  h of them can give. Placed last among the k places they start from rank N + k - h + 1, and give the least.

Every term is positive, so nothing cancels. The formulas themselves are in ``hashkernels._ops.sums``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hashkernels._ops.sums import Ints, cut_precision_sums, mean_in_tie, run_of_positives, tie_precision_sums
from hashkernels.metrics._over_hits import expected_over_hits, greatest_over_hits, least_over_hits
from hashkernels.metrics._ranking import Cut, Ranking, Spread


def precision_sums(ranking: Ranking) -> Spread:
    """Precision summed over the relevant ranks of the first j ties, float64 [bits + 2, Q] for j = 0..bits + 1."""
    return Spread(*tie_precision_sums(ranking.size, ranking.positives))


class CutSums(NamedTuple):
    """A cutoff of some queries, precision summed over the ties before the one that is cut, and relevant items [Q]."""

    cut: Cut
    whole: Spread
    relevant: Ints

    @classmethod
    def of(cls, total: Ints, relevant: Ints, ks: Sequence[int], threads: int | None) -> list[CutSums]:
        """At each of the ascending cutoffs, from counts [Q, B] of all and of relevant items in each tie."""
        found, cuts, sums = cut_precision_sums(total, relevant, ks, threads)
        return [cls(Cut(*places), Spread(*whole), found) for places, whole in zip(cuts, sums, strict=True)]


def average_precision(at: CutSums, k: int, denominator: str) -> Spread:
    """Average precision at ``k``: its exact mean, least and greatest over all orders of ties, float64 [Q].

    A query without a hit has average precision 0; with the denominator "hits" so has each order of the ties that brings
    no hit.
    """
    spread = _over_hits(at.cut, at.whole) if denominator == "hits" else _over_constant(at, k, denominator)
    # none is above 1, and the mean lies between the other two, but for their own rounding
    least, greatest = np.minimum(spread.least, 1.0), np.minimum(spread.greatest, 1.0)
    return Spread(np.minimum(np.maximum(spread.expected, least), greatest), least, greatest)


def _over_constant(at: CutSums, k: int, denominator: str) -> Spread:
    """Denominators that no order changes: the earlier the relevant items stand, the more they give."""
    cut, whole = at.cut, at.whole
    first = np.minimum(cut.slots, cut.positives)
    last = np.maximum(cut.slots - (cut.size - cut.positives), 0)
    divisor = np.maximum(at.relevant if denominator == "relevant" else np.minimum(at.relevant, k), 1)
    mean = mean_in_tie(cut.positives_before, cut.before, cut.size, cut.positives, cut.slots)
    least = run_of_positives(cut.positives_before, cut.before + cut.slots - last, last)
    greatest = run_of_positives(cut.positives_before, cut.before, first)
    return Spread(
        (whole.expected + mean) / divisor, (whole.least + least) / divisor, (whole.greatest + greatest) / divisor
    )


def _over_hits(cut: Cut, whole: Spread) -> Spread:
    """Denominator: the relevant items found, which depends on the order where a tie with relevant items is cut."""
    found = np.maximum(cut.positives_before, 1)
    spread = Spread(whole.expected / found, whole.least / found, whole.greatest / found)
    open_ties = np.flatnonzero((cut.slots > 0) & (cut.positives > 0))
    if open_ties.size:
        part = Cut(*(values[open_ties] for values in cut))
        spread.expected[open_ties] = expected_over_hits(part, whole.expected[open_ties])
        spread.least[open_ties] = least_over_hits(part, whole.least[open_ties])
        spread.greatest[open_ties] = greatest_over_hits(part, whole.greatest[open_ties])
    return spread
