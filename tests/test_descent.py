"""Discrete cyclic coordinate descent against an exhaustive choice of each bit, and one kernel against another."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses import FakeTensorMode

from hashkernels import _ops, reference


def problem(num_items: int, bits: int, dtype: torch.dtype, seed: int, *, integers: bool) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        if integers:  # exact in any order of addition, with ties
            return torch.randint(-3, 4, shape, generator=generator).to(dtype)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    codes = (2 * torch.randint(0, 2, (num_items, bits), generator=generator) - 1).to(torch.int8)
    half = draw(bits, bits)
    return codes, draw(num_items, bits), half + half.T


def objective(code: Tensor, pull: Tensor, gram: Tensor) -> float:
    return float(code @ gram @ code - 2 * pull @ code)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sweeps", [1, 3])
def test_every_bit_in_turn_takes_the_lesser_objective(isa: str, threads: int, dtype: torch.dtype, sweeps: int) -> None:
    codes, pull, gram = problem(5, 7, dtype, sweeps, integers=True)
    expected = codes.to(dtype)
    for code, item_pull in zip(expected, pull, strict=True):
        for _, bit in itertools.product(range(sweeps), range(7)):
            other = code.clone()
            other[bit] *= -1
            if objective(other, item_pull, gram) < objective(code, item_pull, gram):
                code[bit] *= -1
    before = codes.clone()
    assert torch.equal(_ops.discrete_descent(codes, pull, gram, sweeps, threads), expected.to(torch.int8))
    assert torch.equal(codes, before)


@given(
    st.integers(0, 150),
    st.integers(1, 70),
    st.integers(1, 4),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 1000),
)
def test_kernels_agree_bit_for_bit(
    isa: str, threads: int, num_items: int, bits: int, sweeps: int, dtype: torch.dtype, seed: int
) -> None:
    codes, pull, gram = problem(num_items, bits, dtype, seed, integers=False)
    found = _ops.discrete_descent(codes, pull, gram, sweeps, threads)
    assert torch.equal(found, reference.discrete_descent(codes, pull, gram, sweeps))


def test_wide_codes_and_rows_in_any_order(isa: str) -> None:
    codes, pull, gram = problem(2, 1100, torch.float32, 0, integers=True)
    expected = reference.discrete_descent(codes, pull, gram, 1)
    assert torch.equal(_ops.discrete_descent(codes.T.contiguous().T, pull.T.contiguous().T, gram.T, 1), expected)


def test_opcheck(isa: str) -> None:
    torch.library.opcheck(
        torch.ops.hashkernels.discrete_descent.default, (*problem(4, 9, torch.float32, 0, integers=False), 2, 0)
    )


def test_meta_and_fake_tensors() -> None:
    arguments = problem(4, 9, torch.float64, 0, integers=False)
    with FakeTensorMode() as mode:
        fake = torch.ops.hashkernels.discrete_descent(*map(mode.from_tensor, arguments), 1, 0)
    meta = torch.ops.hashkernels.discrete_descent(*(a.to("meta") for a in arguments), 1, 0)
    for found in (fake, meta):
        assert (found.shape, found.dtype) == ((4, 9), torch.int8)


def test_no_address_leaves_python_with_the_wrong_shape(isa: str) -> None:
    codes, pull, gram = problem(4, 9, torch.float32, 0, integers=False)
    for error, message, arguments in (
        (ValueError, r"pull must have shape \(4, 9\), got \(3, 9\)", (codes, pull[:3], gram)),
        (ValueError, r"gram must have shape \(9, 9\), got \(9, 8\)", (codes, pull, gram[:, :8])),
        (ValueError, "codes must have 2 dimensions", (codes[0], pull, gram)),
        (TypeError, "codes must be int8, got float32", (pull, pull, gram)),
        (TypeError, "gram must be float32, got float64", (codes, pull, gram.double())),
        (TypeError, "pull must be float32 or float64, got float16", (codes, pull.half(), gram)),
        (
            ValueError,
            r"bits must be in 1\.\.4096, got 4097",
            (torch.ones(1, 4097).char(),) + (torch.ones(1, 4097),) * 2,
        ),
    ):
        with pytest.raises(error, match=message):
            _ops.discrete_descent(*arguments, 1)
