"""Distances, searches, evaluation and packing on a GPU, against torch, CuPy and FAISS on the same one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import torch
from hashkernels.benchmarks.gpu_bench import Bench, Figure, Run
from hashkernels.benchmarks.gpu_checks import random_codes
from torch import Tensor

from hashkernels import _ops, reference

MOST_SIGNS = 1 << 33  # the signs of more do not fit


def signs(codes: Tensor) -> Tensor:
    kind = torch.bfloat16 if codes.is_cuda else torch.float32
    return reference.unpack_codes(codes, 8 * codes.shape[1], False).to(kind)


def codes_of(bench: Bench, num_queries: int, num_database: int, bits: int) -> tuple[Tensor, Tensor]:
    """Queries and a database, at sizes of the bench."""
    queries = random_codes(bench.size(num_queries), bits, 1, bench.device)
    return queries, random_codes(bench.size(num_database), bits, 2, bench.device)


def distance_case(bench: Bench, num_queries: int, num_database: int, bits: int) -> Figure:
    queries, database = codes_of(bench, num_queries, num_database, bits)
    pairs = len(queries) * len(database)

    def by_product() -> Run:
        query_signs, database_signs = signs(queries), signs(database)
        return lambda: (bits - query_signs @ database_signs.T) * 0.5

    peers: dict[str, Callable[[], Run]] = {"torch": by_product}
    if bits == 64 and bench.device.type == "cuda" and find_spec("cupy") is not None:
        peers["CuPy"] = lambda: _cupy_distances(queries, database)
    return bench.figure(
        f"distance, {len(queries):,} x {len(database):,}, {bits} bits, int16",
        pairs,
        lambda: _ops.hamming_distance(queries, database, torch.int16),
        peers,
        floors=bench.floor("population_counts", pairs * bits / 32) | bench.floor("written_bytes", 2 * pairs),
    )


def _cupy_distances(queries: Tensor, database: Tensor) -> Run:
    """The distance matrix by an elementwise kernel of CuPy over codes of 64 bits."""
    import cupy

    distance = cupy.ElementwiseKernel("uint64 a, uint64 b", "int16 d", "d = __popcll(a ^ b)", "distance")
    left, right = (cupy.from_dlpack(codes.view(torch.int64)).view(cupy.uint64).ravel() for codes in (queries, database))
    return lambda: distance(left[:, None], right[None, :])


def topk_case(bench: Bench, num_queries: int, num_database: int, bits: int, k: int) -> Figure:
    queries, database = codes_of(bench, num_queries, num_database, bits)
    k = min(k, len(database))
    some = queries[: 256 if len(database) <= 1_000_000 else 1]
    pairs = len(queries) * len(database)

    def by_product() -> Run:
        query_signs, database_signs = signs(some), signs(database)
        return lambda: torch.topk(query_signs @ database_signs.T, k)

    peers: dict[str, Callable[[], Run]] = {}
    if len(database) * bits <= MOST_SIGNS:
        peers["torch"] = by_product
    if bench.device.type == "cuda" and find_spec("faiss") is not None:
        peers["FAISS"] = lambda: _faiss_search(some, database, k)
    by_products = bits <= 256 and len(queries) > 16 and "binary_multiply_adds_256" in bench.ceilings
    kind = "128" if bits <= 64 else "256"
    # A code's bits enter a product twice, 64 of them at a time. A copy counts bytes read and written.
    counted = (
        bench.floor(f"binary_multiply_adds_{kind}", pairs * 128 * -(-bits // 64))
        if by_products
        else bench.floor("population_counts", pairs * bits / 32)
    )
    return bench.figure(
        f"top-{k}, {len(queries):,} x {len(database):,}, {bits} bits",
        pairs,
        lambda: _ops.topk(queries, database, k),
        peers,
        share_of_peers=len(some) / len(queries),
        floors=counted | bench.floor("copied_bytes", len(database) * bits / 8),
    )


def _faiss_search(queries: Tensor, database: Tensor, k: int) -> Run:
    """FAISS's flat binary index on the GPU, which takes queries from host memory and leaves results there."""
    import faiss

    index = faiss.GpuIndexBinaryFlat(faiss.StandardGpuResources(), 8 * database.shape[1])
    index.add(database.cpu().numpy())
    host = queries.cpu().numpy()
    return lambda: index.search(host, k)


