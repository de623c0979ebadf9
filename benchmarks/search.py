"""Exact top-k and radius search, against the flat binary index of FAISS, usearch, torch and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .codes import Codes, bit_counts, data_set, query_and_database_codes, random_codes
from .harness import OURS, Case, Trial, peers
from .limits import LOGIC, READ
from .logic import logic_per_pair

_CHECKED_QUERIES = 5
_ONE_CALL = "hashkernels one call"
_FAISS = peers("faiss", "faiss heap", "faiss counting")
_FAISS_RANGE = peers("faiss", "faiss flat")
_USEARCH = peers("usearch", "usearch exact")

# Slow contenders search for this many of the queries, and their time is scaled.
_PART = {"torch": 50, "torch.compile": 50, "usearch exact": 10, "faiss heap": 100, "faiss counting": 100}


_WIDE_CONTENDERS = (OURS, _ONE_CALL, *_FAISS)
_MOST_BITS_OF_TORCH = 256  # more as float32 would fill the memory
_MOST_BITS_OF_BUCKETS = 16
_MOST_CACHED = 64 << 20  # bytes: more have to come from memory at every call
_CONTENDERS = (*_WIDE_CONTENDERS, "torch")
_ALL_CONTENDERS = (*_CONTENDERS, "torch.compile", *_USEARCH)


def build_topk(names: tuple[str, ...], queries: int, database: int, bits: int, k: int, codes: str) -> Trial:
    return _topk_trial(names, *query_and_database_codes(codes, queries, database, bits), bits, k)


def _topk_trial(names: tuple[str, ...], query_codes: Codes, database_codes: Codes, bits: int, k: int) -> Trial:
    index = hk.BinaryIndex(bits)
    index.add(database_codes)
    some = {name: query_codes[: _PART.get(name, len(query_codes))] for name in names}
    runs: dict[str, Callable[[], Any]] = {
        OURS: lambda: index.search(query_codes, k),
        _ONE_CALL: lambda: hk.topk(query_codes, database_codes, k),
    }
    for name in _FAISS:
        runs[name] = partial(_faiss_flat(database_codes, name == "faiss heap").search, some[name], k)
    if "torch" in names:
        database_signs = torch.from_numpy(hk.unpack_codes(database_codes, bits)).float()
        query_signs = torch.from_numpy(hk.unpack_codes(some["torch"], bits)).float()
        runs["torch"] = lambda: _torch_topk(query_signs, database_signs, k)
    if "torch.compile" in names:
        compiled = torch.compile(_torch_topk)
        runs["torch.compile"] = lambda: compiled(query_signs, database_signs, k)
    if "usearch exact" in names:
        from usearch.index import MetricKind, search

        part = some["usearch exact"]
        runs["usearch exact"] = lambda: _usearch_topk(search, MetricKind.Hamming, database_codes, part, k)

    def check(results: Mapping[str, Any]) -> None:
        exact = bit_counts(query_codes[:_CHECKED_QUERIES], database_codes)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        expected = np.take_along_axis(exact, order, axis=1)
        for name, (distances, indices) in results.items():
            np.testing.assert_array_equal(np.asarray(distances)[:_CHECKED_QUERIES], expected, err_msg=name)
            if name.startswith(OURS):
                np.testing.assert_array_equal(indices[:_CHECKED_QUERIES], order, err_msg=name)

    share = {name: len(some[name]) / len(query_codes) for name in names}
    return Trial({name: runs[name] for name in names}, check, share)


def _faiss_flat(database: Codes, use_heap: bool) -> Any:
    import faiss

    flat = faiss.IndexBinaryFlat(8 * database.shape[1])  # whole bytes: a code's pad bits are zero
    flat.use_heap = use_heap
    flat.add(database)
    return flat


def _torch_topk(queries: torch.Tensor, database: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    parts = [torch.topk(chunk @ database.T, k) for chunk in queries.split(50)]
    distances = torch.cat([(queries.shape[1] - part.values) / 2 for part in parts])
    return distances, torch.cat([part.indices for part in parts])


def _usearch_topk(search: Any, metric: Any, database: Codes, queries: Codes, k: int) -> tuple[Any, Any]:
    found = search(database, queries, k, metric, exact=True, threads=torch.get_num_threads(), dtype="b1")
    shape = (len(queries), k)
    return np.reshape(found.distances, shape), np.reshape(found.keys, shape)


def build_range(queries: int, database: int, bits: int, radius: int) -> Trial:
    query_codes, database_codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    database_codes[:queries] = query_codes  # something to find
    contenders: dict[str, Callable[[], Any]] = {OURS: lambda: hk.range_search(query_codes, database_codes, radius)}
    for name in _FAISS_RANGE:
        flat = _faiss_flat(database_codes, True)
        contenders[name] = partial(flat.range_search, query_codes, radius + 1)  # FAISS's radius is exclusive
    contenders["numpy"] = lambda: _numpy_range(query_codes, database_codes, radius)

    def check(results: Mapping[str, Any]) -> None:
        offsets, _, indices = _numpy_range(query_codes, database_codes, radius)
        for name, (found_offsets, _, found) in results.items():
            np.testing.assert_array_equal(found_offsets, offsets, err_msg=name)
            if name == OURS:
                np.testing.assert_array_equal(found, indices, err_msg=name)

    return Trial(contenders, check)


def _numpy_range(queries: Any, database: Any, radius: int) -> tuple[Any, Any, Any]:
    offsets, distances, indices = [0], [], []
    for query in queries:
        row = np.bitwise_count(query ^ database).sum(axis=1, dtype=np.int32)
        (found,) = np.nonzero(row <= radius)
        order = np.argsort(row[found], kind="stable")
        distances.append(row[found][order])
        indices.append(found[order])
        offsets.append(offsets[-1] + len(found))
    return np.array(offsets), np.concatenate(distances), np.concatenate(indices)


def build_index(database: int, bits: int) -> Trial:
    codes = random_codes(database, bits, 2)
    contenders: dict[str, Callable[[], Any]] = {OURS: lambda: _built(hk.BinaryIndex(bits), codes)}
    for name in _FAISS_RANGE:
        contenders[name] = lambda: _faiss_flat(codes, True)

    def check(results: Mapping[str, Any]) -> None:
        for name, index in results.items():
            assert index.ntotal == database, name
            np.testing.assert_array_equal(np.asarray(index.reconstruct(database - 1)).reshape(-1), codes[-1])

    return Trial(contenders, check)


def _built(index: Any, codes: Codes) -> Any:
    index.add(codes)
    return index


def _pairs(queries: int, database: int, **_: Any) -> float:
    return queries * database


def _code_bytes(database: int, bits: int, **_: Any) -> float:
    return database * ((bits + 7) // 8)


def _logic(queries: int, database: int, bits: int, **_: Any) -> float:
    return queries * database * logic_per_pair(bits, hk.info().isa)


def _topk_case(queries: int, database: int, bits: int, k: int, codes: str = "random", *, target: bool = False) -> Case:
    full = {"queries": queries, "database": database, "bits": bits, "k": k, "codes": codes}
    quick = {"queries": 3, "database": 900, "bits": bits, "k": 7, "codes": codes}
    # Few queries cannot but read all codes; many reuse what they have read, and count. Short codes are looked up.
    bounds: dict[str, Callable[..., float]] = {}
    if queries == 1 and _code_bytes(database, bits) > _MOST_CACHED:
        bounds[READ] = _code_bytes
    elif queries > 1 and bits > _MOST_BITS_OF_BUCKETS:
        bounds[LOGIC] = _logic
    names = _CONTENDERS if bits <= _MOST_BITS_OF_TORCH else _WIDE_CONTENDERS
    if (queries, bits, k, codes) == (1000, 64, 10, "random"):
        names = _ALL_CONTENDERS
    return Case("topk", names, partial(build_topk, names), full, quick, "pairs", _pairs, bounds, target)


def data_set_cases(folder: Path) -> tuple[Case, ...]:
    """Top-10 over the real codes in a folder of .npz files: each file's own queries, or every 100th of its codes."""
    cases = []
    for path in sorted(folder.glob("*.npz")):
        codes = data_set(path)
        if codes is not None:
            queries, database, bits = codes
            size = {"data": path.stem, "queries": len(queries), "database": len(database), "bits": bits, "k": 10}
            build = partial(_data_set_trial, path)
            cases.append(Case("topk", _CONTENDERS, build, size, size, "pairs", _pairs, target=False))
    return tuple(cases)


