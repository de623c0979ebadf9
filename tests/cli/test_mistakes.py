"""Mistakes that look harmless: each is one line that names what is wrong, status 2, and nothing written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
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


def test_an_npy_of_items_has_no_parts(tmp_path: Path) -> None:
    items, labels = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(items, np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32))
    np.save(labels, np.arange(40) % 2)
    model, codes = tmp_path / "m.safetensors", tmp_path / "codes.npy"
    given = ["--data", items, "--labels", labels, "--bits", 8, "--epochs", 1, "--output", model]
    trained: Any = CliRunner().invoke(app, ["train", *map(str, given)])
    assert trained.exit_code == 0, trained.stderr
    for flag, value in (
        ("--part", "database"),
        ("--part", "queries"),
        ("--queries", 5),
        ("--seed", 0),
        ("--root", tmp_path),
        ("--labels-output", tmp_path / "l.npy"),
    ):
        message = refused("encode", model, "--data", items, "--output", codes, flag, value)
        assert f"error: {flag} goes with a data set, an .npz, or an .npy of items with its --labels" in message
    assert not codes.exists()


def test_packed_codes_of_a_wide_dtype_are_not_taken_for_embeddings(tmp_path: Path) -> None:
    codes = tmp_path / "codes.npy"
    np.save(codes, np.arange(40).reshape(10, 4))
    assert f"{codes} must hold uint8 codes" in refused("search", codes, codes, "--k", "1")


def test_embeddings_say_how_many_bits_their_codes_have(tmp_path: Path) -> None:
    embeddings, narrow, codes, labels = (tmp_path / f"{name}.npy" for name in ("x", "narrow", "codes", "y"))
    x = np.random.default_rng(0).standard_normal((20, 12))
    np.save(embeddings, x)
    np.save(narrow, x[:, :9])
    np.save(codes, np.full((20, 2), 255, np.uint8))
    np.save(labels, np.arange(20) % 3)
    arguments = ["evaluate", embeddings, embeddings, labels, labels, "--json"]
    found: Any = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert json.loads(found.stdout)["settings"]["bits"] == 12
    for pair, bits, message in (
        ((embeddings, embeddings), 16, f"{embeddings} must hold codes of 16 bits, got embeddings of 12 columns"),
        ((embeddings, narrow), None, f"{narrow} must hold codes of 12 bits, got embeddings of 9 columns"),
        ((embeddings, codes), None, "DATABASE must have zero pad bits beyond bit 12"),
        ((codes, embeddings), None, "QUERIES must have zero pad bits beyond bit 12"),
    ):
        assert f"error: {message}" in refused("search", *pair, *([] if bits is None else ["--bits", bits]))


def test_nan_is_blamed_on_the_file_that_holds_it(tmp_path: Path) -> None:
    items = tmp_path / "items.npy"
    np.save(items, np.full((4, 16), np.nan, np.float32))
    assert f"{items} must not contain NaN" in refused("search", items, items, "--k", "1")


def test_a_text_file_is_no_npy(tmp_path: Path) -> None:
    text = tmp_path / "text.npy"
    text.write_text("no array")
    assert "not an .npy file" in refused("search", text, text, "--k", "1")


def test_a_time_limit_below_zero() -> None:
    assert "--time-limit must be at least 0" in refused("centers", 10, 16, "--time-limit", "-1")


def test_errors_name_flags_and_arguments_as_they_are_typed(tmp_path: Path) -> None:
    codes, labels = tmp_path / "codes.npy", tmp_path / "labels.npy"
    np.save(codes, np.zeros((4, 2), np.uint8))
    np.save(labels, np.zeros(4, int))
    files = (codes, codes, labels, labels)
    assert "error: --k must be in 1..4, got 9" in refused("evaluate", *files, "--k", 9)
    assert "error: --protocol must be one of cifar10-1" in refused("evaluate", *files, "--protocol", "cifar")
    assert "error: --bootstrap must be at least 10, got 3" in refused("evaluate", *files, "--bootstrap", 3)
    few = tmp_path / "few.npy"
    np.save(few, np.zeros(2, int))
    assert "error: QUERY_LABELS must have one row for each of 4 items, got 2" in refused(
        "evaluate", codes, codes, few, labels
    )
    assert "error: --queries must be in 1..1795, got 5000" in refused("demo", "--queries", 5000)
    floats = tmp_path / "floats.npy"
    np.save(floats, np.zeros(4))
    assert "error: QUERY_LABELS given as class ids must be integers, got float64" in refused(
        "evaluate", codes, codes, floats, labels
    )
    assert "error: --output must end in .html or .json, got x.txt" in refused("evaluate", *files, "-o", "x.txt")
    assert "error: --labels go with an .npy of items, got digits" in refused(
        "train", "--data", "digits", "--labels", labels
    )
    assert "error: --root goes with the name of a data set" in refused("train", "--data", "x.npz", "--root", "data")


def test_values_that_are_no_number_and_no_choice_are_named(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.npy" for name in "abcd"]
    given = ("evaluate", *files)
    assert "error: --k must be an integer, got '100,200': repeat --k for each" in refused(*given, "--k", "100,200")
    assert "error: --k must be an integer, got '1,2'\n" in refused("search", *files[:2], "--k", "1,2")
    ties = "error: --ties must be one of expected, index, optimistic, pessimistic, got 'foo'\n"
    assert ties in refused(*given, "--ties", "foo")
    assert "error: --seconds must be a number, got 'x'\n" in refused("bench", "--seconds", "x")
    assert "error: BITS must be an integer, got 'many'\n" in refused("centers", 10, "many")
    assert "error: No such option: -3 (no argument is a number below 0)\n" in refused("centers", 10, -3)
    assert "error: No such option: --kk (Possible options: --k)\n" in refused("search", *files[:2], "--kk", 3)


def test_judgments_are_checked(tmp_path: Path) -> None:
    codes, labels, qrels = tmp_path / "codes.npy", tmp_path / "labels.npy", tmp_path / "qrels.txt"
    np.save(codes, np.zeros((4, 2), np.uint8))
    np.save(labels, np.zeros(4, int))
    qrels.write_text("0 0 1 1\n")
    given = ("evaluate", codes, codes, "--relevance", qrels)
    neither = "evaluate needs QUERY_LABELS and DATABASE_LABELS, or --relevance in their place"
    assert neither in refused("evaluate", codes, codes)
    assert neither in refused("evaluate", codes, codes, labels)
    assert neither in refused("evaluate", codes, codes, labels, labels, "--relevance", qrels)
    assert "--database-ids go together: give both" in refused(*given, "--query-ids", qrels)
    assert "--query-ids must have a name for each of 4 codes, got 0" in refused(
        *given, "--query-ids", os.devnull, "--database-ids", os.devnull
    )
    assert "--query-images need labels" in refused(*given, "--query-images", codes, "--database-images", codes)
    for text, message in {
        "0 0 1 1\n0 0 1\n": "qrels.txt: line 2 must be \"query iteration item gain\", got '0 0 1'",
        "0 0 1 one\n": "qrels.txt: line 1 must be",
        "0 0 1 1\n0 1 1 1\n": "qrels.txt: line 2: item 1 comes twice for query 0",
        "0 0 -1 1\n": "qrels.txt: '-1' is not a position: give the ids",
        "0 0 4 1\n": "error: --relevance must name items in 0..3, got 4",
        "0 0 3 -1\n": "error: --relevance must hold finite gains of at least 0",
    }.items():
        qrels.write_text(text)
        assert message in refused(*given)
    np.savez(tmp_path / "csr.npz", indices=np.array([0, 9]), indptr=np.array([0, 1, 1, 1, 2]))
    assert "--relevance must name items in 0..3, got 9" in refused(*given[:-1], tmp_path / "csr.npz")
    np.savez(tmp_path / "csc.npz", indices=np.zeros(1, int), indptr=np.zeros(2, int), format=b"csc")
    assert "csc.npz: expected CSR arrays indices, indptr and perhaps data" in refused(*given[:-1], tmp_path / "csc.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "csr.npz").read_bytes()[:200])
    assert "cut.npz" in refused(*given[:-1], tmp_path / "cut.npz")


def test_pages_and_runs_are_checked_before_the_work(tmp_path: Path) -> None:
    files = [tmp_path / f"{name}.npy" for name in "abcd"]
    assert "must end in .html or .json, got x.txt" in refused("evaluate", *files, "-o", "x.txt")
    assert "go together: give both" in refused("evaluate", *files, "--query-images", files[0])
    formats = "--output must end in .html, .md, .tex or .csv, got "
    assert formats in refused("compare", files[0], "-o", tmp_path / "x.md", "-o", tmp_path / "x.json")
    assert "a.npy: No such file" in refused("compare", files[0])
    again = tmp_path / "." / ".." / tmp_path.name / "a.npy"
    assert f"RUNS must be different files to be averaged by title, got {again} twice" in refused(
        "compare", *files, again, "--by-title"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("allocate", [np.empty, torch.empty])
def test_too_little_memory_is_one_line(allocate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashkernels.cli.theory._constructions", lambda *arguments: allocate(1 << 55))
    assert refused("centers", 10, 16).startswith("hashkernels: error: out of memory: ")


def test_an_unknown_instruction_set_is_one_line(python: Any) -> None:
    code = "import runpy; runpy.run_module('hashkernels', run_name='__main__')"
    done = python.run(code, "info", environment=os.environ | {"HASHKERNELS_ISA": "sse9"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("hashkernels: error: HASHKERNELS_ISA must be one of scalar")
    assert done.stderr.count("\n") == 1
