"""centers, info."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

import hashkernels
from hashkernels import _validation as check
from hashkernels import centers as constructions
from hashkernels.centers import Codebook, bounds
from hashkernels.cli.console import emit
from hashkernels.cli.options import Force, Json
from hashkernels.data.files import check_ending, check_output_files, save_npy
from hashkernels.losses.ecm import MARGINS, margin_of

_MAKERS: dict[str, Callable[..., Codebook]] = {
    "best": constructions.best_centers,
    "levenshtein": constructions.levenshtein_centers,
    "hadamard": constructions.hadamard_centers,
    "bch": constructions.bch_centers,
    "reed_solomon": constructions.reed_solomon_centers,
    "greedy": constructions.greedy_centers,
    "random": constructions.random_centers,
}


def centers(
    num_classes: Annotated[int, typer.Argument(help="Number of classes, at least 2.")],
    bits: Annotated[int, typer.Argument(help="Code length.")],
    construction: Annotated[
        str | None, typer.Option(help=f"Only this one: {', '.join(_MAKERS)} [default: all].")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds after which best starts no further attempt.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Of random choices.")] = 0,
    output: Annotated[
        Path | None, typer.Option(help="Write the centers of greatest minimum distance as .npy, int8 of -1/+1.")
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Compare constructions of class centers, the bounds on their minimum distance, and the margins made of them.

    Examples:

      hashkernels centers 10 32

      hashkernels centers 100 64 --construction best --output centers.npy
    """
    if output is not None:
        check_ending("output", output, ".npy")
    names = tuple(_MAKERS) if construction is None else (check.check_choice("construction", construction, _MAKERS),)
    check.check_class_count(num_classes, check.check_bits(bits))
    check.check_real("time_limit", time_limit, 0)
    check.check_int("seed", seed, 0)
    if output is not None:
        check_output_files([output], force=force)
    limits = _bounds(num_classes, bits)
    margins = {name: margin_of(bits, num_classes, name) for name in MARGINS}
    books, missing = _constructions(names, num_classes, bits, seed, time_limit)
    chosen = max(books, key=lambda name: books[name].min_distance)
    if output is not None:
        save_npy(output, np.asarray(books[chosen]))
    lines = [f"{num_classes} centers of {check.counted(bits, 'bit')}", "", "construction  min distance"]
    lines += [f"{name:<14}{book.min_distance:>12}  {book.construction}" for name, book in books.items()]
    lines += [f"{name:<14}{'-':>12}  {reason}" for name, reason in missing.items()]
    lines += ["", "bound on the minimum distance"]
    lines += [f"{name.replace('_', ' '):<20}{value:>6}" for name, value in limits.items()]
    lines += ["", "margin of the error-correction loss, of which the paper's is ecm"]
    lines += [f"{name:<20}{margin:>6.4g}" for name, margin in margins.items()]
    lines += [f"written: {output} ({chosen})"] if output is not None else []
    numbers = {
        "num_classes": num_classes,
        "bits": bits,
        "constructions": {
            name: {"min_distance": book.min_distance, "construction": book.construction} for name, book in books.items()
        },
        "unavailable": missing,
        "bounds": limits,
        "ecm_margin": bounds.ecm_margin(bits, num_classes),
        "margins": margins,
        "chosen": chosen,
        "output": None if output is None else str(output),
    }
    emit(as_json, numbers, "\n".join(lines))


def info(as_json: Json = False) -> None:
    """Print versions, instruction sets, CUDA build, devices and threads.

    Example:

      hashkernels info --json
    """
    found = hashkernels.info()
    emit(as_json, found.to_dict(), str(found))


def _bounds(num_classes: int, bits: int) -> dict[str, int]:
    """Upper bounds, the tightest with its linear program where scipy is installed, and the lower bound."""
    return {
        "hamming": bounds.hamming_bound_distance(bits=bits, num_classes=num_classes),
        "plotkin": bounds.plotkin_distance(bits=bits, num_classes=num_classes),
        "tightest": bounds.tightest_distance(
            bits=bits, num_classes=num_classes, linear_program=find_spec("scipy") is not None
        ),
        "gilbert_varshamov": bounds.gilbert_varshamov_distance(bits=bits, num_classes=num_classes),
    }


def _constructions(
    names: Sequence[str], num_classes: int, bits: int, seed: int, time_limit: float
) -> tuple[dict[str, Codebook], dict[str, str]]:
    """The codebooks that exist for these sizes, and why the others do not."""
    books: dict[str, Codebook] = {}
    missing: dict[str, str] = {}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for name in bar.track(names, description="constructing"):
            options = {"time_limit": time_limit} if name == "best" else {}
            try:
                books[name] = _MAKERS[name](num_classes, bits, seed=seed, **options)
            except (ValueError, ImportError) as error:
                missing[name] = str(error)
    if not books:
        raise ValueError("; ".join(f"{name}: {reason}" for name, reason in missing.items()))
    return books, missing


COMMANDS = (centers, info)
