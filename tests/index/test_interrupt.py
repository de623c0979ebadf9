"""Ctrl-C during a long search, in a process of its own."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from hashkernels import _loader

# One call that would take minutes.
_SEARCH = """
import signal, numpy as np, hashkernels as hk
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start without it
database, queries = np.zeros((4_000_000, 128), np.uint8), np.zeros((100_000, 128), np.uint8)
print("searching", flush=True)
{call}
"""


@pytest.mark.parametrize(
    "call",
    [
        "hk.topk(queries, database, 1, threads=1)",
        "hk.range_count(queries, database, 3, threads=2)",
        "from hashkernels.index import hashed; hashed._READ = hashed._READ_WORD = 1e-9\n"
        "index = hk.BinaryIndex(1024, structure='hash'); index.add(database[:100_000]); index.prepare()\n"
        "index.range_count(queries, 0, threads=2)",
    ],
)
def test_a_long_search_can_be_interrupted(python: Any, call: str) -> None:
    if _loader.isa() == _loader.REFERENCE:
        return
    with python.start(_SEARCH.format(call=call)) as process:
        process.wait_for("searching\n")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        done = process.end()
    assert done.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in done.stderr
