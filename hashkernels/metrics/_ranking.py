"""Cumulative counts of a block of queries, and the tie that a cutoff runs through.

A *tie* is the set of items at one distance from a query. Ties lie in rows and queries in columns, so that each step
along the distances is one contiguous vector operation over the queries.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hashkernels._ops.sums import Floats, Ints, cut, running_sums


class Cut(NamedTuple):
    """Where cutoff k falls for each query: ``slots`` items of the first tie that is not whole are within k.

    All int64 [Q]. ``size`` and ``positives`` describe the tie that is cut; ``before`` and ``positives_before`` count
    what comes before it. Where no tie is cut, ``slots`` and ``positives`` are 0 and ``size`` is 1.
    """

    slots: Ints
    size: Ints
    positives: Ints
    before: Ints
    positives_before: Ints


class Ranking(NamedTuple):
    """Counts of a block of queries, int64 [bits + 1, Q] but for ``relevant`` [Q]; ``ends`` are inclusive sums."""

    size: Ints
    positives: Ints
    ends: Ints
    positive_ends: Ints
    relevant: Ints

    @classmethod
    def of(cls, total: Ints, relevant: Ints) -> Ranking:
        """From counts [Q, bits + 1] of all and of relevant items at each distance."""
        size, positives = np.ascontiguousarray(total.T), np.ascontiguousarray(relevant.T)
        positive_ends = running_sums(positives)
        return cls(size, positives, running_sums(size), positive_ends, positive_ends[-1])

    def cut(self, k: int | Ints) -> Cut:
        """The cut at rank ``k`` (one for all queries, or int64 [Q]), at least 0; a shorter ranking is taken whole."""
        _, places = cut(self.size, self.positives, self.ends, self.positive_ends, np.asarray(k, dtype=np.int64))
        return Cut(*places)


class Spread(NamedTuple):
    """A quantity's exact mean, least and greatest value over all orders of the ties, float64 [Q] each."""

    expected: Floats
    least: Floats
    greatest: Floats

    def under(self, ties: str) -> Floats:
        """The value under one of the rules "expected", "optimistic", "pessimistic"."""
        return {"expected": self.expected, "optimistic": self.greatest, "pessimistic": self.least}[ties]


def hits_at(cut: Cut) -> Spread:
    """How many relevant items lie within the cutoff."""
    missing = cut.size - cut.positives
    return Spread(
        expected=cut.positives_before + cut.slots.astype(np.float64) * cut.positives / cut.size,
        least=(cut.positives_before + np.maximum(cut.slots - missing, 0)).astype(np.float64),
        greatest=(cut.positives_before + np.minimum(cut.slots, cut.positives)).astype(np.float64),
    )
