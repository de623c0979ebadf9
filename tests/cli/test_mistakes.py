"""Mistakes that look harmless: each is one line that names what is wrong, status 2, and nothing written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from typer.testing import CliRunner

from hashkernels.cli.app import app


def refused(*arguments: object) -> str:
    result: Any = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return str(result.stderr)


def test_two_outputs_in_one_file(tmp_path: Path) -> None:
    items = tmp_path / "x.npz"
    x, y = torch.randn(40, 6).numpy(), np.arange(40) % 2
    np.savez(items, x_train=x, y_train=y, x_test=x, y_test=y)
    model, codes = tmp_path / "m.safetensors", tmp_path / "codes.npy"
    trained: Any = CliRunner().invoke(
        app, ["train", "--data", str(items), "--bits", "8", "--epochs", "1", "--output", str(model)]
    )
    assert trained.exit_code == 0, trained.stderr
    message = refused("encode", model, "--data", items, "--output", codes, "--labels-output", codes)
    assert "outputs must be different files" in message
    assert not codes.exists()


def test_packed_codes_of_a_wide_dtype_are_not_taken_for_embeddings(tmp_path: Path) -> None:
    codes = tmp_path / "codes.npy"
    np.save(codes, np.arange(40).reshape(10, 4))
    assert f"{codes} must hold uint8 codes" in refused("search", codes, codes, "--k", "1")


def test_nan_is_blamed_on_the_file_that_holds_it(tmp_path: Path) -> None:
    items = tmp_path / "items.npy"
    np.save(items, np.full((4, 16), np.nan, np.float32))
    assert f"{items} must not contain NaN" in refused("search", items, items, "--k", "1")


def test_a_text_file_is_no_npy(tmp_path: Path) -> None:
    text = tmp_path / "text.npy"
    text.write_text("no array")
    assert "not an .npy file" in refused("search", text, text, "--k", "1")


def test_a_time_limit_below_zero() -> None:
    assert "time_limit must be at least 0" in refused("centers", 10, 16, "--time-limit", "-1")
