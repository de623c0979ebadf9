"""``torch.set_default_device`` says where a script makes its tensors, not where an index on the CPU keeps its codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels.index import ShardedIndex

CODES = np.random.default_rng(1).integers(0, 256, (900, 2), np.uint8)
QUERIES = np.random.default_rng(2).integers(0, 256, (70, 2), np.uint8)


def everything(folder: Path, structure: Any) -> list[Any]:
    """What searches of an index find, in memory, from a file and in shards."""
    index = hk.BinaryIndex(16, structure=structure)
    index.add(CODES)
    index.prepare()
    index.save(folder / f"{structure}.hki")
    loaded = hk.BinaryIndex.load(folder / f"{structure}.hki")
    loaded.add(CODES[:3])
    found: list[Any] = [index.reconstruct(np.array([3, 1]))]
    for some in (index, loaded, ShardedIndex([index, loaded])):
        for asked in (QUERIES, torch.from_numpy(QUERIES)):
            for _ in range(2):
                found += [*some.search(asked, 4), *some.range_search(asked, 3), some.range_count(asked, 3)]
    found += [*index.search(QUERIES, 4, filter=np.arange(9)), *index.jaccard_search(QUERIES, 4)]
    found += [*index.pairs_within(2), *hk.topk(QUERIES, CODES, 5), *hk.range_search(QUERIES, CODES, 3, max_results=2)]
    named = hk.BinaryIndex(16, structure=structure)
    named.add_with_ids(CODES, np.arange(900) + 5)
    named.remove_ids(np.arange(7, 400))
    other = hk.BinaryIndex(16)
    other.add_with_ids(CODES, np.arange(900) + 5000)
    named.merge(other)
    return [*found, *named.search(QUERIES, 4)]


@pytest.mark.parametrize("structure", ["scan", "auto", "hash"])
def test_an_index_stays_in_host_memory(isa: str, tmp_path: Path, structure: str) -> None:
    expected = everything(tmp_path, structure)
    with torch.device("meta"):
        found = everything(tmp_path, structure)
    assert len(found) == len(expected)
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)
