"""Tables as text, as Markdown, as LaTeX and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    # at the beginning of a row these two would be options of the line break before it
    | {character: f"{{{character}}}" for character in "[*"}
    | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
    }
)


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


def markdown_letters(text: str) -> str:
    r"""Text that Markdown shows letter by letter; bars are left to ``markdown_table``.

    Example:
        >>> print(markdown_letters("a*b* <c>"))
        a\*b\* \<c>
    """
    return re.sub(r"[\\`*_\[<&~$]", r"\\\g<0>", text)


def latex_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A LaTeX tabular with the rules of the package booktabs, the first column to the left, the others to the right;
    what LaTeX would take for commands is escaped, and the signs and intervals of numbers are set as such.

    Example:
        >>> print(latex_table(["method", "mAP, %"], [["CSQ_D", "90.1 ± 0.2"]]))
        \begin{tabular}{lr}
        \toprule
        method & mAP, \% \\
        \midrule
        CSQ\_D & 90.1 $\pm$ 0.2 \\
        \bottomrule
        \end{tabular}
    """

    def letters(cell: str) -> str:
        return re.sub("-(?=-)", "-{}", " ".join(cell.split()).translate(_LATEX))

    def number(cell: str) -> str:
        signed = re.sub(r"(?<!\w)[+-](?=\d)", r"$\g<0>$", letters(cell))
        return "--" if cell == "-" else signed.replace(" .. ", r"\,--\,")

    def line(row: Sequence[str]) -> str:
        return " & ".join([letters(row[0]), *map(number, row[1:])]) + r" \\"

    head = [rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}", r"\toprule", line(header), r"\midrule"]
    return "\n".join([*head, *map(line, rows), r"\bottomrule", r"\end{tabular}"])


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV file.

    Example:
        >>> csv_text(["k", "map"], [[1, 0.5]])
        'k,map\\n1,0.5\\n'
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
