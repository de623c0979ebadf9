from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
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
        assert set(seconds) == {"hashkernels", "numpy", "torch"}
        assert measurement["ratio"]["numpy"] == pytest.approx(seconds["numpy"] / seconds["hashkernels"])
        assert measurement["fastest"]["torch"] <= seconds["torch"] <= measurement["slowest"]["torch"]


def test_table_names_the_threads() -> None:
    result = run("--only", "hamming_distance", "--quick", "--seconds", "0", "--threads", "2")
    assert result.exit_code == 0, result.stderr
    assert "(2 threads)" in result.stdout


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
