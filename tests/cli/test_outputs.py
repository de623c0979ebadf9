"""Outputs: what is wrong with inputs is said first, what is wrong with outputs before the work."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.index import BinaryIndex
from hashkernels.train import HashHead, SmallConvNet, save_checkpoint

TRAIN = ("train", "--data", "missing.npy", "--labels", "labels.npy")
# Each writes what is called "taken" here, and reads a file that is not there; after it, one that would do.
READERS = [
    (("search", "missing.npy", "codes.npy", "--output", "taken.npz"), "codes.npy"),
    (("search", "codes.npy", "missing.npy", "--output", "taken.csv"), "codes.npy"),
    (("evaluate", "codes.npy", "codes.npy", "missing.npy", "labels.npy", "-o", "taken.html"), "labels.npy"),
    (("evaluate", "codes.npy", "codes.npy", "--relevance", "missing.txt", "-o", "taken.json"), "qrels.txt"),
    (("compare", "missing.json", "-o", "taken.html"), "run.json"),
    (("compare", "missing.json", "--by-title", "-o", "new.html", "-o", "taken.tex"), "run.json"),
    (("index", "build", "missing.npy", "taken.hki"), "codes.npy"),
    (("index", "build", "codes.npy", "taken.hki", "--ids", "missing.npy"), "ids.npy"),
    (("index", "convert", "missing.npy", "taken.hki"), "codes.npy"),
    (("index", "search", "missing.hki", "codes.npy", "--output", "taken.npz"), "index.hki"),
    (("index", "search", "index.hki", "missing.npy", "--output", "taken.npz"), "codes.npy"),
    ((*TRAIN, "--output", "taken.safetensors"), "items.npy"),
    (("train", "--data", "items.npy", "--labels", "missing.npy", "--output", "taken.safetensors"), "labels.npy"),
    ((*TRAIN, "--output", "new.safetensors", "--report", "taken.json"), "items.npy"),
    (("encode", "missing.safetensors", "--data", "items.npy", "--output", "taken.npy"), "model.safetensors"),
    (("encode", "model.safetensors", "--data", "missing.npy", "--output", "taken.npy"), "items.npy"),
    (("demo", "--data", "missing.npy", "--labels", "labels.npy", "--output", "taken"), "items.npy"),
]
# The function that does the work of each, by where it is called.
WORKERS = {
    "search": "hashkernels.cli.retrieval.topk",
    "evaluate": "hashkernels.metrics.evaluate",
    "compare": "hashkernels.cli.comparison.render_runs",
    "index build": "hashkernels.index.BinaryIndex.add",
    "index convert": "hashkernels.cli.indexing.write_codes",
    "index search": "hashkernels.index.BinaryIndex.search",
    "train": "hashkernels.cli.learning.run_method",
    "encode": "hashkernels.cli.learning.encode_items",
    "demo": "hashkernels.cli.learning.run_method",
    "centers": "hashkernels.cli.theory._constructions",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current one, with inputs of all commands, and something at every "taken" name."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    items = rng.standard_normal((40, 16)).astype(np.float32)
    labels = np.arange(40) % 3
    codes = hk.pack_codes(items)
    for name, array in {"items": items, "labels": labels, "codes": codes, "ids": np.arange(40)}.items():
        np.save(f"{name}.npy", array)
    save_checkpoint("model.safetensors", HashHead(16, 8), settings={})
    index = BinaryIndex(16)
    index.add(codes)
    index.save("index.hki")
    hk.evaluate(codes, codes, labels, labels, index_order=True).save("run.json")
    Path("qrels.txt").write_text("0 0 1 1\n")
    for ending in ("npz", "csv", "npy", "html", "json", "hki", "safetensors", "tex"):
        Path(f"taken.{ending}").write_text("precious")
    Path("taken").mkdir()
    Path("taken/file").write_text("precious")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(("arguments", "right"), READERS, ids=str)
def test_inputs_are_checked_before_outputs_and_outputs_before_the_work(
    run, folder: Path, arguments: tuple[str, ...], right: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_work(*args: object, **options: object) -> None:
        raise AssertionError("work has started")

    before = contents(folder)
    missing, taken = (next(name for name in arguments if name.startswith(word)) for word in ("missing", "taken"))
    status, out, error = run(*arguments)
    assert (status, out) == (2, "")
    assert missing in error
    assert taken not in error
    monkeypatch.setattr(WORKERS[" ".join(arguments[: 2 if arguments[0] == "index" else 1])], no_work)
    status, out, error = run(*(right if name == missing else name for name in arguments))
    assert (status, out) == (2, "")
    assert error.startswith(f"hashkernels: error: {taken} exists")
    assert error.endswith("pass --force to overwrite\n")
    assert contents(folder) == before


def test_centers_are_not_made_for_an_output_that_exists(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WORKERS["centers"], None)
    assert run("centers", 10, 32, "--output", "taken.npy")[2].startswith("hashkernels: error: taken.npy exists")
    assert "--seed must be at least 0, got -1\n" in run("centers", 10, 32, "--output", "taken.npy", "--seed", -1)[2]


@pytest.mark.parametrize(
    ("arguments", "flag", "written"),
    [
        (("index", "build", "codes.npy"), "OUTPUT", ".hki"),
        (("train", "--data", "items.npy", "--labels", "labels.npy", "--output"), "--output", ".safetensors"),
        (("encode", "model.safetensors", "--data", "items.npy", "--output"), "--output", ".npy"),
        (
            ("encode", "model.safetensors", "--data", "digits", "--output", "new.npy", "--labels-output"),
            "--labels-output",
            ".npy",
        ),
        (("centers", 10, 16, "--time-limit", 0, "--output"), "--output", ".npy"),
        (("bench", "--only", "pack_codes", "--quick", "--output"), "--output", ".json"),
    ],
    ids=str,
)
def test_no_file_is_written_under_the_ending_of_another_format(
    run, folder: Path, arguments: tuple[object, ...], flag: str, written: str
) -> None:
    before = contents(folder)
    others = {".npy", ".npz", ".pt", ".csv", ".json", ".hki", ".faiss", ".u8bin", ".safetensors", ".NPZ"} - {written}
    for ending in others:
        refused = f"{flag} must not end in {ending.lower()}, as what is written is {written}, got new{ending}"
        assert run(*arguments, f"new{ending}") == (2, "", f"hashkernels: error: {refused}\n")
    assert contents(folder) == before


@pytest.mark.parametrize("flag", ["--output", "--labels-output"])
def test_items_are_not_overwritten_by_their_codes(run, folder: Path, flag: str) -> None:
    before = contents(folder)
    refused = f"hashkernels: error: {flag} must be another file than the items, got items.npy\n"
    given = ("encode", "model.safetensors", "--data", folder / "items.npy", flag, "items.npy", "--force")
    assert run(*given) == (2, "", refused)
    assert contents(folder) == before


def test_an_index_may_be_called_as_the_user_likes(run) -> None:
    for name in ("new.hki", "new.index", "new.v2", "new"):
        assert run("index", "build", "codes.npy", name)[0] == 0
        assert BinaryIndex.load(name, verify="full").ntotal == 40


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "items.npy", "--labels", "labels.npy", "--output", "/proc/out"),
        ("demo", "--data", "items.npy", "--labels", "labels.npy", "--output", "/proc/out"),
        ("index", "build", "codes.npy", "/proc/out"),
    ],
    ids=" ".join,
)
def test_a_folder_that_nothing_can_be_written_to_is_told_of_before_the_work(run, arguments: tuple[str, ...]) -> None:
    status, out, error = run(*arguments)
    assert (status, out) == (2, "")
    assert error == "hashkernels: error: /proc/out: No such file or directory\n"  # what Linux says there


@pytest.mark.parametrize(
    "arguments", [("index", "build", "codes.npy"), ("index", "convert", "codes.npy", "--to", "npy")]
)
def test_a_device_is_not_replaced_by_a_file(run, arguments: tuple[str, ...]) -> None:
    os.mkfifo("pipe")
    for more in ((), ("--force",)):
        status, out, error = run(*arguments, "pipe", *more)
        assert (status, out) == (2, "")
        assert error == "hashkernels: error: pipe is a device or a pipe, expected the name of a file\n"
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


def test_items_of_another_shape_are_named_with_the_shape_that_the_model_takes(run) -> None:
    np.save("narrow.npy", np.zeros((5, 9), np.float32))
    np.save("images.npy", np.zeros((5, 8, 8), np.uint8))
    for data, shape in (("narrow.npy", [5, 9]), ("images.npy", [5, 1, 8, 8]), ("digits", [1497, 1, 8, 8])):
        assert run("encode", "model.safetensors", "--data", data, "--output", "new.npy") == (
            2,
            "",
            f"hashkernels: error: {data} must have shape [N, 16], got {shape}\n",
        )
    save_checkpoint("images.safetensors", SmallConvNet((1, 8, 8), 8), settings={})
    assert run("encode", "images.safetensors", "--data", "items.npy", "--output", "new.npy")[2] == (
        "hashkernels: error: items.npy must have shape [N, 1, 8, 8], got [40, 16]\n"
    )
    assert not Path("new.npy").exists()
