"""A database that passes through the device in chunks gives what it gives at once. Tensors of the CPU play those of a
GPU: the database given is taken for one that has to stream, its chunks for what has arrived."""

from __future__ import annotations

import itertools
import random
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
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


def test_counts_of_many_chunks_do_not_pile_up(stream: Callable[[Tensor], Tensor]) -> None:
    counts: list[weakref.ref[Tensor]] = []

    def count(part: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert sum(kept() is not None for kept in counts) <= 4  # those of the chunk before, and the sums
        assert len(part) == len(labels)
        found = torch.tensor([len(part)]), labels.sum(0, keepdim=True)
        counts.extend(map(weakref.ref, found))
        return found

    queries, database = random_codes(2, 1), stream(random_codes(60, 2))
    total, relevant = streaming.retrieval_counts(queries, database, torch.arange(60), count)
    assert (total.tolist(), relevant.tolist()) == ([60], [60 * 59 // 2])


def test_what_comes_beside_a_code_counts_as_part_of_a_chunk(stream: Callable[[Tensor], Tensor]) -> None:
    for beside in (0, 8):
        parts = [part for _, part in streaming.chunks(stream(random_codes(60, 2)), torch.device("cpu"), beside)]
        assert sum(map(len, parts)) == 60
        assert all(len(part) == 1 or len(part) * (WIDTH + beside) <= streaming.CHUNK_BYTES for part in parts)


class Gpu:
    """Streams that do what they were asked for, each in its order, whenever chance or a wait of the host lets them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._queues: list[deque[tuple[Callable[[], bool], Callable[[], None]]]] = []
        self.entered = self.current = self.Stream(self)

    class Stream:
        def __init__(self, gpu: Gpu) -> None:
            self._gpu, self._queue = gpu, deque[tuple[Callable[[], bool], Callable[[], None]]]()
            gpu._queues.append(self._queue)

        def ask(self, work: Callable[[], Any], ready: Callable[[], bool] = lambda: True) -> None:
            self._queue.append((ready, lambda: (work(), None)[1]))
            for _ in range(self._gpu._random.randrange(4)):
                self._gpu.step()

        def wait_event(self, event: Gpu.Event) -> None:
            done = event.done
            self.ask(lambda: None, lambda: not done or done[0])

    class Event:
        def __init__(self, gpu: Gpu) -> None:
            self._gpu = gpu
            self.done: list[bool] = []  # of the last record; empty: never asked for

        def record(self, stream: Gpu.Stream) -> None:
            self.done = done = [False]
            stream.ask(lambda: done.__setitem__(0, True))

        def synchronize(self) -> None:
            while self.done and not self.done[0]:
                self._gpu.step()

    def step(self) -> bool:
        """One piece of work of a stream that has some and does not wait; False where there is none."""
        able = [queue for queue in self._queues if queue and queue[0][0]()]
        if able:
            self._random.choice(able).popleft()[1]()
        return bool(able)

    @contextmanager
    def stream(self, stream: Gpu.Stream) -> Iterator[None]:
        before, self.entered = self.entered, stream
        yield
        self.entered = before

    def empty(self, shape: tuple[int, int], *, device: Any, **options: Any) -> Any:
        memory = torch.full(shape, 255, dtype=torch.uint8)
        return memory if device == "cpu" else Room(self, memory)

    def as_torch(self) -> SimpleNamespace:
        cuda = SimpleNamespace(
            Stream=lambda device: self.Stream(self),
            Event=lambda: self.Event(self),
            stream=self.stream,
            current_stream=lambda device: self.current,
        )
        return SimpleNamespace(cuda=cuda, empty=self.empty, uint8=torch.uint8)


class Room:
    """Memory of a GPU: what is written to it is a stream's work."""

    def __init__(self, gpu: Gpu, memory: Tensor) -> None:
        self.gpu, self.memory = gpu, memory

    def __getitem__(self, rows: slice) -> Room:
        return Room(self.gpu, self.memory[rows])

    def copy_(self, source: Tensor, *, non_blocking: bool) -> None:
        assert non_blocking
        self.gpu.entered.ask(lambda: self.memory.copy_(source))


class HostCodes:
    """A database in host memory, pinned or not."""

    def __init__(self, codes: Tensor, pinned: bool) -> None:
        self.codes, self.shape, self.is_pinned = codes, codes.shape, lambda: pinned

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: slice) -> Tensor:
        return self.codes[rows]


def chunks_that_searches_see(gpu: Gpu, database: Any, wanted: int | None = None) -> list[Tensor]:
    """What arrives of the database, as many chunks as are wanted, which its owner changes once the call is over."""
    seen: list[Tensor] = []
    device: Any = SimpleNamespace(type="cuda")
    chunks = streaming.chunks(database, device)
    for _, part in itertools.islice(chunks, wanted):
        arrived: Any = part
        gpu.current.ask(lambda arrived=arrived: seen.append(arrived.memory.clone()))
    del chunks
    database.codes.zero_()
    while gpu.step():
        pass
    return seen


@pytest.mark.parametrize("pinned", [False, True])
def test_each_search_sees_its_chunk_whatever_streams_do_first(monkeypatch: pytest.MonkeyPatch, pinned: bool) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", WIDTH * 7)
    expected = random_codes(60, 2)
    for seed in range(100):
        gpu = Gpu(seed)
        monkeypatch.setattr(streaming, "torch", gpu.as_torch())
        seen = chunks_that_searches_see(gpu, HostCodes(expected.clone(), pinned))
        assert torch.equal(torch.cat(seen), expected)


@pytest.mark.parametrize("rows", [7, 60])
def test_a_search_that_ends_early_has_seen_what_it_took(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", WIDTH * rows)
    expected = random_codes(60, 2)
    for seed in range(200):
        gpu = Gpu(seed)
        monkeypatch.setattr(streaming, "torch", gpu.as_torch())
        seen = chunks_that_searches_see(gpu, HostCodes(expected.clone(), True), 1)
        assert torch.equal(torch.cat(seen), expected[:rows])
