"""CUDA ops run on the caller's stream, wait for nothing, fit into a CUDA graph, and count in 64 bits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor

from hashkernels import _ops

MARGINS = {"positive_margin": 3.0, "negative_margin": -1.0}


def codes(count: int, seed: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 8), generator=generator, dtype=torch.uint8).to(device)


def outputs(queries: Tensor, database: Tensor, u: Tensor, labels: Tensor) -> list[Tensor]:
    """Every op but range_search, whose result has a size that must be waited for."""
    database_labels = labels.repeat(len(database) // len(labels))
    pair = (queries, database, labels[: len(queries)], database_labels)
    loss = _ops.margin_loss(u, labels, **MARGINS)
    halves = _ops.margin_loss(u.half(), labels, **MARGINS)
    in_float32 = _ops.margin_loss(u, labels, **MARGINS, precision="float32")
    words = _ops.pack_labels((labels[:, None] >= torch.arange(5, device=u.device)).long())
    overlap = _ops.likelihood_loss(u, words, scale=0.1, weighted=True, overlap=True)
    contrastive = _ops.contrastive_loss(u, labels, margin=128.0)
    of_bank = _ops.likelihood_loss(
        u[:40], labels[:40], scale=0.1, bank=u, bank_labels=labels, left_out=labels[:40], counted=labels > 0
    )
    same_class = labels[:, None] == labels
    weights = torch.ones(len(u), dtype=torch.float64, device=u.device)
    triplets = _ops.triplet_likelihood(u @ u.T, same_class, ~same_class, weights, margin=2.0)
    return [
        _ops.pack_codes(u, False),
        _ops.unpack_codes(queries, 64, False),
        _ops.hamming_distance(queries, database),
        *_ops.topk(queries, database, 20),
        *_ops.range_nearest(queries, database, 20, 7),
        *_ops.retrieval_counts(*pair),
        *_ops.index_order_precision(*pair, [10, len(database)]),
        *_ops.topk(queries[:3], database, 20),
        loss.total,
        loss.num_pairs,
        halves.total,
        in_float32.total,
        overlap.total,
        contrastive.total,
        of_bank.total,
        of_bank.num_pairs,
        triplets,
    ]


@pytest.fixture
def inputs(device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    u = torch.randn(100, 64, generator=torch.Generator().manual_seed(3)).to(device)
    return codes(50, 1, device), codes(4000, 2, device), u, (torch.arange(100) % 5).to(device)


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_nothing_waits_for_the_device(inputs: tuple[Tensor, ...], no_waiting: AbstractContextManager[None]) -> None:
    with no_waiting:
        outputs(*inputs)


def test_the_callers_stream_is_used(inputs: tuple[Tensor, ...]) -> None:
    expected = outputs(*inputs)
    sources = [x.clone() for x in inputs]
    late = [torch.zeros_like(x) for x in inputs]
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # what runs on another stream would see the zeros
        for target, source in zip(late, sources, strict=True):
            target.copy_(source)
        got = outputs(*late)
    stream.synchronize()
    assert same(got, expected)


def test_a_graph_replays_on_new_inputs(inputs: tuple[Tensor, ...]) -> None:
    static = [x.clone() for x in inputs]
    outputs(*static)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = outputs(*static)
    for seed in range(2):
        fresh = [x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).to(x.device)] for x in inputs]
        for target, source in zip(static, fresh, strict=True):
            target.copy_(source)
        graph.replay()
        torch.cuda.synchronize()
        assert same(captured, outputs(*fresh))


def test_repeated_runs_give_the_same_bits(inputs: tuple[Tensor, ...]) -> None:
    expected = outputs(*inputs)
    for _ in range(5):
        assert same(outputs(*inputs), expected)


def test_every_gpu_answers_and_leaves_the_current_one(inputs: tuple[Tensor, ...]) -> None:
    expected, current = outputs(*inputs), torch.cuda.current_device()
    for index in range(torch.cuda.device_count()):
        there = torch.device("cuda", index)
        found = outputs(*(x.to(there) for x in inputs))
        assert torch.cuda.current_device() == current
        for got, wanted in zip(found, expected, strict=True):
            assert got.device == there
            assert got.is_floating_point() or torch.equal(got.to(wanted.device), wanted)


def test_offsets_pass_2_to_the_31(device: torch.device) -> None:
    database = codes(1_100_000, 1, device)
    queries = codes(2000, 2, device)
    distances = _ops.hamming_distance(queries, database, torch.uint8)
    assert torch.equal(distances[-1:], _ops.hamming_distance(queries[-1:], database, torch.uint8))
    nearest = _ops.topk(queries, database, 1100)
    for whole, last in zip(nearest, _ops.topk(queries[-1:], database, 1100), strict=True):
        assert torch.equal(whole[-1:], last)


@pytest.mark.parametrize(
    "call",
    [
        lambda q, d: _ops.topk(q.cpu(), d, 1),
        lambda q, d: _ops.retrieval_counts(
            q, d, torch.zeros(len(q), dtype=torch.int64), torch.zeros(len(d), dtype=torch.int64)
        ),
    ],
)
def test_tensors_on_two_devices_are_refused(device: torch.device, call: Callable[[Tensor, Tensor], Any]) -> None:
    with pytest.raises(ValueError, match="must be on"):
        call(codes(3, 1, device), codes(20, 2, device))
