"""Recognition with codes: a vote of the nearest neighbours, and logistic regression (LBHash, appendix C)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_tensor
from hashkernels._unpacked import warn_of_unpacked
from hashkernels._validation import check_bits, check_int, check_labels, check_real, check_same_device, require
from hashkernels.metrics._inputs import checked_codes

_CHUNK_ELEMENTS = 1 << 22


class NeighbourRecognition(NamedTuple):
    """What a vote of the k nearest codes recognises.

    accuracy: share of queries whose class has the vote. majority_accuracy: share of queries more than half of whose k
    neighbours are of their class (mis-rank below k/2 at rank k, the paper's condition), never more than accuracy.
    predictions: int64 [Q].
    """

    accuracy: float
    majority_accuracy: float
    predictions: npt.NDArray[np.int64]


class LogisticRecognition(NamedTuple):
    """What a linear classifier of the bits recognises.

    accuracy: share of queries with the right prediction. predictions: int64 [Q]. iterations: of the solver. converged:
    whether it stopped before ``max_iterations``.
    """

    accuracy: float
    predictions: npt.NDArray[np.int64]
    iterations: int
    converged: bool


def knn_recognition(
    query_codes: Any,
    database_codes: Any,
    query_labels: Any,
    database_labels: Any,
    k: int,
    *,
    bits: int | None = None,
    threads: int | None = None,
) -> NeighbourRecognition:
    """Give each query the class that most of its k nearest codes have.

    Neighbours are the first k by (distance, index). Of classes with equally many votes, the one whose voters have the
    smaller sum of distances wins, then the smaller class id.

    Args:
        query_codes, database_codes: uint8 [Q, W] and [N, W], packed codes, NumPy arrays or torch tensors.
        query_labels, database_labels: class ids, integers [Q] and [N].
        k: number of voters, 1..N.
        bits: code length; given, pad bits are checked to be zero. Default: all, 8 W.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.

    Raises:
        ValueError: shapes that do not fit, multi-hot labels, or k out of range. TypeError: a wrong dtype.

    Example:
        >>> import numpy as np
        >>> database = np.array([[0b00000000], [0b00000001], [0b11111111]], dtype=np.uint8)
        >>> knn_recognition(database[:1], database, np.array([4]), np.array([4, 4, 9]), 3).accuracy
        1.0
    """
    queries, query_classes = _labelled("query", query_codes, query_labels, bits)
    database, database_classes = _labelled("database", database_codes, database_labels, bits)
    _check_pair("query_codes", queries, "database_codes", database)
    k = check_int("k", k, 1, database.shape[0])
    classes, numbers = torch.unique(database_classes, return_inverse=True)
    most = k * 8 * queries.shape[1] + 1  # above any sum of distances
    predicted, own_votes = [], []
    step = max(1, _CHUNK_ELEMENTS // max(k, classes.numel()))
    for part, wanted in zip(torch.split(queries, step), torch.split(query_classes, step), strict=True):
        distances, indices = _ops.topk(part, database, k, None, threads)
        neighbours = numbers[indices]
        # One whole number a class, more votes first, then less distance: a class without votes has 0, others more.
        score = torch.zeros(part.shape[0], classes.numel(), dtype=torch.int64, device=part.device)
        score.scatter_add_(1, neighbours, most - distances.long())
        best = (score == score.amax(1, keepdim=True)).to(torch.uint8).argmax(1)
        predicted.append(classes[best])
        own_votes.append((database_classes[indices] == wanted.unsqueeze(1)).sum(1))
    predictions = torch.cat(predicted)
    return NeighbourRecognition(
        _share(predictions == query_classes), _share(2 * torch.cat(own_votes) > k), predictions.cpu().numpy()
    )


def logistic_recognition(
    query_codes: Any,
    train_codes: Any,
    query_labels: Any,
    train_labels: Any,
    *,
    bits: int,
    l2: float = 1e-4,
    intercept: bool = False,
    max_iterations: int = 1000,
    tolerance: float = 1e-6,
) -> LogisticRecognition:
    """Train a linear classifier on the bits of codes (as -1/+1), and give each query the class with the highest score.

    Minimises mean cross-entropy of softmax(W b) + l2 / 2 * sum W^2 by L-BFGS (scikit-learn's ``LogisticRegression``; of
    two classes it trains the difference w of their weights, under l2 / 2 * sum w^2). The paper names the model, scores
    W b with W of shape [C, bits], but no solver, regulariser or intercept.

    Args:
        query_codes, train_codes: uint8 [Q, ceil(bits / 8)] and [N, ceil(bits / 8)], packed codes.
        query_labels, train_labels: class ids, integers [Q] and [N]; those of train of at least two classes.
        bits: code length.
        l2: weight of the regulariser, above 0.
        intercept: whether a class has a constant score of its own, which is not regularised.
        max_iterations: of L-BFGS.
        tolerance: L-BFGS stops where no entry of the gradient of its objective exceeds this.

    Raises:
        ValueError: shapes that do not fit, multi-hot labels, a single class, or a setting out of its range.
        TypeError: a wrong dtype. ImportError: scikit-learn is missing (``pip install 'hashkernels[train]'``).

    Example:
        >>> import numpy as np
        >>> codes = np.array([[0b00000000], [0b00000011], [0b11000000], [0b11110000]], dtype=np.uint8)
        >>> logistic_recognition(codes, codes, np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]), bits=8).accuracy
        1.0
    """
    bits = check_bits(bits)
    queries, query_classes = _labelled("query", query_codes, query_labels, bits)
    train, train_classes = _labelled("train", train_codes, train_labels, bits)
    _check_pair("query_codes", queries, "train_codes", train)
    l2 = check_real("l2", l2, 0)
    if l2 == 0:
        raise ValueError("l2 must be above 0, got 0")
    max_iterations = check_int("max_iterations", max_iterations, 1)
    tolerance = check_real("tolerance", tolerance, 0)
    if bool((train_classes == train_classes[0]).all()):
        raise ValueError("train_labels must hold at least two classes, got one")
    linear = require("sklearn.linear_model", extra="train")
    exceptions = require("sklearn.exceptions", extra="train")
    model = linear.LogisticRegression(
        C=1 / (l2 * train.shape[0]),
        fit_intercept=bool(intercept),
        max_iter=max_iterations,
        tol=tolerance,
        solver="lbfgs",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", exceptions.ConvergenceWarning)  # the result says whether it converged
        model.fit(_signs(train, bits), train_classes.cpu().numpy())
    predictions = np.asarray(model.predict(_signs(queries, bits)), dtype=np.int64)
    iterations = int(model.n_iter_.max())
    accuracy = float((predictions == query_classes.cpu().numpy()).mean())
    return LogisticRecognition(accuracy, predictions, iterations, iterations < max_iterations)


def _labelled(kind: str, codes: Any, labels: Any, bits: int | None) -> tuple[Tensor, Tensor]:
    tensor = checked_codes(f"{kind}_codes", codes, bits)
    if bits is None:
        warn_of_unpacked(f"{kind}_codes", tensor)
    checked = check_labels(f"{kind}_labels", to_tensor(f"{kind}_labels", labels), tensor.shape[0], synchronize=True)
    if checked.ndim != 1:
        raise ValueError(f"{kind}_labels must be class ids [N], got shape {tuple(checked.shape)}")
    return tensor, checked.to(tensor.device, torch.int64)


def _check_pair(first_name: str, first: Tensor, name: str, other: Tensor) -> None:
    if other.shape[1] != first.shape[1]:
        raise ValueError(f"{name} must have {first.shape[1]} bytes a code like {first_name}, got {other.shape[1]}")
    check_same_device(first_name, first, name, other)


def _signs(codes: Tensor, bits: int) -> npt.NDArray[np.float64]:
    return _ops.unpack_codes(codes, bits, False).cpu().numpy().astype(np.float64)


def _share(right: Tensor) -> float:
    return int(right.sum()) / right.numel()
