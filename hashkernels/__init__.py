"""Learn, evaluate and search short binary codes, exactly and fast."""

from __future__ import annotations

import importlib
from importlib.metadata import version as _version
from typing import Any

from hashkernels._warnings import HashkernelsWarning

__version__ = _version("hashkernels")

_SUBMODULES = ("centers", "data", "index", "losses", "metrics", "report", "surrogate", "train")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"hashkernels.{name}")
    raise AttributeError(f"module 'hashkernels' has no attribute {name!r}")
