"""``hashkernels train`` that is interrupted: what it leaves, and what --resume makes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashkernels.train import EpochRecord, save_checkpoint
from hashkernels.train.state import TrainingState

COMMAND = ("train", "--data", "items.npy", "--labels", "labels.npy", "--method", "csq_d", "--bits", 8, "--epochs", 4)
INPUTS = ["items.npy", "labels.npy"]
STATE = "model.safetensors.state"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current one, with items and labels."""
    monkeypatch.chdir(tmp_path)
    np.save("items.npy", np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32))
    np.save("labels.npy", np.arange(60) % 3)
    return tmp_path


@pytest.fixture
def interrupted(run, monkeypatch: pytest.MonkeyPatch):
    """The command, interrupted after two epochs: exit status, stdout, stderr."""
    save = TrainingState.save

    def stop(self: TrainingState, records: Sequence[EpochRecord]) -> None:
        save(self, records)
        if len(records) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingState, "save", stop)
        return run(*COMMAND)


def test_resumed_training_ends_with_the_checkpoint_and_numbers_of_an_uninterrupted_one(run, interrupted) -> None:
    assert interrupted == (
        130,
        "",
        f"{STATE} holds the epochs that were finished: the same command with --resume goes on\n"
        "hashkernels: error: interrupted\n",
    )
    assert sorted(os.listdir()) == [*INPUTS, STATE]
    status, resumed, _ = run(*COMMAND, "--resume", "--json")
    assert status == 0
    assert sorted(os.listdir()) == [*INPUTS, "model.safetensors"]
    status, whole, _ = run(*COMMAND, "--output", "whole.safetensors", "--json")
    assert status == 0
    assert json.loads(resumed) | {"output": "whole.safetensors"} == json.loads(whole)
    assert Path("model.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_an_interrupted_training_is_not_overwritten_without_being_asked(run, interrupted) -> None:
    before = Path(STATE).read_bytes()
    refused = (
        f"{STATE} exists, of an interrupted training: pass --resume to go on with it, or remove it to start anew "
        "(--force does)"
    )
    assert run(*COMMAND) == (2, "", f"hashkernels: error: {refused}\n")
    other = run(*COMMAND[:-1], 5, "--resume")
    assert other == (
        2,
        "",
        f"hashkernels: error: {STATE}: the state of another training run: epochs is 4 there, 5 here\n",
    )
    for mistake in (("--preset", "none"), ("--learning-rate", -1), ("--batch-size", 1)):
        assert run(*COMMAND, *mistake, "--force")[0] == 2
    assert Path(STATE).read_bytes() == before
    assert run(*COMMAND[:-1], 5, "--force")[0] == 0
    assert sorted(os.listdir()) == [*INPUTS, "model.safetensors"]


def test_resuming_overwrites_a_checkpoint_only_by_force(run, interrupted) -> None:
    Path("model.safetensors").write_text("precious")
    assert run(*COMMAND, "--resume")[2] == "hashkernels: error: model.safetensors exists: pass --force to overwrite\n"
    assert Path("model.safetensors").read_text() == "precious"
    assert run(*COMMAND, "--resume", "--force")[0] == 0
    assert sorted(os.listdir()) == [*INPUTS, "model.safetensors"]


def test_without_an_interrupted_training_there_is_nothing_to_resume(run) -> None:
    refused = f"{STATE} does not exist: there is no interrupted training to go on with"
    assert run(*COMMAND, "--resume") == (2, "", f"hashkernels: error: {refused}\n")
    assert sorted(os.listdir()) == INPUTS


def test_the_same_training_twice_at_once_ends_twice(run, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*arguments: Any, **options: Any) -> None:
        save_checkpoint(*arguments, **options)
        Path(STATE).unlink()  # as the other one does when it ends

    monkeypatch.setattr("hashkernels.cli.learning.save_checkpoint", save)
    assert run(*COMMAND)[0] == 0
    assert sorted(os.listdir()) == [*INPUTS, "model.safetensors"]


def test_the_evaluation_of_trainings_is_compared_by_title(run) -> None:
    bad = run(*COMMAND, "--report", "a.csv")
    assert bad == (2, "", "hashkernels: error: --report must end in .html or .json, got a.csv\n")
    for seed in (0, 1):
        options = ("--seed", seed, "--output", f"{seed}.safetensors", "--report", f"{seed}.json", "--report")
        status, text, _ = run(*COMMAND, *options, f"{seed}.html")
        assert status == 0
        assert text.endswith(f"Checkpoint: {seed}.safetensors\nWritten: {seed}.json\nWritten: {seed}.html\n")
    numbers = [json.loads(Path(f"{seed}.json").read_text()) for seed in (0, 1)]
    assert f"mAP {numbers[1]['map']:.4f}\n" in text
    (row,) = json.loads(run("compare", "0.json", "1.json", "--by-title", "--json")[1])["runs"]
    assert (row["title"], row["num_runs"]) == ("CSQ_D", 2)
    assert row["map"] == pytest.approx((numbers[0]["map"] + numbers[1]["map"]) / 2, abs=1e-15)
    assert run(*COMMAND, "--title", "ours", "--report", "ours.json")[0] == 0
    assert json.loads(Path("ours.json").read_text())["title"] == "ours"
