"""The application: its commands, and the one place where errors become an exit status and a line."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Any

import typer

import hashkernels
from hashkernels.cli import benchmarks, comparison, evaluation, indexing, learning, retrieval, theory
from hashkernels.cli.errors import Commands, UsageError, describe

_BAD_INPUT = (ValueError, TypeError, ImportError, OSError, MemoryError)
_EXIT_BAD_INPUT, _EXIT_INTERRUPTED = 2, 130


class _Application(Commands):
    """All commands; it turns what the library raises on bad input into one line on stderr and exit status 2."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, then exit with a status."""
        status = _EXIT_BAD_INPUT
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                result = super().main(*args, **extra | {"standalone_mode": False})
            # Typer gives back the status of an exit, and turns an interrupt into one of 130.
            status = result if isinstance(result, int) else 0
            if status == _EXIT_INTERRUPTED:
                _complain("interrupted")
            if sys.stdout is not None:  # as it is where the shell has closed it
                sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has stopped; a second complaint from the interpreter's own flush helps nobody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except (UsageError, *_BAD_INPUT) as error:
            _complain(describe(error, self))
        except RuntimeError as error:
            if "allocate memory" not in str(error):  # which torch has no type of its own for on a CPU
                raise
            _complain(f"out of memory: {str(error).splitlines()[0]}")
        except (KeyboardInterrupt, typer.Abort):
            _complain("interrupted")
            status = _EXIT_INTERRUPTED
        sys.exit(status)


app = typer.Typer(
    cls=_Application,
    name="hashkernels",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 120, "help_option_names": ["-h", "--help"]},
    help="Learn, evaluate and search short binary codes, exactly.",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    # A run that is terminated, or whose terminal is gone, must clean up behind itself like an interrupted one.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    if version:
        typer.echo(hashkernels.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _module in (learning, evaluation, comparison, retrieval, theory, benchmarks):
    for _command in _module.COMMANDS:
        app.command()(_command)
app.add_typer(indexing.app, name="index")


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _complain(message: str) -> None:
    typer.echo(f"hashkernels: error: {' '.join(message.split())}", err=True)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    typer.echo(f"hashkernels: warning: {' '.join(str(message).split())}", err=True)
