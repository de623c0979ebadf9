"""Average precision at k divided by the number of hits, where the cutoff runs through a tie.

How many relevant items h of the tie come before the cutoff then changes the divisor as well as the sum, and average
precision is no longer monotone in the order: at k = 3, [+, -, +] scores 0.83 and [+, -, -] scores 1.0.

Notation: N and P items and relevant items before the tie; n items in it, p of them relevant; k of its places before the
cutoff; S the precision summed over the ranks before the tie. h runs over max(0, k - (n - p)) .. min(p, k).
"""

from __future__ import annotations

import numpy as np

from hashkernels._ops.sums import Floats, Ints, harmonic_sums, hit_means, run_of_positives
from hashkernels.metrics._ranking import Cut


def expected_over_hits(cut: Cut, earlier: Floats) -> Floats:
    """The exact mean over the orders of the tie: h is hypergeometric, and given h every place is as likely as another.

    Given h, the mean of the sum within the cut is (h / k) [(P + 1) A + (h - 1) / (k - 1) B] with A, B as in
    ``harmonic_sums`` over the k places.
    """
    reciprocal, ramp = harmonic_sums(cut.before, cut.slots)
    linear = (cut.positives_before + 1.0) * reciprocal / cut.slots
    quadratic = ramp / (cut.slots * np.maximum(cut.slots - 1.0, 1.0))
    return hit_means(cut.size, cut.positives, cut.slots, cut.positives_before, linear, quadratic, earlier)


def greatest_over_hits(cut: Cut, earlier: Floats) -> Floats:
    """The greatest value over the orders of the tie.

    For a given h the relevant items stand first. One more of them adds (P + h + 1) / (N + h + 1), which never falls
    as h grows, so the average over P + h terms falls at first if at all and then rises: its greatest value is at an
    end.
    """
    low, high = _feasible_hits(cut)

    at_low = _over(cut, earlier + run_of_positives(cut.positives_before, cut.before, low), low)
    at_high = _over(cut, earlier + run_of_positives(cut.positives_before, cut.before, high), high)
    return np.maximum(at_low, at_high)


def least_over_hits(cut: Cut, earlier: Floats) -> Floats:
    """The least value over the orders of the tie.

    For a given h the relevant items stand last among the k places. The sum W(h) grows by P / e + sum of 1/(e + i) over
    i = 0..h, e = N + k - h, which itself grows with h: W is convex, so (S + W(h)) / (P + h) falls and then rises. The
    bottom, where W(h + 1) - W(h) first reaches (S + W(h)) / (P + h), is found by bisection.
    """
    low, high = _feasible_hits(cut)
    while (low < high).any():
        h = (low + high) // 2
        e = cut.before + cut.slots - h
        reciprocal, ramp = harmonic_sums(e, h)
        gain = (cut.positives_before + 1) / np.maximum(e, 1) + reciprocal
        total = earlier + (cut.positives_before + 1) * reciprocal + ramp
        rises = gain * (cut.positives_before + h) >= total
        open_rows = low < high
        high = np.where(open_rows & rises, h, high)
        low = np.where(open_rows & ~rises, h + 1, low)
    return _over(cut, earlier + run_of_positives(cut.positives_before, cut.before + cut.slots - low, low), low)


def _over(cut: Cut, total: Floats, h: Ints) -> Floats:
    """Precision summed up to the cutoff, over the hits; 0 without a hit."""
    average: Floats = total / np.maximum(cut.positives_before + h, 1)
    return average


def _feasible_hits(cut: Cut) -> tuple[Ints, Ints]:
    return np.maximum(cut.slots - (cut.size - cut.positives), 0), np.minimum(cut.slots, cut.positives)
