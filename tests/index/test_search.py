from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hashkernels as hk

BITS = [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 192, 256, 257, 1023, 4096]
INT32_MAX = 2**31 - 1


def random_codes(count: int, bits: int, seed: int = 0, spread: float = 0.5) -> np.ndarray:
    """Codes whose bits are set with probability ``spread``: a low one makes many equal distances."""
    return np.packbits(np.random.default_rng(seed).random((count, bits)) < spread, axis=1)


class Case:
    """Queries, a database, and what NumPy finds in it."""

    def __init__(self, queries: np.ndarray, database: np.ndarray) -> None:
        self.queries, self.database = queries, database
        self.distances = np.stack([np.bitwise_count(query ^ database).sum(-1, dtype=np.int32) for query in queries])
        self.order = self.distances.argsort(axis=1, kind="stable")
        self.ordered = np.take_along_axis(self.distances, self.order, axis=1)

    def check_distances(self, found: np.ndarray, dtype: str = "int32") -> None:
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, self.distances)

    def check_nearest(self, found: hk.index.SearchResult, k: int) -> None:
        assert (found.distances.dtype, found.indices.dtype) == (np.int32, np.int64)
        np.testing.assert_array_equal(found.indices, self.order[:, :k])
        np.testing.assert_array_equal(found.distances, self.ordered[:, :k])

    def check_within(self, found: hk.index.RangeResult, radius: int) -> None:
        assert [part.dtype for part in found] == [np.int64, np.int32, np.int64]
        inside = self.ordered <= radius
        np.testing.assert_array_equal(found.offsets, [0, *inside.sum(1).cumsum()])
        np.testing.assert_array_equal(found.distances, self.ordered[inside])
        np.testing.assert_array_equal(found.indices, self.order[inside])


@cache
def random_case(num_queries: int, num_database: int, bits: int) -> Case:
    return Case(random_codes(num_queries, bits, 1), random_codes(num_database, bits, 2))


