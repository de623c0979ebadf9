"""The summary table of methods, as rows."""

from __future__ import annotations

from collections.abc import Sequence

from hashkernels.report.experiment import PRECISION_RADIUS, MethodResult


def summary_header(results: Sequence[MethodResult]) -> list[str]:
    """Column names, the cutoff taken from the first result."""
    cutoff = results[0].report.ks[0]
    return ["method", "mAP", "least .. greatest by ties", f"P@{cutoff}", f"P@H<={PRECISION_RADIUS}", "center distance"]


def summary_rows(results: Sequence[MethodResult]) -> list[list[str]]:
    """One row a method; "center distance" is the least between two classes, and its upper bound."""
    rows = []
    for result in results:
        low, high = result.report.map_bounds
        least, bound = result.center_distance
        rows.append(
            [
                result.title,
                f"{result.report.map:.4f}",
                f"{low:.4f} .. {high:.4f}",
                f"{result.precision_at:.4f}",
                f"{result.precision_within:.4f}",
                f"{'-' if least is None else least} of {bound}",
            ]
        )
    return rows
