"""Distances within and between classes against plain loops, and the guarantee that follows from them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashkernels.centers import hadamard_centers
from hashkernels.metrics import SeparationTracker, class_distances, evaluate, majority_centers, separation
from hashkernels.metrics.separation import Separation

FAR = 2**31 - 1


def make(bits=11, num_items=30, num_classes=4, multi_hot=False, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.choice([-1, 1], (num_classes, bits)).astype(np.int8)
    labels = rng.integers(0, num_classes, num_items)
    signs = centers[labels] * np.where(rng.random((num_items, bits)) < noise, -1, 1)
    if multi_hot:
        hot = (rng.random((num_items, num_classes)) < 0.3).astype(np.int64)
        hot[np.arange(num_items), labels] = 1
        labels = hot
    return signs, np.packbits(signs > 0, axis=1), labels, centers


def by_hand(signs, labels, centers, inter):
    """Own class, then others, one distance at a time."""
    sets = [{c} for c in labels] if labels.ndim == 1 else [set(np.flatnonzero(row)) for row in labels]
    distance = lambda a, b: int((a != b).sum())  # noqa: E731
    intra = [max(distance(x, centers[c]) for c in own) for x, own in zip(signs, sets, strict=True)]
    names = range(len(centers))
    if inter == "center":
        return intra, [min(distance(centers[c], centers[d]) for d in names if d != c) for c in names]
    nearest = []
    for x, own in zip(signs, sets, strict=True):
        others = [distance(x, centers[c]) for c in names if c not in own]
        nearest.append(min(others) if others else FAR)
    return intra, nearest


@pytest.mark.parametrize("inter", ["center", "sample"])
@pytest.mark.parametrize("multi_hot", [False, True])
@pytest.mark.parametrize("bits", [1, 8, 11, 64, 130])
def test_class_distances_equal_loops(bits, multi_hot, inter):
    signs, codes, labels, centers = make(bits, multi_hot=multi_hot)
    found = class_distances(codes, labels, centers, bits=bits, inter=inter)
    intra, nearest = by_hand(signs, labels, centers, inter)
    assert found.intra.tolist() == intra
    assert found.inter.tolist() == nearest
    assert found.intra.dtype == found.inter.dtype == np.int32
    summary = separation(
        torch.from_numpy(codes), torch.from_numpy(labels), torch.from_numpy(centers), bits=bits, inter=inter
    )
    assert summary == (min(nearest), max(intra), inter)


@pytest.mark.parametrize("multi_hot", [False, True])
def test_majority_centers_equal_counting(multi_hot):
    signs, codes, labels, _ = make(13, multi_hot=multi_hot, noise=0.45)
    if multi_hot:
        labels[:, 1] = 0
        labels[:, 0] |= labels.sum(1) == 0
    else:
        labels = labels * 10 - 7
    centers, classes = majority_centers(codes, labels, 13)
    member = labels != 0 if multi_hot else labels[:, None] == np.unique(labels)
    expected_classes = np.flatnonzero(member.any(0)) if multi_hot else np.unique(labels)
    assert classes.tolist() == expected_classes.tolist()
    columns = member[:, expected_classes] if multi_hot else member
    sums = columns.T.astype(int) @ signs
    assert np.array_equal(centers, np.where(sums > 0, 1, -1))

    default = class_distances(codes, labels, bits=13, inter="sample")
    numbers = columns.astype(int) if multi_hot else np.searchsorted(classes, labels)
    intra, nearest = by_hand(signs, numbers, centers, "sample")
    assert default.intra.tolist() == intra
    assert default.inter.tolist() == nearest


@pytest.mark.parametrize("inter", ["center", "sample"])
def test_perfect_is_never_claimed_where_a_ranking_is_not(inter):
    claims = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        _, codes, labels, centers = make(24, 12, 2, noise=rng.choice([0.0, 0.03, 0.1]), seed=seed)
        found = separation(codes, labels, centers, bits=24, inter=inter)
        if found.perfect:
            claims += 1
            assert evaluate(codes, codes, labels, labels, bits=24, ties="pessimistic").map == 1.0
    assert claims > 10


def test_the_constant_factor_of_the_paper_does_not_hold():
    # Centers one bit apart, every item one bit off its center: a false positive at distance 0.
    centers = np.array([[-1, -1, -1], [1, -1, -1]])
    codes = np.packbits(np.array([[1, 0, 0], [1, 0, 0]], np.uint8), axis=1)
    found = separation(codes, np.array([0, 1]), centers, bits=3, inter="center")
    assert (found.min_inter, found.max_intra) == (1, 1)
    assert not found.perfect


def test_ratio_is_guarded_at_zero():
    assert Separation(6, 3, "center").ratio == 2
    assert Separation(6, 0, "center").ratio == float("inf")
    assert Separation(0, 0, "sample").ratio == 0
    assert Separation(0, 3, "sample").ratio == 0


@pytest.mark.parametrize("inter", ["center", "sample"])
@pytest.mark.parametrize("multi_hot", [False, True])
def test_tracker_equals_the_whole_set(multi_hot, inter):
    signs, codes, labels, centers = make(20, 40, multi_hot=multi_hot)
    u = torch.from_numpy(signs * np.random.default_rng(1).uniform(0.01, 3, signs.shape))
    tracker = SeparationTracker(centers, inter=inter)
    for rows in torch.arange(40).split(7):
        tracker.update(u[rows], torch.from_numpy(labels)[rows])
    assert tracker.compute() == separation(codes, labels, centers, bits=20, inter=inter)
    tracker.reset()
    with pytest.raises(ValueError, match="update must be called at least once before compute"):
        tracker.compute()


def test_tracker_follows_the_sign_rule_and_takes_codebooks():
    book = hadamard_centers(4, 16)
    tracker = SeparationTracker(book, inter="center")
    tracker.update(torch.zeros(1, 16), torch.tensor([2]))
    minus = int((np.asarray(book)[2] == 1).sum())
    assert tracker.compute() == (book.min_distance, minus, "center")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_tracker_works_under_any_default_dtype(dtype):
    signs, codes, labels, centers = make(300, 40)
    tracker = SeparationTracker(centers)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        tracker.update(torch.from_numpy(signs).float(), torch.from_numpy(labels))
    finally:
        torch.set_default_dtype(before)
    assert tracker.compute() == separation(codes, labels, centers, bits=300)


def test_tracker_is_exact_under_autocast():
    signs, codes, labels, centers = make(999, 40)
    tracker = SeparationTracker(centers)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tracker.update(torch.from_numpy(signs).float(), torch.from_numpy(labels))
    assert tracker.compute() == separation(codes, labels, centers, bits=999)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_class_ids_may_be_unsigned(dtype):
    signs, codes, labels, centers = make()
    wanted = separation(codes, labels, centers, bits=11)
    ids = labels.astype(dtype)
    tracker = SeparationTracker(centers)
    tracker.update(torch.from_numpy(signs).float(), torch.from_numpy(ids))
    assert wanted == separation(codes, ids, centers, bits=11) == tracker.compute()
    assert separation(codes, ids, bits=11) == separation(codes, labels, bits=11)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.3, got 4"):
        class_distances(codes, ids + 4 - ids, centers, bits=11)


def test_centers_of_floats_that_numpy_lacks():
    _, codes, labels, centers = make()
    half = torch.from_numpy(centers).bfloat16()
    assert separation(codes, labels, half, bits=11) == separation(codes, labels, centers, bits=11)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"centers": "lbhash"}, TypeError, "centers must hold real numbers, got <U6"),
        ({"centers": np.ones((4, 11), complex)}, TypeError, "centers must hold real numbers, got complex128"),
        ({"centers": np.ones((4, 12))}, ValueError, r"centers must have shape \[C, 11\], got \(4, 12\)"),
        ({"centers": np.zeros((4, 11))}, ValueError, r"centers must hold only -1 and \+1"),
        (
            {"centers": np.ones((1, 11)), "labels": np.zeros(30, int)},
            ValueError,
            "centers must be of at least two classes",
        ),
        ({"labels": np.full(30, 4)}, ValueError, r"labels must be in 0\.\.3, got 4"),
        ({"labels": np.zeros((30, 4), int)}, ValueError, "labels must have at least one class in each row"),
        ({"labels": np.zeros(29, int)}, ValueError, "labels must have one row for each of 30 items, got 29"),
        ({"inter": "class"}, ValueError, "inter must be one of center, sample, got 'class'"),
        ({"bits": 0}, ValueError, r"bits must be in 1\.\.4096, got 0"),
        ({"codes": np.zeros((30, 2), np.int8)}, TypeError, "codes must be uint8"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    _, codes, labels, centers = make()
    arguments = {"codes": codes, "labels": labels, "centers": centers, "bits": 11, **change}
    with pytest.raises(error, match=message):
        class_distances(**arguments)


def test_bad_arguments_of_the_tracker_are_named():
    with pytest.raises(ValueError, match="centers must be of at least two classes, got 1"):
        SeparationTracker(np.ones((1, 4)))
    tracker = SeparationTracker(np.array([[1, 1], [-1, -1]]))
    with pytest.raises(ValueError, match=r"u must have shape \[N, 2\], got \(3, 4\)"):
        tracker.update(torch.zeros(3, 4), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="labels must have at least one class in each row"):
        tracker.update(torch.zeros(2, 2), torch.tensor([[0, 1], [0, 0]]))
    with pytest.raises(ValueError, match="update must be called at least once"):
        tracker.compute()
    with pytest.raises(ValueError, match="u must have at least one row"):
        tracker.update(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
