"""The GPU benchmark where there is no GPU: its code runs at small sizes on the CPU, and the script that drives it goes
on after a step that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hashkernels.benchmarks.gpu import CASES

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "run_gpu.sh"


def test_every_step_runs_on_the_cpu(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    command = [
        sys.executable,
        "-m",
        "hashkernels.benchmarks.gpu",
        "--device",
        "cpu",
        "--quick",
        "--output",
        str(output),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    report = json.loads(output.read_text())
    assert report["left_out"] == {}
    assert len(report["checks"]) == 4
    assert all(report["checks"].values())
    assert report["ceilings"]["copied_bytes"] > 0
    assert len(report["figures"]) == len(CASES)
    for figure in report["figures"]:
        assert 0 < figure["fastest"] <= figure["seconds"] <= figure["slowest"]
    assert list(tmp_path.iterdir()) == [output]


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment with stand-ins for nvidia-smi, nvcc, compute-sanitizer and Python, which write what they got."""
    tools = {
        "nvidia-smi": "case $* in *compute_cap*) echo 9.0;; *name*) echo NVIDIA H200;; esac",
        "nvcc": "echo nvcc",
        "compute-sanitizer": 'echo "$@" >> "$LOG"',
        "python": 'echo "$@" >> "$LOG"; case $* in *$FAIL*) exit 3;; esac',
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in tools.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHON": "python", "LOG": str(tmp_path / "log"), "FAIL": "nothing fails"}


def run(environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([SCRIPT, folder], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (folder / "steps.txt").read_text(), Path(environment["LOG"]).read_text()


def test_the_script_runs_every_step(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, log = run(machine, tmp_path / "results")
    assert status == 0
    names = ["torch", "build", "tests_cuda", "figures", "memcheck", "racecheck", "tests"]
    assert [line.partition(":")[0] for line in steps.splitlines()] == names
    assert "-m hashkernels.benchmarks.gpu --output" in log
    assert "--tool racecheck" in log


def test_a_step_that_fails_does_not_stop_the_later_ones(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, log = run({**machine, "FAIL": "tests/cuda -q --maxfail"}, tmp_path / "results")
    assert status == 1
    assert "tests_cuda: exit status 3" in steps
    assert "-m hashkernels.benchmarks.gpu --output" in log


def test_no_step_begins_when_no_time_is_left(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, _ = run({**machine, "LIMIT": "5"}, tmp_path / "results")
    assert status == 1
    assert "torch: no time was left" in steps
