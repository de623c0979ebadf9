"""Streams: the report of parts that pass by is that of everything at once, to the last bit."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels.metrics import evaluator as evaluator_module

RULES = ("expected", "index", "optimistic", "pessimistic")


def as_json(report):
    return json.dumps(report.to_dict(per_query=True))


def feed(evaluator, case, parts, *, query_parts=2):
    for codes, labels in zip(
        np.array_split(case.query_codes, query_parts), np.array_split(case.query_labels, query_parts), strict=True
    ):
        evaluator.update(codes, labels, role="query")
    for codes, labels in zip(
        np.array_split(case.database_codes, parts), np.array_split(case.database_labels, parts), strict=True
    ):
        evaluator.update(codes, labels, role="database")
    return evaluator


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("multi_hot", [False, True])
@pytest.mark.parametrize("parts", [1, 3, 60, 120])
def test_stream_equals_everything_at_once(isa, problem, ties, multi_hot, parts):
    case = problem(13, 20, 101, multi_hot=multi_hot)
    options = {"k": (1, 10, 60), "ties": ties, "denominator": "min"}
    evaluator = feed(hk.RetrievalEvaluator(13, 4, **options), case, parts)
    assert as_json(evaluator.compute()) == as_json(hk.evaluate(*case.arguments(), bits=13, **options))
    assert (evaluator.num_queries, evaluator.num_database) == (20, 101)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_class_ids_of_a_stream_may_be_unsigned(problem, dtype):
    case = problem(13, 20, 101)
    case = case._replace(
        query_labels=case.query_labels.astype(dtype), database_labels=case.database_labels.astype(dtype)
    )
    evaluator = feed(hk.RetrievalEvaluator(13, 4), case, 3)
    assert as_json(evaluator.compute()) == as_json(hk.evaluate(*case.arguments(), bits=13))
    with pytest.raises(ValueError, match=r"database labels must be in 0\.\.3, got 4"):
        evaluator.update(case.database_codes, case.database_labels + dtype(4 - 3), role="database")


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("parts", [1, 4, 101])
def test_items_left_out_of_a_stream(problem, ties, parts):
    case = problem(13, 20, 101)
    exclude = np.random.default_rng(0).permutation(101)[:60].reshape(20, 3)
    exclude[::3, 1] = -1
    for k in ((5, 98), 12):
        evaluator = feed(hk.RetrievalEvaluator(13, k=k, ties=ties, exclude=exclude), case, parts)
        whole = hk.evaluate(*case.arguments(), bits=13, k=k, ties=ties, exclude=exclude)
        assert as_json(evaluator.compute()) == as_json(whole)


@pytest.mark.parametrize("ties", RULES)
@pytest.mark.parametrize("exclude", [None, np.arange(20) * 2])
def test_relevance_of_a_stream(problem, ties, exclude):
    case = problem(13, 20, 101)
    gains = case.relevance * np.random.default_rng(1).integers(1, 4, (20, 101))
    relevance = {query: {item: row[item] for item in np.flatnonzero(row)} for query, row in enumerate(gains)}
    options = {"k": 30, "ties": ties, "exclude": exclude}
    evaluator = hk.RetrievalEvaluator(13, relevance=relevance, **options)
    for part in np.array_split(case.query_codes, 2):
        evaluator.update(part, None, "query")
    for part in np.array_split(case.database_codes, 4):
        evaluator.update(part, None, "database")
    whole = hk.evaluate(case.query_codes, case.database_codes, relevance=relevance, bits=13, **options)
    assert as_json(evaluator.compute()) == as_json(whole)
    if ties != "index":
        np.testing.assert_allclose(evaluator.compute().ndcg(9).per_query, whole.ndcg(9).per_query, atol=1e-15)
    with pytest.raises(TypeError, match="database labels must be None beside relevance, got ndarray"):
        evaluator.update(case.query_codes, case.query_labels, "database")
    late = hk.RetrievalEvaluator(13, relevance={0: [5]})
    late.update(case.query_codes, None, "query")
    late.update(case.database_codes[:5], None, "database")
    with pytest.raises(ValueError, match=r"relevance must name items in 0\.\.4, got 5"):
        late.compute()


def test_queries_may_follow_a_compute_that_came_too_early(problem):
    case = problem(13, 6, 30)
    evaluator = hk.RetrievalEvaluator(13)
    evaluator.update(case.query_codes[:4], case.query_labels[:4], "query")
    with pytest.raises(RuntimeError, match="compute needs a database"):
        evaluator.compute()
    evaluator.update(case.query_codes[4:], case.query_labels[4:], "query")
    evaluator.update(case.database_codes, case.database_labels, "database")
    assert as_json(evaluator.compute()) == as_json(hk.evaluate(*case.arguments(), bits=13))


def test_items_left_out_must_come_by(problem):
    case = problem(13, 4, 30)
    evaluator = feed(hk.RetrievalEvaluator(13, exclude=np.array([0, 1, 2, 30])), case, 2)
    with pytest.raises(ValueError, match=r"exclude must name items in 0\.\.29, got 30"):
        evaluator.compute()
    with pytest.raises(ValueError, match=r"exclude must have shape \[4\] or \[4, E\], got \(3,\)"):
        feed(hk.RetrievalEvaluator(13, exclude=np.arange(3)), case, 2)
    with pytest.raises(ValueError, match="relevance and exclude are not for a distributed stream"):
        hk.RetrievalEvaluator(13, exclude=np.arange(3), distributed=True)


def test_index_order_and_protocol_in_a_stream(problem):
    case = problem(13, 5, 1200, num_classes=40)
    evaluator = hk.RetrievalEvaluator(13, protocol="imagenet-100", index_order=True)
    report = feed(evaluator, case, 7).compute()
    whole = hk.evaluate(*case.arguments(), bits=13, protocol="imagenet-100")
    assert as_json(report) == as_json(whole)
    assert report.quote() == whole.quote()
    assert report.compat() == whole.compat()
    assert report.per_class().macro == whole.per_class().macro
    assert feed(hk.RetrievalEvaluator(13, protocol="cifar10"), case, 2).compute().map_index is None


def test_compute_again_as_the_database_grows_and_reset(problem):
    case = problem(16, 6, 90)
    evaluator = hk.RetrievalEvaluator(16)
    for _ in range(2):
        evaluator.update(case.query_codes, case.query_labels, "query")
        for end in (30, 90):
            evaluator.update(case.database_codes[end - 30 : end], case.database_labels[end - 30 : end], "database")
            if end == 30:
                part = hk.evaluate(
                    case.query_codes, case.database_codes[:30], case.query_labels, case.database_labels[:30]
                )
                assert as_json(evaluator.compute()) == as_json(part)
        assert evaluator.compute().num_database == 60
        evaluator.reset()
    assert evaluator.num_queries == 0


def test_memory_maps_are_read_in_parts(problem, tmp_path, monkeypatch):
    case = problem(64, 8, 5000)
    np.save(tmp_path / "codes.npy", case.database_codes)
    np.save(tmp_path / "labels.npy", case.database_labels)
    monkeypatch.setattr(evaluator_module, "_CHUNK", 700)
    evaluator = hk.RetrievalEvaluator(64)
    evaluator.update(case.query_codes, case.query_labels, "query")
    evaluator.update(np.load(tmp_path / "codes.npy", mmap_mode="r"), np.load(tmp_path / "labels.npy", "r"), "database")
    assert as_json(evaluator.compute()) == as_json(hk.evaluate(*case.arguments()))


def test_memory_does_not_grow_with_the_database(problem):
    case = problem(32, 8, 2000)
    evaluator = hk.RetrievalEvaluator(32)
    evaluator.update(case.query_codes, case.query_labels, "query")
    evaluator.update(case.database_codes, case.database_labels, "database")
    tracemalloc.start()
    for _ in range(50):
        evaluator.update(case.database_codes, case.database_labels, "database")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000
    assert evaluator.compute().num_database == 51 * 2000


def test_signs_tensors_and_buffers_that_are_written_again(problem):
    case = problem(13, 9, 80)
    evaluator = hk.RetrievalEvaluator(13)
    buffer = torch.empty(3, 2, dtype=torch.uint8)
    for start in range(0, 9, 3):
        buffer.copy_(torch.from_numpy(case.query_codes[start : start + 3]))
        evaluator.update(buffer, torch.from_numpy(case.query_labels[start : start + 3]), "query")
    evaluator.update((2 * case.database_bits.astype(np.int8) - 1), case.database_labels, "database")
    evaluator.update(case.database_codes[:0], case.database_labels[:0], "database")
    assert as_json(evaluator.compute()) == as_json(hk.evaluate(*case.arguments(), bits=13))


def test_order_of_roles_is_told():
    evaluator = hk.RetrievalEvaluator(8)
    codes, labels = np.zeros((2, 1), np.uint8), np.zeros(2, int)
    with pytest.raises(RuntimeError, match='queries must come before the database: update with role="query" first'):
        evaluator.update(codes, labels, "database")
    with pytest.raises(RuntimeError, match="compute needs queries and a database, got no query"):
        evaluator.compute()
    evaluator.update(codes, labels, "query")
    with pytest.raises(RuntimeError, match="compute needs a database, got none for 2 queries"):
        evaluator.compute()
    evaluator.update(codes, labels, "database")
    with pytest.raises(RuntimeError, match="all queries must come before the database"):
        evaluator.update(codes, labels, "query")
    with pytest.raises(ValueError, match="role must be one of query, database, got 'train'"):
        evaluator.update(codes, labels, "train")


@pytest.mark.parametrize(
    ("codes", "labels", "error", "message"),
    [
        (np.zeros((2, 2), np.uint8), np.zeros(2, int), ValueError, "codes must have 1 byte a code for 6 bits, got 2"),
        (np.full((2, 1), 1, np.uint8), np.zeros(2, int), ValueError, "codes must have zero pad bits beyond bit 6"),
        (np.zeros((2, 1), np.uint8), np.zeros(3, int), ValueError, "labels must have one row for each of 2 items"),
        (np.zeros((2, 1), np.uint8), np.array([0, 5]), ValueError, r"labels must be in 0\.\.4, got 5"),
        (np.zeros((2, 1), np.uint8), np.zeros((2, 4)), ValueError, "labels given as multi-hot must have 5 columns"),
        (np.zeros((2, 1), np.uint8), np.zeros((2, 5)), ValueError, "labels must be class ids like those before, got m"),
        (np.zeros((2, 1), np.uint8), np.zeros(2), TypeError, "labels given as class ids must be integers"),
        (np.zeros((2, 6), complex), np.zeros(2, int), TypeError, "codes must be uint8 packed codes, bool, or"),
    ],
)
@pytest.mark.parametrize("role", ["query", "database"])
def test_bad_parts_are_named_and_leave_all_as_it_was(monkeypatch, codes, labels, error, message, role):
    monkeypatch.setattr(evaluator_module, "_CHUNK", 1)
    good = np.zeros((2, 1), np.uint8), np.zeros(2, int)
    before = as_json(hk.evaluate(good[0], good[0], good[1], good[1], bits=6, k=2, index_order=True))
    evaluator = hk.RetrievalEvaluator(6, 5, k=2, index_order=True)
    evaluator.update(*good, "query")
    if role == "database":
        evaluator.update(*good, "database")
    with pytest.raises(error, match=f"^{role} {message}"):
        evaluator.update(codes, labels, role)
    if role == "query":
        evaluator.update(*good, "database")
    assert as_json(evaluator.compute()) == before


def test_bad_options():
    with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 4097"):
        hk.RetrievalEvaluator(8, threads=4097)
    with pytest.raises(ValueError, match="k must be given where the order of a stream counts"):
        hk.RetrievalEvaluator(8, ties="index")
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.4096, got 0"):
        hk.RetrievalEvaluator(0)
    evaluator = hk.RetrievalEvaluator(8, k=3)
    codes, labels = np.zeros((2, 1), np.uint8), np.zeros(2, int)
    evaluator.update(codes, labels, "query")
    evaluator.update(codes, labels, "database")
    with pytest.raises(ValueError, match=r"k must be in 1\.\.2, got 3"):
        evaluator.compute()


def test_files_are_read_by_name(problem, tmp_path):
    case = problem(16, 9, 70)
    for name, array in zip(("q", "db", "ql", "dbl"), case.arguments(), strict=True):
        np.save(tmp_path / f"{name}.npy", array)
    names = [tmp_path / f"{name}.npy" for name in ("q", "db", "ql", "dbl")]
    expected = hk.evaluate(*case.arguments()).to_dict()
    assert hk.evaluate(*names).to_dict() == expected
    evaluator = hk.RetrievalEvaluator(16)
    evaluator.update(names[0], str(names[2]), "query")
    evaluator.update(str(names[1]), names[3], "database")
    assert evaluator.compute().to_dict() == expected
    names[1].write_bytes(names[1].read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"database codes must name a whole \.npy file: .*db\.npy"):
        evaluator.update(names[1], names[3], "database")
    assert evaluator.compute().to_dict() == expected