@pytest.mark.parametrize("bits", BITS)
def test_every_search_agrees_with_popcounts(isa: str, bits: int, threads: int) -> None:
    for num_queries, num_database in ((1, 1), (1, 100), (3, 1), (11, 150)):
        case = random_case(num_queries, num_database, bits)
        codes = (case.queries, case.database)
        for dtype in ("uint8", "int16", "int32"):
            if dtype != "uint8" or bits <= 255:
                case.check_distances(hk.hamming_distance(*codes, bits=bits, dtype=dtype, threads=threads), dtype)
        for k in {1, min(10, num_database), num_database}:
            case.check_nearest(hk.topk(*codes, k, bits=bits, threads=threads), k)
        for radius in {0, bits // 2, bits}:
            case.check_within(hk.range_search(*codes, radius, bits=bits, threads=threads), radius)


@pytest.mark.parametrize(("bits", "radius"), [(8, 1), (64, 20), (256, 110)])
def test_more_codes_than_one_block(isa: str, bits: int, radius: int, threads: int) -> None:
    case = random_case(2, 17_000, bits)
    codes = (case.queries, case.database)
    case.check_distances(hk.hamming_distance(*codes, threads=threads))
    for k in (1, 100, 3000):
        case.check_nearest(hk.topk(*codes, k, threads=threads), k)
    case.check_within(hk.range_search(*codes, radius, threads=threads), radius)


def test_more_queries_than_one_block(isa: str, threads: int) -> None:
    case = random_case(1000, 70, 48)
    codes = (case.queries, case.database)
    case.check_distances(hk.hamming_distance(*codes, threads=threads))
    case.check_nearest(hk.topk(*codes, 5, threads=threads), 5)
    case.check_within(hk.range_search(*codes, 20, threads=threads), 20)


@given(
    bits=st.integers(1, 200),
    num_queries=st.integers(1, 6),
    num_database=st.integers(1, 120),
    spread=st.sampled_from([0.02, 0.5, 0.98]),
    data=st.data(),
)
def test_any_sizes_and_many_ties(
    isa: str, bits: int, num_queries: int, num_database: int, spread: float, data: st.DataObject
) -> None:
    case = Case(random_codes(num_queries, bits, 5, spread), random_codes(num_database, bits, 6, spread))
    codes = (case.queries, case.database)
    k = data.draw(st.integers(1, num_database), "k")
    radius = data.draw(st.integers(0, bits), "radius")
    case.check_distances(hk.hamming_distance(*codes, bits=bits))
    case.check_nearest(hk.topk(*codes, k, bits=bits), k)
    case.check_within(hk.range_search(*codes, radius, bits=bits), radius)


def test_equal_distances_come_in_database_order(isa: str, threads: int) -> None:
    database = np.zeros((5000, 8), np.uint8)
    result = hk.topk(database[:3], database, 4000, threads=threads)
    assert (result.indices == np.arange(4000)).all()
    found = hk.range_search(database[:3], database, 0, threads=threads)
    assert (found.indices.reshape(3, 5000) == np.arange(5000)).all()


def test_the_farthest_codes_come_last(isa: str) -> None:
    for bits in (8, 64, 128, 4096):
        database = np.stack([np.full(bits // 8, 255, np.uint8), np.zeros(bits // 8, np.uint8)])
        result = hk.topk(database[1:], database, 2)
        assert result.distances.tolist() == [[0, bits]]
        assert result.indices.tolist() == [[1, 0]]


@pytest.mark.parametrize("bits", [64, 65, 128])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_topk_under_a_filter(isa: str, bits: int, share: float, threads: int) -> None:
    case = random_case(6, 2000, bits)
    mask = np.random.default_rng(9).random(2000) < share
    distances = np.where(mask, case.distances, INT32_MAX)
    k = 50
    order = distances.argsort(axis=1, kind="stable")[:, :k]
    expected = np.take_along_axis(distances, order, axis=1)
    order[expected == INT32_MAX] = -1
    positions = np.random.default_rng(0).permutation(np.flatnonzero(mask))
    integers = [positions.astype(dtype) for dtype in (np.int16, np.uint16, np.int32, np.uint32, np.uint64)]
    for allowed in (mask, positions, *integers, np.repeat(positions, 2)):
        result = hk.topk(case.queries, case.database, k, filter=allowed, threads=threads)
        np.testing.assert_array_equal(result.distances, expected)
        np.testing.assert_array_equal(result.indices, order)


@given(
    num_database=st.integers(1, 700),
    spread=st.sampled_from([0.0, 0.05, 0.5]),
    share=st.sampled_from([None, 0.0, 0.3]),
    max_results=st.sampled_from([1, 2, 7, 40, 5000]),
    radius=st.integers(0, 40),
)
def test_range_search_under_limits(
    isa: str, num_database: int, spread: float, share: float | None, max_results: int, radius: int
) -> None:
    case = Case(random_codes(20, 40, 1, spread), random_codes(num_database, 40, 2, spread))
    mask = None if share is None else np.random.default_rng(3).random(num_database) < share
    inside = case.ordered <= radius
    if mask is not None:
        inside &= mask[case.order]
    counts = inside.sum(1)
    kept = inside & (inside.cumsum(1) <= max_results)
    pair = (case.queries, case.database, radius)
    found = hk.range_search(*pair, filter=mask, max_results=max_results)
    assert [part.dtype for part in found] == [np.int64, np.int32, np.int64, np.int64]
    np.testing.assert_array_equal(found.offsets, [0, *kept.sum(1).cumsum()])
    np.testing.assert_array_equal(found.distances, case.ordered[kept])
    np.testing.assert_array_equal(found.indices, case.order[kept])
    np.testing.assert_array_equal(found.counts, counts)
    np.testing.assert_array_equal(hk.range_count(*pair, filter=mask), counts)
    everything = hk.range_search(*pair, filter=mask)
    assert len(everything) == 3
    np.testing.assert_array_equal(everything.indices, case.order[inside])


def test_the_nearest_within_a_radius_have_rows_of_one_size(isa: str, threads: int) -> None:
    queries, database = random_codes(5, 40), random_codes(300, 40, 1)
    near = hk.topk(queries, database, 12)
    found = hk.range_nearest(queries, database, 14, 12, threads=threads)
    inside = near.distances <= 14
    assert 0 < inside.sum() < inside.size
    np.testing.assert_array_equal(found.distances, np.where(inside, near.distances, 2**31 - 1))
    np.testing.assert_array_equal(found.indices, np.where(inside, near.indices, -1))
    np.testing.assert_array_equal(found.counts, hk.range_count(queries, database, 14))
    with pytest.raises(ValueError, match="max_results must be"):
        hk.range_nearest(queries, database, 14, 0)


def test_a_limit_keeps_little_of_a_large_cluster(isa: str, threads: int) -> None:
    database = np.zeros((20_000, 8), np.uint8)
    database[:19_000, 0] = 1
    found = hk.range_search(database[-20:], database, 1, max_results=1500, threads=threads)
    assert (found.counts == 20_000).all()
    assert (found.indices.reshape(20, 1500) == [*range(19_000, 20_000), *range(500)]).all()


def test_strided_and_unaligned_codes(isa: str) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (300, 67), dtype=np.uint8)
    for database in (
        wide[:, 1:9],
        wide[::2, 3:20],
        wide[:, ::3],
        wide[::-1, :16],
        wide.T,
        wide[:, :64],
        wide[:, 66:],
    ):
        queries = database[:5]
        case = Case(queries, database)
        case.check_distances(hk.hamming_distance(queries, database))
        case.check_nearest(hk.topk(queries, database, 7), 7)
        case.check_within(hk.range_search(queries, database, 3), 3)
    mask = np.zeros(600, bool)
    mask[::4] = True
    result = hk.topk(wide[:2], wide, 3, filter=mask[::2])
    assert (result.indices % 2 == 0).all()


def test_read_only_memory_map(isa: str, tmp_path: Path) -> None:
    codes = random_codes(500, 128)
    codes.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", dtype=np.uint8, mode="r", shape=codes.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        case = Case(codes[:4], codes)
        case.check_nearest(hk.topk(mapped[:4], mapped, 9), 9)
        case.check_within(hk.range_search(mapped[:4], mapped, 50), 50)
    np.testing.assert_array_equal(mapped, codes)


def test_searches_from_several_python_threads(isa: str) -> None:
    case = random_case(50, 3000, 64)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: hk.topk(case.queries, case.database, 20, threads=2), range(24)))
    for result in found:
        case.check_nearest(result, 20)


def test_no_queries(isa: str) -> None:
    queries, database = np.zeros((0, 8), np.uint8), random_codes(10, 64)
    assert hk.hamming_distance(queries, database).shape == (0, 10)
    assert hk.topk(queries, database, 3).indices.shape == (0, 3)
    result = hk.range_search(queries, database, 3)
    assert (result.offsets.tolist(), result.indices.tolist()) == ([0], [])
    assert hk.range_count(queries, database, 3).shape == (0,)


def test_nothing_within_the_radius(isa: str) -> None:
    result = hk.range_search(np.zeros((2, 8), np.uint8), np.full((5, 8), 255, np.uint8), 63)
    assert (result.offsets.tolist(), result.distances.tolist(), result.indices.tolist()) == ([0, 0, 0], [], [])


def test_a_search_explains_how_it_would_run(isa: str) -> None:
    database, wide_database = random_codes(3000, 64), random_codes(3000, 520)
    many, wide = random_codes(200, 64, 1), random_codes(200, 520, 1)
    few_and_many = ["reference"] * 2 if isa == "reference" else ["rows", "sums"]
    assert [hk.topk(part, database, 3, threads=1, explain=True) for part in (many[:1], many)] == few_and_many
    assert [
        hk.range_search(part, wide_database, 9, threads=1, explain=True) for part in (wide[:1], wide)
    ] == few_and_many
    tensors = torch.from_numpy(many), torch.from_numpy(database)
    assert hk.range_search(*tensors, 9, max_results=2, explain=True) == few_and_many[1]
    assert hk.topk(many[:0], database, 3, explain=True) == few_and_many[0]
    for search, message in (
        (hk.topk, r"k must be in 1\.\.3000, got 9999"),
        (hk.range_search, "radius must be in 0..64"),
    ):
        with pytest.raises(ValueError, match=message):
            search(many, database, 9999, explain=True)
    with pytest.raises(ValueError, match="filter given as a mask must have 3000 elements, got 2"):
        hk.topk(many, database, 3, filter=np.ones(2, bool), explain=True)


def test_tensors_give_tensors_and_the_same_numbers() -> None:
    queries, database = random_codes(3, 70), random_codes(30, 70)
    tensors = torch.from_numpy(queries), torch.from_numpy(database)
    assert torch.equal(hk.hamming_distance(*tensors), torch.from_numpy(hk.hamming_distance(queries, database)))
    for found, expected in zip(hk.topk(*tensors, 4), hk.topk(queries, database, 4), strict=True):
        assert torch.equal(found, torch.from_numpy(expected))
    for found, expected in zip(hk.range_search(*tensors, 30), hk.range_search(queries, database, 30), strict=True):
        assert torch.equal(found, torch.from_numpy(expected))


CODES = np.zeros((4, 2), np.uint8)


@pytest.mark.parametrize(
    ("queries", "database", "error", "message"),
    [
        (CODES, np.zeros((4, 3), np.uint8), ValueError, "database must have 2 bytes a code like queries, got 3"),
        (CODES, CODES[:0], ValueError, r"database must hold at least one code, got shape \(0, 2\)"),
        (CODES, CODES.astype(np.int8), TypeError, "database must be uint8 packed codes, got int8"),
        (CODES.astype(np.float32), CODES, TypeError, "queries must be uint8 packed codes, got float32"),
        (CODES[0], CODES, ValueError, r"queries must have 2 dimensions, got shape \(2,\)"),
        (CODES[:, :0], CODES, ValueError, r"queries must have 1\.\.512 bytes a code, got 0"),
        (CODES, torch.from_numpy(CODES), TypeError, "database must be a numpy.ndarray like queries, got Tensor"),
        (torch.from_numpy(CODES), CODES, TypeError, "database must be a torch.Tensor like queries, got ndarray"),
        (CODES.tolist(), CODES, TypeError, "queries must be a torch.Tensor or a numpy.ndarray, got list"),
        (
            torch.from_numpy(CODES),
            torch.zeros((4, 2), dtype=torch.uint8, device="meta"),
            ValueError,
            "database must be on cpu like queries, got meta",
        ),
    ],
)
def test_every_search_names_what_is_wrong_with_the_codes(
    queries: np.ndarray, database: np.ndarray, error: type[Exception], message: str
) -> None:
    for search in (
        hk.hamming_distance,
        lambda q, d: hk.topk(q, d, 1),
        lambda q, d: hk.range_search(q, d, 1),
        lambda q, d: hk.range_count(q, d, 1),
        lambda q, d: hk.range_nearest(q, d, 1, 1),
    ):
        with pytest.raises(error, match=message):
            search(queries, database)


def test_bits_are_checked_against_width_and_pad_bits() -> None:
    dirty = np.array([[0, 0x10]], np.uint8)
    clean = np.array([[0, 0xE0]], np.uint8)
    assert hk.hamming_distance(clean, clean, bits=11).item() == 0
    for queries, database, name in ((dirty, clean, "queries"), (clean, dirty, "database")):
        for call in (
            lambda q, d: hk.hamming_distance(q, d, bits=11),
            lambda q, d: hk.topk(q, d, 1, bits=11),
            lambda q, d: hk.range_search(q, d, 1, bits=11),
        ):
            with pytest.raises(ValueError, match=f"{name} must have zero pad bits beyond bit 11 of each code"):
                call(queries, database)
    with pytest.raises(ValueError, match="queries must have 3 bytes a code for 17 bits, got 2"):
        hk.topk(clean, clean, 1, bits=17)


def test_codes_packed_from_the_other_end_are_told_so() -> None:
    signs = np.random.default_rng(0).standard_normal((9, 20))
    little = hk.pack_codes(signs, bitorder="little")
    with pytest.raises(ValueError, match="beyond bit 20 of each code, as they are by bitorder='little'"):
        hk.topk(little, little, 1, bits=20)
    with pytest.raises(ValueError, match=r"codes must have zero pad bits beyond .* by bitorder='big'"):
        hk.BinaryIndex(20, bitorder="little").add(hk.pack_codes(signs))
    with pytest.raises(ValueError, match=r"beyond bit 20 of each code$"):
        hk.topk(little | 0x88, little, 1, bits=20)


def test_codes_that_are_not_packed_yet_are_told_what_packs_them() -> None:
    unpacked = (random_codes(4, 24) & 1).repeat(8, axis=1)
    index = hk.BinaryIndex(24)
    for refuse in (
        lambda: hk.topk(unpacked, hk.pack_codes(unpacked), 1, bits=24),
        lambda: hk.range_search(unpacked, unpacked, 1, bits=24),
        lambda: index.add(unpacked),
        lambda: hk.unpack_codes(unpacked, 24),
    ):
        with pytest.raises(
            ValueError, match=r"must have 3 bytes a code for 24 bits, got 24, one a bit: pack_codes makes"
        ):
            refuse()
    with pytest.raises(TypeError, match=r"codes must be uint8 packed codes, got int8: pack_codes makes them"):
        index.add(unpacked.astype(np.int8))
    with pytest.raises(ValueError, match=r"got 2$"):
        hk.topk(unpacked[:, :2], unpacked[:, :2], 1, bits=24)


def test_distance_dtypes_that_are_too_small() -> None:
    codes = np.zeros((1, 32), np.uint8)
    assert hk.hamming_distance(codes, codes, bits=255, dtype="uint8").dtype == np.uint8
    with pytest.raises(ValueError, match="dtype uint8 holds distances up to 255, got codes of 256 bits"):
        hk.hamming_distance(codes, codes, dtype="uint8")
    with pytest.raises(ValueError, match="dtype must be one of uint8, int16, int32, got 'int64'"):
        hk.hamming_distance(codes, codes, dtype="int64")
    with pytest.raises(TypeError, match="dtype must be a str, got dtype"):
        hk.hamming_distance(codes, codes, dtype=torch.int32)


@pytest.mark.parametrize(("k", "shown"), [(0, "0"), (5, "5"), (-1, "-1")])
def test_k_out_of_range(k: int, shown: str) -> None:
    with pytest.raises(ValueError, match=rf"^k must be in 1\.\.4, got {shown}$"):
        hk.topk(CODES, CODES, k)


@pytest.mark.parametrize("radius", [-1, 12])
def test_radius_out_of_range(radius: int) -> None:
    with pytest.raises(ValueError, match=rf"^radius must be in 0\.\.11, got {radius}$"):
        hk.range_search(CODES, CODES, radius, bits=11)
    with pytest.raises(ValueError, match=rf"^radius must be in 0\.\.11, got {radius}$"):
        hk.range_count(CODES, CODES, radius, bits=11)


def test_max_results_is_checked() -> None:
    with pytest.raises(ValueError, match="max_results must be at least 1, got 0"):
        hk.range_search(CODES, CODES, 1, max_results=0)
    with pytest.raises(TypeError, match="max_results must be an int, got float"):
        hk.range_search(CODES, CODES, 1, max_results=2.0)
    for columns in (0, 2**31, 2**70):
        with pytest.raises(ValueError, match=rf"max_results must be in 1\.\.2147483647, got {columns}"):
            hk.range_nearest(CODES, CODES, 1, columns)


@pytest.mark.parametrize("limit", [4, 2**31, 2**70])
def test_a_limit_may_be_larger_than_the_database(isa: str, limit: int) -> None:
    found = hk.range_search(CODES[:2], CODES, 1, max_results=limit)
    assert found.indices.tolist() == [0, 1, 2, 3] * 2
    assert found.counts.tolist() == [4, 4]


@pytest.mark.parametrize("threads", [0, 4097, 2**31, 2**70])
def test_every_search_checks_its_threads(threads: int) -> None:
    for search in (
        hk.hamming_distance,
        lambda q, d, threads: hk.topk(q, d, 1, threads=threads),
        lambda q, d, threads: hk.topk(q, d, 1, explain=True, threads=threads),
        lambda q, d, threads: hk.range_search(q, d, 1, threads=threads),
        lambda q, d, threads: hk.range_count(q, d, 1, threads=threads),
        lambda q, d, threads: hk.range_nearest(q, d, 1, 1, threads=threads),
    ):
        with pytest.raises(ValueError, match=rf"threads must be in 1\.\.4096, got {threads}"):
            search(CODES, CODES, threads=threads)


@pytest.mark.parametrize(
    ("allowed", "error", "message"),
    [
        (np.array([4]), ValueError, r"filter must be in 0\.\.3, got 4"),
        (np.array([200], np.uint8), ValueError, r"filter must be in 0\.\.3, got 200"),
        (np.array([1, 2**64 - 3], np.uint64), ValueError, r"filter must be in 0\.\.3, got 18446744073709551613"),
        (np.array([0, -1]), ValueError, r"filter must be in 0\.\.3, got -1"),
        (np.zeros(3, bool), ValueError, "filter given as a mask must have 4 elements, got 3"),
        (np.zeros(3), TypeError, "filter must be integers, got float64"),
        (np.zeros((4, 1), bool), ValueError, r"filter must have 1 dimension, got shape \(4, 1\)"),
        (torch.zeros(4, dtype=torch.bool), TypeError, "filter must be a numpy.ndarray like queries, got Tensor"),
        ([0], TypeError, "filter must be a torch.Tensor or a numpy.ndarray, got list"),
    ],
)
def test_filter_is_checked(allowed: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hk.topk(CODES, CODES, 1, filter=allowed)
    with pytest.raises(error, match=message):
        hk.range_search(CODES, CODES, 1, filter=allowed)
    with pytest.raises(error, match=message):
        hk.range_count(CODES, CODES, 1, filter=allowed)


def test_integers_of_numpy_are_integers_and_floats_are_not() -> None:
    assert hk.topk(CODES, CODES, np.int64(2)).indices.shape == (4, 2)
    with pytest.raises(TypeError, match="k must be an int, got float"):
        hk.topk(CODES, CODES, 2.0)
    with pytest.raises(TypeError, match="radius must be an int, got bool"):
        hk.range_search(CODES, CODES, True)
