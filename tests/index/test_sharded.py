"""Shards, in one process and in several, against one index of the same codes."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
import torch
from torch import distributed

import hashkernels as hk
from hashkernels import _loader
from hashkernels.index import ShardedIndex

NUM_RANKS = 3
SIZES = {1: (2000,), 2: (1999, 1), 3: (600, 0, 1400), 7: (1, 511, 512, 513, 0, 400, 63)}
KINDS = {"positions": None, "int64": np.int64, "uint64": np.uint64}


def codes(count: int = 2000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2), dtype=np.uint8)


def ids(dtype):
    values = np.random.default_rng(1).permutation(2000).astype(np.uint64) * np.uint64(9007199254740993)
    return values.view(dtype)


def parts(size: int, dtype=None) -> list[hk.BinaryIndex]:
    shards, first = [], 0
    for count in SIZES[size]:
        shard = hk.BinaryIndex(16)
        part = slice(first, first + count)
        if dtype is None:
            shard.add(codes()[part])
        elif count:
            shard.add_with_ids(codes()[part], ids(dtype)[part])
        shards.append(shard)
        first += count
    return shards


def answers(index, dtype):
    queries = codes(5, seed=2)
    keys = np.arange(2000) if dtype is None else ids(dtype)
    mask = np.arange(2000) % 5 == 0
    results = [index.search(queries, k) for k in (1, 50, 2000)]
    results += [index.search(queries, 600, filter=chosen) for chosen in (mask, keys[mask][::-1].copy())]
    results += [index.range_search(queries, 3), index.range_search(queries, 5, max_results=4, filter=mask)]
    results += [(index.range_count(queries, 3),), (index.range_count(queries, 5, filter=keys[mask]),)]
    for batch in (2, 64):
        results += index.range_iterator(queries, 4, filter=mask, batch=batch)
    return [array for result in results for array in result]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threads", [1, 4])
def test_shards_find_what_one_index_finds(size, kind, threads):
    dtype = KINDS[kind]
    whole = parts(1, dtype)[0]
    hk.set_num_threads(threads)
    try:
        found = answers(ShardedIndex(parts(size, dtype)), dtype)
    finally:
        hk.set_num_threads(None)
    for got, expected in zip(found, answers(whole, dtype), strict=True):
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == expected.dtype


def test_shards_in_files(tmp_path):
    paths = [tmp_path / f"{i}.hki" for i in range(7)]
    for shard, path in zip(parts(7, np.int64), paths, strict=True):
        shard.save(path)
    index = ShardedIndex.load(paths)
    assert (index.ntotal, index.bits) == (2000, 16)
    for got, expected in zip(answers(index, np.int64), answers(parts(1, np.int64)[0], np.int64), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_farthest_that_codes_can_be_from_a_query():
    """What one query finds at 4096 bits stands in front of what the next one finds at 0."""
    ends = np.repeat(np.array([[0], [255]], np.uint8), 512, axis=1)
    shards = [hk.BinaryIndex(4096) for _ in range(2)]
    for shard in shards:
        shard.add(ends)
    offsets, distances, indices = ShardedIndex(shards).range_search(ends, 4096)
    assert offsets.tolist() == [0, 4, 8]
    assert distances.tolist() == [0, 0, 4096, 4096] * 2
    assert indices.tolist() == [0, 2, 1, 3, 1, 3, 0, 2]


def in_one_word_or_each(said: list[str]) -> str:
    return said[0] if len({*said}) == 1 else ", ".join(said)


def built(count: int, structure: str) -> hk.BinaryIndex:
    index = hk.BinaryIndex(64, structure=structure)
    index.add(np.random.default_rng(count).integers(0, 256, (count, 8), dtype=np.uint8))
    index.prepare()
    return index


@pytest.mark.parametrize("threads", [1, 2])
def test_how_a_search_would_run_is_told_of_each_shard(threads):
    shards = [built(100_000, "hash"), hk.BinaryIndex(64), built(90_000, "scan"), built(10, "hash")]
    few, many = (np.zeros((count, 8), np.uint8) for count in (1, 300))
    whole, alike = ShardedIndex(shards), ShardedIndex(shards[1:3])
    options = {"threads": threads, "explain": True}
    for queries in (few, many):
        filled = [shards[0], shards[2], shards[3]]
        said = [shard.range_search(queries, 2, explain=True, threads=1) for shard in filled]
        assert whole.range_search(queries, 2, **options) == in_one_word_or_each(said)
        assert alike.range_search(queries, 2, **options) == said[1]
        nearest = [shard.search(queries, min(20, shard.ntotal), explain=True, threads=1) for shard in filled]
        assert whole.search(queries, 20, **options) == in_one_word_or_each(nearest)
        assert alike.search(queries, 20, **options) == nearest[1]
    if _loader.isa() != _loader.REFERENCE:
        assert whole.range_search(few, 2, **options).startswith("hash, planes, ")
        assert alike.search(many, 20, **options) == "sums"
    with pytest.raises(ValueError, match=r"k must be in 1\.\.190010, got 190011"):
        whole.search(few, 190_011, explain=True)
    with pytest.raises(ValueError, match=r"radius must be in 0\.\.64, got 65"):
        whole.range_search(few, 65, explain=True)


def test_tensors_come_back_as_tensors():
    index = ShardedIndex(parts(3))
    queries = torch.from_numpy(codes(4, seed=3))
    found = index.search(queries, 9, filter=torch.arange(0, 2000, 3))
    expected = parts(1)[0].search(queries, 9, filter=torch.arange(0, 2000, 3))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_repr_names_the_bits_and_the_number_of_shards():
    assert repr(ShardedIndex(parts(3))) == f"ShardedIndex(bits={parts(3)[0].bits}, shards=3)"


def test_bad_shards():
    with pytest.raises(ValueError, match="shards must hold codes of 16 bits, got one of 8"):
        ShardedIndex([hk.BinaryIndex(16), hk.BinaryIndex(8)])
    with pytest.raises(TypeError, match="shards must be BinaryIndex, got str"):
        ShardedIndex(["a.hki"])
    with pytest.raises(TypeError, match="shards must be a list of BinaryIndex, got BinaryIndex"):
        ShardedIndex(hk.BinaryIndex(16))
    with pytest.raises(TypeError, match=r"paths must be a list of files, got the one 'a\.hki'"):
        ShardedIndex.load("a.hki")
    with pytest.raises(ValueError, match="at least one index, or bits be given"):
        ShardedIndex([])
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got 0"):
        ShardedIndex([], bits=0)
    with pytest.raises(ValueError, match="at least one code to be searched"):
        ShardedIndex([hk.BinaryIndex(16)]).search(codes(1), 1)
    ready = ShardedIndex([parts(1)[0]])
    with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 2147483648"):
        ready.search(codes(1), 1, threads=2**31)
    with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 0"):
        ready.range_iterator(codes(1), 1, threads=0)
    assert ready.range_search(codes(1), 16, max_results=2**70).offsets.tolist() == [0, 2000]
    with pytest.raises(ValueError, match=r"k must be in 1\.\.2000, got 2001"):
        ShardedIndex(parts(3)).search(codes(1), 2001)
    with pytest.raises(ValueError, match=r"filter must be in 0\.\.1999, got 2000"):
        ShardedIndex(parts(3)).search(codes(1), 1, filter=np.array([2000]))


@pytest.mark.parametrize("bitorder", ["big", "little"])
def test_shards_of_either_bit_order(bitorder):
    bits = np.random.default_rng(4).random((300, 12)) < 0.5
    packed = np.packbits(bits, axis=1, bitorder=bitorder)
    shards = [hk.BinaryIndex(12, bitorder=bitorder) for _ in range(3)]
    shards[0].add(packed[:100])
    shards[2].add(packed[100:])
    distances = (bits[:7, None] != bits).sum(2)
    order = distances.argsort(axis=1, kind="stable")
    found = ShardedIndex(shards).search(packed[:7], 300)
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(distances, order, axis=1))
    other = {"big": "little", "little": "big"}[bitorder]
    with pytest.raises(ValueError, match=f"queries must have zero pad bits .* by bitorder='{other}'"):
        ShardedIndex(shards).search(np.packbits(bits, axis=1, bitorder=other), 1)
    with pytest.raises(ValueError, match=f"shards must hold codes in {bitorder} order, got one in {other} order"):
        ShardedIndex([*shards, hk.BinaryIndex(12, bitorder=other)])


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ((None, np.int64), "None and int64"),
        ((np.int64, np.uint64), "int64 and uint64"),
        ((np.uint64, None, np.uint64), "uint64 and None"),
    ],
)
def test_ids_of_several_kinds_are_refused_at_once(kinds, said):
    mixed = [parts(1, kind)[0] for kind in kinds]
    message = f"shards must all have ids of one dtype, or none, got {said}"
    with pytest.raises(ValueError, match=message):
        ShardedIndex(mixed)
    # Shards may be filled later, so what they hold is looked at again.
    late = hk.BinaryIndex(16)
    index = ShardedIndex([mixed[0], late])
    late.merge(mixed[1])
    with pytest.raises(ValueError, match=message):
        index.search(codes(1), 1)


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_an_id_in_two_shards_is_refused(tmp_path, dtype):
    twice = dtype(2**63 - 2)
    shards = [hk.BinaryIndex(16) for _ in range(3)]
    for shard, some in zip(shards, ([9, 7], [], [1, 8]), strict=True):
        if some:
            shard.add_with_ids(codes(3), np.array([*some, twice if shard is shards[0] else 5], dtype))
        shard.save(tmp_path / f"{shards.index(shard)}.hki")
    paths = [tmp_path / f"{i}.hki" for i in range(3)]
    assert ShardedIndex(shards).ntotal == ShardedIndex.load(paths, verify="full").ntotal == 6
    shards[2].add_with_ids(codes(1), np.array([twice]))
    shards[2].save(paths[2])
    message = f"shards must have ids unlike each other's, got {twice} in shards 0 and 2"
    with pytest.raises(ValueError, match=message):
        ShardedIndex(shards)
    with pytest.raises(ValueError, match=message):
        ShardedIndex.load(paths, verify="full")
    for index in (
        ShardedIndex(shards, verify="none"),
        ShardedIndex.load(paths),
        ShardedIndex.load(paths, verify="none"),
    ):
        assert index.ntotal == 7
    shards = [hk.BinaryIndex.load(path) for path in paths]
    where = paths[2].read_bytes().index(np.array([1, 8, 5], dtype).tobytes())
    with open(paths[2], "r+b") as file:
        file.seek(where)
        file.write(b"\t")  # 9, as in the first
    with pytest.raises(ValueError, match="damaged index file: the checksum of the ids"):
        ShardedIndex(shards)
    with pytest.raises(ValueError, match="verify must be one of full, none, got 'lazy'"):
        ShardedIndex(shards, verify="lazy")


def test_a_filter_of_signed_ids_finds_unsigned_ones():
    shards = [hk.BinaryIndex(16), hk.BinaryIndex(16)]
    large = 2**53 + np.arange(6, dtype=np.uint64)  # neighbours that float64 cannot tell apart
    shards[0].add_with_ids(codes(6)[:3], large[:3])
    shards[1].add_with_ids(codes(6)[3:], large[3:])
    wanted = np.array([2**53 + 1, 2**53 + 5, -7])
    found = ShardedIndex(shards).search(codes(1), 3, filter=wanted)
    assert sorted(found.indices[0].tolist()) == [2**53 + 1, 2**53 + 5, 2**64 - 1]
    again = ShardedIndex(shards).search(codes(1), 3, filter=found.indices[0])  # with what stands for nothing found
    np.testing.assert_array_equal(again.indices, found.indices)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.uint64])
def test_a_filter_of_any_integers(dtype):
    chosen = np.array([3, 100, 7], dtype)
    found = ShardedIndex(parts(3)).search(codes(2, seed=2), 4, filter=chosen)
    expected = ShardedIndex(parts(3)).search(codes(2, seed=2), 4, filter=np.isin(np.arange(2000), [3, 7, 100]))
    for got, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    with pytest.raises(ValueError, match=r"filter must be in 0\.\.1999, got 18446744073709551613"):
        ShardedIndex(parts(3)).search(codes(1), 1, filter=np.array([2**64 - 3], np.uint64))


def as_json(arrays):
    return json.dumps([array.tolist() for array in arrays])


def hears(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return None


def work(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=NUM_RANKS)
    said = {}
    for kind, dtype in KINDS.items():
        mine = parts(7, dtype)
        held = (mine[:3], mine[3:3], mine[3:])[rank]
        index = ShardedIndex(held, bits=16, distributed=True)
        said[kind] = as_json(answers(index, dtype))
        said["total"] = index.ntotal
    said["explained"] = [
        index.search(codes(5, seed=2), 3, explain=True),
        index.range_search(codes(300, seed=2), 3, explain=True),
    ]
    queries = codes(5, seed=2)
    said["error"] = hears(lambda: index.search(queries[:, : 1 + (rank != 1)], 3))
    said["disagree"] = hears(lambda: index.search(queries, 3 + (rank == 2)))
    said["explain"] = hears(lambda: index.search(queries, 3, explain=rank == 1))
    said["k"] = hears(lambda: index.search(queries, 2001))
    missing = folder / "missing.hki"
    little = hk.BinaryIndex(16, bitorder="little")
    ordered = [[little], [], parts(1)][rank]
    said["order"] = hears(lambda: ShardedIndex(ordered, bits=16, distributed=True))
    named = parts(1, (np.int64, None, np.uint64)[rank])
    said["ids"] = hears(lambda: ShardedIndex(named, distributed=True))
    same = hk.BinaryIndex(16)
    same.add_with_ids(codes(1), np.array([70 + rank % 2]))
    said["twice"] = hears(lambda: ShardedIndex([same], distributed=True))
    all_little = ShardedIndex([little] * (rank == 1), bits=16, distributed=True)
    said["empty"] = hears(lambda: all_little.search(queries, 1))
    said["file"] = hears(lambda: ShardedIndex.load([missing] if rank == 1 else [], distributed=True))
    said["still"] = as_json(answers(index, dtype)) == said["uint64"]
    if rank == 1:
        (folder / f"{rank}.json").write_text(json.dumps(said))
        os._exit(0)  # lost in the middle of its work
    start = time.perf_counter()
    said["lost"] = hears(lambda: index.search(queries, 3))
    said["seconds"] = time.perf_counter() - start
    (folder / f"{rank}.json").write_text(json.dumps(said))
    os._exit(0)  # a group that has lost a rank cannot be closed in order


@pytest.fixture(scope="module")
def heard(tmp_path_factory, start_ranks):
    folder = tmp_path_factory.mktemp("ranks")
    start_ranks(work, folder, NUM_RANKS)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(NUM_RANKS)]


@pytest.mark.parametrize("kind", KINDS)
def test_ranks_find_what_one_index_finds(heard, kind):
    expected = as_json(answers(parts(1, KINDS[kind])[0], KINDS[kind]))
    assert [said[kind] for said in heard] == [expected] * NUM_RANKS
    assert [said["total"] for said in heard] == [2000] * NUM_RANKS


def test_ranks_say_how_all_of_them_would_search(heard):
    filled = [shard for shard in parts(7) if shard.ntotal]
    nearest = [shard.search(codes(5, seed=2), min(3, shard.ntotal), explain=True, threads=1) for shard in filled]
    within = [shard.range_search(codes(300, seed=2), 3, explain=True, threads=1) for shard in filled]
    assert [said["explained"] for said in heard] == [
        [in_one_word_or_each(nearest), in_one_word_or_each(within)]
    ] * NUM_RANKS


def test_an_error_on_one_rank_is_raised_on_all(heard):
    message = "queries must have 2 bytes a code for 16 bits, got 1"
    assert heard[1]["error"] == ["ValueError", message]
    assert heard[0]["error"] == heard[2]["error"] == ["ValueError", f"rank 1 failed: {message}"]
    assert {tuple(said["disagree"]) for said in heard} == {
        ("ValueError", "k must be the same on every rank, got 3 on rank 0 and 4 on rank 2")
    }
    assert {tuple(said["explain"]) for said in heard} == {
        ("ValueError", "explain must be the same on every rank, got False on rank 0 and True on rank 1")
    }
    assert {tuple(said["k"]) for said in heard} == {("ValueError", "k must be in 1..2000, got 2001")}
    assert {tuple(said["order"]) for said in heard} == {
        ("ValueError", "shards must hold codes in little order, got one in big order")
    }
    assert {tuple(said["ids"]) for said in heard} == {
        ("ValueError", "shards must all have ids of one dtype, or none, got int64 and None")
    }
    assert {tuple(said["twice"]) for said in heard} == {
        ("ValueError", "shards must have ids unlike each other's, got 70 in shards 0 and 2")
    }
    assert {tuple(said["empty"]) for said in heard} == {
        ("ValueError", "the index must hold at least one code to be searched, got none")
    }
    assert heard[1]["file"][0] == "FileNotFoundError"
    assert heard[0]["file"][1].startswith("rank 1 failed: FileNotFoundError")
    assert all(said["still"] for said in heard)


def test_a_lost_rank_is_an_error_and_not_a_wait(heard):
    for rank in (0, 2):
        assert heard[rank]["lost"][0] in ("RuntimeError", "DistBackendError")
        assert heard[rank]["seconds"] < 20
