"""The warning category of the library, apart so that every layer may use it."""

from __future__ import annotations

import sys
import warnings


class HashkernelsWarning(UserWarning):
    """Something works, but not as fast or not as well as it could: the message says what to do."""


HashkernelsWarning.__module__ = "hashkernels"


def warn(message: str) -> None:
    """A `HashkernelsWarning` at the line that called the library."""
    warnings.warn(message, HashkernelsWarning, stacklevel=_frames_to_caller())


def _frames_to_caller() -> int:
    """How far up the stack of the function that asks the library was called."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "hashkernels":
        frame, depth = frame.f_back, depth + 1
    return depth