def streamed_case(bench: Bench, num_queries: int, num_database: int, bits: int, k: int, pinned: bool) -> Figure:
    """Top-k over a database in host memory, against the same on the GPU, whose time is that much less."""
    queries, resident = codes_of(bench, num_queries, num_database, bits)
    database = resident.cpu()
    if pinned and bench.device.type == "cuda":
        database = database.pin_memory()
    k = min(k, len(database))
    assert all(map(torch.equal, _ops.topk(queries, database, k), _ops.topk(queries, resident, k)))
    return bench.figure(
        f"top-{k}, {len(queries):,} x {len(database):,}, {bits} bits, {'pinned' if pinned else 'pageable'} host memory",
        len(queries) * len(database),
        lambda: _ops.topk(queries, database, k),
        {"itself on the GPU": lambda: lambda: _ops.topk(queries, resident, k)},
        floors=bench.floor("received_bytes", database.numel()),
    )


def counting_case(bench: Bench, num_queries: int, num_database: int, bits: int, index_order: bool) -> Figure:
    queries, database = codes_of(bench, num_queries, num_database, bits)
    labels = torch.arange(len(database), device=bench.device) % 100
    query_labels = torch.arange(len(queries), device=bench.device) % 100
    some = queries[:64]

    def ours() -> tuple[Tensor, Tensor]:
        if index_order:
            return _ops.index_order_precision(queries, database, query_labels, labels, [len(database)])
        return _ops.retrieval_counts(queries, database, query_labels, labels)

    def by_sorting() -> Run:
        query_signs, database_signs = signs(some), signs(database)
        ranks = torch.arange(1, len(database) + 1, device=bench.device)

        def sort() -> Tensor:
            order = torch.argsort(query_signs @ database_signs.T, dim=1, descending=True, stable=True)
            return (labels[order] == query_labels[: len(some), None]).cumsum(1, dtype=torch.float32) / ranks

        return sort

    pairs = len(queries) * len(database)
    name = "precision in index order" if index_order else "counts for mAP"
    return bench.figure(
        f"{name}, {len(queries):,} x {len(database):,}, {bits} bits",
        pairs,
        ours,
        {"torch sort": by_sorting},
        share_of_peers=len(some) / len(queries),
        floors=bench.floor("population_counts", pairs * bits / 32) | bench.floor("shared_atomics", pairs),
    )


def range_case(bench: Bench, num_queries: int, num_database: int, bits: int, radius: int) -> Figure:
    """Everything within a radius, of exact size."""
    queries, database = codes_of(bench, num_queries, num_database, bits)
    some = queries[:256]

    def by_product() -> Run:
        query_signs, database_signs = signs(some), signs(database)
        return lambda: torch.nonzero(query_signs @ database_signs.T >= bits - 2 * radius)

    pairs = len(queries) * len(database)
    return bench.figure(
        f"radius {radius}, {len(queries):,} x {len(database):,}, {bits} bits",
        pairs,
        lambda: _ops.range_search(queries, database, radius),
        {"torch": by_product},
        share_of_peers=len(some) / len(queries),
        floors=bench.floor("population_counts", pairs * bits / 32),
    )


def packing_case(bench: Bench, num_items: int, bits: int) -> Figure:
    num_items = bench.size(num_items)
    x = torch.randn(num_items, bits, generator=torch.Generator(bench.device).manual_seed(1), device=bench.device)
    weights = 1 << torch.arange(7, -1, -1, dtype=torch.uint8, device=bench.device)
    return bench.figure(
        f"packing, {num_items:,} x {bits} float32",
        num_items * bits,
        lambda: _ops.pack_codes(x, False),
        {"torch": lambda: lambda: ((x > 0).view(num_items, -1, 8) * weights).sum(2, dtype=torch.uint8)},
        floors=bench.floor("copied_bytes", num_items * bits * 4.125),
    )
