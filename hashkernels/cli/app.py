"""The application: its commands, and the one place where errors become an exit status and a line."""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

import hashkernels
from hashkernels.cli import benchmarks, evaluation, indexing, learning, retrieval, theory

# Typer carries its own copy of click in some versions; this is ClickException in all of them.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_BAD_INPUT = (ValueError, TypeError, ImportError, OSError)
_EXIT_BAD_INPUT, _EXIT_INTERRUPTED = 2, 130
_NUMBERS = {"int_parsing": "an integer", "float_parsing": "a number"}


class _Commands(TyperGroup):
    """A group of commands that turns what the library raises on bad input into one line on stderr and exit status 2."""

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
            sys.stdout.flush()
        except _UsageError as error:
            _complain(_describe(error))
        except BrokenPipeError:
            # Whoever read our output has stopped; a second complaint from the interpreter's own flush helps nobody.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except _BAD_INPUT as error:
            _complain(self._in_flags(_describe(error)))
        except (KeyboardInterrupt, typer.Abort):
            _complain("interrupted")
            status = _EXIT_INTERRUPTED
        sys.exit(status)

    def resolve_command(self, *args: Any) -> Any:
        """Note which command runs, to know its flags."""
        found = super().resolve_command(*args)
        self._running = found[1]
        return found

    def _in_flags(self, message: str) -> str:
        """A message of the library that begins with the name of an argument, with the flag that stands for it."""
        begin = re.match(r"(?:num_)?(\w+)(?= must | needs )", message)
        for parameter in getattr(getattr(self, "_running", None), "params", []):
            if begin is not None and parameter.name in (begin.group(), begin.group(1)):
                return _flag(parameter) + message[begin.end() :]
        return message


app = typer.Typer(
    cls=_Commands,
    name="hashkernels",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    help="Learn, evaluate and search short binary codes, exactly.",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    # A terminated run must clean up behind itself like an interrupted one.
    signal.signal(signal.SIGTERM, _interrupt)
    if version:
        typer.echo(hashkernels.__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for _module in (learning, evaluation, retrieval, theory, benchmarks):
    for _command in _module.COMMANDS:
        app.command()(_command)
app.add_typer(indexing.app, name="index")


def _interrupt(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _describe(error: Exception) -> str:
    if isinstance(error, _UsageError):
        return _describe_value(error) or str(getattr(error, "format_message", error.__str__)())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return str(error)


def _describe_value(error: Any) -> str | None:
    """What came in place of a number or a choice, in the form of the library's own errors; None for another mistake."""
    if re.match(r"-\d", getattr(error, "option_name", "")):
        return f"{error.format_message()} (no argument is a number below 0)"
    parameter, reason = getattr(error, "param", None), str(getattr(error, "message", ""))
    if parameter is None:
        return None
    if choice := re.fullmatch(r"(?:Value error, )?('.*') is not one of (.*)\.", reason):
        return f"{_flag(parameter)} must be one of {choice[2].replace(chr(39), '')}, got {choice[1]}"
    # Some versions of Typer parse with pydantic, whose sentence leaves out what came.
    found: list[Any] = getattr(error.__cause__, "errors", list)()
    if not found or found[0]["type"] not in _NUMBERS:
        return None
    each = f": repeat {_flag(parameter)} for each" if parameter.multiple and "," in found[0]["input"] else ""
    return f"{_flag(parameter)} must be {_NUMBERS[found[0]['type']]}, got {found[0]['input']!r}{each}"


def _flag(parameter: Any) -> str:
    """A parameter of a command as it is typed, or as the help calls it."""
    first, name = str(parameter.opts[0]), str(parameter.name)
    return first if first.startswith("-") else name.upper()


def _complain(message: str) -> None:
    print(f"hashkernels: error: {' '.join(message.split())}", file=sys.stderr)


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    print(f"hashkernels: warning: {' '.join(str(message).split())}", file=sys.stderr)
