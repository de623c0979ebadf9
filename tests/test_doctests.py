"""Every example in a docstring runs, in the package as installed."""

from __future__ import annotations

import doctest
import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import hashkernels

_FOLDER = str(Path(hashkernels.__file__).parent)
_MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages([_FOLDER], "hashkernels.")
    if not module.name.startswith(
        ("hashkernels.benchmarks", "hashkernels._native", "hashkernels.cli.__main__", "hashkernels.__main__")
    )
)


@pytest.mark.parametrize("name", _MODULES)
def test_examples(name: str) -> None:
    result = doctest.testmod(import_module(name), extraglobs={"hashkernels": hashkernels})
    assert result.failed == 0
