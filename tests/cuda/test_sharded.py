"""Shards behind NCCL, which takes nothing but tensors of a GPU, and shards on one, against one index on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

from hashkernels._ranks import Ranks
from hashkernels.index import BinaryIndex, ShardedIndex

SIZES = (600, 0, 1, 1399)


@pytest.fixture(scope="module", params=["nccl", "cuda:nccl", "cpu:gloo,cuda:nccl"])
def group(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A process group of this process alone."""
    meet = tmp_path_factory.mktemp("ranks") / "meet"
    distributed.init_process_group(request.param, init_method=f"file://{meet}", rank=0, world_size=1)
    yield request.param
    distributed.destroy_process_group()


def test_arrays_go_through_the_device_of_the_group(group: str) -> None:
    ranks, array = Ranks(True), np.arange(-3, 9).reshape(3, 4)
    for got in (*ranks.gather_arrays(array), ranks.sum(array), *ranks.gather(array)):
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize("place", ["cpu", "cuda"])
@pytest.mark.parametrize("dtype", [None, np.int64, np.uint64])
def test_shards_find_what_one_index_finds(group: str, place: str, dtype: type | None, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (sum(SIZES), 2), dtype=np.uint8)
    ids = (rng.permutation(len(codes)).astype(np.uint64) * np.uint64(9007199254740993)).view(dtype or np.int64)
    whole, shards, first = BinaryIndex(16), [], 0
    for count in SIZES:
        shard, part = BinaryIndex(16, device=place), slice(first, first + count)
        if dtype is None:
            shard.add(codes[part])
        elif count:
            shard.add_with_ids(codes[part], ids[part])
        shards.append(shard)
        first += count
    whole.add(codes) if dtype is None else whole.add_with_ids(codes, ids)
    queries, mask = rng.integers(0, 256, (5, 2), dtype=np.uint8), np.arange(len(codes)) % 5 == 0
    sharded = ShardedIndex(shards, distributed=True)
    assert sharded.ntotal == len(codes)
    for k in (1, 50, len(codes)):
        same(sharded.search(queries, k), whole.search(queries, k))
    same(sharded.search(queries, 600, filter=mask), whole.search(queries, 600, filter=mask))
    same(sharded.range_search(queries, 3), whole.range_search(queries, 3))
    limited = {"max_results": 4, "filter": mask}
    same(sharded.range_search(queries, 5, **limited), whole.range_search(queries, 5, **limited))
    tensor = sharded.search(torch.from_numpy(queries), 3)
    assert torch.equal(tensor.distances, torch.from_numpy(whole.search(queries, 3).distances))


def same(got: tuple[np.ndarray, ...], expected: tuple[np.ndarray, ...]) -> None:
    for left, right in zip(got, expected, strict=True):
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)
