"""Processes that are forked against those that Python starts anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CODES = [
    "print('done')",
    "import sys; print('half', end=''); sys.exit(3)",
    "raise SystemExit('no')",
    "import atexit; atexit.register(print, 'last'); raise ValueError('none')",
    "raise KeyboardInterrupt",
    "import os; os.kill(os.getpid(), 9)",
    "import sys; print(sys.argv, __name__, sys.stdin.read(), end='x')",
    "import os, sys; print(os.getcwd(), dict(os.environ)); os.write(2, b'written')",
]


@pytest.mark.parametrize("code", CODES)
def test_a_forked_process_prints_and_ends_as_a_new_one(tmp_path: Path, python: Any, code: str) -> None:
    environment = {"LC_ALL": "C.UTF-8", "WHERE": "here"}
    new = subprocess.run(
        [sys.executable, "-c", code, "a b", "--c"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    forked = python.run(code, "a b", "--c", folder=tmp_path, environment=environment)
    assert (forked.returncode, forked.stdout) == (new.returncode, new.stdout)
    assert forked.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]  # tracebacks differ in the frames above


def test_the_process_to_fork_from_has_one_thread(python: Any) -> None:
    assert python.run("pass").returncode == 0  # by then it has imported all
    assert len(os.listdir(f"/proc/{python.server.pid}/task")) == 1


def test_each_imports_the_package_anew(python: Any) -> None:
    code = "import sys, json; print(json.dumps([name for name in ('torch', 'hashkernels') if name in sys.modules]))"
    for _ in range(2):
        assert json.loads(python.run(code + "\nimport hashkernels").stdout) == ["torch"]


def test_what_runs_too_long_is_killed(python: Any) -> None:
    with pytest.raises(AssertionError, match="no answer within"), python.start("import time; time.sleep(60)") as late:
        late.end(0.1)
    with pytest.raises(ProcessLookupError):
        late.send_signal(0)
    with pytest.raises(AssertionError, match="ended without printing 'here'"), python.start("print('he')") as process:
        process.wait_for("here")
    assert python.run("print('next')").stdout == "next\n"


def test_a_server_that_died_is_named(tmp_path: Path, python: Any) -> None:
    other = type(python)(tmp_path)
    died = pytest.raises(RuntimeError, match=f"the process to fork from ended with status {-signal.SIGKILL}")
    with died, other.start("import time; time.sleep(60)") as process:
        other.server.kill()
        process.end()
    with died:
        other.run("pass")
    other.connection.close()
