"""Reports as text."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from hashkernels._validation import check_int, counted
from hashkernels.metrics.protocols import PROTOCOLS

if TYPE_CHECKING:
    from hashkernels.metrics.report import RankingReport, RetrievalReport

_RADII_SHOWN = 8


def protocol_line(report: RankingReport) -> str:
    """Every setting that the number depends on."""
    left_out = report.num_queries - report.num_counted
    return (
        f"{_name(report)}, "
        + (f"{counted(report.code_length, 'bit')}, " if report.code_length is not None else "")
        + counted(report.num_queries, "query", "queries")
        + (f" ({left_out} left out)" if left_out else "")
        + f", {counted(report.num_database, 'database item')}"
        + (f" ({report.num_ranked} ranked at most)" if report.num_ranked < report.num_database else "")
        + f", ties={report.ties}, denominator={report.denominator}, zero_hit={report.zero_hit}"
        + _named_protocol(report)
    )


def quote(report: RankingReport, digits: int) -> str:
    """Values under each reading of ties, and the settings."""
    check_int("digits", digits, 1, 15)
    found = report.map, report.map_expected, report.map_index, *report.map_bounds
    shown = ("" if value is None else f"{value:.{digits}f}" for value in found)
    name, _, settings = protocol_line(report).partition(", ")
    return quote_line(name, report.ties, *shown, settings=settings)


def quote_line(
    name: str, ties: str, value: str, expected: str, index: str, least: str, greatest: str, *, settings: str
) -> str:
    """``quote`` of values that are text, that in index order perhaps empty."""
    values = [f"{expected} expected over ties"]
    if index:
        values.append(f"{index} in index order")
    values.append(f"{least}..{greatest} over all orders")
    if ties not in ("expected", "index"):
        values.insert(0, f"{value} {ties}")
    return f"{name} {', '.join(values)}; {settings}; hashkernels {version('hashkernels')}"


def summary_lines(report: RankingReport) -> list[str]:
    """The settings, mAP, and a table over the cutoffs."""
    lo, hi = report.map_bounds
    return [
        protocol_line(report),
        f"mAP {report.map:.6f}, over all orders of ties {lo:.6f} .. {hi:.6f}"
        + (f", in index order {report.map_index:.6f}" if report.map_index is not None else ""),
        "",
        f"{'k':>10}  {'mAP@k':>9}  {'P@k':>9}  {'R@k':>9}",
        *(
            f"{k:>10}  {report.map_at[k]:>9.6f}  {report.precision_at[k]:>9.6f}  {report.recall_at[k]:>9.6f}"
            for k in report.ks
        ),
    ]


def statistics_lines(report: RetrievalReport) -> list[str]:
    """How the codes use their bits, a line for each set of codes that was looked at."""
    lines = []
    for name, found in (("queries", report.query_statistics), ("database", report.database_statistics)):
        if found is not None:
            lines.append(
                f"{name}: {found.distinct_codes} distinct of {found.num_codes} codes, "
                f"{found.constant_bits} constant bits, bit entropy "
                f"{found.bit_entropy.min():.3f} .. {found.bit_entropy.max():.3f}"
            )
    return ["", *lines] if lines else []


def radius_lines(report: RetrievalReport) -> list[str]:
    """A table over the least radii."""
    shown = min(_RADII_SHOWN, report.bits)
    lines = ["", f"{'radius':>10}  {'precision':>9}  {'recall':>9}"]
    lines += [f"{r:>10}  {report.precision_within[r]:>9.6f}  {report.recall_within[r]:>9.6f}" for r in range(shown + 1)]
    if shown < report.bits:
        lines.append(f"{'..':>10}  up to radius {report.bits} in precision_within and recall_within")
    return lines


def _name(report: RankingReport) -> str:
    return "mAP" if report.ks[-1] >= report.num_ranked else f"mAP@{report.ks[-1]}"


def _named_protocol(report: RankingReport) -> str:
    """The name, and the sizes of the split that it stands for where the sizes here are others."""
    if report.protocol_name is None:
        return ""
    protocol = PROTOCOLS[report.protocol_name]
    sizes = [
        f"{wanted} {kind}"
        for wanted, found, kind in (
            (protocol.num_queries, report.num_queries, "queries"),
            (protocol.num_database, report.num_database, "database items"),
        )
        if wanted not in (None, found)
    ]
    return f", protocol={report.protocol_name}" + (f" (which has {' and '.join(sizes)})" if sizes else "")
