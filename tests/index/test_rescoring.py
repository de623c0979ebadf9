"""Short lists put in order by float queries: against float64, and bit for bit on every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels import _loader, _ops


def problem(bits: int, count: int = 900, num_queries: int = 6):
    rng = np.random.default_rng(bits)
    database, queries = rng.normal(size=(count, bits)), rng.normal(size=(num_queries, bits)).astype(np.float32)
    index = hk.BinaryIndex(bits)
    index.add(hk.pack_codes(database))
    return index, database.astype(np.float32), queries


def best(scores: np.ndarray, candidates: np.ndarray, k: int):
    rows = []
    for row, positions in zip(scores, candidates, strict=True):
        rows.append(sorted(positions.tolist(), key=lambda p: (-row[p], p))[:k])
    return np.array(rows)


@pytest.mark.parametrize("bits", [1, 9, 64, 65, 4096])
@pytest.mark.parametrize("bitorder", ["big", "little"])
def test_codes_are_scored_as_signs(isa, threads, bits, bitorder):
    index, database, queries = problem(bits, 300)
    codes = hk.pack_codes(database, bitorder=bitorder)
    index = hk.BinaryIndex(bits, bitorder=bitorder)
    index.add(codes)
    found = index.search(hk.pack_codes(queries, bitorder=bitorder), 5, rescore=queries, oversample=60, threads=threads)
    signs = np.where(database > 0, 1.0, -1.0)
    exact = queries.astype(np.float64) @ signs.T
    # All codes are candidates here, so no code that is better by more than rounding may be missing.
    picked = np.take_along_axis(exact, found.indices, 1)
    np.testing.assert_allclose(found.scores, picked, atol=1e-3, rtol=1e-5)
    np.testing.assert_allclose(picked, -np.sort(-exact, axis=1)[:, :5], atol=2e-3, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("width", [1, 8, 13, 384])
def test_vectors_are_scored_where_they_lie(isa, threads, tmp_path, dtype, width):
    rng = np.random.default_rng(width)
    vectors = (rng.normal(size=(500, width)) * 40).astype(dtype)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    queries = rng.normal(size=(4, width)).astype(np.float32)
    index = hk.BinaryIndex(width)
    index.add(hk.pack_codes(vectors.astype(np.float32)))
    packed = hk.pack_codes(queries)
    found = index.search(packed, 10, rescore=queries, oversample=50, vectors=mapped, threads=threads)
    exact = queries.astype(np.float64) @ vectors.astype(np.float64).T
    picked = np.take_along_axis(exact, found.indices, 1)
    np.testing.assert_allclose(found.scores, picked, atol=1e-2, rtol=1e-5)
    np.testing.assert_allclose(picked, -np.sort(-exact, axis=1)[:, :10], atol=2e-2, rtol=1e-5)


def test_only_the_candidates_are_scored():
    index, database, queries = problem(64)
    packed = hk.pack_codes(queries)
    candidates = index.search(packed, 40).indices
    # Whole numbers have exact sums, so ties are ties: by position.
    whole = np.round(queries * 2).astype(np.float32)
    found = index.search(packed, 10, rescore=whole, oversample=4)
    exact = whole.astype(np.float64) @ np.where(database > 0, 1.0, -1.0).T
    np.testing.assert_array_equal(found.indices, best(exact, candidates, 10))
    np.testing.assert_array_equal(found.scores, np.take_along_axis(exact, found.indices, 1))
    assert len(np.unique(found.scores)) < found.scores.size


def test_every_instruction_set_gives_the_same_bits():
    before, results = _loader.isa(), []
    index, database, queries = problem(200)
    vectors = torch.from_numpy(database)
    for name in [*_loader.available_isas(), _loader.REFERENCE]:
        _loader.set_isa(name)
        found = index.search(hk.pack_codes(queries), 30, rescore=queries)
        rows = _ops.score_vectors(torch.from_numpy(queries), vectors, torch.arange(-1, 59).reshape(6, 10))
        results.append((found.scores.tobytes(), found.indices.tobytes(), rows.numpy().tobytes()))
    _loader.set_isa(before)
    assert len(set(results)) == 1


def test_filters_and_ids_go_with_it():
    index, database, queries = problem(32, 50)
    packed = hk.pack_codes(queries)
    found = index.search(packed, 4, rescore=torch.from_numpy(queries), filter=np.array([3, 7]))
    assert (np.sort(found.indices[:, :2]) == [3, 7]).all()
    assert (found.indices[:, 2:] == -1).all()
    assert (found.scores[:, 2:] == -np.inf).all()
    index.remove_ids(np.arange(0, 50, 2))
    rows = index.search(packed, 5, rescore=queries, vectors=database, oversample=5)
    exact = queries.astype(np.float64) @ database.T.astype(np.float64)
    exact[:, ::2] = -np.inf
    np.testing.assert_array_equal(rows.indices, np.argsort(-exact, axis=1)[:, :5])


@pytest.mark.parametrize("with_vectors", [False, True])
def test_no_queries(isa, with_vectors):
    index, database, queries = problem(32, 50)
    options = {"vectors": database} if with_vectors else {}
    found = index.search(np.empty((0, 4), np.uint8), 3, rescore=queries[:0], **options)
    assert (found.scores.shape, found.indices.shape) == ((0, 3), (0, 3))
    assert (found.scores.dtype, found.indices.dtype) == (np.float32, np.int64)


def test_bad_arguments():
    index, database, queries = problem(32, 50)
    packed = hk.pack_codes(queries)
    for options, error, message in [
        ({"rescore": queries[:, :31]}, ValueError, r"rescore must have shape \[N, 32\]"),
        ({"rescore": queries[:2]}, ValueError, "rescore must have one row for each of 6 queries, got 2"),
        ({"rescore": queries * np.nan}, ValueError, "rescore must be finite, got nan"),
        ({"rescore": queries * np.float32(np.inf)}, ValueError, "rescore must be finite"),
        ({"rescore": packed}, TypeError, "rescore must be floating point"),
        ({"rescore": queries, "oversample": 0}, ValueError, "oversample must be at least 1, got 0"),
        ({"rescore": queries, "vectors": database.astype(np.float64)}, TypeError, "vectors must be float32 or int8"),
        ({"oversample": 9}, ValueError, "rescore must be given where oversample or vectors are"),
        ({"vectors": database}, ValueError, "rescore must be given where oversample or vectors are"),
        ({"rescore": queries, "vectors": database[:9]}, ValueError, "vectors must have a row for every id, got 9 rows"),
    ]:
        with pytest.raises(error, match=message):
            index.search(packed, 10, **options)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_rows_that_are_scored_have_to_be_finite(isa, wrong):
    index, database, queries = problem(32, 50)
    packed, vectors = hk.pack_codes(queries), database.copy()
    nearest = index.search(packed, 10).indices
    scored, left = nearest[3, 7], np.setdiff1d(np.arange(50), nearest)[0]
    vectors[left, 5] = wrong
    expected = index.search(packed, 5, rescore=queries, vectors=database, oversample=2)
    for got, right in zip(
        index.search(packed, 5, rescore=queries, vectors=vectors, oversample=2), expected, strict=True
    ):
        np.testing.assert_array_equal(got, right)
    vectors[scored, 5] = wrong
    with pytest.raises(ValueError, match=rf"vectors must be finite, got {wrong} in row {scored}$"):
        index.search(packed, 5, rescore=queries, vectors=vectors, oversample=2)
    index.search(packed, 1, rescore=queries, vectors=vectors, filter=np.setdiff1d(np.arange(50), [left, scored]))


@pytest.mark.parametrize("options", [{}, {"vectors": np.full((1, 32), -9, np.int8)}])
def test_scores_that_float32_cannot_hold(isa, options):
    index = hk.BinaryIndex(32)
    index.add_with_ids(np.zeros((1, 4), np.uint8), np.zeros(1, np.uint64))
    packed = np.zeros((1, 4), np.uint8)
    with pytest.raises(ValueError, match=r"rescore must give scores that are finite in float32, got .* for id 0"):
        index.search(packed, 1, rescore=np.full((1, 32), 3e38, np.float32), **options)
    assert np.isfinite(index.search(packed, 1, rescore=np.full((1, 32), 1e35, np.float32), **options).scores).all()


def test_explain_checks_what_rescoring_needs():
    index, database, queries = problem(32, 700)
    packed = hk.pack_codes(queries)
    options = {"oversample": 2, "vectors": database}
    plan = index.search(packed, 20, explain=True)
    assert index.search(packed, 10, rescore=queries, explain=True, **options) == plan
    with pytest.raises(TypeError, match=r"rescore must be a torch\.Tensor or a numpy\.ndarray, got str"):
        index.search(packed, 1, rescore="x", explain=True)
    with pytest.raises(ValueError, match="oversample must be at least 1, got 0"):
        index.search(packed, 1, rescore=queries, oversample=0, explain=True)
    with pytest.raises(TypeError, match="vectors must be float32 or int8"):
        index.search(packed, 1, rescore=queries, vectors=database.astype(np.float64), explain=True)


def test_the_ops(isa):
    queries, codes = torch.randn(2, 11), torch.zeros(2, 3, 2, dtype=torch.uint8)
    torch.library.opcheck(torch.ops.hashkernels.score_codes.default, (queries, codes, False, 1))
    vectors, positions = torch.randn(5, 11), torch.tensor([[0, 4], [-1, 2]])
    torch.library.opcheck(torch.ops.hashkernels.score_vectors.default, (queries, vectors, positions, 1))
    with pytest.raises(ValueError, match="positions must be below 5, got 5"):
        _ops.score_vectors(queries, vectors, positions + 1)
    with pytest.raises(ValueError, match=r"codes must be \[2, C, 2\]"):
        _ops.score_codes(queries, codes[:, :, :1].contiguous(), False)
