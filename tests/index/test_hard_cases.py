"""More pairs and positions than 32 bits count, calls from many threads at once, and processes that fork after use."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable

import numpy as np
import pytest

import hashkernels as hk
from hashkernels import _loader

NEEDS_KERNELS = pytest.mark.skipif(
    _loader.isa() == _loader.REFERENCE,
    reason="without kernels, searches of more than 2^31 pairs take hours and stay untested",
)


def random_codes(count: int, bits: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, bits // 8), dtype=np.uint8)


@NEEDS_KERNELS
@pytest.mark.parametrize("radius", [2, 8])
def test_counts_over_more_than_2_to_the_31_pairs(threads: int, radius: int) -> None:
    codes = random_codes(46_500, 8, 1)
    assert len(codes) ** 2 > 2**31
    counts = hk.range_count(codes, codes, radius, threads=threads)
    values = np.arange(256, dtype=np.uint8)
    near = np.bitwise_count(values[:, None] ^ values) <= radius
    np.testing.assert_array_equal(counts, (near @ np.bincount(codes[:, 0], minlength=256))[codes[:, 0]])


@NEEDS_KERNELS
def test_the_nearest_of_more_than_2_to_the_31_pairs(threads: int) -> None:
    codes = random_codes(46_500, 8, 1)
    found = hk.topk(codes, codes, 1, threads=threads)
    first_of_value = np.array([np.argmax(codes[:, 0] == value) for value in range(256)])
    assert not found.distances.any()
    np.testing.assert_array_equal(found.indices[:, 0], first_of_value[codes[:, 0]])


@NEEDS_KERNELS
def test_positions_beyond_2_to_the_31() -> None:
    # Memory that nobody has written to is one page of zeros.
    codes = np.zeros((2**31 + 1000, 1), np.uint8)
    codes[[5, 2**31 - 1, 2**31, 2**31 + 999], 0] = [1, 255, 127, 255]
    query = np.array([[255]], np.uint8)
    found = hk.topk(query, codes, 4, threads=2)
    assert found.distances.tolist() == [[0, 0, 1, 7]]
    assert found.indices.tolist() == [[2**31 - 1, 2**31 + 999, 2**31, 5]]
    assert hk.range_search(query, codes, 1, threads=2).indices.tolist() == found.indices[0, :3].tolist()
    assert hk.range_count(query, codes, 8, threads=2).tolist() == [2**31 + 1000]


@NEEDS_KERNELS
def test_an_index_of_more_than_2_to_the_31_codes() -> None:
    codes = np.zeros((2**31 + 1000, 1), np.uint8)
    far = [2**31 - 1, 2**31, 2**31 + 999]
    codes[[5, *far], 0] = [1, 255, 127, 255]
    index = hk.BinaryIndex(8, structure="scan")
    index.add(codes)
    assert index.ntotal == 2**31 + 1000
    np.testing.assert_array_equal(index.reconstruct(np.array([*far, 7]))[:, 0], [255, 127, 255, 0])
    query = np.array([[255]], np.uint8)
    for queries in (query, np.repeat(query, 9, axis=0)):  # one by one, and many on one table
        found = index.search(queries, 4, threads=2)
        assert (found.distances == [0, 0, 1, 7]).all()
        assert (found.indices == [far[0], far[2], far[1], 5]).all()
    assert index.range_search(query, 1, threads=2).indices.tolist() == [far[0], far[2], far[1]]
    assert index.range_count(query, 8, threads=2).tolist() == [2**31 + 1000]


def searches(queries: np.ndarray, codes: np.ndarray) -> tuple[Callable[[], tuple[np.ndarray, ...]], ...]:
    """One of each kind, all on two threads of their own."""
    bits = 8 * codes.shape[1]
    scanned, hashed = hk.BinaryIndex(bits, structure="scan"), hk.BinaryIndex(bits, structure="hash")
    scanned.add(codes)
    hashed.add(codes)
    labels = codes[:, 0] % 5

    def evaluated() -> tuple[np.ndarray, ...]:
        report = hk.evaluate(queries, codes, queries[:, 0] % 5, labels, threads=2)
        return (np.array([report.map]),)

    return (
        lambda: hk.topk(queries, codes, 7, threads=2),
        lambda: hk.range_search(queries, codes, 20, threads=2),
        lambda: scanned.search(queries, 7, threads=2),
        lambda: hashed.range_search(queries, 3, threads=2),
        lambda: hashed.search(queries, 2, threads=2),
        evaluated,
    )


def check_all(calls: tuple[Callable[[], tuple[np.ndarray, ...]], ...], expected: list[tuple[np.ndarray, ...]]) -> None:
    for call, wanted in zip(calls, expected, strict=True):
        for found, part in zip(call(), wanted, strict=True):
            np.testing.assert_array_equal(found, part)


def test_many_threads_call_at_once(isa: str) -> None:
    calls = searches(random_codes(40, 64, 1), random_codes(5000, 64, 2))
    expected = [call() for call in calls]
    failures: list[str] = []

    def work() -> None:
        try:
            for _ in range(5):
                check_all(calls, expected)
        except Exception:
            failures.append(traceback.format_exc())

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures[0]


@NEEDS_KERNELS
def test_a_forked_child_goes_on_searching() -> None:
    calls = searches(random_codes(40, 64, 1), random_codes(5000, 64, 2))[:5]
    expected = [call() for call in calls]
    child = os.fork()
    if child == 0:
        try:
            check_all(calls, expected)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    check_all(calls, expected)
