"""What checks ask about all values of a tensor: the native answers, and torch's where there is none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hashkernels import _loader, _values

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.fixture(params=["native", "torch"])
def answering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "torch":
        monkeypatch.setattr(_values, "_native", None)
    else:
        assert _values._native is not None
    return str(request.param)


def forms(values: Tensor) -> list[Tensor]:
    """The same values, one after the other and not, with and without autograd."""
    apart = torch.stack((values, values), dim=1)[:, 0]
    assert not apart.is_contiguous() or len(values) == 1
    return [values, apart, *([values.clone().requires_grad_()] if values.is_floating_point() else [])]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("bad", [float("inf"), -float("inf"), float("nan")], ids=str)
def test_one_value_that_is_not_finite_is_seen(answering: str, dtype: torch.dtype, bad: float) -> None:
    for count in (1, 9, 70_000):
        values = torch.linspace(-3, 3, count).to(dtype)
        values[count // 2] = torch.finfo(dtype).max
        values[-1] = -torch.finfo(dtype).max  # the sum of many would overflow
        assert all(_values.all_finite(form) for form in forms(values))
        values[count // 3] = bad
        assert not any(_values.all_finite(form) for form in forms(values))


def test_no_values_are_finite(answering: str) -> None:
    assert _values.all_finite(torch.empty(0, 8))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
def test_least_and_greatest(answering: str, dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)
    for count in (1, 2, 9, 70_000):
        values = (torch.arange(count) % 100).to(dtype)
        expected = (0, min(count - 1, 99))
        assert all(_values.least_and_greatest(form) == expected for form in forms(values))
    edges = torch.tensor([5, limits.max, limits.min, 7], dtype=dtype)
    assert _values.least_and_greatest(edges) == (limits.min, limits.max)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("factor", [1.0, -0.3, 65536.0, float("inf"), float("nan")], ids=str)
def test_scaled_values_are_products(answering: str, dtype: torch.dtype, factor: float) -> None:
    for shape in ((0, 4), (9,), (1100, 64)):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        by = torch.tensor(factor, dtype=dtype, requires_grad=True)
        for form in (values, values.T, values.clone().requires_grad_()):
            found = _values.scaled(form, by)
            assert not found.requires_grad
            assert torch.equal(found.nan_to_num(), (form * by).detach().nan_to_num())


def test_a_factor_of_another_dtype_is_torchs_work(answering: str) -> None:
    found = _values.scaled(torch.ones(3), torch.tensor(0.1, dtype=torch.float64))
    assert torch.equal(found, torch.full((3,), 0.1))


def test_reference_asks_torch_alone() -> None:
    before = _loader.isa()
    try:
        _loader.set_isa("reference")
        assert _values._native is None
    finally:
        _loader.set_isa(before)
    assert _values._native is not None


def test_values_under_a_transform_have_no_address() -> None:
    def shifted(x: Tensor) -> Tensor:
        assert _values.all_finite(torch.ones(3))  # an ordinary tensor
        return x + float(_values._can_be_read(x))

    assert torch.equal(torch.func.vmap(shifted)(torch.zeros(2)), torch.zeros(2))
