"""evaluate, compare."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from hashkernels import _validation as check
from hashkernels import metrics
from hashkernels._files import printable
from hashkernels._page.html import encodable
from hashkernels._warnings import HashkernelsWarning
from hashkernels.cli.console import command_line, emit, use_threads
from hashkernels.cli.options import CodeBits, CodesFile, Force, Json, LabelsFile, PackedBitOrder, Threads
from hashkernels.data.codes import load_codes
from hashkernels.data.files import check_output_files, save_text
from hashkernels.data.formats import read_npy
from hashkernels.data.judgments import read_ids, read_judgments
from hashkernels.metrics.pages.comparison import TABLES, compare_text
from hashkernels.metrics.pages.groups import average_by_title
from hashkernels.metrics.pages.page import render_runs
from hashkernels.metrics.pages.runs import Run, differences, distinct, gains, load_runs
from hashkernels.metrics.pages.save import check_format

# What `compare --json` tells of each run: the numbers of its table, and the settings.
_COMPARED = (
    "map",
    "map_expected",
    "map_index",
    "map_bounds",
    "map_at",
    "precision_at",
    "recall_at",
    "settings",
    "quote",
)


def evaluate(
    query_codes: CodesFile,
    database_codes: CodesFile,
    query_labels: LabelsFile = None,
    database_labels: LabelsFile = None,
    bits: CodeBits = None,
    bitorder: PackedBitOrder = "big",
    k: Annotated[
        list[int] | None,
        typer.Option("--k", metavar="INT", help="Cutoff, repeatable; mAP is that of the largest [default: all]."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help=f"Cutoff and policies as papers use them: {', '.join(metrics.PROTOCOLS)}."),
    ] = None,
    ties: Annotated[
        Literal["expected", "index", "optimistic", "pessimistic"],
        typer.Option(help="Order of items at equal distance; expected is the exact mean over all orders."),
    ] = "expected",
    denominator: Annotated[
        Literal["hits", "min", "relevant"],
        typer.Option(help="Of average precision at k: relevant items found, min(k, relevant), or all relevant."),
    ] = "hits",
    zero_hit: Annotated[
        Literal["zero", "skip", "error"], typer.Option(help="A query with nothing relevant within its k.")
    ] = "zero",
    relevance: Annotated[
        Path | None,
        typer.Option(
            help="In place of labels: TREC judgments (lines of query, iteration, item, gain) or .npz of CSR arrays "
            "(data, indices, indptr), as scipy.sparse.save_npz writes them."
        ),
    ] = None,
    query_ids: Annotated[
        Path | None, typer.Option(help="Text, a name a line: what judgments call the queries [default: positions].")
    ] = None,
    database_ids: Annotated[Path | None, typer.Option(help="The same of the database.")] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            help="Items to leave out for each query: .npy of positions, [Q] or [Q, E], -1 for none; or a file as "
            "--relevance takes."
        ),
    ] = None,
    exclude_self: Annotated[
        bool, typer.Option("--exclude-self", help="Query i is item i, and is left out of its own ranking.")
    ] = False,
    index_order: Annotated[
        bool, typer.Option("--index-order", help="Also the value in the order of the database.")
    ] = False,
    compat: Annotated[
        bool,
        typer.Option(
            "--compat", help="Also what other evaluators would print if they sorted stably; implies --index-order."
        ),
    ] = False,
    statistics: Annotated[bool, typer.Option("--statistics", help="Also how the codes use their bits.")] = False,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also print mAP of each class.")] = False,
    bootstrap: Annotated[
        int | None, typer.Option(help="Resamples of the queries for a 95 % interval of mAP.", show_default=False)
    ] = None,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="With --json: the values of every query, too.")
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a page (.html) or all numbers for compare (.json), repeatable; with "
            "--index-order and --statistics.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Of the run, in a page and for compare [default: name of the file].")
    ] = None,
    query_images: Annotated[
        Path | None, typer.Option(help=".npy of images [N, H, W(, C)] or [N, C, H, W], for the page.")
    ] = None,
    database_images: Annotated[Path | None, typer.Option(help="The same of the database.")] = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Evaluate codes: mAP, precision and recall, exactly, with the protocol named.

    Examples:

      hashkernels evaluate q.npy db.npy q_labels.npy db_labels.npy

      hashkernels evaluate q.npy db.npy q_labels.npy db_labels.npy --protocol nuswide-21 -o report.html -o run.json

      hashkernels evaluate q.npy db.npy q_labels.npy db_labels.npy --k 100 --k 5000 --denominator min --json

      hashkernels evaluate q.npy db.npy --relevance qrels.txt --query-ids queries.txt --database-ids items.txt
    """
    outputs = output or []
    for path in outputs:
        check_format(path, "output")
    if any(path.suffix == ".html" for path in outputs):
        _require_pages()
    if (query_images is None) != (database_images is None):
        raise ValueError("--query-images and --database-images go together: give both")
    if query_images is not None and relevance is not None:
        raise ValueError("--query-images need labels, which stand below each image: give no --relevance with them")
    if (query_labels is None) == (relevance is None) or (query_labels is None) != (database_labels is None):
        raise ValueError("evaluate needs QUERY_LABELS and DATABASE_LABELS, or --relevance in their place")
    if (query_ids is None) != (database_ids is None):
        raise ValueError("--query-ids and --database-ids go together: give both")
    if bootstrap is not None:
        check.check_int("bootstrap", bootstrap, 10)
    use_threads(threads)
    queries, bits = load_codes(query_codes, bits, packed_in=bitorder)
    database, bits = load_codes(database_codes, bits, packed_in=bitorder)
    codes: Any = queries, database
    labels: Any = [None if path is None else read_npy(path) for path in (query_labels, database_labels)]
    ids = [None if path is None else read_ids(path) for path in (query_ids, database_ids)]
    _check_counts(ids, codes)
    judged, left_out = (None if path is None else read_judgments(path, *ids) for path in (relevance, exclude))
    images: Any = [None if path is None else read_npy(path) for path in (query_images, database_images)]
    check_output_files(outputs, force=force)
    report = metrics.evaluate(
        *codes,
        *labels,
        relevance=judged,
        bits=bits,
        k=k or None,
        ties=ties,
        denominator=denominator,
        zero_hit=zero_hit,
        protocol=protocol,  # type: ignore[arg-type]  # evaluate checks it
        exclude=left_out,
        exclude_self=exclude_self,
        index_order=index_order or compat or bool(outputs),
        statistics=statistics or bool(outputs),
    )
    if not report.per_query.relevant.any():
        warnings.warn(
            "no query has a relevant item in the database: "
            + ("do the judgments name others?" if labels[0] is None else "are the labels of both numbered alike?"),
            HashkernelsWarning,
            stacklevel=1,
        )
    grid = None if query_images is None else metrics.query_grid(report, *codes, *labels, *images)
    for path in outputs:
        report.save(path, title=title, grid=grid, command=command_line())
    interval = None if bootstrap is None else report.bootstrap(num_resamples=bootstrap)
    if as_json:
        numbers = report.to_dict(per_query=per_query)
        named = {} if title is None else {"title": printable(title)}
        emit(True, named | numbers | ({} if interval is None else {"bootstrap": interval._asdict()}), "")
        return
    parts = [str(report)]
    if interval is not None:
        parts.append(f"95 % of {bootstrap} resamples of the queries: {interval.lo:.6f} .. {interval.hi:.6f}")
    if per_class:
        parts.append(_class_lines(report))
    if compat:
        parts.append(report.compat_table())
    if report.map_index is not None:
        parts.append(report.quote())
    parts += [f"Written: {path}" for path in outputs]
    emit(False, {}, "\n\n".join(parts))


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="JSON of evaluate -o or evaluate --json, or results.json of demo; the first is compared with."
        ),
    ],
    by_title: Annotated[
        bool,
        typer.Option(
            "--by-title",
            help="A row for all runs of one title and code length, of several seeds, say: mean ± standard deviation.",
        ),
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write a page (.html), or the table to paste (.md; .tex, for booktabs) or with every digit (.csv), "
            "repeatable.",
        ),
    ] = None,
    title: Annotated[str, typer.Option(help="Of the page.")] = "Comparison",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Show several evaluations side by side, with the settings in which they differ.

    Where the files hold the values of every query (evaluate -o does) and the queries are the same (as many relevant
    items for each), the last column is the difference of mAP to the first run, with its 95 % interval over the draw of
    the queries.

    With --by-title a row holds means over the runs of one title (as evaluate --title says) and code length, ± their
    sample standard deviation (divided by n - 1; none of one run). Such runs must agree in all settings; seeds, and the
    queries that they draw, may differ. The last column then first averages each query over the runs, where all runs of
    both rows have the same. Its interval is over the draw of the queries for the models as trained, while ± is over
    training them again.

    Examples:

      hashkernels compare ours.json theirs.json

      hashkernels compare ours.json theirs.json -o compare.html

      hashkernels compare ours-seed*.json theirs-seed*.json --by-title -o table.tex -o table.csv
    """
    outputs = output or []
    for path in outputs:
        check_format(path, "output", (".html", *TABLES))
    if any(path.suffix == ".html" for path in outputs):
        _require_pages()
    if by_title:
        _check_once(runs)
    found = (average_by_title if by_title else distinct)(load_runs(runs))
    check_output_files(outputs, force=force)
    texts = [
        render_runs(found, title=printable(title), command=command_line())
        if path.suffix == ".html"
        else TABLES[path.suffix](found)
        for path in outputs
    ]
    for path, text in zip(outputs, texts, strict=True):
        save_text(path, encodable(text))
    written = [str(path) for path in outputs]
    numbers = {
        "runs": [
            {
                "title": run.title,
                **({"num_runs": len(run.runs)} if by_title else {}),
                **{name: run.numbers[name] for name in _COMPARED},
                **({"deviations": _deviations(run)} if by_title else {}),
                "to_the_first": None if gain is None else gain._asdict(),
            }
            for run, gain in zip(found, gains(found), strict=True)
        ],
        "differences": differences(found),
        "output": written if len(written) > 1 else next(iter(written), None),
    }
    emit(as_json, numbers, "\n\n".join([compare_text(found), *(f"Written: {path}" for path in written)]))


def _check_once(paths: list[Path]) -> None:
    """A run that counts twice makes the deviation of its title too small."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise ValueError(f"runs must be different files to be averaged by title, got {path} twice")
        seen.add(path.resolve())


def _deviations(run: Run) -> dict[str, Any] | None:
    found = run.deviations
    return None if found is None else {name: found[name] for name in _COMPARED if name in found}


def _check_counts(ids: list[list[str] | None], codes: Any) -> None:
    for name, names, rows in zip(("query_ids", "database_ids"), ids, codes, strict=True):
        if names is not None and len(names) != len(rows):
            raise ValueError(f"{name} must have a name for each of {len(rows)} codes, got {len(names)}")


def _class_lines(report: metrics.RetrievalReport) -> str:
    found = report.per_class()
    lines = [f"{'class':>10}  {'queries':>9}  {'mAP':>9}"]
    for name, count, value in zip(found.classes, found.num_queries, found.average_precision, strict=True):
        lines.append(f"{name:>10}  {count:>9}  {value:>9.6f}")
    return "\n".join([*lines, f"{'mean':>10}  {int(np.sum(found.num_queries)):>9}  {found.macro:>9.6f}"])


def _require_pages() -> None:
    for module in ("matplotlib", "jinja2"):
        check.require(module, extra="report")


COMMANDS = (evaluate, compare)
