"""The command line. It parses arguments, shows progress and prints; the work is done by the library.

It needs the extra ``cli``; without it `main` says so in one line.
"""

from __future__ import annotations

import sys
from typing import Any

from hashkernels import _validation as check

__all__ = ["main"]


def main() -> None:
    """Entry point of the command ``hashkernels``."""
    try:
        app = _application()
    except KeyboardInterrupt:  # which the application cannot handle before it is there
        print("hashkernels: error: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    app(prog_name="hashkernels")


def _application() -> Any:
    try:
        for module in ("typer", "rich"):
            check.require(module, extra="cli")
    except ImportError as error:
        print(f"hashkernels: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    from hashkernels.cli.app import app

    return app
