"""A process that adds and saves is killed at any moment: the file opens, with all that was acknowledged.

``python tests/index/test_kills.py 500`` does it that often.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

import hashkernels as hk

BITS, BATCH = 40, 97


def codes(first: int, last: int) -> np.ndarray:
    """What the code at a position must be."""
    words = np.arange(first, last, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return words.view(np.uint8).reshape(-1, 8)[:, : BITS // 8].copy()


def ids(first: int, last: int) -> np.ndarray:
    return np.arange(first, last) * 3 + 1


def keep_adding(path: Path, said: int) -> None:
    """Add, bring to the disk, and say how much is there, for ever."""
    if path.exists():
        index = hk.BinaryIndex.load(path)
    else:
        index = hk.BinaryIndex(BITS)
        index.save(path)
    for step in range(1_000_000):
        held = index.ntotal
        index.add_with_ids(codes(held, held + BATCH), ids(held, held + BATCH))
        if step % 4 == 3:
            index.save(path)
        else:
            index.flush()
        os.write(said, held.to_bytes(8, "little") + (held + BATCH).to_bytes(8, "little"))


def killed_once(path: Path, delay: float) -> tuple[int, int]:
    """Acknowledged and found codes."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            keep_adding(path, write)
        os._exit(1)
    os.close(write)
    heard = os.read(read, 16)  # it runs
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer failed before it was killed"
    while more := os.read(read, 1 << 16):
        heard += more
    os.close(read)
    acknowledged = int.from_bytes(heard[-8:], "little")
    found = hk.BinaryIndex.load(path, verify="full")
    assert found.ntotal in (acknowledged, acknowledged + BATCH)
    np.testing.assert_array_equal(found.ids, ids(0, found.ntotal))
    np.testing.assert_array_equal(found.reconstruct(found.ids), codes(0, found.ntotal))
    for partial in path.parent.glob(".*.partial-*"):
        partial.unlink()
    return acknowledged, found.ntotal


def kill_often(count: int, folder: Path) -> dict[str, int]:
    moments = {"at rest": 0, "written, not yet acknowledged": 0}
    for turn in range(count):
        path = folder / f"{turn // 10}.hki"
        acknowledged, found = killed_once(path, random.uniform(0, 0.02))
        moments["at rest" if found == acknowledged else "written, not yet acknowledged"] += 1
    return moments


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_killed_writer_leaves_what_it_acknowledged(tmp_path):
    assert sum(kill_often(6, tmp_path).values()) == 6


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(kill_often(int(sys.argv[1]), Path(folder))))
