"""The GPU benchmark where there is no GPU: its code runs at small sizes on the CPU, and the script that drives it goes
on after a step that fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hashkernels.benchmarks import gpu_kernels
from hashkernels.benchmarks.gpu import CASES
from hashkernels.benchmarks.gpu_table import GOALS, goals_table, limits_table, main, plot_roofline, roofline_table

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "run_gpu.sh"


def test_every_step_runs_on_the_cpu(tmp_path: Path, python: Any) -> None:
    output = tmp_path / "figures.json"
    code = "import runpy; runpy.run_module('hashkernels.benchmarks.gpu', run_name='__main__')"
    done = python.run(code, "--device", "cpu", "--quick", "--output", output, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "failed" not in done.stdout  # peers
    report = json.loads(output.read_text())
    assert report["left_out"] == {}
    assert len(report["checks"]) == 4
    assert all(report["checks"].values())
    assert report["ceilings"]["copied_bytes"] > 0
    assert [figure["name"] for figure in report["figures"]] == list(CASES)
    assert set(report["took"]) == {*report["checks"], "ceilings", *CASES}
    assert "| topk 10k x 1M | 13 ms |" in done.stdout
    for figure in report["figures"]:
        assert 0 < figure["fastest"] <= figure["seconds"] <= figure["slowest"]
    assert list(tmp_path.iterdir()) == [output]


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """An environment with stand-ins for NVIDIA's tools and Python, which write what they got."""
    tools = {
        "nvidia-smi": "case $* in *compute_cap*) echo 9.0;; *name*) echo NVIDIA H200;; esac",
        "nvcc": "echo nvcc",
        "compute-sanitizer": 'echo "$@" >> "$LOG"',
        "ncu": 'echo "$@" >> "$LOG"',
        "python": 'echo "unbuffered=$PYTHONUNBUFFERED $@" >> "$LOG"; case $* in *$FAIL*) exit 3;; esac',
    }
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in tools.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    machine = {"PATH": path, "PYTHON": "python", "PYTHONUNBUFFERED": "", "LOG": str(tmp_path / "log")}
    return {**os.environ, **machine, "FAIL": "nothing fails"}