def _data_set_trial(path: Path, *, k: int, **_: Any) -> Trial:
    codes = data_set(path)
    assert codes is not None
    return _topk_trial(_CONTENDERS, *codes, k)


CASES = (
    *(_topk_case(1000, 1_000_000, bits, 10, target=True) for bits in (16, 32, 48, 64, 128, 256)),
    *(_topk_case(1000, 1_000_000, 64, k, target=k >= 100) for k in (1, 100, 1000)),
    *(_topk_case(queries, 1_000_000, 64, 10, target=True) for queries in (32, 1)),
    _topk_case(32, 1_000_000, 64, 1000, target=True),
    _topk_case(1, 10_000_000, 64, 10, target=True),
    *(_topk_case(1000, 1_000_000, bits, 10, target=True) for bits in (24, 40, 96, 100, 512)),
    _topk_case(1000, 2_000_000, 1024, 10, target=True),
    _topk_case(8, 1_000_000, 64, 10),
    _topk_case(1, 2_000_000, 1024, 10, target=True),
    # Little to do: what is made ready for many, and what a call takes, must not outweigh it.
    _topk_case(1, 1_000, 64, 10),
    _topk_case(10, 1_000, 2048, 10),
    # Many queries among few codes, such as the centers of classes.
    *(
        _topk_case(10_000, database, 64, k, target=True)
        for database, k in ((10, 1), (100, 10), (1_000, 10), (5_000, 10))
    ),
    *(_topk_case(1000, 1_000_000, 64, 10, kind) for kind in ("clustered", "equal", "sorted")),
    Case(
        "range_search",
        (OURS, *_FAISS_RANGE, "numpy"),
        build_range,
        {"queries": 20, "database": 1_000_000, "bits": 64, "radius": 8},
        {"queries": 3, "database": 900, "bits": 64, "radius": 20},
        "pairs",
        _pairs,
        target=False,
    ),
    *(
        Case(
            "index build",
            (OURS, *_FAISS_RANGE),
            build_index,
            {"database": 1_000_000, "bits": bits},
            {"database": 900, "bits": bits},
            "codes",
            lambda database, **_: database,
            {READ: _code_bytes},
            target=False,
        )
        for bits in (64, 256)
    ),
)
