"""evaluate."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from hashkernels import _validation as check
from hashkernels import metrics
from hashkernels._files import printable
from hashkernels._warnings import HashkernelsWarning
from hashkernels.cli.console import command_line, emit, require_pages, use_threads
from hashkernels.cli.options import CodeBits, CodesFile, Force, Json, LabelsFile, PackedBitOrder, Threads
from hashkernels.data.codes import load_codes
from hashkernels.data.files import check_output_files
from hashkernels.data.formats import read_npy
from hashkernels.data.judgments import read_ids, read_judgments
from hashkernels.metrics.pages.save import check_format


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
        require_pages()
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


COMMANDS = (evaluate,)
