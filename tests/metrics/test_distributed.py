"""Ranks of a process group that share a database: the same bits as one process, and one error for all."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from datetime import timedelta

import numpy as np
import pytest
import torch
from torch import distributed

import hashkernels as hk
from hashkernels._ranks import Ranks
from hashkernels.metrics import _task

NUM_RANKS = 4
RULES = ("expected", "index", "optimistic", "pessimistic")
SIZES = {1: (150,), 2: (100, 50), 3: (60, 0, 90), 4: (1, 99, 20, 30)}


def inputs():
    words = (np.arange(1, 151, dtype=np.uint64) * np.uint64(2654435761)) >> np.uint64(8)
    codes = words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :1]
    return codes, (words % np.uint64(5)).astype(np.int64)


def as_json(report):
    return json.dumps(report.to_dict(per_query=True))


def cases():
    """Options of ``evaluate`` that every number of ranks must answer like one process."""
    labels = inputs()[1]
    hot = np.eye(5, dtype=np.uint8)[labels] | np.eye(5, dtype=np.uint8)[labels[::-1]]
    relevance = {query: {item: float(1 + item % 3) for item in range(query, 150, 7)} for query in range(20)}
    yield from ((labels, {"ties": ties, "k": (1, 10, 150), "denominator": "min"}) for ties in RULES)
    yield hot, {"ties": "index", "k": 40}
    yield labels, {"protocol": "cifar10", "exclude": np.arange(20) * 7}
    yield None, {"relevance": relevance, "exclude": np.arange(20), "ties": "index", "zero_hit": "skip"}
    yield None, {"relevance": relevance}
    yield labels, {"ties": "index", "k": (2, 3)}
    yield None, {"relevance": relevance, "exclude": np.arange(20), "ties": "index", "k": 2}


def found(codes, labels, part, options, **more):
    labelled = () if labels is None else (labels[:20], labels[part])
    report = hk.evaluate(codes[:20], codes[part], *labelled, **options, **more)
    graded = report.ndcg(9).mean if report.ties != "index" else None
    return [as_json(report), report.quote(), graded]


def evaluate_parts(rank, groups):
    """For each number of ranks, what this rank finds."""
    codes, _ = inputs()
    results = {}
    for size, group in groups.items():
        if rank >= size:
            continue
        first = sum(SIZES[size][:rank])
        part = slice(first, first + SIZES[size][rank])
        results[size] = [found(codes, labels, part, options, distributed=group) for labels, options in cases()]
    return results


def stream_parts(rank):
    codes, labels = inputs()
    evaluator = hk.RetrievalEvaluator(8, 5, k=(5, 80), index_order=True, distributed=True)
    evaluator.update(codes[:20], labels[:20], "query")
    first = sum(SIZES[4][:rank])
    for start in range(first, first + SIZES[4][rank], 16):
        part = slice(start, min(start + 16, first + SIZES[4][rank]))
        evaluator.update(codes[part], labels[part], "database")
    return [as_json(evaluator.compute()), evaluator.compute().quote()]


def gather_parts(rank):
    """torchmetrics: every rank has its own queries and its own part of the database."""
    codes, labels = map(torch.from_numpy, inputs())
    metric = hk.metrics.HashRetrievalMetric(8, k=30)
    metric.update(codes[rank * 5 : rank * 5 + 5], labels[rank * 5 : rank * 5 + 5], "query")
    part = slice(sum(SIZES[4][:rank]), sum(SIZES[4][: rank + 1]))
    metric.update(codes[part], labels[part], "database")
    return metric.compute().item()


class Exhausted:
    """Fails like an allocation does, in the middle of reading the relevance."""

    def tocoo(self, copy):
        raise MemoryError("no memory left")

    shape = (20, 600)


def failures(rank, folder):
    """What each rank hears when one of them goes wrong."""
    codes, labels = inputs()
    good = {"query_codes": codes[:20], "database_codes": codes, "query_labels": labels[:20], "database_labels": labels}
    hot = np.eye(5, dtype=np.uint8)[labels]
    short = folder / f"short-{rank}.npy"
    np.save(short, codes)
    short.write_bytes(short.read_bytes()[:-20])
    wrong = {
        "file": {"database_codes": short},
        "pad bits": {"database_codes": codes | 1, "bits": 7},
        "bits": {"query_codes": codes[:20] & 0, "database_codes": codes & 0, "bits": 7},
        "k": {"k": 3},
        "labels": {"query_labels": hot[:20], "database_labels": hot},
        "queries": {"query_codes": codes[1:21]},
        "order": {"index_order": True},
        "range": {"exclude": np.arange(20) * 100},
        "memory": {"query_labels": None, "database_labels": None, "relevance": Exhausted()},
    }
    heard = {}
    for name, change in wrong.items():
        arguments = dict(good)
        if name == "pad bits":
            arguments |= {"bits": 7, "query_codes": codes[:20] & 0, "database_codes": codes & 0}
        if name == "memory":
            arguments |= {"query_labels": None, "database_labels": None, "relevance": {0: [1]}}
        if rank == 2:
            arguments |= change
        try:
            hk.evaluate(**arguments, distributed=True)
        except Exception as error:
            heard[name] = [type(error).__name__, str(error)]
    evaluator = hk.RetrievalEvaluator(8, distributed=True)
    if rank != 1:
        evaluator.update(codes[:20], labels[:20], "query")
    try:
        evaluator.compute()
    except RuntimeError as error:
        heard["stream"] = ["RuntimeError", str(error)]
    return heard


def work(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=NUM_RANKS)
    groups = {size: distributed.new_group(list(range(size))) for size in range(1, NUM_RANKS)}
    results = {"parts": evaluate_parts(rank, {**groups, NUM_RANKS: True}), "stream": stream_parts(rank)}
    results["gathered"] = gather_parts(rank)
    _task._BLOCK_BYTES = 8000  # a few queries
    results["blocks"] = evaluate_parts(rank, {NUM_RANKS: True})
    results["failures"] = failures(rank, folder)
    (folder / f"{rank}.json").write_text(json.dumps(results))
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def heard(tmp_path_factory, start_ranks):
    folder = tmp_path_factory.mktemp("ranks")
    start_ranks(work, folder, NUM_RANKS)
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(NUM_RANKS)]


@pytest.mark.parametrize("size", range(1, NUM_RANKS + 1))
def test_any_number_of_ranks_finds_the_bits_of_one_process(heard, size):
    codes, _ = inputs()
    alone = [found(codes, labels, slice(None), options) for labels, options in cases()]
    for rank in range(size):
        assert heard[rank]["parts"][str(size)] == json.loads(json.dumps(alone))


def test_ranks_that_look_at_few_queries_at_a_time_find_the_same_bits(heard):
    for said in heard:
        assert said["blocks"][str(NUM_RANKS)] == said["parts"][str(NUM_RANKS)]


def test_ranks_that_stream_find_the_bits_of_one_process(heard):
    codes, labels = inputs()
    alone = hk.evaluate(codes[:20], codes, labels[:20], labels, k=(5, 80), index_order=True)
    assert [part["stream"] for part in heard] == [[as_json(alone), alone.quote()]] * NUM_RANKS


def test_torchmetrics_gathers_the_parts_of_all_ranks(heard):
    codes, labels = inputs()
    alone = hk.evaluate(codes[:20], codes, labels[:20], labels, k=30)
    assert [part["gathered"] for part in heard] == [alone.map] * NUM_RANKS


FAILED = {
    "pad bits": ("ValueError", "database_codes must have zero pad bits beyond bit 7 of each code"),
    "range": ("ValueError", "exclude must name items in 0..599, got 1900"),
    "memory": ("RuntimeError", "MemoryError: no memory left"),
}


@pytest.mark.parametrize("name", FAILED)
def test_an_error_on_one_rank_is_raised_on_all(heard, name):
    kind, message = FAILED[name]
    for rank in (0, 1, 3):
        assert heard[rank]["failures"][name] == [kind, f"rank 2 failed: {message}"]
    assert heard[2]["failures"][name] == [kind if kind != "RuntimeError" else "MemoryError", message.split(": ")[-1]]


DISAGREED = {
    "bits": "bits must be the same on every rank, got 8 on rank 0 and 7 on rank 2",
    "k": "k must be the same on every rank, got None on rank 0 and 3 on rank 2",
    "order": "index_order must be the same on every rank, got False on rank 0 and True on rank 2",
    "labels": "labels must be the same on every rank, "
    "got class ids on rank 0 and multi-hot labels of 5 classes on rank 2",
}


@pytest.mark.parametrize("name", DISAGREED)
def test_ranks_that_disagree_raise_the_same_error(heard, name):
    assert [part["failures"][name] for part in heard] == [["ValueError", DISAGREED[name]]] * NUM_RANKS


def test_ranks_with_other_queries_raise_the_same_error(heard):
    assert {part["failures"]["queries"][0] for part in heard} == {"ValueError"}
    assert all("queries must be the same on every rank, got" in part["failures"]["queries"][1] for part in heard)


def test_a_truncated_memory_map_on_one_rank_is_told_on_all(heard):
    for rank, part in enumerate(heard):
        kind, message = part["failures"]["file"]
        assert kind == "ValueError"
        assert message.startswith("" if rank == 2 else "rank 2 failed: ")
        assert "database_codes must name a whole .npy file" in message
        assert "short-2.npy" in message


def test_a_rank_without_queries_is_told_on_all(heard):
    for rank in (0, 2, 3):
        assert heard[rank]["failures"]["stream"][1].startswith("rank 1 failed: compute needs queries")


def test_distributed_is_a_bool_or_a_group(tmp_path):
    codes, labels = inputs()
    arguments = codes[:2], codes, labels[:2], labels
    with pytest.raises(RuntimeError, match=r"distributed needs torch\.distributed\.init_process_group first"):
        hk.evaluate(*arguments, distributed=True)
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        with pytest.raises(TypeError, match="distributed must be a bool or a process group, got int"):
            hk.evaluate(*arguments, distributed=3)
        assert as_json(hk.evaluate(*arguments, distributed=True)) == as_json(hk.evaluate(*arguments))
    finally:
        distributed.destroy_process_group()


class Ends:
    """A relevance whose reading ends the process, or stops it for good."""

    shape = (20, 450)

    def __init__(self, how):
        self.how = how

    def tocoo(self, copy):
        os.kill(os.getpid(), self.how)


def lose_a_rank(rank, folder, how, seconds):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=3,
        timeout=timedelta(seconds=seconds),
    )
    codes, _ = inputs()
    start = time.monotonic()
    try:
        hk.evaluate(codes[:20], codes, relevance=Ends(how) if rank == 1 else {0: [1]}, distributed=True)
    except RuntimeError as error:
        (folder / f"{rank}.json").write_text(json.dumps([str(error), time.monotonic() - start]))
    os._exit(0)  # the group cannot be taken down any more


@pytest.mark.parametrize(("how", "seconds"), [(signal.SIGKILL, 60), (signal.SIGSTOP, 3)])
def test_the_others_raise_when_a_rank_is_killed_or_hangs(tmp_path, how, seconds):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["hashkernels.metrics", "torchmetrics"])
    ranks = [context.Process(target=lose_a_rank, args=(rank, tmp_path, how, seconds)) for rank in range(3)]
    for process in ranks:
        process.start()
    try:
        for rank in (0, 2):
            ranks[rank].join(30)
            message, waited = json.loads((tmp_path / f"{rank}.json").read_text())
            assert message.startswith("a rank of the process group died or did not answer in time: ")
            assert waited < 20
    finally:
        for process in ranks:
            process.kill()
            process.join()


BACKENDS = {"gloo": "cpu", "nccl": "cuda", "cuda:nccl": "cuda", "cpu:gloo,cuda:nccl": "cpu"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_backend_says_where_sums_are_taken(monkeypatch, backend):
    for name, answer in {"is_initialized": True, "get_rank": 0, "get_world_size": 1, "get_backend": backend}.items():
        monkeypatch.setattr(distributed, name, lambda *_, answer=answer: answer)
    assert Ranks(True).device() == torch.device(BACKENDS[backend])
    assert Ranks(True).device(torch.device("cpu")) == torch.device(BACKENDS[backend])
    there = torch.device("cuda", 1)
    assert Ranks(True).device(there) == (there if "nccl" in backend else torch.device("cpu"))
