from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from hashkernels.benchmarks.plot import plot_topk
from typer.testing import CliRunner

from hashkernels.cli.app import app


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["bench", *arguments])


def test_json_has_every_contender_with_its_ratio(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    result = run("--only", "pack_codes", "--quick", "--seconds", "0", "--json", "--output", str(output))
    assert result.exit_code == 0, result.stderr
    numbers = json.loads(result.stdout)
    assert numbers == json.loads(output.read_text())
    assert numbers["environment"]["cpu"]
    for measurement in numbers["measurements"]:
        seconds = measurement["seconds"]
        numpy = set() if measurement["size"]["dtype"] == "bfloat16" else {"numpy"}
        assert set(seconds) == {"hashkernels", "torch"} | numpy
        assert measurement["ratio"]["torch"] == pytest.approx(seconds["torch"] / seconds["hashkernels"])
        assert measurement["fastest"]["torch"] <= seconds["torch"] <= measurement["slowest"]["torch"]
        assert set(measurement["first"]) == set(seconds)
        assert min(measurement["first"].values()) > 0


def test_table_names_the_threads() -> None:
    result = run("--only", "hamming_distance", "--quick", "--seconds", "0", "--threads", "2")
    assert result.exit_code == 0, result.stderr
    assert "(2 threads)" in result.stdout


def test_ours_is_timed_alone_on_other_numbers_of_threads(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    arguments = ("--only", "bits 64, dtype int8", "--quick", "--seconds", "0", "--output", str(output))
    result = run(*arguments, "--also-threads", "2")
    assert result.exit_code == 0, result.stderr
    assert "times as fast on 2 threads" in result.stdout
    for measurement in json.loads(output.read_text())["measurements"]:
        assert set(measurement["on_threads"]) == set(measurement["fastest_on_threads"]) == {"1", "2"}
        for count, seconds in measurement["on_threads"].items():
            assert 0 < measurement["fastest_on_threads"][count] <= seconds
    assert run("--also-threads", "0").exit_code == 2


def test_plot_draws_ratios_rates_and_what_memory_allows(tmp_path: Path) -> None:
    def row(queries: int, bits: int, rate: float) -> dict[str, Any]:
        size = {"queries": queries, "database": 1000, "bits": bits, "k": 10, "codes": "random"}
        return {"family": "topk", "size": size, "threads": 1, "rate": rate, "ratio": {"faiss heap": 9.0}}

    rows = [row(1000, 64, 1e10), row(1000, 128, 5e9), row(1, 64, 1e9)]
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_topk(rows, {1: {"bytes read": 1.2e10}}, tmp_path / "topk.svg")
    drawn = (tmp_path / "topk.svg").read_text()
    assert "memory, 1 thread" in drawn
    assert "hashkernels, 1 thread" in drawn
    for number, some in enumerate((rows[:2], [row(1000, 64, 1e10) | {"ratio": {}}])):
        plot_topk(some, {}, tmp_path / f"{number}.svg")
        assert (tmp_path / f"{number}.svg").stat().st_size
    with pytest.raises(ValueError, match="got none"):
        plot_topk(rows[2:], {}, tmp_path / "none.svg")


def test_a_plot_that_cannot_be_drawn_is_refused_before_the_work(tmp_path: Path) -> None:
    for path, options, message in (
        ("a.txt", ("--only", "topk"), "--plot must end in one of ."),
        ("a", ("--only", "topk"), "--plot must end in one of ."),
        ("a.svg", ("--only", "pack_codes"), "--plot needs measurements of topk with 1000 random queries and k = 10"),
        ("a.svg", ("--only", "topk", "--quick"), "got no such case with --quick"),
    ):
        result = run("--plot", str(tmp_path / path), *options)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
    assert not list(tmp_path.iterdir())


def test_real_codes_of_a_folder_are_searched(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 256, (400, 6), dtype=np.uint8)
    np.savez(tmp_path / "pictures.npz", q48=codes[:3], db48=codes)
    np.savez(tmp_path / "other.npz", labels=np.arange(3))
    result = run("--only", "pictures", "--data-dir", str(tmp_path), "--quick", "--seconds", "0", "--json")
    assert result.exit_code == 0, result.stderr
    (measurement,) = json.loads(result.stdout)["measurements"]
    assert measurement["size"] == {"data": "pictures", "queries": 3, "database": 400, "bits": 48, "k": 10}
    for content in (b"", (tmp_path / "pictures.npz").read_bytes()[:200]):
        (tmp_path / "damaged.npz").write_bytes(content)
        result = run("--data-dir", str(tmp_path), "--list")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"hashkernels: error: {tmp_path / 'damaged.npz'}: damaged or truncated")


def test_a_preset_is_a_part_of_all_cases() -> None:
    targets, everything = (
        json.loads(run("--list", "--json", *p).stdout)["cases"] for p in (["--preset", "targets"], [])
    )
    assert set(targets) < set(everything)
    assert run("--preset", "some").exit_code == 2


def test_unknown_case_is_refused() -> None:
    result = run("--only", "no such case")
    assert result.exit_code == 2
    assert "only must match the title of a case" in result.stderr


def test_existing_output_is_refused_before_any_work(tmp_path: Path) -> None:
    output = tmp_path / "figures.json"
    output.write_text("kept")
    result = run("--only", "pack_codes", "--quick", "--output", str(output))
    assert result.exit_code == 2
    assert output.read_text() == "kept"
    assert result.stdout == ""
