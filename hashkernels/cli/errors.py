"""What is said of a mistake: one line, in the flags and arguments of the command that runs."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperGroup

# Typer carries its own copy of click in some versions; this is ClickException in all of them.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
_NUMBERS = {"int_parsing": "an integer", "float_parsing": "a number"}


class Commands(TyperGroup):
    """A group that notes which of its commands runs, to know its flags."""

    running: Any = None

    def resolve_command(self, *args: Any) -> Any:
        """The command that is asked for."""
        found = super().resolve_command(*args)
        self.running = found[1]
        return found


def describe(error: Exception, command: Any) -> str:
    """A line about an error of the library, of the system or of Typer, met by ``command``."""
    if isinstance(error, UsageError):
        return _describe_value(error) or str(getattr(error, "format_message", error.__str__)())
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory: {error}".removesuffix(": ")
    return _in_flags(str(error), command)


def _in_flags(message: str, command: Any) -> str:
    """A message of the library that begins with the name of an argument, with the flag that stands for it."""
    while isinstance(command, Commands):
        command = command.running
    parameters: list[Any] = getattr(command, "params", [])
    order = r"by --bitorder \1" if any(parameter.name == "bitorder" for parameter in parameters) else r"in \1 order"
    message = re.sub(r"by bitorder='(\w+)'", order, message)
    begin = re.match(r"(?:num_)?(\w+)(?= (?:given as .*?)?\b(?:must|needs|go|goes)\b)", message)
    for parameter in parameters:
        if begin is not None and parameter.name in (begin.group(), begin.group(1)):
            return _flag(parameter) + message[begin.end() :]
    return message


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
