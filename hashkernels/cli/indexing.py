"""index build, info, verify, search, convert."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer

from hashkernels._unpacked import warn_of_unpacked
from hashkernels._validation import counted
from hashkernels._warnings import HashkernelsWarning
from hashkernels.cli.console import codes_of, emit, progress, use_threads
from hashkernels.cli.errors import Commands
from hashkernels.cli.options import CodeBitOrder, CodeBits, Force, Json, Threads
from hashkernels.cli.retrieval import show_found
from hashkernels.codes import BitOrder
from hashkernels.data.codes import FoundBy, check_found_format, load_codes, save_found
from hashkernels.data.files import check_ending, check_output_files
from hashkernels.data.formats import read_npy
from hashkernels.index import BinaryIndex
from hashkernels.index.formats import READABLE, WRITABLE, PackedCodes, read_codes, write_codes
from hashkernels.index.formats.by_name import format_of
from hashkernels.index.native_file import VERSION, NativeFile
from hashkernels.index.persistence import verify_contents
from hashkernels.index.table_file import codes_in_tables

_ADDED_AT_ONCE = 1 << 20

app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    help="Indexes in files: written once, checked, mapped by any number of processes.",
    no_args_is_help=False,
)

IndexFile = Annotated[Path, typer.Argument(help="Index file (.hki).")]
From = Annotated[
    str | None, typer.Option("--from", help=f"Format of the input: {', '.join(READABLE)} [default: by its name].")
]


@app.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def build(
    codes: Annotated[
        Path,
        typer.Argument(
            help=f"Codes (.{', .'.join(READABLE)}); an .npy may hold embeddings, packed by sign, or 64-bit integers."
        ),
    ],
    output: Annotated[Path, typer.Argument(help="Index file (.hki) to write.")],
    ids: Annotated[Path | None, typer.Option(help=".npy of an integer for each code [default: positions].")] = None,
    bits: CodeBits = None,
    bitorder: CodeBitOrder = None,
    append: Annotated[bool, typer.Option("--append", help="Add to the index at OUTPUT.")] = False,
    tables: Annotated[
        bool, typer.Option("--tables", help="Store hash tables, for small radii and codes in clusters.")
    ] = False,
    source_format: From = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Build an index file from codes, or append them to one.

    Until it is done, the file at OUTPUT stays what it was. What is appended is brought into the bit order of the index,
    but for packed codes, which are taken to be in it. Tables are of the codes that they came with: after --append
    searches do without, until the index is built anew with --tables, from itself if you like.

    Examples:

      hashkernels index build codes.npy codes.hki --bits 48

      hashkernels index build more.u8bin codes.hki --append

      hashkernels index build codes.hki codes.hki --tables --force
    """
    if not append:
        check_ending("output", output, ".hki")
    elif tables:
        raise ValueError("--tables and --append exclude each other: tables are of all codes, build the whole index")
    use_threads(threads)
    index = BinaryIndex.load(output) if append else None
    if index is not None and bitorder not in (None, index.bitorder):
        raise ValueError(f"--bitorder must be {index.bitorder} like that of {output}, got '{bitorder}'")
    found = _input(codes, bits, source_format, bitorder, index)
    if ids is not None:
        found = found._replace(ids=read_npy(ids))
    if index is None:
        index = BinaryIndex(found.bits, bitorder=found.bitorder, structure="hash" if tables else "auto")
    if index.bits != found.bits:
        raise ValueError(f"{output} holds codes of {counted(index.bits, 'bit')}, {codes} of {found.bits}")
    if found.ids is not None and len(found.ids) != len(found.codes):
        raise ValueError(
            f"{ids} must hold one id for each of {counted(len(found.codes), 'code')}, got {len(found.ids)}"
        )
    if append:
        _check_ids(found, codes, ids, output)
    else:
        check_output_files([output], force=force)
        if not tables:
            _tell_of_tables(codes, source_format)
    if not len(found.codes):
        warnings.warn(f"{codes} holds no codes", HashkernelsWarning, stacklevel=1)
    with progress(f"adding {codes.name}") as advance:
        for first in range(0, len(found.codes), _ADDED_AT_ONCE):
            part = slice(first, first + _ADDED_AT_ONCE)
            if found.ids is None:
                index.add(found.codes[part])
            else:
                index.add_with_ids(found.codes[part], found.ids[part])
            advance(first, len(found.codes))
        if tables:
            index.prepare()
        index.flush() if append else index.save(output)
    hashed = codes_in_tables(NativeFile(output))
    if 0 < hashed < index.ntotal:
        warnings.warn(
            f"{output}: its tables are of the first {counted(hashed, 'code')} of {index.ntotal}, so searches do "
            f"without until it is built anew: hashkernels index build {output} {output} --tables --force",
            HashkernelsWarning,
            stacklevel=1,
        )
    numbers = {"output": str(output), "bits": index.bits, "codes": index.ntotal, "added": len(found.codes)}
    emit(as_json, numbers, f"{codes_of(len(found.codes), index.bits)} added, {index.ntotal} in {output}")


