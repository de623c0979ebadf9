"""The centres that were published with central similarity quantization, against what this package makes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashkernels.centers import Codebook, best_centers

PUBLISHED = Path(__file__).parents[1] / "data" / "csq_hash_centers.npz"

# counted once from the files with a plain double loop
MIN_DISTANCES = {
    "coco_80x16": 2,
    "coco_80x32": 8,
    "coco_80x64": 20,
    "imagenet_100x16": 2,
    "imagenet_100x32": 8,
    "imagenet_100x64": 32,
    "nus_wide_21x16": 4,
}


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    with np.load(PUBLISHED) as file:
        return {name: file[name] for name in file.files}


def test_minimum_distances_are_those_known_of_the_files(published: dict[str, np.ndarray]) -> None:
    for name, distance in MIN_DISTANCES.items():
        assert Codebook(published[name], construction=name).min_distance == distance


def test_every_published_set_is_within_the_bounds(published: dict[str, np.ndarray]) -> None:
    for name, words in published.items():
        book = Codebook(words, construction=name)
        assert book.min_distance <= book.upper_bound, name


def test_first_rows_of_a_hadamard_matrix_left_bits_unused(published: dict[str, np.ndarray]) -> None:
    book = Codebook(published["nus_wide_21x64"], construction="published")
    assert (book.num_constant_columns, book.num_duplicate_columns) == (2, 32)


@pytest.mark.parametrize(
    "name", ["coco_80x64", "nus_wide_21x16", "nus_wide_21x64", "imagenet_100x16", "imagenet_100x64"]
)
def test_best_centers_are_no_nearer_and_use_every_bit(name: str, published: dict[str, np.ndarray]) -> None:
    classes, bits = published[name].shape
    book = best_centers(classes, bits)
    assert book.min_distance >= Codebook(published[name], construction=name).min_distance
    assert book.num_constant_columns == 0
    assert book.num_duplicate_columns == 0
