"""Tables as text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence


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
    """A Markdown table, the first column to the left, the others to the right; bars and breaks of lines in a cell are
    written so that they do not end it.

    Example:
        >>> print(markdown_table(["method", "mAP"], [["CSQ", "0.9"]]))
        | method | mAP |
        |:--|--:|
        | CSQ | 0.9 |
    """
    align = ":--|" + "--:|" * (len(header) - 1)

    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join("<br>".join(cell.replace("|", r"\|").splitlines()) for cell in row) + " |"

    return "\n".join([line(header), "|" + align, *map(line, rows)])
