"""Structures of an index: radius search and top-k through hash tables and buckets, few queries, against FAISS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

import hashkernels as hk

from .codes import random_codes
from .harness import OURS, Case, Trial, peers

_SCAN = "hashkernels scan"
_RANGE_PEERS = peers("faiss", "faiss flat", "faiss multi-hash")
_TOPK_PEERS = peers("faiss", "faiss heap", "faiss counting")
_PEER_QUERIES = 100  # the time of more is scaled
_ASKED = 200_000  # queries at least: more than the fastest comes to before others have had the caches


def _near_codes(
    queries: int, database: int, bits: int, radius: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Uniform codes, and queries of which half have a neighbour at the radius."""
    codes, asked = random_codes(database, bits, 2), random_codes(queries, bits, 1)
    asked[::2] = codes[np.arange(len(asked[::2])) % database]
    flips = np.unpackbits(np.zeros_like(asked[::2]), axis=1)
    flips[:, :radius] = 1
    asked[::2] ^= np.packbits(flips, axis=1)
    return asked, codes


def _indexes(bits: int, codes: npt.NDArray[np.uint8]) -> tuple[hk.BinaryIndex, hk.BinaryIndex]:
    built, scanned = hk.BinaryIndex(bits, structure="hash"), hk.BinaryIndex(bits, structure="scan")
    for index in (built, scanned):
        index.add(codes)
        index.prepare()
    return built, scanned


def _batches(search: Callable[[Any], Any], asked: Any, queries: int) -> Callable[[], Any]:
    """Search for ``queries`` others at every call of a turn: what one has read is of no use to the next."""
    turns = itertools.cycle([asked[first : first + queries] for first in range(0, len(asked), queries)])
    return lambda: search(next(turns))


def _num_asked(queries: int) -> int:
    """Those of whole batches."""
    return -(-_ASKED // queries) * queries


@lru_cache(maxsize=1)  # cases that differ in the number of queries follow each other
def _range_peers(database: int, bits: int, radius: int, hashes: int) -> dict[str, Any]:
    import faiss

    found = {name: faiss.IndexBinaryFlat(bits) for name in _RANGE_PEERS[:1]}
    for name in _RANGE_PEERS[1:]:
        found[name] = faiss.IndexBinaryMultiHash(bits, hashes, bits // hashes)
        found[name].nflip = radius // hashes  # what makes it exact
    for index in found.values():
        index.add(_near_codes(0, database, bits, radius)[1])
    return found


def build_range(queries: int, database: int, bits: int, radius: int, hashes: int) -> Trial:
    asked, codes = _near_codes(_num_asked(queries), database, bits, radius)
    built, scanned = _indexes(bits, codes)
    contenders = {
        OURS: _batches(lambda batch: built.range_search(batch, radius), asked, queries),
        _SCAN: _batches(lambda batch: scanned.range_search(batch, radius), asked, queries),
    }
    few = min(queries, _PEER_QUERIES)
    share = {"faiss flat": few / queries} if _RANGE_PEERS else {}
    for name, peer in _range_peers(database, bits, radius, hashes).items() if _RANGE_PEERS else ():
        part = few if name in share else queries
        contenders[name] = _batches(
            lambda batch, peer=peer, part=part: peer.range_search(batch[:part], radius + 1),  # FAISS's is exclusive
            asked,
            queries,
        )

    def check(results: Mapping[str, Any]) -> None:
        expected = results[_SCAN]
        assert np.diff(expected.offsets)[::2].min() > 0
        for name, (offsets, distances, indices) in results.items():
            np.testing.assert_array_equal(offsets, expected.offsets[: len(offsets)], err_msg=name)
            if name == OURS:
                np.testing.assert_array_equal(distances, expected.distances)
                np.testing.assert_array_equal(indices, expected.indices)

    return Trial(contenders, check, share)


def build_topk(queries: int, database: int, bits: int, k: int) -> Trial:
    asked, codes = _near_codes(_num_asked(queries), database, bits, min(2, bits))
    built, scanned = _indexes(bits, codes)
    contenders: dict[str, Callable[[], Any]] = {
        OURS: _batches(lambda batch: built.search(batch, k), asked, queries),
        _SCAN: _batches(lambda batch: scanned.search(batch, k), asked, queries),
    }
    few = min(queries, _PEER_QUERIES)
    for name in _TOPK_PEERS:
        import faiss

        flat = faiss.IndexBinaryFlat(bits)
        flat.use_heap = name == "faiss heap"
        flat.add(codes)
        contenders[name] = _batches(lambda batch, flat=flat: flat.search(batch[:few], k), asked, queries)

    def check(results: Mapping[str, Any]) -> None:
        for name, (distances, indices) in results.items():
            np.testing.assert_array_equal(distances, results[_SCAN].distances[: len(distances)], err_msg=name)
            if name == OURS:
                np.testing.assert_array_equal(indices, results[_SCAN].indices)

    return Trial(contenders, check, dict.fromkeys(_TOPK_PEERS, few / queries))


def _pairs(queries: int, database: int, **_: int) -> float:
    return queries * database


def _range_case(queries: int, database: int, bits: int, radius: int, hashes: int) -> Case:
    full = {"queries": queries, "database": database, "bits": bits, "radius": radius, "hashes": hashes}
    quick = {"queries": 4, "database": 900, "bits": bits, "radius": radius, "hashes": hashes}
    return Case("index_range", (OURS, _SCAN, *_RANGE_PEERS), build_range, full, quick, "pairs", _pairs)


def _topk_case(queries: int, database: int, bits: int, k: int) -> Case:
    full = {"queries": queries, "database": database, "bits": bits, "k": k}
    quick = {"queries": 4, "database": 900, "bits": bits, "k": 7}
    return Case("index_topk", (OURS, _SCAN, *_TOPK_PEERS), build_topk, full, quick, "pairs", _pairs)


CASES = (
    *(_range_case(queries, 10_000_000, 64, 2, 3) for queries in (200, 1000)),
    _range_case(50, 2_000_000, 256, 31, 11),
    _range_case(50, 10_000_000, 256, 31, 16),
    _topk_case(1000, 1_000_000, 16, 1),
    _topk_case(1000, 1_000_000, 16, 10),
    _topk_case(1, 10_000_000, 64, 10),
    _topk_case(1, 2_000_000, 1024, 10),
    *(_topk_case(1000, 1_000_000, bits, 10) for bits in (24, 32, 104)),
)
