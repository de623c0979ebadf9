"""Harmonic sums, logarithms and compensated sums against exact and 60-digit arithmetic."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import comb

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashkernels._ops.sums import (
    cut_precision_sums,
    fixed_sums,
    harmonic_sums,
    hit_means,
    log2,
    running_sums,
    share_sums,
    tie_precision_sums,
)
from hashkernels.metrics import RetrievalCounts, evaluate_counts
from hashkernels.metrics._fixed import whole_sum
from hashkernels.reference import sums as reference

STARTS = st.one_of(st.integers(0, 200), st.integers(0, 10**5), st.integers(0, 10**12))
COUNTS = st.one_of(st.integers(0, 6), st.integers(0, 300), st.integers(0, 10**9))


@given(start=STARTS, count=COUNTS)
@settings(max_examples=300)
def test_harmonic_sums_keep_relative_accuracy(start, count):
    with mpmath.workdps(60):
        reciprocal = mpmath.digamma(start + count + 1) - mpmath.digamma(start + 1)
        ramp = count - (start + 1) * reciprocal
        found = [float(part[0]) for part in harmonic_sums(np.array([start]), np.array([count]))]
        assert abs(found[0] - reciprocal) <= 1e-15 * reciprocal
        if count <= 1:
            assert found[1] == 0.0
        else:
            assert abs(found[1] - ramp) <= 1e-14 * ramp


@pytest.mark.parametrize("start", [0, 1, 62, 63, 64, 65, 127])
def test_harmonic_sums_around_the_end_of_the_table(start):
    counts = np.arange(0, 150)
    reciprocal, ramp = harmonic_sums(np.full_like(counts, start), counts)
    for count in counts.tolist():
        exact = sum((Fraction(1, start + t) for t in range(1, count + 1)), Fraction(0))
        exact_ramp = sum((Fraction(t - 1, start + t) for t in range(1, count + 1)), Fraction(0))
        assert abs(Fraction(reciprocal[count]) - exact) <= exact / 10**15
        assert abs(Fraction(ramp[count]) - exact_ramp) <= exact_ramp / 10**14


def test_harmonic_sums_leave_their_arguments_alone():
    start, count = np.array([0, 5, 100]), np.array([3, 90, 2])
    harmonic_sums(start, count)
    assert start.tolist() == [0, 5, 100]
    assert count.tolist() == [3, 90, 2]


@given(st.floats(1e-12, 1e12))
@settings(max_examples=200)
def test_log2(value):
    with mpmath.workdps(60):
        exact = mpmath.log(value, 2)
        # near 1 the logarithm is small because its argument is close to 1: there only the absolute error is small
        assert abs(float(log2(np.array([value]))[0]) - exact) <= 4e-16 * max(abs(exact), 2**-50)


def test_log2_of_powers_of_two_is_exact():
    exponents = np.arange(-40, 41).astype(np.float64)
    np.testing.assert_array_equal(log2(2.0**exponents), exponents)


def test_compensated_sums_adds_as_if_with_twice_the_precision():
    rng = np.random.default_rng(0)
    values = rng.random((20_000, 2)) * 10.0 ** rng.integers(-12, 3, (20_000, 2))
    sums = reference.compensated_sums(values)
    for column in range(2):
        exact, plain = Fraction(0), 0.0
        for value in values[:, column].tolist():
            exact, plain = exact + Fraction(value), plain + value
        assert abs(Fraction(sums[-1, column]) / exact - 1) <= Fraction(1, 2**52)
        assert abs(Fraction(plain) / exact - 1) > Fraction(1, 2**52)


@given(st.lists(st.tuples(STARTS, COUNTS), max_size=300))
@settings(max_examples=100)
def test_kernels_of_harmonic_sums_have_the_bits_of_the_reference(isa, pairs):
    start, count = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    for found, expected in zip(harmonic_sums(start, count), reference.harmonic_sums(start, count), strict=True):
        np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


@given(st.lists(st.floats(1e-300, 1e300), max_size=300))
def test_kernels_of_logarithms_have_the_bits_of_the_reference(isa, values):
    found, expected = log2(np.array(values)), reference.log2(np.array(values))
    np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))


def cut_ties(count, largest):
    """What ``hit_means`` takes: ties of up to ``largest`` items, and sums of any size."""
    rng = np.random.default_rng(0)
    size = rng.integers(1, largest + 1, count)
    positives, slots, before = (rng.integers(low, high + 1) for low, high in ((0, size), (1, size), (0, 50)))
    return size, positives, slots, np.broadcast_to(before, count), *rng.random((3, count))


@pytest.mark.parametrize("count", [0, 1, 127, 128, 129, 300])
@pytest.mark.parametrize("largest", [3, 400, 10**5])
def test_kernels_of_hit_means_have_the_bits_of_the_reference(isa, count, largest):
    ties = cut_ties(count, largest)
    expected = reference.hit_means(*ties[:4], reference.likeliest_hits(*ties[:3]), *ties[4:])
    assert expected.shape == (count,)
    np.testing.assert_array_equal(hit_means(*ties).view(np.int64), expected.view(np.int64))


@pytest.mark.parametrize(("count", "largest"), [(300, 3), (100, 40), (20, 1000), (2, 10_000)])
def test_hit_means_are_those_of_the_hypergeometric_distribution(count, largest):
    ties = cut_ties(count, largest)
    for tie, found in zip(np.stack(ties).T.tolist(), hit_means(*ties).tolist(), strict=True):
        size, positives, slots, before = (int(number) for number in tie[:4])
        linear, quadratic, earlier = (Fraction(number) for number in tie[4:])
        exact = sum(
            comb(positives, h)
            * comb(size - positives, slots - h)
            * (earlier + h * (linear + (h - 1) * quadratic))
            / max(before + h, 1)
            for h in range(min(positives, slots) + 1)
        ) / comb(size, slots)
        assert abs(Fraction(found) - exact) <= exact / 10**13


def test_ties_of_billions_are_cut_without_overflow():
    """A random order has precision of about a half at every rank."""
    half = 4 * 10**9
    counts = RetrievalCounts(np.array([[2 * half, 0]]), np.array([[half, 0]]))
    report = evaluate_counts(counts, k=half)
    assert report.map == pytest.approx(0.5, abs=1e-6)
    assert report.precision_at[half] == 0.5


@pytest.mark.parametrize("count", [127, 128, 129, 1000])
def test_kernels_of_many_sums_have_the_bits_of_the_reference(isa, count):
    rng = np.random.default_rng(0)
    start, terms = 10 ** rng.integers(0, 12, count), rng.integers(0, 10 ** rng.integers(1, 9, count))
    for found, expected in zip(harmonic_sums(start, terms), reference.harmonic_sums(start, terms), strict=True):
        np.testing.assert_array_equal(found.view(np.int64), expected.view(np.int64))
    np.testing.assert_array_equal(log2(start / 7.0).view(np.int64), reference.log2(start / 7.0).view(np.int64))


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 0), (70, 5), (49, 257), (2, 1000)])
def test_kernels_of_running_sums_have_the_bits_of_the_reference(shape):
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2**40, shape)
    np.testing.assert_array_equal(running_sums(counts), counts.cumsum(axis=0))
    np.testing.assert_array_equal(reference.running_sums(counts), counts.cumsum(axis=0))


def random_ties(shape, largest):
    """Sizes up to ``largest`` and relevant items, none of them in every second tie."""
    rng = np.random.default_rng(0)
    size = rng.integers(0, largest + 1, shape)
    return size, rng.integers(0, size + 1) * rng.integers(0, 2, shape)


def assert_same_bits(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_array_equal(ours.view(np.int64), theirs.view(np.int64))


@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (3, 0), (70, 5), (49, 257), (2, 3000)])
@pytest.mark.parametrize("largest", [1, 4, 1000, 2**40])
def test_kernels_of_precision_over_ties_have_the_bits_of_the_reference(isa, shape, largest):
    size, positives = random_ties(shape, largest)
    expected = reference.tie_precision_sums(size, positives)
    assert expected[0].shape == (shape[0] + 1, shape[1])
    for threads in (1, 2, 3):
        assert_same_bits(tie_precision_sums(size, positives, threads), expected)


@pytest.mark.parametrize("shape", [(1, 1), (5, 70), (257, 49), (3000, 2), (1, 5000)])
@pytest.mark.parametrize("largest", [1, 4, 1000, 2**40])
def test_kernels_of_cut_and_share_sums_have_the_bits_of_the_reference(isa, shape, largest):
    size, positives = random_ties(shape, largest)
    ks = [0, 1, 2, 17, 1000, largest, largest * shape[1] // 2, largest * shape[1]]
    ks = sorted({*ks, *size.cumsum(axis=1)[0, :9].tolist()})
    cuts = reference.cut_precision_sums(size, positives, ks)
    shares = {which: whole_sum(*reference.share_sums(size, positives, which)) for which in (False, True)}
    for threads in (1, 2, 3):
        assert_same_bits(cut_precision_sums(size, positives, ks, threads), cuts)
        for unanswerable, expected in shares.items():
            found = whole_sum(*share_sums(size, positives, unanswerable, threads))
            assert found.tolist() == expected.tolist()


@given(st.lists(st.integers(0, 5).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=1, max_size=4))
def test_cuts_and_shares_item_by_item(isa, ties):
    items = [(tie, place, size, hits) for tie, (size, hits) in enumerate(ties) for place in range(size)]
    ks = list(range(len(items) + 3))
    size, positives = (np.array(column)[None] for column in zip(*ties, strict=True))
    relevant, cuts, sums = cut_precision_sums(size, positives, ks)
    shares = whole_sum(*share_sums(size, positives, True))
    whole = np.stack(tie_precision_sums(size.T, positives.T))[:, :, 0]
    assert relevant.tolist() == [positives.sum()]
    for k in ks:
        tie, slots, cut_size, hits = items[k] if k < len(items) else (len(ties), 0, 1, 0)
        if slots == 0:
            cut_size, hits = 1, 0
        before = [sum(column) for column in zip(*ties[:tie], strict=True)] or [0, 0]
        assert cuts[k, :, 0].tolist() == [slots, cut_size, hits, *before]
        np.testing.assert_array_equal(sums[k, :, 0], whole[:, tie])
    for tie in range(len(ties)):
        found, hits = (sum(column) for column in zip(*ties[: tie + 1], strict=True))
        assert shares[:, tie].tolist() == [
            round(Fraction(hits / max(of, 1)) * 2**60) for of in (found, int(relevant[0]))
        ]


def test_precision_over_ties_in_exact_arithmetic():
    size, positives = [3, 0, 5, 1], [1, 0, 4, 0]
    found = tie_precision_sums(*(np.array(values)[:, None] for values in (size, positives)))
    exact = [Fraction(0)] * 3
    before = hits = 0
    for row, (n, p) in enumerate(zip([0, *size], [0, *positives], strict=True)):
        orders = set(permutations([1] * p + [0] * (n - p)))
        sums = [
            sum((Fraction(hits + sum(order[: t + 1]), before + t + 1) for t in range(n) if order[t]), Fraction(0))
            for order in orders
        ]
        exact = [exact[0] + sum(sums) / len(sums), exact[1] + min(sums), exact[2] + max(sums)]
        for ours, theirs in zip(found, exact, strict=True):
            assert ours[row, 0] == pytest.approx(float(theirs), rel=1e-15)
        before, hits = before + n, hits + p


@given(st.lists(st.floats(0, 1), max_size=60))
def test_fixed_sums_are_exact_sums_of_rounded_terms(values):
    high, low = fixed_sums(np.array(values))
    exact = sum(round(Fraction(value) * 2**60) for value in values)  # half to even, as the kernel rounds
    assert int(high) * 2**30 + int(low) == exact


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 5, 70), (4, 1000)])
def test_kernels_of_fixed_sums_equal_the_reference(shape):
    values = np.random.default_rng(0).random(shape) ** 4
    for found, expected in zip(fixed_sums(values), reference.fixed_sums(values), strict=True):
        np.testing.assert_array_equal(found, expected)
