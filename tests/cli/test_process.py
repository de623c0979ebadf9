"""The command as a process of its own: exit status, clean stdout, missing packages, signals.

Where Python itself has a part in it, when it starts or closes its streams, the process is a new one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1"}
COMMAND = "from hashkernels.cli import main; main()"


def test_stdout_is_one_json_object_and_nothing_else(tmp_path: Path, python: Any) -> None:
    options = ("--method", "csq", "--epochs", "1", "--bits", "8", "--json")
    done = python.run(COMMAND, "demo", *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"csq"}
    assert "digits" in done.stderr
    again = python.run(COMMAND, "demo", *options, folder=tmp_path)
    assert again.returncode == 2
    assert again.stdout == ""
    assert again.stderr.strip() == (
        "hashkernels: error: hashkernels-demo exists and is not empty: pass --force to overwrite"
    )


def test_without_the_extra_the_command_names_it_in_one_line(tmp_path: Path, python: Any) -> None:
    # None in sys.modules makes the import fail as if the package were not there.
    code = "import sys; sys.modules['typer'] = None\n" + COMMAND
    done = python.run(code, "info", folder=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "hashkernels: typer is missing: pip install 'hashkernels[cli]'\n"


@pytest.mark.parametrize("module", ["typer.main", "hashkernels.cli.learning"])
def test_an_interrupt_before_the_application_is_there_is_one_line(tmp_path: Path, python: Any, module: str) -> None:
    code = f"""
import signal, sys
from hashkernels.cli import main

class Interrupt:
    def find_spec(self, name, *more):
        if name == "{module}":
            signal.raise_signal(signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Interrupt())
main()
"""
    done = python.run(code, "info", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "hashkernels: error: interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_terminated_or_loses_its_terminal_leaves_nothing(
    tmp_path: Path, python: Any, number: signal.Signals
) -> None:
    # Whoever runs the tests may have them ignore a signal, as nohup does.
    code = f"import signal; signal.signal({number:d}, signal.SIG_DFL)\n" + COMMAND
    with python.start(code, "demo", "--method", "csq", "--epochs", "500", folder=tmp_path) as process:
        process.wait_for("digits")  # said just before training starts
        time.sleep(0.2)
        process.send_signal(number)
        done = process.end()
    assert done.returncode == 130
    assert done.stdout == ""
    assert done.stderr.splitlines()[1:] == ["hashkernels: error: interrupted"]
    assert not list(tmp_path.iterdir())


def test_a_reader_that_stops_early_is_no_error_of_ours(tmp_path: Path) -> None:
    command = f"{sys.executable} -m hashkernels.cli --help | true"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stderr == ""


def test_closed_streams_are_no_error_and_mix_nothing_up(tmp_path: Path) -> None:
    command = f"{sys.executable} -m hashkernels.cli"
    for line, output in (
        (f"{command} --version >&-", ""),
        (f"{command} nope 2>&-; true", ""),
        (f"{command} centers 4 8 --construction random --json 2>&-", None),
    ):
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout) if output is None else done.stdout == output


def test_names_of_files_may_be_of_any_bytes(tmp_path: Path, python: Any) -> None:
    def path(name: str) -> str:
        return os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9" + name.encode())

    rng = np.random.default_rng(0)
    np.save(path(".npy"), rng.standard_normal((40, 8)).astype(np.float32))
    np.save(path("_labels.npy"), np.arange(40) % 3)
    evaluated = ("evaluate", path(".npy"), path(".npy"), path("_labels.npy"), path("_labels.npy"))
    trained = ("demo", "--data", path(".npy"), "--labels", path("_labels.npy"), "--method", "csq", "--bits", "8")
    for arguments in (
        (*evaluated, "-o", path(".html"), "-o", path(".json")),
        ("compare", path(".json"), "-o", path("_compared.html"), "--title", path("")),
        (*trained, "--epochs", "1", "--output", path("")),
    ):
        done = python.run(COMMAND, *arguments)
        assert done.returncode == 0, done.stderr
    for page in (path(".html"), path("_compared.html"), path("/report.html")):
        assert "caf\ufffd" in Path(page).read_text(encoding="utf-8")


def test_importing_the_command_line_imports_no_optional_package(python: Any) -> None:
    code = (
        "import sys, hashkernels.cli; print([name for name in ('typer', 'rich', 'matplotlib') if name in sys.modules])"
    )
    assert python.run(code).stdout == "[]\n"
