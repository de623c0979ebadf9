"""A database that passes through the device in chunks gives what it gives at once. Tensors of the CPU play those of a
GPU: the database given is taken for one that has to stream, its chunks for what has arrived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hashkernels as hk
from hashkernels import _ops
from hashkernels._ops import streaming

WIDTH = 3


def random_codes(count: int, seed: int) -> Tensor:
    return torch.randint(0, 4, (count, WIDTH), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(params=[1, 7, 60, 100])
def stream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], Tensor]:
    """Marks a database as one that streams, in chunks of some rows."""
    monkeypatch.setattr(streaming, "CHUNK_BYTES", WIDTH * request.param + 1)

    def mark(database: Tensor) -> Tensor:
        monkeypatch.setattr(streaming, "streams", lambda queries, other: other is database)
        return database

    return mark


def same(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("num_queries", [0, 1, 9])
def test_streamed_results_are_those_of_the_whole_database(stream: Callable[[Tensor], Tensor], num_queries: int) -> None:
    queries, database = random_codes(num_queries, 1), random_codes(60, 2)
    labels = [torch.randint(0, 3, (n,), generator=torch.Generator().manual_seed(n)) for n in (num_queries, 60)]
    allowed = torch.arange(60) % 9 == 2

    def results(database: Tensor) -> list[tuple[Tensor, ...]]:
        return [
            (_ops.hamming_distance(queries, database, torch.int16),),
            *(_ops.topk(queries, database, k, mask) for k in (1, 12, 60) for mask in (None, allowed)),
            *(
                _ops.range_search(queries, database, radius, mask, limit)
                for radius in (0, 3, 24)
                for mask in (None, allowed)
                for limit in (None, 1, 4)
            ),
            *((_ops.range_count(queries, database, 3, mask),) for mask in (None, allowed)),
            *(_ops.range_nearest(queries, database, 3, size) for size in (1, 5, 70)),
            _ops.retrieval_counts(queries, database, *labels),
            _ops.index_order_precision(queries, database, *labels, [1, 5, 60]),
        ]

    expected = results(database)
    for streamed, whole in zip(results(stream(database)), expected, strict=True):
        assert same(streamed, whole)


@pytest.mark.parametrize(
    "options", [{"ties": "index"}, {"index_order": True, "exclude": np.array([3, 1, 4])}, {"k": (1, 50)}], ids=str
)
def test_an_evaluation_that_streams_is_that_of_the_whole_database(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    queries, database = random_codes(3, 1), random_codes(60, 2)
    labels = torch.arange(3) % 2, torch.arange(60) % 2
    expected = hk.evaluate(queries, database, *labels, **options)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 7 * WIDTH)
    monkeypatch.setattr(streaming, "streams", lambda queries, other: len(other) == 60)
    assert hk.evaluate(queries, database, *labels, **options).to_dict(per_query=True) == expected.to_dict(
        per_query=True
    )


def test_every_chunk_is_searched_once(stream: Callable[[Tensor], Tensor]) -> None:
    parts = list(streaming.chunks(stream(random_codes(60, 2)), torch.device("cpu")))
    assert torch.equal(torch.cat([part for _, part in parts]), random_codes(60, 2))
    assert [first for first, _ in parts] == [sum(len(part) for _, part in parts[:i]) for i in range(len(parts))]