@app.command()
def info(index: IndexFile, as_json: Json = False) -> None:
    """Say what an index file holds; its contents are not read.

    "tables" are bytes, "hashed" is of how many codes they are: searches use them where that is all.

    Example:

      hashkernels index info codes.hki
    """
    file = NativeFile(index)
    bits, bitorder, id_kind = file.settings
    numbers = {
        "file": str(index),
        "version": VERSION,
        "bits": bits,
        "bitorder": bitorder,
        "codes": file.count,
        "ids": id_kind,
        "segments": len(file.segments),
        "tables": sum(extra.end - extra.start for extra in file.extras),
        "hashed": codes_in_tables(file),
        "bytes": file.end,
    }
    emit(as_json, numbers, "\n".join(f"{name:<9} {value}" for name, value in numbers.items()))


@app.command()
def verify(index: IndexFile, as_json: Json = False) -> None:
    """Hold the contents of an index file against their checksums, and see that no id comes twice and that hash tables,
    where they can be searched, are those of the codes; exit status 2 where something is wrong.

    Example:

      hashkernels index verify codes.hki
    """
    file = NativeFile(index)
    with progress(f"verifying {index.name}") as advance:
        verify_contents(file, advance)
    emit(
        as_json,
        {"file": str(index), "codes": file.count, "ok": True},
        f"{index}: {counted(file.count, 'code')}, all as written",
    )


