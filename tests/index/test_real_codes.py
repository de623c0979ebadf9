"""Search over real codes: PDQ hashes of images, whole (256 bits) and cut to shorter codes, which have many ties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hashkernels as hk

HASHES = Path(__file__).parents[1] / "data" / "pdq_reg_test_256.npz"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("num_bytes", [1, 3, 8, 32])
def test_ids_equal_a_stable_argsort(num_bytes: int, threads: int, isa: str) -> None:
    with np.load(HASHES) as hashes:
        queries, database = hashes["needles"][:, :num_bytes], hashes["haystack"][:, :num_bytes]
    exact = np.bitwise_count(queries[:, None] ^ database).sum(axis=2, dtype=np.int32)
    order = np.argsort(exact, axis=1, kind="stable")
    index = hk.BinaryIndex(8 * num_bytes)
    index.add(database)
    for k in (1, 10, 100, len(database)):
        for found in (hk.topk(queries, database, k, threads=threads), index.search(queries, k, threads=threads)):
            np.testing.assert_array_equal(found.indices, order[:, :k])
            np.testing.assert_array_equal(found.distances, np.take_along_axis(exact, order[:, :k], axis=1))
    few = hk.topk(queries[:2], database, 10, threads=threads)
    np.testing.assert_array_equal(few.indices, order[:2, :10])
