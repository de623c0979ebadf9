"""Results of an experiment against brute force over the codes that it gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hashkernels.data import RetrievalSplit, hold_out_queries
from hashkernels.report import (
    center_distance,
    latex_table,
    markdown_table,
    run_method,
    save_results,
    summary_header,
    summary_rows,
    text_table,
)
from hashkernels.train import embed, load_checkpoint


def toy_split(count: int = 150, classes: int = 3) -> RetrievalSplit:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % classes
    items = torch.randn(count, 8, generator=generator) + 2 * torch.eye(8)[labels]
    return hold_out_queries("toy", items, labels, 20, seed=1)


def test_run_method_evaluates_the_codes_that_it_returns() -> None:
    split = toy_split()
    result = run_method(split, "csq", 16, epochs=3)
    q, d = (np.unpackbits(codes, axis=1) for codes in (result.query_codes, result.database_codes))
    distance = (q[:, None] != d[None]).sum(axis=2)
    relevant = split.query_labels.numpy()[:, None] == split.database_labels.numpy()[None]
    within = distance <= 2
    precision = np.where(within.any(1), (within & relevant).sum(1) / np.maximum(within.sum(1), 1), 0).mean()
    assert result.precision_within == pytest.approx(precision)
    assert result.distinct_codes == len({row.tobytes() for row in result.database_codes})
    assert result.report.ks == (100, 130)
    summary = result.summary()
    assert json.loads(json.dumps(summary)) == summary
    assert 0 < summary["map_bounds"][0] <= summary["map"] <= summary["map_bounds"][1] <= 1
    assert run_method(split, "csq", 16, epochs=3).summary() == summary


def test_small_databases_and_codes_are_evaluated_too() -> None:
    result = run_method(toy_split(40), "ecm_plotkin", 3, epochs=1)
    assert result.report.ks == (20,)
    assert "precision_at_20" in result.summary()


def test_center_distance_is_that_of_majority_codes() -> None:
    signs = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]])
    codes = np.packbits(signs, axis=1)
    # Majorities: 1111, 0000 with 0011 (ties are -1: 0000), 0110.
    found = center_distance(codes, np.array([0, 0, 0, 1, 1, 2]), 4, 3)
    assert found.least == 2
    assert found.bound == 2
    multi_hot = np.eye(3, dtype=np.uint8)[[0, 0, 0, 1, 1, 2]]
    assert center_distance(codes, multi_hot, 4, 3) == found
    assert center_distance(codes, np.zeros(6, np.int64), 4, 3).least is None
    far_apart = np.array([0, 0, 0, 10**6, 10**6, 2 * 10**6])  # no array of classes would fit
    assert center_distance(codes, far_apart, 4, 2 * 10**6 + 1) == found
    assert center_distance(codes, np.eye(9, dtype=np.uint8)[[0, 0, 0, 4, 4, 8]], 4, 9) == found


def test_tables_hold_the_numbers() -> None:
    results = [run_method(toy_split(), method, 16, epochs=1) for method in ("csq", "ecm")]
    header, rows = summary_header(results), summary_rows(results)
    assert [row[0] for row in rows] == ["CSQ", "ECM"]
    assert rows[0][1] == f"{results[0].report.map:.4f}"
    lines = text_table(header, rows).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert markdown_table(header, rows).count("\n") == 3
    assert markdown_table(["a|b"], [["two\nlines"]]) == "| a\\|b |\n|:--|\n| two<br>lines |"
    lines = latex_table(header, rows).splitlines()
    assert lines[2].split(" & ")[:3] == ["method", "mAP", r"least\,--\,greatest by ties"]
    assert lines[4].split(" & ")[:2] == ["CSQ", f"{results[0].report.map:.4f}"]
    # no dash in place of two hyphens, no paragraph in a cell
    assert latex_table(["a---b"], [["two\n\nlines"]]).splitlines()[2:5] == [
        r"a-{}-{}-b \\",
        r"\midrule",
        r"two lines \\",
    ]


def test_results_that_would_overwrite_each_other_are_refused(tmp_path: Path) -> None:
    results = [run_method(toy_split(), "csq", 8, epochs=1, seed=seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match="results must be of one method each, got 2 of csq"):
        save_results(tmp_path / "out", toy_split(), results)
    assert not any(tmp_path.iterdir())


def test_save_results_leaves_everything_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = toy_split()
    results = [run_method(split, "csq", 16, epochs=1)]
    out = tmp_path / "out"
    save_results(out, split, results, command="hashkernels demo")
    assert {path.name for path in out.iterdir()} == {
        "report.html",
        "results.json",
        "query_labels.npy",
        "database_labels.npy",
        "csq.safetensors",
        "csq_query_codes.npy",
        "csq_database_codes.npy",
    }
    np.testing.assert_array_equal(np.load(out / "csq_database_codes.npy"), results[0].database_codes)
    np.testing.assert_array_equal(np.load(out / "query_labels.npy"), split.query_labels.numpy())
    numbers = json.loads((out / "results.json").read_text())
    assert numbers["methods"]["csq"]["map"] == results[0].report.map
    assert len(numbers["methods"]["csq"]["history"]["epochs"]) == 1
    loaded = load_checkpoint(out / "csq.safetensors")
    assert torch.equal(embed(loaded.model, split.query_items), embed(results[0].model, split.query_items))
    assert loaded.settings["method"] == "csq"
    with pytest.raises(FileExistsError, match="--force"):
        save_results(out, split, results)

    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("hashkernels.report.folder.save_checkpoint", fail)
    with pytest.raises(OSError, match="disk full"):
        save_results(tmp_path / "other", split, results)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
