"""The command line in this process, on one thread."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
import torch

from hashkernels.cli.app import app


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small models train fastest on one, and give the same numbers however many cores there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hashkernels", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            app()
        return int(stop.value.code or 0), *capsys.readouterr()

    return call