def run(environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([SCRIPT, folder], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, (folder / "steps.txt").read_text(), Path(environment["LOG"]).read_text()


def test_the_script_runs_every_step(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, log = run(machine, tmp_path / "results")
    assert status == 0
    checks = ["memcheck", "racecheck", "initcheck"]
    names = ["torch", "build", "tests_cuda", "figures", "kernels", *checks, "ncu", "table", "tests"]
    assert [line.partition(":")[0] for line in steps.splitlines()] == names
    assert "unbuffered=1 -m hashkernels.benchmarks.gpu --output" in log
    assert all(f"--tool {tool} " in log for tool in checks)
    assert f"gpu_table {tmp_path}/results/figures.json --ncu {tmp_path}/results/ncu.txt --plot" in log


def test_steps_can_be_chosen(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, log = run({**machine, "STEPS": "build kernels table"}, tmp_path / "results")
    assert status == 0
    assert [line.partition(":")[0] for line in steps.splitlines()] == ["build", "kernels", "table"]
    assert "gpu_kernels" in log
    assert "-m pytest" not in log
    assert "--ncu" not in log


def test_tools_that_are_not_there_are_named(machine: dict[str, str], tmp_path: Path) -> None:
    for name in ("compute-sanitizer", "ncu"):
        (tmp_path / "bin" / name).unlink()
    needed = ("bash", "cat", "date", "dirname", "env", "git", "head", "mkdir", "nproc", "tail", "tee", "timeout", "tr")
    for name in needed:
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    alone = {"PATH": str(tmp_path / "bin"), "CUDA_HOME": str(tmp_path)}
    status, steps, log = run({**machine, **alone}, tmp_path / "results")
    assert status == 0
    assert "compute-sanitizer: not found, left out\nncu: not found, left out\ntable: exit status 0" in steps
    assert "--ncu" not in log


def test_a_step_that_fails_does_not_stop_the_later_ones(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, log = run({**machine, "FAIL": "tests/cuda -q --maxfail"}, tmp_path / "results")
    assert status == 1
    assert "tests_cuda: exit status 3" in steps
    assert "-m hashkernels.benchmarks.gpu --output" in log


def test_no_step_begins_when_no_time_is_left(machine: dict[str, str], tmp_path: Path) -> None:
    status, steps, _ = run({**machine, "LIMIT": "5"}, tmp_path / "results")
    assert status == 1
    assert "torch: no time was left" in steps


def figure(name: str, case: str, seconds: float, **values: Any) -> dict[str, Any]:
    rest = {"pairs_per_second": 1e12, "peers": {}, "ceiling": "", "share": None, "more": {}}
    return {"name": name, "case": case, "seconds": seconds, **rest, **values}


FIGURES = [
    figure("topk 10k x 1M", "top-100, 10,000 x 1,000,000, 64 bits", 0.0029, peers={"torch": 29.0}),
    figure("distance 64", "distance, 64 bits", 0.001, ceiling="written_bytes", share=0.8),
    figure("distance 256", "distance, 256 bits", 0.002, ceiling="population_counts", share=0.9),
    figure("resnet", "loss of a ResNet-50 step, N = 128", 0.001, more={"share_of_step": 0.021}),
]


def test_goals_are_those_of_cases() -> None:
    assert {goal.name for goal in GOALS} <= set(CASES)


def test_goals_say_what_was_met_and_what_was_not_measured() -> None:
    lines = goals_table(FIGURES).splitlines()
    assert lines[0] == "| case | goal | measured |  |"
    assert len(lines) == 2 + len(GOALS)
    for line in (
        "| topk 10k x 1M | 3 ms | 2.9 ms | met |",
        "| topk 10k x 1M | 1.5 ms | 2.9 ms | **missed** |",
        "| topk 10k x 1M | 30 x torch | 29 x torch | **missed** |",
        "| topk 10k x 1M | 10 x FAISS | not measured |  |",
        "| distance 64 | 80 % of written_bytes | 80 % of written_bytes | met |",
        "| resnet | 2 % of the step | 2.1 % of the step | **missed** |",
        "| margin 256 | 5 x eager | not measured |  |",
    ):
        assert line in lines


def ncu_row(launch: int, kernel: str, metric: str, unit: str, value: str) -> str:
    cells = (launch, kernel, "GPU Speed Of Light Throughput", metric, unit, value)
    return ",".join(f'"{cell}"' for cell in cells)


FILTER, SCAN = "void unnamed>::filter_kernel<Width<2, 1>>(unnamed>::Filter, long)", "a::scan_kernel(long *, long)"
# Two launches of one kernel and one of another, as ncu prints them around what the program says.
NCU = [
    "==PROF== Connected to process 7",
    '"ID","Kernel Name","Section Name","Metric Name","Metric Unit","Metric Value"',
    ncu_row(0, FILTER, "Duration", "us", "12.5"),
    ncu_row(0, FILTER, "DRAM Throughput", "%", "90.4"),
    ncu_row(0, FILTER, "Compute (SM) Throughput", "%", "40.00"),
    ncu_row(1, FILTER, "Duration", "us", "2.5"),
    ncu_row(1, FILTER, "DRAM Throughput", "%", "5.0"),
    ncu_row(2, SCAN, "Duration", "ms", "1,000.5"),
    ncu_row(2, SCAN, "L2 Cache Throughput", "%", "30"),
    ncu_row(2, SCAN, "Elapsed Cycles", "cycle", "9"),
    "==PROF== Disconnected from process 7",
]


def test_limits_are_those_of_the_longest_launch_of_each_kernel() -> None:
    assert limits_table(NCU).splitlines()[2:] == [
        "| `scan_kernel` | 1 | 1e+03 ms | 30 % of L2, so it waits |",
        "| `filter_kernel<Width<2, 1>>` | 2 | 0.0125 ms | 90 % of memory |",
    ]
    assert limits_table([]).count("\n") == 1


def test_tables_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "figures.json").write_text(json.dumps({"figures": FIGURES}))
    (tmp_path / "ncu.txt").write_text("\n".join(NCU))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["gpu_table", "figures.json", "--ncu", "ncu.txt", "--plot", "roofline.svg"])
    main()
    printed = capsys.readouterr().out
    assert goals_table(FIGURES) in printed
    assert roofline_table(FIGURES) in printed
    assert limits_table(NCU) in printed
    assert "<svg" in (tmp_path / "roofline.svg").read_text()


def test_the_roofline_has_a_line_for_each_op_of_several_widths(tmp_path: Path) -> None:
    plot_roofline(FIGURES, tmp_path / "roofline.svg")
    assert (tmp_path / "roofline.svg").read_text().count("<!-- distance -->") == 1


def test_a_profiler_sees_one_call_of_each_kind_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    calls = {name: lambda name=name: done.append(name) for name in ("counts 10k x 1M", "margin loss 256")}
    monkeypatch.setattr(gpu_kernels, "calls", lambda device: calls)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    for name in ("start", "stop"):
        monkeypatch.setattr(torch.cuda.profiler, name, lambda name=name: done.append(name))
    monkeypatch.setattr(sys, "argv", ["gpu_kernels", "--once"])
    gpu_kernels.main()
    assert done == ["counts 10k x 1M", "start", "counts 10k x 1M", "stop"]
