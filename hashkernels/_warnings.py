"""The warning category of the library, apart so that every layer may use it."""

from __future__ import annotations


class HashkernelsWarning(UserWarning):
    """Something works, but not as fast or not as well as it could: the message says what to do."""


HashkernelsWarning.__module__ = "hashkernels"
