"""The data sets known by name, and the user's own files, as retrieval splits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from hashkernels import _validation as check
from hashkernels._files import printable
from hashkernels.data import formats
from hashkernels.data.splits import (
    RetrievalSplit,
    as_items,
    as_labels,
    count_classes,
    first_test_queries,
    hold_out_queries,
)

DATASETS = ("digits", "mnist", "fashion-mnist", "cifar10")

_FASHION = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_DIGITS = tuple(str(digit) for digit in range(10))
_CLASS_NAMES = {"digits": _DIGITS, "mnist": _DIGITS, "fashion-mnist": _FASHION, "cifar10": _CIFAR}

Part = tuple[torch.Tensor, torch.Tensor]


def load_dataset(
    name: str, root: str | os.PathLike[str] | None = None, *, num_queries: int | None = None, seed: int = 0
) -> RetrievalSplit:
    """Load a data set by name as a retrieval split.

    Args:
        name: ``digits`` (1,797 8 x 8 images that scikit-learn carries; no ``root``), ``mnist``, ``fashion-mnist`` or
            ``cifar10``.
        root: for the others: a folder with the published files (IDX, also .gz; CIFAR-10's binary version), or an .npz
            with x_train, y_train, x_test, y_test. Nothing is downloaded.
        num_queries: 300 for digits (drawn with ``seed``; the others are trained on and searched), 1,000 for the rest
            (the first test images; the other test images and the training images are searched).
        seed: of the draw on digits.

    Returns:
        A `RetrievalSplit` with uint8 images.

    Raises:
        ValueError: an unknown name, a root where none belongs, or a damaged file.
        FileNotFoundError: a file is missing.
        ImportError: digits without scikit-learn.

    Example:
        >>> split = load_dataset("digits")
        >>> tuple(split.query_items.shape), tuple(split.database_items.shape)
        ((300, 1, 8, 8), (1497, 1, 8, 8))
    """
    check.check_choice("name", name, DATASETS)
    if name == "digits":
        if root is not None:
            raise ValueError("root must be None for digits, which comes with scikit-learn")
        return _digits(300 if num_queries is None else num_queries, seed)
    if root is None:
        raise ValueError(f"root must name the folder or .npz with {name}, got None")
    path = Path(root)
    if path.suffix == ".npz":
        return load_npz(path, name=name, num_queries=num_queries, class_names=_CLASS_NAMES[name])
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is neither a folder nor an .npz file")
    train, test = _cifar10(path) if name == "cifar10" else _idx_images(path)
    num_queries = 1000 if num_queries is None else num_queries
    return first_test_queries(name, train, test, num_queries, class_names=_CLASS_NAMES[name])


def load_npz(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    num_queries: int | None = None,
    class_names: tuple[str, ...] | None = None,
) -> RetrievalSplit:
    """Load an .npz with x_train, y_train, x_test, y_test (images or embeddings); the first test items are queries.

    Args:
        num_queries: default 1,000, or all test items if they are fewer.

    Raises:
        ValueError: not such an .npz, damaged, or arrays whose shapes do not fit together.
        TypeError: arrays of another dtype.
    """
    arrays = formats.read_npz(path)
    parts: list[Part] = []
    for part in ("train", "test"):
        items = as_items(f"{path}: x_{part}", arrays[f"x_{part}"])
        parts.append((items, as_labels(f"{path}: y_{part}", arrays[f"y_{part}"], len(items))))
    train, test = parts
    if num_queries is None:
        num_queries = min(1000, len(test[0]))
    names = class_names if class_names and count_classes(train[1], test[1]) <= len(class_names) else None
    return first_test_queries(name or printable(Path(path).stem), train, test, num_queries, class_names=names)


def load_arrays(
    items_path: str | os.PathLike[str],
    labels_path: str | os.PathLike[str],
    *,
    num_queries: int | None = None,
    seed: int = 0,
) -> RetrievalSplit:
    """Load items and labels from two .npy files and hold out ``num_queries``, drawn with ``seed``.

    The default is a tenth of the items, at most 1,000.
    """
    items = as_items(str(items_path), formats.read_npy(items_path))
    labels = as_labels(str(labels_path), formats.read_npy(labels_path), len(items))
    if num_queries is None:
        num_queries = min(1000, max(1, len(items) // 10))
    return hold_out_queries(printable(Path(items_path).stem), items, labels, num_queries, seed=seed)


def load_source(
    source: str,
    *,
    root: str | os.PathLike[str] | None = None,
    labels: str | os.PathLike[str] | None = None,
    num_queries: int | None = None,
    seed: int = 0,
) -> RetrievalSplit:
    """Load what a command line names: a data set of `DATASETS`, an .npz, or an .npy with a second one of labels.

    Args:
        source: a name (see `load_dataset`), or the path of an .npz with x_train, y_train, x_test, y_test, or of an .npy
            with images or embeddings.
        root: folder or .npz with the files of a data set.
        labels: .npy with the labels of the .npy.
        num_queries: default: that of the data set; of an .npz 1,000, or all test items if they are fewer; of an .npy a
            tenth, at most 1,000.
        seed: of the queries held out.

    Raises:
        ValueError: neither a name nor such a file, or options that do not go with it.
    """
    path = Path(source)
    if source not in DATASETS and path.suffix not in (".npz", ".npy"):
        raise ValueError(f"data must be one of {', '.join(DATASETS)}, an .npz or an .npy, got {source!r}")
    if labels is not None and path.suffix != ".npy":
        raise ValueError(f"labels go with an .npy of items, got {source}")
    if source in DATASETS:
        return load_dataset(source, root, num_queries=num_queries, seed=seed)
    if root is not None:
        raise ValueError(f"root goes with the name of a data set, got {source}")
    if path.suffix == ".npz":
        return load_npz(path, num_queries=num_queries)
    if labels is None:
        raise ValueError(f"labels must name the .npy with the labels of {source}")
    return load_arrays(path, labels, num_queries=num_queries, seed=seed)


def _digits(num_queries: int, seed: int) -> RetrievalSplit:
    bunch = check.require("sklearn.datasets", extra="train").load_digits()
    # 17 grey levels, stretched to bytes so that every image in the library is one of uint8.
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    return hold_out_queries("digits", images, labels, num_queries, seed=seed, class_names=_DIGITS)


def _idx_images(root: Path) -> tuple[Part, Part]:
    parts: list[Part] = []
    for prefix in ("train", "t10k"):
        files = []
        for kind in ("images-idx3", "labels-idx1"):
            dotted = f"{prefix}-{kind.replace('-idx', '.idx')}-ubyte"
            plain = f"{prefix}-{kind}-ubyte"
            files.append(formats.find_file(root, plain, f"{plain}.gz", dotted, f"{dotted}.gz"))
        items = as_items(str(files[0]), formats.read_idx(files[0], 3))
        parts.append((items, as_labels(str(files[1]), formats.read_idx(files[1], 1), len(items))))
    return parts[0], parts[1]


def _cifar10(root: Path) -> tuple[Part, Part]:
    folder = root / "cifar-10-batches-bin" if (root / "cifar-10-batches-bin").is_dir() else root
    batches = [formats.find_file(folder, f"data_batch_{number}.bin") for number in range(1, 6)]
    train = [formats.read_cifar10_batch(path) for path in batches]
    test = formats.read_cifar10_batch(formats.find_file(folder, "test_batch.bin"))
    images, labels = (np.concatenate([batch[part] for batch in train]) for part in (0, 1))
    return (torch.from_numpy(images), torch.from_numpy(labels)), (torch.from_numpy(test[0]), torch.from_numpy(test[1]))
