"""Labels as users have them: what cannot be used is one line, what may be a mistake a warning."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.data import as_labels

pytestmark = pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
CLASSES = np.arange(40) % 4
TRAIN = ("train", "--data", "items.npy", "--labels", "labels.npy", "--output", "model", "--epochs", 1, "--bits", 16)
EVALUATE = ("evaluate", "codes.npy", "codes.npy", "labels.npy", "labels.npy")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    items = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
    np.save("items.npy", items)
    np.save("codes.npy", hk.pack_codes(items))
    return tmp_path


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (CLASSES + 0.5, "labels.npy given as class ids must be integers, got float64"),
        (CLASSES - 1, "labels.npy must be at least 0, got -1"),
        (CLASSES[:-1], "labels.npy must have one row for each of 40 items, got 39"),
        (np.zeros(40, int), "labels.npy must hold labels of at least two classes, got one"),
        (
            CLASSES * 10**9,
            "labels.npy must be below 1048576, as there is a class for each id up to the greatest, got 3000000000: "
            "numpy.unique(ids, return_inverse=True)[1] numbers them from 0",
        ),
        (
            np.array(["cat", "dog"])[CLASSES % 2],
            "labels.npy must be class ids or multi-hot, got <U3: "
            "numpy.unique(names, return_inverse=True)[1] numbers names",
        ),
    ],
    ids=str,
)
def test_labels_that_nothing_can_be_trained_on(run, folder: Path, labels: np.ndarray, message: str) -> None:
    np.save("labels.npy", labels)
    assert run(*TRAIN) == (2, "", f"hashkernels: error: {message}\n")
    assert not (folder / "model").exists()


def test_names_of_classes_are_no_labels_of_an_evaluation_either(run) -> None:
    for names in (np.array(["a", "b"])[CLASSES % 2], np.array([b"a", b"b"])[CLASSES % 2]):
        np.save("labels.npy", names)
        status, out, error = run(*EVALUATE)
        assert (status, out) == (2, "")
        assert error.startswith(f"hashkernels: error: QUERY_LABELS must be class ids or multi-hot, got {names.dtype}: ")


def test_as_many_classes_as_items_are_not_too_many() -> None:
    assert int(as_labels("y", np.array([0, (1 << 20) - 1]), 2).max()) == (1 << 20) - 1
    many = np.arange((1 << 20) + 5)
    assert len(as_labels("y", many, len(many))) == len(many)
    with pytest.raises(ValueError, match=r"y must be below 1048581, .*, got 1048581"):
        as_labels("y", many + 1, len(many))


@pytest.mark.parametrize("shape", [(40,), (40, 1)])
def test_class_ids_that_begin_above_0_are_warned_of(run, shape: tuple[int, ...]) -> None:
    np.save("labels.npy", CLASSES.reshape(shape))
    plain = run(*TRAIN)
    assert plain[0] == 0
    assert "warning" not in plain[2]
    np.save("labels.npy", CLASSES.reshape(shape) + 1)
    status, _, error = run(*TRAIN, "--force")
    assert status == 0
    assert error.startswith(
        "hashkernels: warning: labels.npy: the least class id is 1, so margins and centers are made for 5 classes, "
        "1 of them without items: number classes from 0\n"
    )


def test_encode_takes_the_parts_that_train_drew_and_warns_of_others(run) -> None:
    np.save("labels.npy", CLASSES)
    drawn = ("--queries", 10, "--seed", 5)
    trained = json.loads(run(*TRAIN, *drawn, "--json")[1])

    def encode(part: str, *drawn: object) -> tuple[int, str]:
        written = ("--output", f"{part}.npy", "--labels-output", f"{part}-labels.npy", "--force")
        status, _, error = run("encode", "model", *TRAIN[1:5], "--part", part, *written, *drawn)
        return status, error

    for part in ("queries", "database"):
        assert encode(part, *drawn) == (0, "")
    parts = ("queries.npy", "database.npy", "queries-labels.npy", "database-labels.npy")
    evaluated = json.loads(run("evaluate", *parts, "--json")[1])
    assert (evaluated["map"], evaluated["settings"]["num_queries"]) == (trained["map"], 10)
    told = "hashkernels: warning: the parts are not those of the training: it had '{}', these are '{}'\n".format(
        *(f"10 queries drawn with seed {seed}; the other 30 are trained on and searched" for seed in (5, 0))
    )
    assert encode("queries", "--queries", 10) == (0, told)


def test_encode_warns_of_other_queries_of_a_data_set_with_test_items(run) -> None:
    """No query was trained on, but what one run asks another would search."""
    items = np.load("items.npy")
    np.savez("set.npz", x_train=items[:30], y_train=CLASSES[:30], x_test=items[30:], y_test=CLASSES[30:])
    data = ("--data", "set.npz")
    trained = run("train", *data, "--queries", 4, "--bits", 8, "--epochs", 1, "--output", "set.safetensors")
    assert trained[0] == 0, trained[2]

    def encode(*queries: object) -> tuple[int, str]:
        return run("encode", "set.safetensors", *data, "--part", "database", "--force", *queries)[::2]

    assert encode("--queries", 4) == encode("--queries", 4, "--seed", 3) == (0, "")
    told = "hashkernels: warning: the parts are not those of the training: it had '{}', these are '{}'\n".format(
        *(
            f"the first {queries} test items are queries; the other {10 - queries} and the 30 training items are "
            "searched; trained on the training items"
            for queries in (4, 10)
        )
    )
    assert encode() == (0, told)


def test_an_evaluation_that_finds_nothing_relevant_says_so(run) -> None:
    np.save("labels.npy", CLASSES)
    assert run(*EVALUATE)[2] == ""
    np.save("other.npy", CLASSES + 4)
    status, _, error = run(*EVALUATE[:-1], "other.npy")
    nothing = "hashkernels: warning: no query has a relevant item in the database: "
    assert (status, error) == (0, f"{nothing}are the labels of both numbered alike?\n")
    Path("qrels.txt").write_text("q1 0 d1 1\n")
    Path("ids.txt").write_text("\n".join(map(str, range(40))))
    judged = ("--relevance", "qrels.txt", "--query-ids", "ids.txt", "--database-ids", "ids.txt")
    status, _, error = run(*EVALUATE[:3], *judged)
    assert (status, error) == (0, f"{nothing}do the judgments name others?\n")
