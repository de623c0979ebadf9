"""demo, train, encode."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hashkernels import _validation as check
from hashkernels._warnings import HashkernelsWarning
from hashkernels.cli.console import (
    codes_of,
    command_line,
    emit,
    progress,
    remark,
    require_pages,
    training_progress,
    use_threads,
)
from hashkernels.cli.methods import list_methods
from hashkernels.cli.options import Bits, Data, Epochs, Force, Json, Labels, OptionalData, Queries, Root, Seed, Threads
from hashkernels.data import RetrievalSplit, as_items, load_source
from hashkernels.data.files import check_ending, check_output_files, check_output_folder, save_npy
from hashkernels.data.formats import read_npy
from hashkernels.metrics.pages.save import check_format
from hashkernels.report import run_method, save_results, summary_header, summary_rows, text_table
from hashkernels.train import build_loss, load_checkpoint, method_names, method_title, save_checkpoint
from hashkernels.train import encode as encode_items
from hashkernels.train.models import check_items

DEMO_METHODS = ("ecm", "ecm_plotkin", "csq", "csq_d")
_METHODS_HELP = f"One of {', '.join(method_names())}."


def demo(
    output: Annotated[Path, typer.Option(help="Folder for the report, codes and checkpoints.")] = Path(
        "hashkernels-demo"
    ),
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help=f"Repeatable [default: {', '.join(DEMO_METHODS)}]. {_METHODS_HELP}"),
    ] = None,
    data: Data = "digits",
    root: Root = None,
    labels: Labels = None,
    bits: Bits = 32,
    epochs: Epochs = 15,
    queries: Queries = None,
    seed: Seed = 0,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads [default: 1 for digits, too small to share out; else torch's].", show_default=False
        ),
    ] = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Train several methods, evaluate them exactly, and write a report, packed codes and checkpoints.

    Examples:

      hashkernels demo

      hashkernels demo --method csq --method csq_d --bits 16 --json

      hashkernels demo --data fashion-mnist --root ~/data/fashion --epochs 12 --output fashion
    """
    methods = tuple(dict.fromkeys(method or DEMO_METHODS))
    for name in methods:
        check.check_choice("method", name, method_names())
    check.check_bits(bits)
    require_pages()
    check.require("safetensors", extra="train")
    use_threads(1 if threads is None and data == "digits" else threads)
    split = _training_split(data, root, labels, queries, seed)
    for name in methods:
        # What a method cannot do should come out now, not after the others have trained.
        build_loss(name, bits, split.num_classes, num_train=len(split.train_items))
    check_output_folder(output, force=force)
    remark(f"{split.name}: {split.protocol}")
    results = []
    for name in methods:
        with training_progress(method_title(name)) as advance:
            results.append(run_method(split, name, bits, epochs=epochs, seed=seed, progress=advance))
    save_results(output, split, results, command=command_line(), force=force)
    table = text_table(summary_header(results), summary_rows(results))
    emit(as_json, {result.name: result.summary() for result in results}, f"{table}\n\nReport: {output / 'report.html'}")


