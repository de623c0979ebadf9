from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode

import hashkernels as hk
from hashkernels import _ops

MARGINS = {"positive_margin": 3.0, "negative_margin": -1.0, "positive_scale": 0.7, "negative_scale": 1.9}


def random_codes(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def random_labels(count: int, form: str, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if form == "ids":
        return torch.randint(0, 4, (count,), generator=generator)
    classes = {"one word": 7, "full word": 64, "two words": 70}[form]
    return (torch.rand((count, classes), generator=generator) < 2 / classes).long()


LABEL_FORMS = ["ids", "one word", "full word", "two words"]


def relevance(row_labels: Tensor, column_labels: Tensor) -> np.ndarray:
    rows, columns = row_labels.numpy(), column_labels.numpy()
    return rows[:, None] == columns if rows.ndim == 1 else rows @ columns.T > 0


def distances(queries: Tensor, database: Tensor) -> np.ndarray:
    return np.bitwise_count(queries.numpy()[:, None] ^ database.numpy()).sum(-1, dtype=np.int64)


def op_calls() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Every private op with arguments that it accepts."""
    ops = torch.ops.hashkernels
    queries, database = random_codes(3, 9), random_codes(20, 9, 1)
    ids, words = torch.arange(20) % 4, _ops.pack_labels(random_labels(20, "two words"))
    u = torch.randn(20, 12)
    margins = tuple(MARGINS.values())
    return {
        "pack_codes": (ops.pack_codes, (torch.randn(4, 13), False, 0)),
        "unpack_codes": (ops.unpack_codes, (random_codes(4, 2), 16, True, 1)),
        "pack_labels": (ops.pack_labels, (torch.eye(70),)),
        "hamming_distance": (ops.hamming_distance, (queries, database, torch.int16, 0)),
        "topk": (ops.topk, (queries, database, 4, None, 2)),
        "topk_filtered": (ops.topk, (queries, database, 4, torch.arange(20) > 16, 0)),
        "range_search": (ops.range_search, (queries, database, 30, None, None, 0)),
        "range_search_limited": (ops.range_search, (queries, database, 40, torch.arange(20) > 3, 2, 0)),
        "range_count": (ops.range_count, (queries, database, 40, torch.arange(20) > 3, 0)),
        "range_nearest": (ops.range_nearest, (queries, database, 30, 5, 0)),
        "retrieval_counts": (ops.retrieval_counts, (queries, database, ids[:3], ids, 0)),
        "retrieval_counts_words": (ops.retrieval_counts, (queries, database, words[:3], words, 0)),
        "index_order_sums": (ops.index_order_sums, (queries, database, ids[:3], ids, None, None, [1, 5, 20], 0)),
        "margin_loss": (ops.margin_loss, (u, None, ids, None, None, None, *margins, 0.0, True, 0, "auto")),
        "margin_loss_value": (ops.margin_loss, (u, None, words, None, None, None, *margins, 0.1, False, 0, "auto")),
        "margin_loss_bank": (ops.margin_loss, (u[:5], u, ids[:5], ids, None, None, *margins, 0.1, True, 0, "auto")),
        "margin_loss_bank_but_for_some": (
            ops.margin_loss,
            (u[:5], u, ids[:5], ids, torch.arange(5), torch.arange(len(u)) % 3 > 0, *margins, 0.1, True, 0, "auto"),
        ),
    }


@pytest.mark.parametrize("name", op_calls())
def test_opcheck(isa: str, name: str) -> None:
    op, arguments = op_calls()[name]
    torch.library.opcheck(op.default, arguments)


@pytest.mark.parametrize("name", op_calls())
def test_meta_and_fake_tensors_have_the_shapes_of_the_real_ones(name: str) -> None:
    op, arguments = op_calls()[name]
    real = op(*arguments)
    real = real if isinstance(real, tuple) else (real,)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake_arguments = [mode.from_tensor(a) if isinstance(a, Tensor) else a for a in arguments]
        if name.startswith("range_search"):
            with pytest.raises(torch._subclasses.fake_tensor.DynamicOutputShapeException):
                op(*fake_arguments)
            return
        fake = op(*fake_arguments)
    meta = op(*(a.to("meta") if isinstance(a, Tensor) else a for a in arguments))
    for found in (fake, meta):
        found = found if isinstance(found, tuple) else (found,)
        assert [(f.shape, f.dtype) for f in found] == [(r.shape, r.dtype) for r in real]


# Torch before 2.9 asks for this before it captures a result whose size depends on values, as range_search has.
@torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True)
def test_public_functions_compile_into_one_graph(isa: str) -> None:
    def everything(x: Tensor, database: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        queries = hk.pack_codes(x)
        return (
            hk.unpack_codes(queries, 70),
            hk.hamming_distance(queries, database, bits=70),
            *hk.topk(queries, database, 3, filter=mask),
            *hk.range_search(queries, database, 30),
            *hk.range_search(queries, database, 40, filter=mask, max_results=2),
            hk.range_count(queries, database, 40, filter=mask),
        )

    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    mask = torch.arange(40) % 2 == 0
    for rows in (4, 5):
        arguments = (torch.randn(rows, 70), hk.pack_codes(torch.randn(40, 70)), mask)
        for found, expected in zip(compiled(*arguments), everything(*arguments), strict=True):
            assert torch.equal(found, expected)


def test_margin_loss_compiles_into_one_graph_with_its_gradient(isa: str) -> None:
    labels = torch.arange(12) % 3

    def loss(u: Tensor) -> Tensor:
        return _ops.margin_loss(u.tanh(), labels, **MARGINS).total * 2

    values, gradients = [], []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        u = torch.randn(12, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
        value = function(u)
        value.backward()
        values.append(value.detach())
        gradients.append(u.grad)
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_inductor_compiles_a_loss() -> None:
    labels = torch.arange(12) % 3
    compiled = torch.compile(lambda u: _ops.margin_loss(u * 3, labels, **MARGINS).total, fullgraph=True)
    u = torch.randn(12, 9, requires_grad=True)
    (found,) = torch.autograd.grad(compiled(u), u)
    (expected,) = torch.autograd.grad(_ops.margin_loss(u * 3, labels, **MARGINS).total, u)
    torch.testing.assert_close(found, expected)


def dense_margin_loss(u: Tensor, labels: Tensor, bank: Tensor | None, bank_labels: Tensor | None) -> tuple[Any, ...]:
    """The same from the matrix of all pairs, differentiable by torch."""
    theta = u @ (u if bank is None else bank).T
    positive = torch.from_numpy(relevance(labels, labels if bank_labels is None else bank_labels))
    negative = ~positive
    if bank is None:
        other = ~torch.eye(len(u), dtype=torch.bool)
        positive, negative = positive & other, negative & other
    near = (theta[positive] - MARGINS["positive_margin"]).clamp(max=0).square().sum()
    far = (theta[negative] - MARGINS["negative_margin"]).clamp(min=0).square().sum()
    positive_term = MARGINS["positive_scale"] * near / max(1, int(positive.sum()))
    negative_term = MARGINS["negative_scale"] * far / max(1, int(negative.sum()))
    return positive_term, negative_term, [int(positive.sum()), int(negative.sum())]


@pytest.mark.parametrize("form", LABEL_FORMS)
@pytest.mark.parametrize("bits", [1, 7, 16, 33, 64, 129])
@pytest.mark.parametrize("banked", [False, True])
def test_margin_loss_is_that_of_all_pairs(isa: str, form: str, bits: int, banked: bool, threads: int) -> None:
    for rows in (1, 2, 3, 50, 131):
        generator = torch.Generator().manual_seed(rows)
        u = torch.randn(rows, bits, generator=generator, dtype=torch.float64).requires_grad_()
        labels = random_labels(rows, form)
        bank = torch.randn(77, bits, generator=generator, dtype=torch.float64) if banked else None
        bank_labels = random_labels(77, form, 1) if banked else None
        positive, negative, pairs = dense_margin_loss(u, labels, bank, bank_labels)
        (expected,) = torch.autograd.grad(positive + negative, u)
        packed = None if bank_labels is None else _ops.pack_labels(bank_labels)
        for dtype, tolerance in ((torch.float64, 1e-10), (torch.float32, 2e-5)):
            single = u.detach().to(dtype).requires_grad_()
            loss = _ops.margin_loss(
                single,
                _ops.pack_labels(labels),
                bank=None if bank is None else bank.to(dtype),
                bank_labels=packed,
                threads=threads,
                **MARGINS,
            )
            assert loss.total.dtype == dtype
            assert loss.num_pairs.tolist() == pairs
            torch.testing.assert_close(loss.positive, positive.detach(), rtol=tolerance, atol=tolerance)
            torch.testing.assert_close(loss.negative, negative.detach(), rtol=tolerance, atol=tolerance)
            (gradient,) = torch.autograd.grad(loss.total, single)
            scale = float(expected.abs().max())
            torch.testing.assert_close(gradient.double(), expected, rtol=tolerance, atol=tolerance * max(scale, 1.0))


def test_margin_loss_of_no_rows_is_zero(isa: str) -> None:
    u = torch.zeros(0, 5, requires_grad=True)
    labels = torch.zeros(0, dtype=torch.int64)
    for bank in ({}, {"bank": torch.ones(3, 5), "bank_labels": torch.arange(3)}):
        loss = _ops.margin_loss(u, labels, **bank, **MARGINS)
        assert (loss.total.item(), loss.num_pairs.tolist()) == (0, [0, 0])
        assert torch.autograd.grad(loss.total, u)[0].shape == (0, 5)


def test_margin_loss_of_strided_embeddings(isa: str) -> None:
    wide = torch.randn(40, 50, dtype=torch.float64)
    labels = torch.arange(20) % 3
    for view in (wide[::2, 3:20], wide[:20, ::2], wide.T[:20], wide[:1].expand(20, 50)):
        found = _ops.margin_loss(view, labels, **MARGINS)
        positive, negative, _ = dense_margin_loss(view, labels, None, None)
        torch.testing.assert_close(found.total, positive + negative)


def test_margin_loss_repeats_its_bits_at_any_thread_count(isa: str) -> None:
    u, labels = torch.randn(700, 48), torch.arange(700) % 10
    results = []
    for count in (1, 2, 2, 3):
        single = u.clone().requires_grad_()
        total = _ops.margin_loss(single, labels, threads=count, **MARGINS).total
        total.backward()
        results.append((total.detach(), single.grad))
    for total, gradient in results[1:]:
        assert torch.equal(total, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize("banked", [False, True])
def test_margin_loss_gradcheck(isa: str, banked: bool) -> None:
    torch.manual_seed(0)
    u = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    bank = {"bank": torch.randn(4, 5, dtype=torch.float64), "bank_labels": torch.arange(4) % 2} if banked else {}
    assert torch.autograd.gradcheck(lambda x: _ops.margin_loss(x, torch.arange(6) % 2, **bank, **MARGINS).total, (u,))


def test_second_derivatives_raise(isa: str) -> None:
    u = torch.randn(6, 5, requires_grad=True)
    total = _ops.margin_loss(u, torch.arange(6) % 2, **MARGINS).total
    (gradient,) = torch.autograd.grad(total**2, u, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient.sum().backward()


def test_terms_are_detached_and_nothing_is_kept_without_a_gradient(isa: str) -> None:
    u, labels = torch.randn(6, 5, requires_grad=True), torch.arange(6) % 2
    loss = _ops.margin_loss(u, labels, **MARGINS)
    assert loss.total.requires_grad
    assert not loss.positive.requires_grad
    assert not loss.negative.requires_grad
    with torch.no_grad():
        assert not _ops.margin_loss(u, labels, **MARGINS).total.requires_grad
    torch.testing.assert_close(loss.total.detach(), (loss.positive + loss.negative).float())


@pytest.mark.parametrize("banked", [False, True])
@pytest.mark.parametrize("bits", [1, 7, 8, 65])
def test_quantization_is_the_squared_distance_to_the_signs(isa: str, bits: int, banked: bool) -> None:
    generator = torch.Generator().manual_seed(bits)
    values = torch.randn(9, bits, generator=generator, dtype=torch.float64)
    values[0, 0] = 0.0
    labels = torch.arange(9) % 3
    bank = {"bank": torch.ones(4, bits), "bank_labels": torch.arange(4) % 3} if banked else {}
    error = values - torch.where(values > 0, 1.0, -1.0)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        results = []
        for quantization in (0.0, 0.3):
            u = values.to(dtype).requires_grad_()
            loss = _ops.margin_loss(u, labels, quantization=quantization, **bank, **MARGINS)
            results.append((loss, torch.autograd.grad(loss.total, u)[0]))
        (without, own), (loss, gradient) = results
        assert without.terms[2] == 0
        assert torch.equal(loss.terms[:2], without.terms[:2])
        torch.testing.assert_close(loss.terms[2], 0.3 * error.square().sum(), rtol=tolerance, atol=0)
        torch.testing.assert_close(loss.total, loss.terms.sum().to(dtype))
        torch.testing.assert_close((gradient - own).double(), 0.6 * error, rtol=0, atol=10 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_computed_in_float32(isa: str, dtype: torch.dtype) -> None:
    half = torch.randn(9, 16).to(dtype).requires_grad_()
    labels = torch.arange(9) % 3
    loss = _ops.margin_loss(half, labels, **MARGINS)
    loss.total.backward()
    single = half.detach().float().requires_grad_()
    expected = _ops.margin_loss(single, labels, **MARGINS)
    expected.total.backward()
    assert loss.total.dtype == torch.float32
    assert torch.equal(loss.total, expected.total)
    assert half.grad is not None
    assert single.grad is not None
    assert torch.equal(half.grad, single.grad.to(dtype))


def test_autocast_changes_nothing(isa: str) -> None:
    u, labels = torch.randn(9, 16), torch.arange(9) % 3
    queries, database = random_codes(4, 512), random_codes(30, 512, 1)
    expected = _ops.margin_loss(u, labels, **MARGINS).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = _ops.margin_loss(u, labels, **MARGINS).total
        from_linear = _ops.margin_loss(torch.nn.functional.linear(u, torch.eye(16)), labels, **MARGINS).total
        found = hk.hamming_distance(queries, database)
    assert torch.equal(total, expected)
    assert from_linear.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), distances(queries, database))


def test_margin_loss_leaves_a_second_backward_possible(isa: str) -> None:
    u = torch.randn(6, 5, requires_grad=True)
    total = _ops.margin_loss(u, torch.arange(6) % 2, **MARGINS).total
    (once,) = torch.autograd.grad(total, u, retain_graph=True)
    (twice,) = torch.autograd.grad(total * 2, u)
    torch.testing.assert_close(twice, once * 2)


@pytest.mark.parametrize("form", LABEL_FORMS)
@pytest.mark.parametrize("width", [1, 8, 9, 16, 130])
def test_retrieval_counts(isa: str, form: str, width: int, threads: int) -> None:
    for num_queries, num_database in ((1, 1), (5, 300), (70, 5)):
        queries, database = random_codes(num_queries, width), random_codes(num_database, width, 1)
        query_labels, database_labels = random_labels(num_queries, form), random_labels(num_database, form, 1)
        total, relevant = _ops.retrieval_counts(
            queries, database, _ops.pack_labels(query_labels), _ops.pack_labels(database_labels), threads
        )
        pairs, wanted = distances(queries, database), relevance(query_labels, database_labels)
        levels = width * 8 + 1
        for query in range(num_queries):
            np.testing.assert_array_equal(total[query], np.bincount(pairs[query], minlength=levels))
            hits = pairs[query][wanted[query]]
            np.testing.assert_array_equal(relevant[query], np.bincount(hits, minlength=levels))


@pytest.mark.parametrize("form", LABEL_FORMS)
@pytest.mark.parametrize("width", [1, 8, 17])
def test_index_order_precision_is_exact(isa: str, form: str, width: int, threads: int) -> None:
    queries, database = random_codes(4, width), random_codes(257, width, 1)
    query_labels, database_labels = random_labels(4, form), random_labels(257, form, 1)
    cutoffs = [1, 2, 10, 256, 257]
    arguments = queries, database, _ops.pack_labels(query_labels), _ops.pack_labels(database_labels)
    hits, precision = _ops.index_order_precision(*arguments, cutoffs, threads)
    starts = _ops.rank_starts(*_ops.retrieval_counts(*arguments, threads))
    again = _ops.precision_of(_ops.index_order_sums(*arguments, cutoffs, starts=starts, threads=threads))
    assert hits.equal(again[0])
    assert precision.equal(again[1])
    wanted = relevance(query_labels, database_labels)
    for query, row in enumerate(distances(queries, database)):
        found = wanted[query][row.argsort(kind="stable")]
        so_far, total = 0, Fraction(0)
        for rank, hit in enumerate(found.tolist(), start=1):
            so_far += hit
            if hit:
                total += Fraction(round(Fraction(so_far / rank) * 2**40), 2**40)
            if rank in cutoffs:
                assert hits[query, cutoffs.index(rank)] == so_far
                assert precision[query, cutoffs.index(rank)].item() == float(total)


@pytest.mark.parametrize("form", LABEL_FORMS)
@pytest.mark.parametrize("width", [1, 8, 65])
def test_index_order_of_parts_adds_up(isa: str, form: str, width: int, threads: int) -> None:
    queries, database = random_codes(5, width), random_codes(1200, width, 1)
    labels = _ops.pack_labels(random_labels(5, form)), _ops.pack_labels(random_labels(1200, form, 1))
    cutoffs = [1, 10, 700, 1200]
    whole = _ops.index_order_precision(queries, database, *labels, cutoffs, threads)
    ranks, hits = _ops.rank_starts(*_ops.retrieval_counts(queries, database, *labels, threads))
    total = torch.zeros(3, 5, len(cutoffs), dtype=torch.int64)
    for part in (slice(0, 1), slice(1, 800), slice(800, 1200)):
        own = queries, database[part], labels[0], labels[1][part]
        total += _ops.index_order_sums(*own, cutoffs, starts=(ranks, hits), threads=threads)
        more, more_hits = _ops.retrieval_counts(*own, threads)
        ranks, hits = ranks + more, hits + more_hits
    for found, expected in zip(_ops.precision_of(total), whole, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("starts", "error", "message"),
    [
        (torch.zeros(2, 9), TypeError, "start_ranks must be int64, got float32"),
        (torch.zeros(2, 8, dtype=torch.int64), ValueError, r"start_ranks must have shape \(2, 9\), got \(2, 8\)"),
    ],
)
def test_starts_that_do_not_fit(starts: Tensor, error: type[Exception], message: str) -> None:
    codes, labels = random_codes(2, 1), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(error, match=message):
        _ops.index_order_sums(codes, codes, labels, labels, [1], starts=(starts, starts))


def test_label_words_hold_one_bit_a_class() -> None:
    labels = torch.zeros(2, 130)
    labels[0, [0, 63, 64, 129]] = 1
    words = _ops.pack_labels(labels).numpy().view(np.uint64)
    assert words.tolist() == [[1 | 1 << 63, 1, 2], [0, 0, 0]]
    assert _ops.pack_labels(torch.tensor([3, 1], dtype=torch.uint8)).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda q, d: _ops.hamming_distance(q, d[:, :8]), ValueError, "database must have 9 bytes a code"),
        (lambda q, d: _ops.topk(q.short(), d, 1), TypeError, "queries must be uint8, got int16"),
        (lambda q, d: _ops.topk(q, d, 21), ValueError, r"k must be in 1\.\.20, got 21"),
        (lambda q, d: _ops.topk(q, d, 1, torch.ones(3, dtype=torch.bool)), ValueError, r"allowed must be bool \[20\]"),
        (lambda q, d: _ops.range_search(q[0], d, 1), ValueError, "queries must have 2 dimensions"),
        (
            lambda q, d: _ops.retrieval_counts(q, d, torch.arange(3), torch.arange(19)),
            ValueError,
            r"database_labels must have shape \(20,\), got \(19,\)",
        ),
        (
            lambda q, d: _ops.retrieval_counts(q, d, torch.arange(3), torch.arange(20).int()),
            TypeError,
            "database_labels must be int64, got int32",
        ),
        (
            lambda q, d: _ops.margin_loss(torch.ones(3, 4), torch.arange(2), **MARGINS),
            ValueError,
            r"labels must have shape \(3,\), got \(2,\)",
        ),
        (
            lambda q, d: _ops.margin_loss(
                torch.ones(3, 4), torch.arange(3), bank=torch.ones(2, 5), bank_labels=torch.arange(2), **MARGINS
            ),
            ValueError,
            "bank must have 4 columns like u, got 5",
        ),
    ],
)
def test_no_address_leaves_python_with_the_wrong_shape_or_dtype(
    isa: str, call: Callable[[Tensor, Tensor], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(random_codes(3, 9), random_codes(20, 9, 1))
