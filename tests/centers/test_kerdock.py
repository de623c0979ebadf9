from __future__ import annotations

import numpy as np
import pytest

from hashkernels.centers._kerdock import kerdock_words
from hashkernels.centers.codebook import minimum_distance


@pytest.mark.parametrize(
    ("length", "distance", "weights"),
    # MacWilliams and Sloane, chapter 15, theorem 25; length 16 is the Nordstrom-Robinson code
    [(16, 6, {0: 1, 6: 112, 8: 30, 10: 112, 16: 1}), (64, 28, {0: 1, 28: 1984, 32: 126, 36: 1984, 64: 1})],
)
def test_kerdock_codes_have_their_published_parameters(length: int, distance: int, weights: dict[int, int]) -> None:
    words = kerdock_words(length)
    assert words.shape == (length**2, length)
    assert minimum_distance(words) == distance
    for word in words[:: length * 3 + 1]:  # distance invariant: the same distribution seen from every word
        values, counts = np.unique((words ^ word).sum(axis=1), return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == weights
