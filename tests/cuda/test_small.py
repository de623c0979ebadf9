"""Every kernel at a few small sizes that end in the middle of a vector, a tile and a chunk: for compute-sanitizer,
under which a kernel takes a thousand times as long."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashkernels import _ops

CAUCHY = {"gamma": 5.0, "distance_scale": 0.2, "positive_min_distance": 0.5, "negative_min_distance": 1.0}


def codes(count: int, width: int, device: torch.device) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, width), generator=generator, dtype=torch.uint8).to(device)


@pytest.mark.parametrize("width", [1, 4, 6, 8, 16, 32, 33, 512])
@pytest.mark.parametrize("num_queries", [1, 3, 33])
def test_codes(device: torch.device, num_queries: int, width: int) -> None:
    queries, database = codes(num_queries, width, device), codes(2501, width, device)
    labels = torch.arange(2501, device=device) % 3
    allowed = torch.arange(2501, device=device) % 7 == 0

    def results(queries: Tensor, database: Tensor, labels: Tensor, allowed: Tensor) -> list[Tensor]:
        pair = (queries, database, labels[:num_queries], labels)
        return [
            _ops.hamming_distance(queries, database, torch.int16),
            *_ops.topk(queries, database, 100),
            *_ops.topk(queries, database, 100, allowed),
            *_ops.range_search(queries, database, 3 * width, allowed),
            *_ops.range_nearest(queries, database, 4 * width, 20),
            *_ops.retrieval_counts(*pair),
            *_ops.index_order_precision(*pair, [5, 2501]),
            _ops.unpack_codes(queries, 8 * width, False),
            _ops.pack_codes(_ops.unpack_codes(queries, 8 * width, False), False),
        ]

    found = results(queries, database, labels, allowed)
    expected = results(*(x.cpu() for x in (queries, database, labels, allowed)))
    for left, right in zip(found, expected, strict=True):
        assert torch.equal(left.cpu(), right)


def packed(ids: Tensor, device: torch.device) -> Tensor:
    """Classes that overlap: an item has those up to its id."""
    return _ops.pack_labels((ids[:, None] >= torch.arange(3)).long()).to(device)


@pytest.mark.parametrize("kind", ["float32", "split", "float16", "bfloat16"])
@pytest.mark.parametrize(("rows", "columns", "bits"), [(1, 0, 1), (70, 0, 50), (65, 129, 64), (5, 70, 130)])
def test_losses(device: torch.device, rows: int, columns: int, bits: int, kind: str) -> None:
    dtype = {"float16": torch.float16, "bfloat16": torch.bfloat16}.get(kind, torch.float32)
    precision = kind if kind in ("float32", "split") else "auto"
    generator = torch.Generator().manual_seed(bits)
    u = torch.randn(rows, bits, generator=generator).to(dtype)
    bank = torch.randn(columns, bits, generator=generator).to(dtype) if columns else None
    labels, bank_labels = torch.arange(rows) % 3, torch.arange(columns) % 3 if columns else None

    def loss(u: Tensor, bank: Tensor | None, device: torch.device) -> tuple[Tensor, ...]:
        leaf = u.detach().to(device).requires_grad_()
        where = {"bank": None if bank is None else bank.to(device), "precision": precision}
        classes = {**where, "bank_labels": None if bank_labels is None else packed(bank_labels, device)}
        if bank_labels is not None:
            where["bank_labels"] = bank_labels.to(device)
        own = labels.to(device)
        losses = (
            _ops.margin_loss(leaf, own, positive_margin=0.8 * bits, negative_margin=-0.3 * bits, **where),
            _ops.likelihood_loss(leaf, own, scale=0.1, weighted=True, **where),
            _ops.likelihood_loss(leaf, packed(labels, device), scale=0.1, weighted=True, overlap=True, **classes),
            _ops.cauchy_loss(leaf, own, **CAUCHY, **where),
            _ops.contrastive_loss(leaf, own, margin=2.0 * bits, weighted=True, **where),
        )
        return tuple(x for part in losses for x in (part.total, torch.autograd.grad(part.total, leaf)[0]))

    found = loss(u, bank, device)
    expected = loss(u.double(), None if bank is None else bank.double(), torch.device("cpu"))
    for left, right in zip(found, expected, strict=True):
        tolerance = {"float16": 2e-3, "bfloat16": 1e-2}.get(kind, 4e-5)
        atol = tolerance * float(right.detach().abs().max())
        torch.testing.assert_close(left.detach().cpu().double(), right.detach(), rtol=0, atol=atol)


def test_triplets(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(1)
    similarities = torch.randn(5, 300, generator=generator)
    kinds = torch.randint(0, 3, (5, 300), generator=generator)

    def loss(where: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        leaf = similarities.detach().clone().to(where, dtype).requires_grad_()
        marks = (kinds == 0).to(where), (kinds == 1).to(where)
        weights = torch.ones(5, dtype=torch.float64, device=where)
        total = _ops.triplet_likelihood(leaf, *marks, weights, margin=1.0)
        return total.detach(), torch.autograd.grad(total, leaf)[0]

    for found, expected in zip(loss(device, torch.float32), loss(torch.device("cpu"), torch.float64), strict=True):
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(found.cpu().double(), expected, rtol=0, atol=atol)
