"""Learn, evaluate and search short binary codes, exactly and fast."""

from __future__ import annotations

import importlib
from importlib.metadata import version as _version
from typing import TYPE_CHECKING, Any

from hashkernels._info import get_num_threads, info, set_num_threads, validate
from hashkernels._warnings import HashkernelsWarning
from hashkernels.codes import pack_codes, unpack_codes
from hashkernels.index import BinaryIndex, hamming_distance, range_count, range_nearest, range_search, topk

if TYPE_CHECKING:
    from hashkernels.metrics.evaluate import evaluate
    from hashkernels.metrics.evaluator import RetrievalEvaluator
    from hashkernels.metrics.report import RetrievalReport

__version__ = _version("hashkernels")

__all__ = [
    "BinaryIndex",
    "HashkernelsWarning",
    "RetrievalEvaluator",
    "RetrievalReport",
    "evaluate",
    "get_num_threads",
    "hamming_distance",
    "info",
    "pack_codes",
    "range_count",
    "range_nearest",
    "range_search",
    "set_num_threads",
    "topk",
    "unpack_codes",
    "validate",
]

_SUBMODULES = ("centers", "data", "index", "losses", "metrics", "report", "surrogate", "train")
_FROM_METRICS = ("RetrievalEvaluator", "RetrievalReport", "evaluate")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"hashkernels.{name}")
    if name in _FROM_METRICS:
        return getattr(importlib.import_module("hashkernels.metrics"), name)
    raise AttributeError(f"module 'hashkernels' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted((*__all__, *_SUBMODULES, "__version__"))
