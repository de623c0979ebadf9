"""What commands share: JSON on stdout, progress and remarks on stderr, threads."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from hashkernels import _validation as check
from hashkernels._files import printable
from hashkernels.train import Progress as TrainingProgress


def emit(as_json: bool, numbers: Mapping[str, Any], text: str) -> None:
    """Print the result: one JSON object, or text for people."""
    typer.echo(json.dumps(numbers, allow_nan=False) if as_json else text)


def codes_of(number: int, bits: int) -> str:
    """So many codes of a length."""
    return f"{check.counted(number, 'code')} of {check.counted(bits, 'bit')}"


def require_pages() -> None:
    """Raise ``ImportError`` where a page could not be written."""
    for module in ("matplotlib", "jinja2"):
        check.require(module, extra="report")


def remark(message: str) -> None:
    """Say something that is no result."""
    typer.echo(message, err=True)


def command_line() -> str:
    """What runs, as it is typed."""
    return shlex.join(["hashkernels", *map(printable, sys.argv[1:])])


def use_threads(threads: int | None) -> None:
    """Let torch, and with it the kernels, use that many CPU threads."""
    if (count := check.check_threads(threads)) is not None:
        torch.set_num_threads(count)


@contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal, over steps that are told as (done, of how many)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def training_progress(title: str) -> Iterator[Callable[[TrainingProgress], None]]:
    """A bar over the steps of a training run, on stderr; where that is no terminal, one line at the end."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=None, state="")

        def advance(progress: TrainingProgress) -> None:
            bar.update(task, completed=progress.step, total=progress.num_steps)
            if record := progress.record:
                bar.update(task, state=f"loss {record.loss:.4f}, {record.distinct_codes} codes")
                if progress.step == progress.num_steps and not console.is_terminal:
                    remark(f"{title}: loss {record.loss:.4f} after {check.counted(record.epoch, 'epoch')}")

        yield advance
