"""The command as a process of its own: exit status, clean stdout, missing packages, signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}


def run(*arguments: str, cwd: Path, code: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "hashkernels.cli"]
    return subprocess.run(
        [sys.executable, *start, *arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=120
    )


def test_stdout_is_one_json_object_and_nothing_else(tmp_path: Path) -> None:
    options = ("--method", "csq", "--epochs", "1", "--bits", "8", "--json")
    done = run("demo", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"csq"}
    assert "digits" in done.stderr
    again = run("demo", *options, cwd=tmp_path)
    assert again.returncode == 2
    assert again.stdout == ""
    assert again.stderr.strip() == (
        "hashkernels: error: hashkernels-demo exists and is not empty: pass --force to overwrite"
    )


def test_without_the_extra_the_command_names_it_in_one_line(tmp_path: Path) -> None:
    # None in sys.modules makes the import fail as if the package were not there.
    code = "import sys; sys.modules['typer'] = None\nfrom hashkernels.cli import main\nmain()"
    done = run("info", cwd=tmp_path, code=code)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "hashkernels: typer is missing: pip install 'hashkernels[cli]'\n"


def test_a_terminated_run_stops_and_leaves_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hashkernels.cli", "demo", "--method", "csq", "--epochs", "500"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "digits" in process.stderr.readline()  # said just before training starts
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stdout == ""
    assert stderr == "hashkernels: error: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_a_reader_that_stops_early_is_no_error_of_ours(tmp_path: Path) -> None:
    command = f"{sys.executable} -m hashkernels.cli --help | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stderr == ""


def test_importing_the_command_line_imports_no_optional_package() -> None:
    code = (
        "import sys, hashkernels.cli; print([name for name in ('typer', 'rich', 'matplotlib') if name in sys.modules])"
    )
    done = run(cwd=Path.cwd(), code=code)
    assert done.stdout.strip() == "[]"
