"""Ops over bit-sliced codes: the layout worked out by hand, the contract with torch, and what the pointers refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hashkernels import _ops


def random_codes(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, width), dtype=np.uint8))


def sliced(codes: Tensor, blocks: int) -> Tensor:
    planes = torch.zeros((blocks, 8 * codes.shape[1], 8), dtype=torch.int64)
    _ops.slice_codes(codes, 0, planes)
    return planes


def test_a_plane_holds_one_bit_of_every_code(isa: str) -> None:
    codes = random_codes(1024, 9)
    bits = np.unpackbits(codes.numpy(), axis=1, bitorder="little").reshape(2, 512, 72)
    expected = np.packbits(bits.transpose(0, 2, 1), axis=2, bitorder="little")
    np.testing.assert_array_equal(sliced(codes, 2).numpy().view(np.uint8), expected)


def test_a_single_bit_by_hand(isa: str) -> None:
    codes = torch.zeros((513, 2), dtype=torch.uint8)
    codes[512, 1] = 0b100  # bit 10 of the first code of the second block
    planes = sliced(codes, 2)
    assert planes.nonzero().tolist() == [[1, 10, 0]]
    assert planes[1, 10, 0] == 1


@pytest.mark.parametrize("first", [0, 1, 511, 512, 600])
def test_slicing_keeps_what_comes_before(isa: str, first: int) -> None:
    before, after = random_codes(first, 5, 1), random_codes(700, 5, 2)
    planes = sliced(before, 4)
    _ops.slice_codes(after, first, planes, threads=2)
    found = _ops.gather_codes(planes, torch.arange(first + 700))
    assert torch.equal(found, torch.cat((before, after)))


def calls() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    ops, queries, planes = torch.ops.hashkernels, random_codes(3, 9), sliced(random_codes(600, 9, 1), 2)
    mask = torch.arange(600) % 7 == 0
    return {
        "slice_codes": (ops.slice_codes, (queries, 600, planes, 0)),
        "gather_codes": (ops.gather_codes, (planes, torch.tensor([599, 0, 3]))),
        "sliced_topk": (ops.sliced_topk, (queries, planes, 600, 4, None, 2)),
        "sliced_topk_filtered": (ops.sliced_topk, (queries, planes, 600, 4, mask, 0)),
        "sliced_range_search": (ops.sliced_range_search, (queries, planes, 600, 30, None, None, 0)),
        "sliced_range_search_limited": (ops.sliced_range_search, (queries, planes, 600, 40, mask, 3, 0)),
        "sliced_range_count": (ops.sliced_range_count, (queries, planes, 600, 40, mask, 0)),
    }


@pytest.mark.parametrize("name", calls())
def test_opcheck(isa: str, name: str) -> None:
    op, arguments = calls()[name]
    torch.library.opcheck(op.default, arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda q, p: _ops.sliced_topk(q[:, :8], p, 600, 1), ValueError, "queries must have 9 bytes a code"),
        (
            lambda q, p: _ops.sliced_topk(q.short(), p, 600, 1),
            TypeError,
            "queries must be uint8, got int16",
        ),
        (lambda q, p: _ops.sliced_topk(q, p, 600, 601), ValueError, r"k must be in 1\.\.600, got 601"),
        (lambda q, p: _ops.sliced_topk(q, p, 1025, 1), ValueError, "planes must hold 1025 codes, got 2 blocks of 512"),
        (lambda q, p: _ops.sliced_topk(q, p.int(), 600, 1), ValueError, r"planes must be int64 \[blocks, 8 W, 8\]"),
        (lambda q, p: _ops.sliced_topk(q, p[:, :71], 600, 1), ValueError, r"planes must be int64 \[blocks, 8 W, 8\]"),
        (lambda q, p: _ops.sliced_topk(q, p.mT.contiguous().mT, 9, 1), ValueError, "planes must be contiguous on cpu"),
        (
            lambda q, p: _ops.sliced_topk(q, p, 600, 1, torch.ones(3, dtype=torch.bool)),
            ValueError,
            r"allowed must be bool \[600\]",
        ),
        (lambda q, p: _ops.sliced_range_search(q[0], p, 600, 1), ValueError, "queries must have 2 dimensions"),
        (lambda q, p: _ops.slice_codes(q, 1022, p), ValueError, "planes must hold 1025 codes, got 2 blocks of 512"),
        (lambda q, p: _ops.slice_codes(q, -1, p), ValueError, "first must be at least 0, got -1"),
        (lambda q, p: _ops.gather_codes(p, torch.tensor([1024])), ValueError, r"positions must be in 0\.\.1023"),
        (lambda q, p: _ops.gather_codes(p, torch.tensor([-1])), ValueError, r"positions must be in 0\.\.1023, got -1"),
        (lambda q, p: _ops.gather_codes(p, torch.tensor([1]).int()), TypeError, "positions must be int64"),
    ],
)
def test_no_pointer_leaves_before_it_was_looked_at(isa: str, call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(random_codes(3, 9), sliced(random_codes(600, 9, 1), 2))
