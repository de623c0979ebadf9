"""search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hashkernels import range_search, topk
from hashkernels._validation import counted
from hashkernels.cli.console import emit, use_threads
from hashkernels.cli.options import CodeBits, CodesFile, Force, Json, PackedBitOrder, Threads
from hashkernels.data.codes import FoundBy, check_found_format, found_rows, load_codes, save_found
from hashkernels.data.files import check_output_files
from hashkernels.report import text_table

_QUERIES_SHOWN = 10


def search(
    queries: CodesFile,
    database: CodesFile,
    k: Annotated[int | None, typer.Option("--k", help="The k nearest.")] = None,
    radius: Annotated[int | None, typer.Option(help="All within this Hamming distance, inclusive.")] = None,
    bits: CodeBits = None,
    bitorder: PackedBitOrder = "big",
    output: Annotated[
        Path | None, typer.Option(help="Write all results: .npz (distances, indices, offsets) or .csv.")
    ] = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Search codes exactly: the k nearest (10 where neither is given), or all within a radius.

    Rows are ordered by (distance, index). Without --output the first queries are printed; --json has all of them unless
    they are written to --output.

    Examples:

      hashkernels search q.npy db.npy --k 100 --output nearest.npz

      hashkernels search q.npy db.npy --radius 2 --output near.csv
    """
    if k is not None and radius is not None:
        raise ValueError("--k and --radius exclude each other: give one")
    if output is not None:
        check_found_format(output)
    use_threads(threads)
    query_codes, bits = load_codes(queries, bits, packed_in=bitorder)
    database_codes, bits = load_codes(database, bits, packed_in=bitorder)
    if output is not None:
        check_output_files([output], force=force)
    found: Any
    if radius is not None:
        found = range_search(query_codes, database_codes, radius, bits=bits)
    else:
        found = topk(query_codes, database_codes, min(10, len(database_codes)) if k is None else k, bits=bits)
    if output is not None:
        save_found(output, found)
    show_found(found, len(query_codes), len(database_codes), output, as_json)


def show_found(
    found: Any,
    num_queries: int,
    num_database: int,
    output: Path | None,
    as_json: bool,
    named_by: FoundBy = "index",
) -> None:
    """Print what a search found, or where it was written to."""
    if output is not None:
        total = int(found.indices.size)
        numbers = {
            "output": str(output),
            "queries": num_queries,
            "database": num_database,
            "named_by": named_by,
            "found": total,
        }
        emit(as_json, numbers, f"{counted(total, 'result')} of {counted(num_queries, 'query', 'queries')}: {output}")
        return
    rows = found_rows(found)
    if as_json:
        results = [{"distances": [pair[0] for pair in row], "indices": [pair[1] for pair in row]} for row in rows]
        emit(True, {"queries": len(rows), "database": num_database, "named_by": named_by, "results": results}, "")
        return
    # a query without a hit is a row, too
    table = [
        [str(number) for number in (query, rank, *pair)]
        for query, row in enumerate(rows[:_QUERIES_SHOWN])
        for rank, pair in (enumerate(row, 1) if row else [("-", ("-", "-"))])
    ]
    left = len(rows) - _QUERIES_SHOWN
    more = f"\n{counted(left, 'more query', 'more queries')}: --output keeps all" if left > 0 else ""
    emit(False, {}, text_table(["query", "rank", "distance", named_by], table) + more)


COMMANDS = (search,)
