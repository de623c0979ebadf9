"""Tests that need an NVIDIA GPU. Without one they are deselected, and pytest says how many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    here = [item for item in items if HERE in item.path.parents]
    if here:
        config.hook.pytest_deselected(items=here)
        items[:] = [item for item in items if HERE not in item.path.parents]


@pytest.fixture
def device() -> torch.device:
    """The GPU that is current."""
    return torch.device("cuda", torch.cuda.current_device())


@pytest.fixture
def no_waiting() -> AbstractContextManager[None]:
    """Where torch raises for what would wait for the device."""

    @contextmanager
    def waits_are_errors() -> Iterator[None]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")

    return waits_are_errors()
