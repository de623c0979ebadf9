"""centers, info."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import hashkernels
from hashkernels import centers as constructions
from hashkernels.centers import Codebook, bounds
from hashkernels.cli.console import emit
from hashkernels.cli.options import Force, Json
from hashkernels.data.files import check_output_files, save_npy
from hashkernels.report import text_table

_BOUNDS: dict[str, Callable[[int, int], int]] = {
    "Hamming (upper)": bounds.hamming_bound_distance,
    "Plotkin (upper)": bounds.plotkin_distance,
    "Gilbert-Varshamov (lower)": bounds.gilbert_varshamov_distance,
}


def centers(
    num_classes: Annotated[int, typer.Argument(help="Number of classes, at least 2.")],
    bits: Annotated[int, typer.Argument(help="Code length.")],
    seed: Annotated[int, typer.Option(help="Of random choices.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Write the centers with the greatest minimum distance as .npy, int8 of -1/+1.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare constructions of class centers, and the bounds on their minimum distance.

    Examples:

      hashkernels centers 10 32

      hashkernels centers 100 64 --output centers.npy
    """
    if output is not None:
        check_output_files([output], force=force)
    limits = {name: bound(bits, num_classes) for name, bound in _BOUNDS.items()}
    margin = bounds.ecm_margin(bits, num_classes)
    books, missing = _constructions(num_classes, bits, seed)
    best = max(books, key=lambda name: books[name].min_distance)
    if output is not None:
        save_npy(output, np.asarray(books[best]))
    rows = [[name, str(book.min_distance), book.construction] for name, book in books.items()]
    rows += [[name, "-", reason] for name, reason in missing.items()]
    text = "\n\n".join(
        [
            text_table(["construction", "min distance"], [row[:2] for row in rows]),
            text_table(["bound on the distance", ""], [[name, str(value)] for name, value in limits.items()]),
            f"margin of the error-correction loss: {margin}",
            *(f"{name}: {note}" for name, _, note in rows),
            *([f"Centers ({best}): {output}"] if output is not None else []),
        ]
    )
    numbers = {
        "num_classes": num_classes,
        "bits": bits,
        "constructions": {
            name: {"min_distance": book.min_distance, "construction": book.construction} for name, book in books.items()
        },
        "unavailable": missing,
        "bounds": {
            "hamming": limits["Hamming (upper)"],
            "plotkin": limits["Plotkin (upper)"],
            "gilbert_varshamov": limits["Gilbert-Varshamov (lower)"],
        },
        "ecm_margin": margin,
        "best": best,
        "output": None if output is None else str(output),
    }
    emit(as_json, numbers, text)


def info(as_json: Json = False) -> None:
    """Print versions, instruction sets, CUDA build, devices and threads.

    Example:

      hashkernels info --json
    """
    found = hashkernels.info()
    emit(as_json, found.to_dict(), str(found))


def _constructions(num_classes: int, bits: int, seed: int) -> tuple[dict[str, Codebook], dict[str, str]]:
    """The codebooks that exist for these sizes, and why the others do not."""
    books: dict[str, Codebook] = {}
    missing: dict[str, str] = {}
    makers: dict[str, Callable[[], Codebook]] = {
        "hadamard": lambda: constructions.hadamard_centers(num_classes, bits, seed=seed),
        "random": lambda: constructions.random_centers(num_classes, bits, seed=seed),
    }
    for name, make in makers.items():
        try:
            books[name] = make()
        except (ValueError, ImportError) as error:
            missing[name] = str(error)
    if not books:
        raise ValueError(f"no construction gives {num_classes} centers of {bits} bits")
    return books, missing


COMMANDS = (centers, info)
