"""Exact top-k and radius search, against FAISS's flat binary index and a +-1 matrix product with torch.topk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .codes import bit_counts, random_codes
from .harness import OURS, Case, Trial, peers

_CHECKED_QUERIES = 5
_FAISS = peers("faiss", "faiss heap", "faiss counting")
_FAISS_RANGE = peers("faiss", "faiss flat")


def build_topk(queries: int, database: int, bits: int, k: int) -> Trial:
    query_codes, database_codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    index = hk.BinaryIndex(bits)
    index.add(database_codes)
    contenders: dict[str, Callable[[], Any]] = {
        OURS: lambda: index.search(query_codes, k),
        "hashkernels one call": lambda: hk.topk(query_codes, database_codes, k),
    }
    query_signs = torch.from_numpy(hk.unpack_codes(query_codes, bits)).float()
    database_signs = torch.from_numpy(hk.unpack_codes(database_codes, bits)).float()

    def torch_topk() -> tuple[torch.Tensor, torch.Tensor]:
        parts = [torch.topk(chunk @ database_signs.T, k) for chunk in query_signs.split(100)]
        distances = torch.cat([(bits - part.values) / 2 for part in parts])
        return distances, torch.cat([part.indices for part in parts])

    contenders["torch"] = torch_topk
    for name in _FAISS:
        import faiss

        flat = faiss.IndexBinaryFlat(bits)
        flat.use_heap = name == "faiss heap"
        flat.add(database_codes)
        contenders[name] = lambda flat=flat: flat.search(query_codes, k)

    def check(results: Mapping[str, Any]) -> None:
        exact = bit_counts(query_codes[:_CHECKED_QUERIES], database_codes)
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        expected = np.take_along_axis(exact, order, axis=1)
        for name, (distances, indices) in results.items():
            np.testing.assert_array_equal(np.asarray(distances)[:_CHECKED_QUERIES], expected, err_msg=name)
            if name.startswith(OURS):
                np.testing.assert_array_equal(indices[:_CHECKED_QUERIES], order, err_msg=name)

    return Trial(contenders, check)


def build_range(queries: int, database: int, bits: int, radius: int) -> Trial:
    query_codes, database_codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    database_codes[:queries] = query_codes  # something to find
    contenders: dict[str, Callable[[], Any]] = {OURS: lambda: hk.range_search(query_codes, database_codes, radius)}
    for name in _FAISS_RANGE:
        import faiss

        flat = faiss.IndexBinaryFlat(bits)
        flat.add(database_codes)
        contenders[name] = lambda flat=flat: flat.range_search(query_codes, radius + 1)  # FAISS's radius is exclusive
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


def _pairs(queries: int, database: int, **_: int) -> float:
    return queries * database


def _topk_case(queries: int, database: int, bits: int, k: int) -> Case:
    full = {"queries": queries, "database": database, "bits": bits, "k": k}
    quick = {"queries": 3, "database": 900, "bits": bits, "k": 7}
    return Case("topk", (OURS, "hashkernels one call", "torch", *_FAISS), build_topk, full, quick, "pairs", _pairs)


CASES = (
    *(_topk_case(1000, 1_000_000, bits, 10) for bits in (16, 32, 48, 64, 128, 256)),
    _topk_case(1000, 1_000_000, 64, 1000),
    _topk_case(32, 1_000_000, 64, 10),
    _topk_case(1, 1_000_000, 64, 10),
    Case(
        "range_search",
        (OURS, *_FAISS_RANGE, "numpy"),
        build_range,
        {"queries": 20, "database": 1_000_000, "bits": 64, "radius": 8},
        {"queries": 3, "database": 900, "bits": 64, "radius": 20},
        "pairs",
        _pairs,
    ),
)
