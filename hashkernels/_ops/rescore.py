"""Ops that score candidates by a dot product with a float query."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import define, row_stride, rows, thread_argument, thread_count


def score_codes(queries: Tensor, codes: Tensor, little: bool, threads: int | None = None) -> Tensor:
    """float32 [Q, C]: float32 [Q, bits] against the -1/+1 view of packed codes uint8 [Q, C, W]."""
    scores: Tensor = _score_codes(queries, codes, little, thread_argument(threads))
    return scores


def score_vectors(queries: Tensor, vectors: Tensor, positions: Tensor, threads: int | None = None) -> Tensor:
    """float32 [Q, C]: float32 [Q, D] against rows of float32 or int8 [N, D] at positions int64 [Q, C]; -infinity at
    negative positions."""
    scores: Tensor = _score_vectors(queries, vectors, positions, thread_argument(threads))
    return scores


def _score_codes_cpu(queries: Tensor, codes: Tensor, little: bool, threads: int) -> Tensor:
    queries = rows("queries", queries, torch.float32)
    num_queries, bits = queries.shape
    if codes.dtype != torch.uint8 or codes.ndim != 3 or not codes.is_contiguous() or codes.device.type != "cpu":
        got = f"{_validation.dtype_name(codes.dtype)} {tuple(codes.shape)}"
        raise ValueError(f"codes must be contiguous uint8 [Q, C, W] on cpu, got {got}")
    _validation.check_bits(bits)
    if codes.shape[0] != num_queries or codes.shape[2] != (bits + 7) // 8:
        raise ValueError(f"codes must be [{num_queries}, C, {(bits + 7) // 8}], got {tuple(codes.shape)}")
    _validation.check_same_device("codes", codes, "queries", queries)
    kernel = _loader.cpu_kernel("score_codes")
    if kernel is None:
        return reference.score_codes(queries, codes, little)
    scores = _score_codes_fake(queries, codes, little, threads)
    kernel(
        queries.data_ptr(),
        num_queries,
        row_stride(queries),
        bits,
        codes.data_ptr(),
        codes.shape[1],
        little,
        scores.data_ptr(),
        thread_count(threads),
    )
    return scores


def _score_codes_fake(queries: Tensor, codes: Tensor, little: bool, threads: int) -> Tensor:
    return queries.new_empty((codes.shape[0], codes.shape[1]), dtype=torch.float32)


def _score_vectors_cpu(queries: Tensor, vectors: Tensor, positions: Tensor, threads: int) -> Tensor:
    queries, vectors = rows("queries", queries, torch.float32), rows("vectors", vectors, torch.float32, torch.int8)
    if vectors.shape[1] != queries.shape[1]:
        raise ValueError(f"vectors must have {queries.shape[1]} values a row like queries, got {vectors.shape[1]}")
    if positions.dtype != torch.int64 or positions.ndim != 2 or positions.shape[0] != queries.shape[0]:
        raise ValueError(f"positions must be int64 [{queries.shape[0]}, C], got {tuple(positions.shape)}")
    if not vectors.is_cpu:
        raise ValueError(f"vectors must be on cpu, got {vectors.device}")
    for name, tensor in (("vectors", vectors), ("positions", positions)):
        _validation.check_same_device("queries", queries, name, tensor)
    if positions.numel() and int(positions.max()) >= vectors.shape[0]:
        raise ValueError(f"positions must be below {vectors.shape[0]}, got {int(positions.max())}")
    positions = positions.contiguous()
    kernel = _loader.cpu_kernel("score_vectors")
    if kernel is None:
        return reference.score_vectors(queries, vectors, positions)
    scores = _score_vectors_fake(queries, vectors, positions, threads)
    kernel(
        queries.data_ptr(),
        queries.shape[0],
        row_stride(queries),
        queries.shape[1],
        vectors.data_ptr(),
        vectors.dtype == torch.int8,
        row_stride(vectors),
        positions.data_ptr(),
        positions.shape[1],
        scores.data_ptr(),
        thread_count(threads),
    )
    return scores


def _score_vectors_fake(queries: Tensor, vectors: Tensor, positions: Tensor, threads: int) -> Tensor:
    return queries.new_empty(positions.shape, dtype=torch.float32)


_score_codes = define(
    "score_codes(Tensor queries, Tensor codes, bool little, int threads) -> Tensor",
    cpu=_score_codes_cpu,
    fake=_score_codes_fake,
)
_score_vectors = define(
    "score_vectors(Tensor queries, Tensor vectors, Tensor positions, int threads) -> Tensor",
    cpu=_score_vectors_cpu,
    fake=_score_vectors_fake,
)