@app.command()
def search(
    index: IndexFile,
    queries: Annotated[
        Path,
        typer.Argument(
            help=".npy of packed codes (uint8) in the bit order of the index, of 64-bit integers [N], or of embeddings,"
            " packed by sign."
        ),
    ],
    k: Annotated[int | None, typer.Option("--k", help="The k nearest.")] = None,
    radius: Annotated[int | None, typer.Option(help="All within this Hamming distance, inclusive.")] = None,
    check: Annotated[
        Literal["full", "lazy", "none"], typer.Option("--verify", help="Checksums: now, before the answer, or never.")
    ] = "lazy",
    output: Annotated[
        Path | None, typer.Option(help="Write all results: .npz (distances, indices, offsets) or .csv.")
    ] = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Search an index file where it lies: the k nearest (10 where neither is given), or all within a radius.

    Where the file has ids, what is found is named by them: in a column "id" instead of "index", in the "indices" of an
    .npz and of --json, whose "named_by" is then "id".

    Example:

      hashkernels index search codes.hki q.npy --k 100 --output nearest.npz
    """
    if k is not None and radius is not None:
        raise ValueError("--k and --radius exclude each other: give one")
    if output is not None:
        check_found_format(output)
    use_threads(threads)
    loaded = BinaryIndex.load(index, verify=check)
    codes = load_codes(queries, loaded.bits, bitorder=loaded.bitorder).codes
    if output is not None:
        check_output_files([output], force=force)
    found: Any
    if radius is not None:
        found = loaded.range_search(codes, radius)
    else:
        found = loaded.search(codes, min(10, loaded.ntotal) if k is None else k)
    name: FoundBy = "index" if NativeFile(index).settings.id_kind == "none" else "id"
    if output is not None:
        save_found(output, found, name)
    show_found(found, len(codes), loaded.ntotal, output, as_json, name)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help=f"Codes (.{', .'.join(READABLE)}).")],
    target: Annotated[Path, typer.Argument(help=f"What to write (.{', .'.join(WRITABLE)}).")],
    bits: CodeBits = None,
    bitorder: CodeBitOrder = None,
    source_format: From = None,
    target_format: Annotated[
        str | None, typer.Option("--to", help=f"Format of the output: {', '.join(WRITABLE)} [default: by its name].")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Convert codes between the formats of this library, FAISS, NumPy, benchmarks and databases.

    An .hki says in which bit order its codes are, pgvector gets the first bit first, the others the bytes as they are.

    Examples:

      hashkernels index convert flat.faiss codes.hki

      hashkernels index convert codes.hki rows.tsv --to pgvector
    """
    kind = format_of(target, target_format, WRITABLE, name="--to")
    found = _input(source, bits, source_format, bitorder)
    check_output_files([target], force=force)
    if kind == "hki":
        _tell_of_tables(source, source_format)
    write_codes(target, found, format=kind)
    numbers = {"output": str(target), "bits": found.bits, "codes": len(found.codes), "bytes": os.path.getsize(target)}
    emit(as_json, numbers, f"{codes_of(len(found.codes), found.bits)}: {target}")


def _input(
    path: Path,
    bits: int | None,
    source_format: str | None,
    bitorder: BitOrder | None,
    added_to: BinaryIndex | None = None,
) -> PackedCodes:
    """Codes of a file, in the bit order of the index that they are to be added to, and where their bytes leave it open
    taken to be as long as its own."""
    order = bitorder if added_to is None else added_to.bitorder
    kind = format_of(path, source_format, READABLE, name="--from")
    if kind == "npy":  # which may hold embeddings, whose width says how many bits there are
        rows, length = load_codes(path, bits, bitorder=order or "big")
        if length is None and added_to is None:
            warn_of_unpacked(f"codes of {path}", torch.from_numpy(rows))
        found = PackedCodes(rows, 8 * rows.shape[1] if length is None else length, None, order or "big")
    else:
        found = read_codes(path, bits=bits, format=source_format, bitorder=order)
        length = found.bits if kind == "hki" else bits
    if length is None and added_to is not None and found.codes.shape[1] == added_to.bytes_per_code:
        return found._replace(bits=added_to.bits)
    return found


def _check_ids(found: PackedCodes, codes: Path, ids: Path | None, output: Path) -> None:
    """Either all codes of an index have ids, or none."""
    file = NativeFile(output)
    has_ids = file.settings.id_kind != "none"
    if has_ids and found.ids is None and len(found.codes):
        raise ValueError(f"the codes in {output} have ids: give --ids with those of {codes}")
    if not has_ids and found.ids is not None and file.count:
        remedy = "leave --ids out" if ids is not None else f"build {output} anew with ids"
        raise ValueError(f"the codes in {output} have no ids, those of {codes} have: {remedy}")


def _tell_of_tables(path: Path, source_format: str | None) -> None:
    """Say that tables in a file are not taken over."""
    if format_of(path, source_format, READABLE) == "hki" and codes_in_tables(NativeFile(path)):
        warnings.warn(
            f"the tables of {path} are left out: hashkernels index build --tables makes new ones",
            HashkernelsWarning,
            stacklevel=1,
        )
