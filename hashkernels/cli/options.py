"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hashkernels.data import DATASETS

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on stdout.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Threads = Annotated[int | None, typer.Option(help="CPU threads [default: torch's].", show_default=False)]
Bits = Annotated[int, typer.Option(help="Code length, 1..4096.")]
CodeBits = Annotated[
    int | None,
    typer.Option(
        "--bits", help="Code length [default: columns of embeddings, else 8 a byte]; given, pad bits must be zero."
    ),
]
PackedBitOrder = Annotated[
    Literal["big", "little"],
    typer.Option("--bitorder", help="Of packed codes: the highest bit of a byte is the first, or the lowest."),
]
CodeBitOrder = Annotated[
    Literal["big", "little"] | None,
    typer.Option(
        "--bitorder",
        help="The highest bit of a byte is the first (big), or the lowest. Packed codes are taken to be so; "
        "embeddings, integers and an .hki are brought into it [default: that of an .hki, else big].",
        show_default=False,
    ),
]
Epochs = Annotated[int, typer.Option(help="Passes over the training items.")]
Seed = Annotated[
    int,
    typer.Option(
        help="Of weights, centers, order, and of the queries of digits and of an .npy (other data have fixed ones): "
        "the same seed gives the same numbers."
    ),
]
_DATA = typer.Option(
    metavar="NAME|FILE",
    help=f"{', '.join(DATASETS)}; an .npz with x_train, y_train, x_test, y_test; or an .npy of images "
    "[N, H, W(, C)] or embeddings [N, D].",
)
Data = Annotated[str, _DATA]
OptionalData = Annotated[str | None, _DATA]
Root = Annotated[
    Path | None, typer.Option(help="Folder (or .npz) with the files of the named data set; nothing is downloaded.")
]
Labels = Annotated[Path | None, typer.Option(help="The .npy with the labels of an .npy of items.")]
Queries = Annotated[
    int | None, typer.Option(help="Items held out as queries [default: 300 of digits, else up to 1,000].")
]
CodesFile = Annotated[
    Path, typer.Argument(help=".npy of packed codes (uint8), of 64-bit integers [N], or of embeddings, packed by sign.")
]
LabelsFile = Annotated[
    Path | None,
    typer.Argument(help=".npy of class ids [N] or multi-hot labels [N, C]; none with --relevance.", show_default=False),
]
