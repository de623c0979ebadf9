"""Ctrl-C at chosen moments of ``hashkernels index build``: the old index stays, and nothing half-written does."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashkernels as hk

# The command, in a process that says "here" and waits when it calls a function for the n-th time.
_COMMAND = """
import os, signal, sys, time
from hashkernels.cli import main
from hashkernels.index import BinaryIndex
owner, name, left = {owner}, {name!r}, {calls}
real = getattr(owner, name)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it

def watched(*arguments):
    global left
    left -= 1
    if left == 0:
        print("here", flush=True)
        time.sleep(60)
    return real(*arguments)

setattr(owner, name, watched)
main()
"""


def interrupted(python: Any, folder: Path, moment: tuple[str, str, int], *arguments: str) -> tuple[int, str]:
    """Exit status and stderr of the command that is interrupted at that moment."""
    owner, name, calls = moment
    code = _COMMAND.format(owner=owner, name=name, calls=calls)
    with python.start(code, "index", *arguments, folder=folder) as process:
        process.wait_for("here\n")
        process.send_signal(signal.SIGINT)
        done = process.end()
    assert done.stdout.startswith("here\n")
    return done.returncode, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an index of 100 codes, and a file of 300 more."""
    codes = np.random.default_rng(0).integers(0, 256, (400, 4), dtype=np.uint8)
    index = hk.BinaryIndex(32)
    index.add(codes[:100])
    index.save(tmp_path / "old.hki")
    np.save(tmp_path / "more.npy", codes[100:])
    return tmp_path


@pytest.mark.parametrize("moment", [("BinaryIndex", "add", 1), ("os", "fsync", 1), ("os", "replace", 1)])
@pytest.mark.parametrize("options", [("new.hki",), ("old.hki", "--force")])
def test_a_build_leaves_what_was_there(
    python: Any, folder: Path, moment: tuple[str, str, int], options: tuple[str, ...]
) -> None:
    before = (folder / "old.hki").read_bytes()
    status, errors = interrupted(python, folder, moment, "build", "more.npy", *options)
    assert (status, errors) == (130, "hashkernels: error: interrupted\n")
    assert sorted(os.listdir(folder)) == ["more.npy", "old.hki"]
    assert (folder / "old.hki").read_bytes() == before


@pytest.mark.parametrize("moment", [("BinaryIndex", "add", 1), ("os", "fsync", 1)])
def test_an_append_leaves_what_was_there(python: Any, folder: Path, moment: tuple[str, str, int]) -> None:
    before = (folder / "old.hki").read_bytes()
    status, errors = interrupted(python, folder, moment, "build", "more.npy", "old.hki", "--append")
    assert (status, errors) == (130, "hashkernels: error: interrupted\n")
    assert (folder / "old.hki").read_bytes() == before


def test_an_append_that_is_committed_is_whole(python: Any, folder: Path) -> None:
    status, _ = interrupted(python, folder, ("os", "fsync", 2), "build", "more.npy", "old.hki", "--append")
    assert status == 130
    assert hk.BinaryIndex.load(folder / "old.hki", verify="full").ntotal == 400
