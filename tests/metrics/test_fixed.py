"""Means that no order of adding can change."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hashkernels.metrics._fixed import fixed_mean, fixed_means, fixed_sum


def test_mean_is_exact_to_the_unit_and_free_of_order():
    rng = np.random.default_rng(3)
    values = rng.random(100_001)
    exact = sum(map(Fraction, values.tolist())) / len(values)
    mean = fixed_mean(fixed_sum(values).item(), len(values))
    assert abs(Fraction(mean) - exact) <= Fraction(1, 2**53)
    for _ in range(5):
        rng.shuffle(values)
        assert fixed_mean(fixed_sum(values).item(), len(values)) == mean
    parts = sum(fixed_sum(part).item() for part in np.array_split(values, 13))
    assert fixed_mean(parts, len(values)) == mean


def test_more_ones_than_an_int64_could_hold_do_not_overflow():
    ones = np.broadcast_to(1.0, (2, 5000))
    assert fixed_sum(ones).tolist() == [5000 << 60] * 2
    assert fixed_means(fixed_sum(ones), 5000).tolist() == [1.0, 1.0]


def test_mean_of_none_is_zero():
    assert fixed_mean(fixed_sum(np.empty(0)).item(), 0) == 0.0


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, 2.0**-60, 1 - 2.0**-53])
def test_multiples_of_the_unit_stay_as_they_are(value):
    assert fixed_mean(fixed_sum(np.full(3, value)).item(), 3) == value
