"""What an evaluation found, with all that is needed to find it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Ties = Literal["expected", "index", "optimistic", "pessimistic"]
CountTies = Literal["expected", "optimistic", "pessimistic"]
Denominator = Literal["hits", "min", "relevant"]
ZeroHit = Literal["zero", "skip", "error"]

_RADII_SHOWN = 8


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


@dataclass(frozen=True, eq=False)
class RetrievalReport:
    """Result of ``hashkernels.evaluate``. All arrays are NumPy arrays, whatever came in and on whichever device.

    Attributes:
        map: mean average precision at the largest k asked for.
        map_bounds: (lo, hi), the exact least and greatest ``map`` over all orders of ties, over the same queries.
        map_at, precision_at, recall_at: value for each k asked for.
        precision_within: float64 [bits + 1], mean precision among the items within each Hamming radius; a query with
            nothing within the radius counts as 0.
        recall_within: float64 [bits + 1], mean share of the relevant items within each radius.
        distance_histogram: pairs of relevant and of irrelevant items at each distance.
        per_query: values of each query at the largest k.
        bits, ks, ties, denominator, zero_hit, num_queries, num_database: the settings that the numbers depend on;
            ``ks`` ascends.
        num_counted: queries in the mean ``map``; fewer than ``num_queries`` only with ``zero_hit="skip"``.
    """

    map: float
    map_bounds: Bounds
    map_at: Mapping[int, float]
    precision_at: Mapping[int, float]
    recall_at: Mapping[int, float]
    precision_within: npt.NDArray[np.float64]
    recall_within: npt.NDArray[np.float64]
    distance_histogram: DistanceHistogram
    per_query: PerQuery
    bits: int
    ks: tuple[int, ...]
    ties: Ties
    denominator: Denominator
    zero_hit: ZeroHit
    num_queries: int
    num_database: int
    num_counted: int

    @property
    def pr_curve(self) -> PrecisionRecallCurve:
        """Precision against recall by Hamming radius 0..bits, which no order of ties can change."""
        return PrecisionRecallCurve(self.precision_within, self.recall_within)

    @property
    def protocol(self) -> str:
        """One line to print beside the number: with it, and the same codes and labels, anyone finds the same number."""
        name = "mAP" if self.ks[-1] == self.num_database else f"mAP@{self.ks[-1]}"
        left_out = self.num_queries - self.num_counted
        return (
            f"{name}, {self.bits} bits, {self.num_queries} queries"
            + (f" ({left_out} left out)" if left_out else "")
            + f", {self.num_database} database items, ties={self.ties}, denominator={self.denominator}, "
            f"zero_hit={self.zero_hit}"
        )

    def to_dict(self, *, per_query: bool = False) -> dict[str, Any]:
        """Plain numbers, strings, lists and dicts, ready for ``json.dumps``; keys that are cutoffs become strings.

        Args:
            per_query: also list the values of every query.
        """
        result: dict[str, Any] = {
            "map": self.map,
            "map_bounds": list(self.map_bounds),
            "map_at": {str(k): value for k, value in self.map_at.items()},
            "precision_at": {str(k): value for k, value in self.precision_at.items()},
            "recall_at": {str(k): value for k, value in self.recall_at.items()},
            "precision_within": self.precision_within.tolist(),
            "recall_within": self.recall_within.tolist(),
            "distance_histogram": {name: part.tolist() for name, part in self.distance_histogram._asdict().items()},
            "settings": {
                "bits": self.bits,
                "k": list(self.ks),
                "ties": self.ties,
                "denominator": self.denominator,
                "zero_hit": self.zero_hit,
                "num_queries": self.num_queries,
                "num_database": self.num_database,
                "num_counted": self.num_counted,
            },
            "protocol": self.protocol,
        }
        if per_query:
            result["per_query"] = {name: part.tolist() for name, part in self.per_query._asdict().items()}
        return result

    def __str__(self) -> str:
        lines = [
            self.protocol,
            f"mAP {self.map:.6f}, over all orders of ties {self.map_bounds.lo:.6f} .. {self.map_bounds.hi:.6f}",
            "",
            f"{'k':>10}  {'mAP@k':>9}  {'P@k':>9}  {'R@k':>9}",
            *(
                f"{k:>10}  {self.map_at[k]:>9.6f}  {self.precision_at[k]:>9.6f}  {self.recall_at[k]:>9.6f}"
                for k in self.ks
            ),
            "",
            f"{'radius':>10}  {'precision':>9}  {'recall':>9}",
        ]
        shown = min(_RADII_SHOWN, self.bits)
        lines += [f"{r:>10}  {self.precision_within[r]:>9.6f}  {self.recall_within[r]:>9.6f}" for r in range(shown + 1)]
        if shown < self.bits:
            lines.append(f"{'..':>10}  up to radius {self.bits} in precision_within and recall_within")
        return "\n".join(lines)
