"""Splits: who trains, who asks, who is searched; and the layouts that items and labels may come in."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from hashkernels.data import (
    as_items,
    as_labels,
    first_test_queries,
    hold_out_queries,
    load_arrays,
    load_dataset,
    load_npz,
    load_source,
)


def test_digits_hold_out_300_seeded_queries() -> None:
    split, again, other = (load_dataset("digits", seed=seed) for seed in (3, 3, 4))
    assert tuple(split.query_items.shape) == (300, 1, 8, 8)
    assert tuple(split.database_items.shape) == (1497, 1, 8, 8)
    assert split.num_classes == 10
    assert split.query_items.dtype == torch.uint8
    assert torch.equal(split.query_items, again.query_items)
    assert not torch.equal(split.query_labels, other.query_labels)


def test_hold_out_queries_are_apart_from_the_database() -> None:
    items = torch.arange(50.0)[:, None]
    split = hold_out_queries("toy", items, torch.arange(50) % 5, 20, seed=1)
    everyone = torch.cat([split.query_items, split.database_items]).flatten()
    assert everyone.sort().values.tolist() == list(range(50))
    assert torch.equal(split.train_items, split.database_items)
    # Labels travel with their items.
    assert torch.equal(split.query_labels, split.query_items.flatten().long() % 5)
    for count in (0, 49, 100):
        with pytest.raises(ValueError, match=r"num_queries must be in 1\.\.48"):
            hold_out_queries("toy", items, torch.arange(50) % 5, count)


def test_first_test_queries_search_the_other_test_items_and_the_training_items() -> None:
    train = (torch.arange(6.0)[:, None], torch.arange(6) % 3)
    test = (torch.arange(10.0, 15.0)[:, None], torch.arange(5) % 3)
    split = first_test_queries("toy", train, test, 2)
    assert split.query_items.flatten().tolist() == [10, 11]
    assert split.database_items.flatten().tolist() == [12, 13, 14, 0, 1, 2, 3, 4, 5]
    assert split.train_items.flatten().tolist() == [0, 1, 2, 3, 4, 5]
    with pytest.raises(ValueError, match="test items must be like the training items"):
        first_test_queries("toy", train, (torch.zeros(5, 2), test[1]), 2)


def test_labels_and_names_that_do_not_fit_are_refused() -> None:
    items, labels = torch.rand(9, 2), torch.arange(9) % 3
    with pytest.raises(ValueError, match=r"^labels must be one for each of 9 items, got 10"):
        hold_out_queries("toy", items, torch.arange(10) % 3, 2)
    for train, test, part in (
        ((items, labels[1:]), (items, labels), "training"),
        ((items, labels), (items, []), "test"),
    ):
        with pytest.raises(ValueError, match=f"^{part} labels must be one for each of 9 items"):
            first_test_queries("toy", train, test, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="class_names must have at least 3 names, got 2"):
        hold_out_queries("toy", items, labels, 2, class_names=("a", "b"))
    # A name for each number up to such an id would fill the memory.
    with pytest.raises(ValueError, match=r"labels must be below 1048576, .*, got 1000000000: numpy\.unique"):
        hold_out_queries("toy", items, torch.where(labels == 2, 10**9, labels), 2)


def test_names_of_a_data_set_are_for_its_classes_alone(tmp_path: Path) -> None:
    arrays = {"x_train": np.zeros((4, 3, 8, 8), np.uint8), "x_test": np.zeros((3, 3, 8, 8), np.uint8)}
    for columns, first in ((10, "airplane"), (20, "0")):
        labels = {f"y_{part}": np.eye(columns, dtype=int)[:count] for part, count in (("train", 4), ("test", 3))}
        np.savez(tmp_path / "own.npz", **arrays, **labels)
        split = load_dataset("cifar10", tmp_path / "own.npz")
        assert split.class_names[0] == first
        assert len(split.class_names) == split.num_classes == columns


def test_as_items_brings_images_to_channels_first() -> None:
    grey, last = np.zeros((2, 5, 6), np.uint8), np.zeros((2, 5, 6, 3), np.uint8)
    last[0, 1, 2, 0] = 9
    assert as_items("x", grey).shape == (2, 1, 5, 6)
    moved = as_items("x", last)
    assert moved.shape == (2, 3, 5, 6)
    assert moved[0, 0, 1, 2] == 9
    assert as_items("x", np.zeros((2, 3, 5, 6))).shape == (2, 3, 5, 6)
    assert as_items("x", np.zeros((2, 7))).dtype == torch.float32


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros(3), ValueError, r"got shape \(3,\)"),
        (np.zeros((0, 4)), ValueError, "must not be empty"),
        (np.zeros((3, 4), np.uint8), TypeError, "must be floating point"),
        (np.zeros((3, 4, 4), np.int32), TypeError, "uint8 or floating point"),
        (np.full((3, 4), np.nan), ValueError, "finite"),
        (np.full((3, 4), "cat"), TypeError, "x must have a numeric dtype that torch knows, got <U3"),
        (np.zeros((3, 5, 5, 5)), ValueError, "channels"),
    ],
)
def test_as_items_refuses(array: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        as_items("x", array)


def test_as_labels_takes_ids_columns_and_multi_hot() -> None:
    assert as_labels("y", np.array([[2], [0]]), 2).tolist() == [2, 0]
    assert as_labels("y", np.array([[1, 0], [1, 1]]), 2).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(ValueError, match="at least 0, got -1"):
        as_labels("y", np.array([0, -1]), 2)
    with pytest.raises(TypeError, match=r"y must be class ids .*, got <U3: numpy.unique\(names, return_inverse=True\)"):
        as_labels("y", np.array(["cat", "dog"]), 2)
    with pytest.raises(ValueError, match="one row for each of 3"):
        as_labels("y", np.array([0, 1]), 3)


def write_idx(path: Path, array: np.ndarray) -> None:
    raw = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)


def test_load_dataset_reads_idx_folders(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (7, 5))
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", train)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(7, dtype=np.uint8))
    write_idx(tmp_path / "t10k-images.idx3-ubyte", test)
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.arange(5, dtype=np.uint8))
    split = load_dataset("fashion-mnist", tmp_path, num_queries=3)
    np.testing.assert_array_equal(split.query_items[:, 0].numpy(), test[:3])
    np.testing.assert_array_equal(split.train_items[:, 0].numpy(), train)
    assert split.database_labels.tolist() == [3, 4, 0, 1, 2, 3, 4, 5, 6]
    assert split.class_names[9 - 2] == "sneaker"
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels"):
        load_dataset("mnist", tmp_path)


def test_load_dataset_reads_the_binary_version_of_cifar10(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for number, name in enumerate(names):
        (folder / name).write_bytes(b"".join(bytes([number]) + bytes([number]) * 3072 for _ in range(2)))
    split = load_dataset("cifar10", tmp_path, num_queries=1)
    assert split.train_labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert tuple(split.query_items.shape) == (1, 3, 32, 32)
    assert split.query_items.unique().tolist() == [5]


def test_load_source_takes_names_npz_and_npy(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"x_train": rng.random((9, 4)), "x_test": rng.random((5, 4))}
    np.savez(tmp_path / "own.npz", **arrays, y_train=np.arange(9) % 3, y_test=np.arange(5) % 3)
    np.save(tmp_path / "x.npy", arrays["x_train"])
    np.save(tmp_path / "y.npy", np.arange(9) % 3)
    assert len(load_source(str(tmp_path / "own.npz")).query_items) == 5
    assert len(load_npz(tmp_path / "own.npz", num_queries=2).database_items) == 12
    split = load_source(str(tmp_path / "x.npy"), labels=tmp_path / "y.npy", num_queries=4)
    assert (len(split.query_items), len(split.database_items)) == (4, 5)
    assert len(load_arrays(tmp_path / "x.npy", tmp_path / "y.npy").query_items) == 1
    for source, options, message in (
        ("x.npy", {}, "labels must name"),
        ("own.npz", {"labels": "y.npy"}, "labels go with"),
        ("own.npz", {"root": tmp_path}, "root goes with"),
        ("own.txt", {}, "data must be one of"),
        ("own.csv", {"labels": "own.csv"}, "data must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            load_source(str(tmp_path / source), **options)
    with pytest.raises(ValueError, match="root must be None"):
        load_source("digits", root=tmp_path)
    with pytest.raises(ValueError, match="root must name"):
        load_source("mnist")
    with pytest.raises(ValueError, match="one of digits"):
        load_dataset("svhn")
