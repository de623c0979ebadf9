"""Finds of one query at a time, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hashkernels as hk

BITS, COUNT, RADIUS = 24, 900, 9
CODES = np.random.default_rng(0).integers(0, 256, (COUNT, BITS // 8), dtype=np.uint8)
QUERIES = CODES[::100] ^ np.uint8(1)
DISTANCES = np.bitwise_count(QUERIES[:, None] ^ CODES).sum(2, dtype=np.int32)


def within(allowed: np.ndarray, radius: int = RADIUS) -> list[tuple[np.ndarray, np.ndarray]]:
    rows = []
    for distances in DISTANCES:
        near = np.flatnonzero((distances <= radius) & allowed)
        near = near[np.argsort(distances[near], kind="stable")]
        rows.append((distances[near], near))
    return rows


def build(structure: str = "auto") -> hk.BinaryIndex:
    index = hk.BinaryIndex(BITS, structure=structure)
    index.add(CODES)
    return index


def check(rows, expected) -> None:
    rows = list(rows)
    for (distances, indices), row in zip(rows, expected, strict=True):
        np.testing.assert_array_equal(distances, row[0])
        np.testing.assert_array_equal(indices, row[1])
        assert (distances.dtype, indices.dtype) == (np.int32, np.int64)


@pytest.mark.parametrize("batch", [1, 2, 9, 1000])
@pytest.mark.parametrize("structure", ["scan", "hash"])
def test_each_query_has_its_own_row(isa, threads, batch, structure):
    index, everything = build(structure), np.ones(COUNT, bool)
    check(index.range_iterator(QUERIES, RADIUS, batch=batch, threads=threads), within(everything))
    check(index.range_iterator(QUERIES, 0, batch=batch, threads=threads), within(everything, 0))
    mask = np.arange(COUNT) % 3 == 0
    check(index.range_iterator(QUERIES, RADIUS, batch=batch, filter=mask), within(mask))


def test_rows_are_ids_where_the_index_has_some(tmp_path):
    index, ids = hk.BinaryIndex(BITS), np.arange(COUNT) * 7 - 100
    index.add_with_ids(CODES, ids)
    index.save(tmp_path / "a.hki")
    expected = [(distances, ids[near]) for distances, near in within(np.ones(COUNT, bool))]
    check(index.range_iterator(QUERIES, RADIUS), expected)
    check(hk.BinaryIndex.load(tmp_path / "a.hki").range_iterator(QUERIES, RADIUS, batch=4), expected)


def test_what_is_added_or_removed_meanwhile_changes_nothing():
    index = build()
    rows = index.range_iterator(QUERIES, RADIUS, batch=1)
    first = next(rows)
    index.add(CODES)
    index.remove_ids(np.arange(0, 900, 2))
    check([first, *rows], within(np.ones(COUNT, bool)))


def test_tensors_give_tensors_and_no_queries_no_rows():
    index = build()
    rows = list(index.range_iterator(torch.from_numpy(QUERIES), RADIUS, batch=5))
    assert all(isinstance(part, torch.Tensor) for row in rows for part in row)
    check([[part.numpy() for part in row] for row in rows], within(np.ones(COUNT, bool)))
    assert list(index.range_iterator(QUERIES[:0], RADIUS)) == []


def test_mistakes_are_told_by_the_call_itself():
    index = build()
    for arguments, options, message in [
        ((QUERIES, 25), {}, r"radius must be in 0\.\.24, got 25"),
        ((QUERIES, 1), {"batch": 0}, "batch must be at least 1, got 0"),
        ((QUERIES[:, :2], 1), {}, "queries must have 3 bytes a code"),
        ((QUERIES, 1), {"filter": np.array([900])}, r"filter must be in 0\.\.899"),
    ]:
        with pytest.raises(ValueError, match=message):
            index.range_iterator(*arguments, **options)
    with pytest.raises(ValueError, match="at least one code to be searched"):
        hk.BinaryIndex(BITS).range_iterator(QUERIES, 1)