def train(
    data: OptionalData = None,
    output: Annotated[Path, typer.Option(help="The checkpoint to write.")] = Path("model.safetensors"),
    method: Annotated[str, typer.Option(help=_METHODS_HELP)] = "ecm_plotkin",
    preset: Annotated[
        str | None, typer.Option(help="Published settings of the method's loss for a data set, by a name of --list.")
    ] = None,
    root: Root = None,
    labels: Labels = None,
    bits: Bits = 32,
    epochs: Epochs = 12,
    batch_size: Annotated[
        int | None, typer.Option(help="Items in a batch [default: the method's, mostly 64].", show_default=False)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Of Adam [default: the method's, mostly 0.001].", show_default=False)
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Decoupled, of the network's weights.")] = 0.0,
    schedule: Annotated[Literal["constant", "cosine"], typer.Option(help="Of the learning rate.")] = "constant",
    hidden: Annotated[
        int | None, typer.Option(help="Width of a hidden layer, for embeddings [default: none, a linear map].")
    ] = None,
    queries: Queries = None,
    seed: Seed = 0,
    threads: Threads = None,
    report: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Write the evaluation: a page (.html) or what compare takes (.json), repeatable."
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Of that evaluation, by which compare averages [default: the method's].")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the interrupted training of this output; other options alike.")
    ] = False,
    force: Force = False,
    show_list: Annotated[
        bool, typer.Option("--list", help="Print the methods with their papers and settings instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train one method and write a checkpoint.

    Images train a small convolutional net from scratch, embeddings a hash layer. Queries are held out, and the codes
    are evaluated on them at the end. While it trains, a file OUTPUT.state holds what was reached after each epoch: an
    interrupted training goes on from there with --resume, and ends as it would have.

    Examples:

      hashkernels train --list

      hashkernels train --data digits --method csq_d --output digits.safetensors

      hashkernels train --data fashion-mnist --root ~/data/fashion --bits 48

      hashkernels train --data embeddings.npy --labels labels.npy --hidden 512

      hashkernels train --data embeddings.npy --labels labels.npy --hidden 512 --resume

      hashkernels train --data digits --method csq --seed 1 --report csq-seed1.json  # for compare --by-title
    """
    if show_list:
        list_methods(as_json)
        return
    if data is None:
        raise ValueError("--data must be given: a named data set, an .npz or an .npy")
    check_ending("output", output, ".safetensors")
    reports = report or []
    for path in reports:
        check_format(path, "report")
    if any(path.suffix == ".html" for path in reports):
        require_pages()
    check.check_choice("method", method, method_names())
    given = {"batch_size": batch_size, "learning_rate": learning_rate}
    training = {name: value for name, value in given.items() if value is not None}
    check.require("safetensors", extra="train")
    use_threads(threads)
    split = _training_split(data, root, labels, queries, seed)
    state = _training_state(output, resume=resume, force=force)
    check_output_files(reports, force=force)
    try:
        with training_progress(method_title(method)) as advance:
            result = run_method(
                split,
                method,
                bits,
                epochs=epochs,
                seed=seed,
                hidden=hidden,
                progress=advance,
                preset=preset,
                weight_decay=weight_decay,
                schedule=schedule,
                state=state,
                resume=resume,
                **training,
            )
    except KeyboardInterrupt:
        if state.exists():
            remark(f"{state} holds the epochs that were finished: the same command with --resume goes on")
        raise
    settings = result.settings(split) | ({} if preset is None else {"preset": preset})
    save_checkpoint(output, result.model, settings=settings, loss=result.loss)
    for path in reports:
        result.report.save(path, title=title or result.title, command=command_line())
    state.unlink(missing_ok=True)  # the same training, run twice at once, may have done so
    text = f"{result.report.protocol}\nmAP {result.report.map:.4f}\n" + "\n".join(
        [f"Checkpoint: {output}", *(f"Written: {path}" for path in reports)]
    )
    emit(as_json, {"method": method, "output": str(output), **result.summary()}, text)


def encode(
    checkpoint: Annotated[Path, typer.Argument(help="A checkpoint that train or demo wrote.")],
    data: Data,
    output: Annotated[Path, typer.Option(help="The .npy of packed codes to write.")] = Path("codes.npy"),
    part: Annotated[
        Literal["train", "queries", "database"] | None,
        typer.Option(
            help="Which part of a data set, of an .npz or of an .npy with --labels [default: database].",
            show_default=False,
        ),
    ] = None,
    labels_output: Annotated[
        Path | None, typer.Option(help="Also write the labels of that part, for evaluate.")
    ] = None,
    root: Root = None,
    labels: Labels = None,
    queries: Queries = None,
    seed: Annotated[int | None, typer.Option(help="Of the queries held out [default: 0].", show_default=False)] = None,
    threads: Threads = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Encode images or embeddings as packed codes with a trained model.

    An .npy is encoded as a whole; of a data set, of an .npz or of an .npy with --labels, one part (with the --queries
    and --seed of the training).

    Examples:

      hashkernels encode model.safetensors --data images.npy --output codes.npy

      hashkernels encode digits.safetensors --data digits --part queries --output q.npy --labels-output ql.npy

      hashkernels encode model.safetensors --data embeddings.npy --labels labels.npy --part queries
    """
    outputs = {"output": output} | ({} if labels_output is None else {"labels_output": labels_output})
    for name, path in outputs.items():
        check_ending(name, path, ".npy")
        if path.resolve() == Path(data).resolve():
            raise ValueError(f"{name} must be another file than the items, got {path}")
    use_threads(threads)
    trained = load_checkpoint(checkpoint)
    part_labels: Any = None
    if data.endswith(".npy") and labels is None:
        given = {"part": part, "root": root, "queries": queries, "seed": seed, "labels-output": labels_output}
        for flag, value in given.items():
            if value is not None:
                raise ValueError(f"--{flag} goes with a data set, an .npz, or an .npy of items with its --labels")
        items = as_items(data, read_npy(data))
    else:
        split = load_source(data, root=root, labels=labels, num_queries=queries, seed=0 if seed is None else seed)
        _warn_of_another_split(trained.settings, split)
        prefix = {"train": "train", "queries": "query", "database": "database"}[part or "database"]
        items, part_labels = getattr(split, f"{prefix}_items"), getattr(split, f"{prefix}_labels")
    check_items(data, items, trained.model.item_shape)
    check_output_files(outputs.values(), force=force)
    with progress(f"encoding {data}") as advance:
        codes = encode_items(trained.model, items.numpy(), progress=advance)
    save_npy(output, codes)
    if labels_output is not None:
        save_npy(labels_output, part_labels.numpy())
    numbers = {"output": str(output), "items": len(codes), "bits": trained.model.bits, "bytes_per_code": codes.shape[1]}
    # Packed codes do not say how long they are.
    reminder = f"\nRead them with --bits {trained.model.bits}" if trained.model.bits % 8 else ""
    emit(as_json, numbers, f"{codes_of(len(codes), trained.model.bits)}: {output}{reminder}")


def _training_split(
    data: str, root: Path | None, labels: Path | None, queries: int | None, seed: int
) -> RetrievalSplit:
    """What ``load_source`` loads, of two classes at least; classes without items are told of if they are the first."""
    split = load_source(data, root=root, labels=labels, num_queries=queries, seed=seed)
    if split.num_classes < 2:
        raise ValueError(f"{labels or data} must hold labels of at least two classes, got one")
    if split.train_labels.ndim == 1:
        least = min(int(part.min()) for part in (split.train_labels, split.query_labels))
        if least > 0:
            warnings.warn(
                f"{labels or data}: the least class id is {least}, so margins and centers are made for "
                f"{split.num_classes} classes, {least} of them without items: number classes from 0",
                HashkernelsWarning,
                stacklevel=1,
            )
    return split


def _training_state(output: Path, *, resume: bool, force: bool) -> Path:
    """The file beside the output that an interrupted training leaves: there to be resumed; otherwise not there, or by
    ``force`` replaced by the first epoch of the new one."""
    state = output.with_name(f"{output.name}.state")
    if resume and not state.exists():
        raise FileNotFoundError(f"{state} does not exist: there is no interrupted training to go on with")
    if not resume and not force and state.exists():
        raise FileExistsError(
            f"{state} exists, of an interrupted training: pass --resume to go on with it, or remove it to start anew "
            "(--force does)"
        )
    check_output_files([output], force=force)
    if not resume:
        check_output_files([state], force=force)
    return state


def _warn_of_another_split(settings: dict[str, Any], split: RetrievalSplit) -> None:
    """Other queries of the same data may be items that the model was trained on, and be found too easily; where those
    are apart, they may be searched in the database that another run has encoded."""
    trained_on = settings.get("protocol")
    if settings.get("data") == split.name and trained_on not in (None, split.protocol):
        warnings.warn(
            f"the parts are not those of the training: it had {trained_on!r}, these are {split.protocol!r}",
            HashkernelsWarning,
            stacklevel=1,
        )


COMMANDS = (demo, train, encode)
