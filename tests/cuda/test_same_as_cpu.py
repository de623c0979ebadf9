"""Every op on a GPU against the same op on the CPU: integers and sums of precision bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

import hashkernels as hk
from hashkernels import _loader, _ops

WIDTHS = [1, 4, 6, 8, 9, 16, 17, 32, 33, 128, 512]  # bytes a code
SIZES = [(1, 1), (3, 700), (1, 200_000), (300, 5000)]  # queries, database


def random_codes(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def random_labels(count: int, form: str, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if form == "ids":
        return torch.randint(0, 4, (count,), generator=generator)
    return _ops.pack_labels((torch.rand((count, 70), generator=generator) < 0.03).long())


def expect_same(device: torch.device, op: Callable[..., Any], *arguments: Any) -> None:
    """``op`` on the device equals ``op`` on the CPU, in type, shape and every bit."""
    moved = [x.to(device) if isinstance(x, Tensor) else x for x in arguments]
    expected, got = op(*arguments), op(*moved)
    for right, result in zip(*((x,) if isinstance(x, Tensor) else x for x in (expected, got)), strict=True):
        assert result.device == device
        assert result.dtype == right.dtype
        assert torch.equal(result.cpu(), right)


def test_the_build_has_the_kernels() -> None:
    for name in (
        "pack_codes",
        "unpack_codes",
        "hamming_distance",
        "topk",
        "range_count",
        "range_fill",
        "range_nearest",
    ):
        assert _loader.cuda_kernel(f"cuda_{name}") is not None
    for name in ("retrieval_counts", "index_order_sums", "triplet_likelihood"):
        assert _loader.cuda_kernel(f"cuda_{name}") is not None
    for name in ("margin_loss", "likelihood_loss", "cauchy_loss", "contrastive_loss"):
        assert _loader.cuda_kernel(f"cuda_{name}") is not None


@pytest.mark.parametrize("little", [False, True])
@pytest.mark.parametrize("bits", [1, 7, 8, 48, 64, 65, 1023, 4096])
def test_packing(device: torch.device, bits: int, little: bool) -> None:
    x = 3 * torch.randn(67, bits, generator=torch.Generator().manual_seed(bits))
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int64):
        expect_same(device, _ops.pack_codes, x.to(dtype), little)
        expect_same(device, _ops.pack_codes, x.to(dtype).T.contiguous().T, little)
    for dtype in (torch.bool, torch.uint8):
        expect_same(device, _ops.pack_codes, x.relu().to(dtype), little)
    expect_same(device, _ops.unpack_codes, _ops.pack_codes(x, little), bits, little)


def test_nan_is_looked_for_only_when_asked(device: torch.device) -> None:
    x = torch.tensor([[float("nan"), 1.0]], device=device)
    assert hk.pack_codes(x).tolist() == [[0x40]]
    hk.validate(True)
    try:
        with pytest.raises(ValueError, match="x must not contain NaN"):
            hk.pack_codes(x)
    finally:
        hk.validate(False)


@pytest.mark.parametrize("width", WIDTHS)
def test_distances(device: torch.device, width: int) -> None:
    queries, database = random_codes(130, width + 3)[:, :width], random_codes(1300, width, 1)
    for dtype in (torch.int16, torch.int32, *([torch.uint8] if width < 32 else [])):
        expect_same(device, _ops.hamming_distance, queries, database, dtype)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("num_queries", "num_database"), SIZES)
def test_topk(device: torch.device, num_queries: int, num_database: int, width: int) -> None:
    queries, database = random_codes(num_queries, width), random_codes(num_database, width, 1)
    allowed = torch.rand(num_database, generator=torch.Generator().manual_seed(2)) < 0.01
    for k in {1, min(100, num_database), min(2000, num_database)}:
        expect_same(device, _ops.topk, queries, database, k)
        expect_same(device, _ops.topk, queries, database, k, allowed)


def test_topk_of_everything_and_of_equal_codes(device: torch.device) -> None:
    expect_same(device, _ops.topk, random_codes(7, 3), random_codes(5000, 3, 1), 5000)
    expect_same(device, _ops.topk, random_codes(7, 8), random_codes(1, 8, 1).expand(5000, 8).contiguous(), 777)


def test_topk_of_codes_that_do_not_begin_where_vectors_do(device: torch.device) -> None:
    for width in (4, 8, 16, 32):
        queries, database = random_codes(3, width).to(device), random_codes(20_001, width, 1).to(device)
        for rows in (database[1:], database[:, :width], database[::2]):
            found = _ops.topk(queries, rows, 50)
            for left, right in zip(found, _ops.topk(queries.cpu(), rows.cpu(), 50), strict=True):
                assert torch.equal(left.cpu(), right)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("num_queries", "num_database"), SIZES)
def test_range_search(device: torch.device, num_queries: int, num_database: int, width: int) -> None:
    queries, database = random_codes(num_queries, width), random_codes(num_database, width, 1)
    allowed = torch.rand(num_database, generator=torch.Generator().manual_seed(2)) < 0.3
    for radius in (0, 4 * width - 1, 8 * width):
        expect_same(device, _ops.range_search, queries, database, radius)
        expect_same(device, _ops.range_search, queries, database, radius, allowed, 7)
        expect_same(device, _ops.range_count, queries, database, radius, allowed)
        expect_same(device, _ops.range_nearest, queries, database, radius, 30)


@pytest.mark.parametrize("form", ["ids", "words"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("num_queries", "num_database"), SIZES)
def test_counting(device: torch.device, num_queries: int, num_database: int, width: int, form: str) -> None:
    codes = random_codes(num_queries, width), random_codes(num_database, width, 1)
    labels = random_labels(num_queries, form, 2), random_labels(num_database, form, 3)
    expect_same(device, _ops.retrieval_counts, *codes, *labels)
    cutoffs = sorted({1, (num_database + 2) // 3, num_database})
    expect_same(device, _ops.index_order_precision, *codes, *labels, cutoffs)


@pytest.mark.parametrize("width", WIDTHS)
def test_counting_of_a_part(device: torch.device, width: int) -> None:
    codes = random_codes(9, width), random_codes(3000, width, 1)
    labels = random_labels(9, "ids", 2), random_labels(3000, "ids", 3)
    starts = _ops.rank_starts(*_ops.retrieval_counts(*codes, *labels))
    part = codes[0], codes[1][:2000], labels[0], labels[1][:2000]
    expected = _ops.index_order_sums(*part, [10, 3000], starts=starts)
    there = _ops.index_order_sums(
        *(tensor.to(device) for tensor in part), [10, 3000], starts=(starts[0].to(device), starts[1].to(device))
    )
    assert torch.equal(there.cpu(), expected)


def test_counting_over_more_cutoffs_than_one_pass_takes(device: torch.device) -> None:
    codes = random_codes(5, 4), random_codes(3000, 4, 1)
    labels = random_labels(5, "ids", 2), random_labels(3000, "ids", 3)
    expect_same(device, _ops.index_order_precision, *codes, *labels, list(range(1, 3001, 50)))


@pytest.mark.parametrize("ties", ["expected", "index"])
def test_mean_average_precision(device: torch.device, ties: str) -> None:
    codes = random_codes(200, 8), random_codes(20_000, 8, 1)
    labels = random_labels(200, "ids", 2), random_labels(20_000, "ids", 3)
    on_cpu = hk.evaluate(*codes, *labels, k=(100, 20_000), ties=ties)
    on_gpu = hk.evaluate(*(x.to(device) for x in (*codes, *labels)), k=(100, 20_000), ties=ties)
    assert on_gpu.to_dict() == on_cpu.to_dict()


PAIR_LOSSES: dict[str, Callable[..., Callable[..., Any]]] = {
    "margin": lambda bits: partial(
        _ops.margin_loss, positive_margin=0.8 * bits, negative_margin=-0.3 * bits, negative_scale=0.5
    ),
    "overlap": lambda bits: partial(_ops.likelihood_loss, scale=0.1, weighted=True, overlap=True),
    "contrastive": lambda bits: partial(_ops.contrastive_loss, margin=2.0 * bits, weighted=True),
}


@pytest.mark.parametrize("name", PAIR_LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("form", ["ids", "words"])
@pytest.mark.parametrize(
    ("rows", "columns", "bits", "missing"),
    [
        (1, 0, 8, ()),
        (300, 0, 64, ()),
        (130, 0, 200, ()),
        (70, 5000, 48, ()),
        (9, 66, 4096, ()),
        (70, 5000, 48, ("left_out", "counted")),
        (256, 1000, 64, ("left_out",)),
        (9, 66, 4096, ("counted",)),
    ],
)
def test_pair_losses(
    device: torch.device,
    rows: int,
    columns: int,
    bits: int,
    missing: tuple[str, ...],
    form: str,
    dtype: torch.dtype,
    name: str,
) -> None:
    generator = torch.Generator().manual_seed(bits)
    u = torch.randn(rows, bits, generator=generator).to(dtype)
    bank = torch.randn(columns, bits, generator=generator).to(dtype) if columns else None
    labels, bank_labels = random_labels(rows, form, 1), random_labels(columns, form, 2) if columns else None
    not_there = {
        "left_out": torch.randint(-5, columns + 5, (rows,), generator=generator),
        "counted": torch.rand(columns, generator=generator) < 0.3,
    }

    def loss(where: str | torch.device, kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        leaf = u.detach().clone().to(where, kind).requires_grad_()
        result = PAIR_LOSSES[name](bits)(
            leaf,
            labels.to(where),
            bank=None if bank is None else bank.to(where, kind),
            bank_labels=None if bank_labels is None else bank_labels.to(where),
            **{name: not_there[name].to(where) for name in missing},
        )
        result.total.backward()
        assert leaf.grad is not None
        return result.total.detach().cpu().double(), result.num_pairs.cpu(), leaf.grad.cpu().double()

    total, num_pairs, grad = loss(device, dtype)
    exact_total, exact_pairs, exact_grad = loss("cpu", torch.float64)
    assert torch.equal(num_pairs, exact_pairs)
    tolerance = {torch.float64: 1e-12, torch.float32: 4e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}[dtype]
    torch.testing.assert_close(total, exact_total, rtol=max(tolerance, 4e-5), atol=0)
    torch.testing.assert_close(grad, exact_grad, rtol=0, atol=tolerance * float(exact_grad.abs().max()))
    again = loss(device, dtype)
    assert torch.equal(again[0], total)
    assert torch.equal(again[2], grad)


@pytest.mark.parametrize("precision", ["float32", "split"])
@pytest.mark.parametrize("bits", [64, 200])
def test_distances_of_near_items(device: torch.device, bits: int, precision: str) -> None:
    # Distances that are small beside the lengths: their error is that of the lengths.
    spread = 1e-2
    center = torch.where(torch.arange(bits) % 3 == 0, -1.0, 1.0)
    u = center + spread * torch.randn(300, bits, generator=torch.Generator().manual_seed(bits))
    labels = torch.arange(300) % 3

    def loss(where: str | torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        leaf = u.detach().clone().to(where, dtype).requires_grad_()
        result = _ops.contrastive_loss(leaf, labels.to(where), margin=2.0 * bits, precision=precision)
        return result.terms[:2].cpu(), torch.autograd.grad(result.total, leaf)[0].cpu().double()

    found, expected = loss(device, torch.float32), loss("cpu", torch.float64)
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=2**-18 * 2 * bits)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=2**-15 * spread)


@pytest.mark.parametrize(("queries", "items"), [(1, 1), (3, 40), (130, 130), (7, 5000)])
def test_triplets(device: torch.device, queries: int, items: int) -> None:
    generator = torch.Generator().manual_seed(items)
    similarities = 3 * torch.randn(queries, items, generator=generator)
    kinds = torch.randint(0, 3, (queries, items), generator=generator)
    weights = torch.rand(queries, dtype=torch.float64, generator=generator)

    def loss(where: str | torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        leaf = similarities.detach().clone().to(where, dtype).requires_grad_()
        marks = (kinds == 0).to(where), (kinds == 1).to(where)
        total = _ops.triplet_likelihood(leaf, *marks, weights.to(where), margin=2.0)
        total.backward()
        assert leaf.grad is not None
        return total.detach().cpu().double(), leaf.grad.cpu().double()

    expected, found, again = loss("cpu", torch.float64), loss(device, torch.float32), loss(device, torch.float32)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1], expected[1], rtol=0, atol=1e-5 * float(expected[1].abs().max()))
    for left, right in zip(found, again, strict=True):
        assert torch.equal(left, right)
