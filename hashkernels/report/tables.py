"""The summary table of methods, as rows, as text and as Markdown."""

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


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces: the first to the left, the others to the right.

    Example:
        >>> print(text_table(["method", "mAP"], [["CSQ", "0.9"]]))
        method  mAP
        CSQ     0.9
    """
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: Sequence[str]) -> str:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        return "  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip()

    return "\n".join(line(row) for row in (header, *rows))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left, the others to the right.

    Example:
        >>> print(markdown_table(["method", "mAP"], [["CSQ", "0.9"]]))
        | method | mAP |
        |:--|--:|
        | CSQ | 0.9 |
    """
    align = ":--|" + "--:|" * (len(header) - 1)
    return "\n".join(["| " + " | ".join(header) + " |", "|" + align, *("| " + " | ".join(row) + " |" for row in rows)])
