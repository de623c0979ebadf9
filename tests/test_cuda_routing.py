"""The way of CUDA tensors to their launchers, without a GPU: the CPU kernels, which take the same addresses, play the
launchers, and every result must be that of the CPU op."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import hashkernels as hk
from hashkernels import _loader, _ops, _validation
from hashkernels._ops import _library
from hashkernels._ops.codes import PACKABLE
from hashkernels._ops.search import DISTANCE_DTYPES

DEVICE_AND_STREAM = (3, 77)
MARGINS = (3.0, -1.0, 0.7, 1.9)


class Launchers:
    """The native CUDA functions over host memory; ``calls`` names the launches. Workspaces are written all over."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.native = _loader._native

    def find(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self, name)
        if name.endswith("_workspace"):
            return function

        def launch(*arguments: Any) -> None:
            assert arguments[-2:] == DEVICE_AND_STREAM
            self.calls.append(name)
            function(*arguments[:-2])

        return launch

    def cuda_pack_codes(self, *arguments: Any) -> None:
        *pack, has_nan = arguments
        if self.native.pack_codes(*pack, 1) and has_nan:
            ctypes.c_int32.from_address(has_nan).value = 1

    def cuda_unpack_codes(self, *arguments: Any) -> None:
        self.native.unpack_codes(*arguments, 1)

    def cuda_hamming_distance(self, *arguments: Any) -> None:
        self.native.hamming_distance(*arguments, 1)

    def cuda_topk_workspace(self, num_queries: int, num_database: int, num_bytes: int) -> int:
        return 10 * num_queries

    def cuda_topk(self, *arguments: Any) -> None:
        *topk, workspace = arguments
        self.native.topk(*topk, 1)
        self.fill(workspace, 10 * topk[1])

    def cuda_range_workspace(self, num_queries: int, num_database: int, num_bytes: int, radius: int) -> int:
        return 10 * num_queries

    def cuda_range_count(self, *arguments: Any) -> None:
        *count, workspace = arguments
        self.native.range_count(*count, 1)
        self.fill(workspace, 10 * count[1])

    def cuda_range_fill(self, *arguments: Any) -> None:
        *fill, workspace = arguments
        assert (
            self.values(workspace, ctypes.c_int64, 10 * fill[1]).tolist() == [-1] * 10 * fill[1]
        )  # as counting left it
        self.native.range_fill(*fill, 1)

    def cuda_range_nearest(self, *arguments: Any) -> None:
        *pair, radius, max_results, counts, distances, indices, workspace = arguments
        self.native.range_count(*pair, radius, counts, 1)
        self.native.topk(*pair, max_results, 0, distances, indices, 1)
        size = pair[1] * max_results
        near = self.values(distances, ctypes.c_int32, size)
        self.values(indices, ctypes.c_int64, size)[near > radius] = -1
        near[near > radius] = 2**31 - 1
        self.fill(workspace, 10 * pair[1])

    def cuda_retrieval_counts(self, *arguments: Any) -> None:
        self.native.retrieval_counts(*arguments, 1)

    def cuda_index_order_workspace(self, num_queries: int, num_database: int, num_bytes: int) -> int:
        return 10 * num_queries

    def cuda_index_order_precision(self, *arguments: Any) -> None:
        *head, cutoffs, hits, precision_sum, workspace = arguments
        ks = np.array(cutoffs, dtype=np.int64)
        self.native.index_order_precision(*head, ks.ctypes.data, len(ks), hits, precision_sum, 1)
        self.fill(workspace, 10 * head[1])

    def cuda_margin_loss_workspace(self, num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int:
        return num_rows + num_columns

    def cuda_margin_loss(self, *arguments: Any) -> None:
        u, *rest, workspace = arguments
        self.native.margin_loss(u, "float32", *rest, 1)
        self.fill(workspace, rest[0] + rest[4])

    cuda_likelihood_loss_workspace = cuda_cauchy_loss_workspace = cuda_margin_loss_workspace

    def cuda_likelihood_loss(self, *arguments: Any) -> None:
        u, *rest, workspace = arguments
        self.native.likelihood_loss(u, "float32", *rest, 1)
        self.fill(workspace, rest[0] + rest[4])

    def cuda_cauchy_loss(self, *arguments: Any) -> None:
        u, *rest, workspace = arguments
        self.native.cauchy_loss(u, "float32", *rest, 1)
        self.fill(workspace, rest[0] + rest[4])

    @staticmethod
    def values(address: int, kind: Any, count: int) -> np.ndarray:
        return np.ctypeslib.as_array((kind * count).from_address(address)) if count else np.empty(0)

    def fill(self, address: int, count: int) -> None:
        self.values(address, ctypes.c_int64, count)[:] = -1


@pytest.fixture
def launchers(monkeypatch: pytest.MonkeyPatch) -> Launchers:
    found = Launchers()
    monkeypatch.setattr(_loader, "cuda_kernel", found.find)
    monkeypatch.setattr(_library, "MAX_WORKSPACE_VALUES", 45)  # so that four queries go at a time
    for module in vars(_ops).values():
        if hasattr(module, "cuda_arguments"):
            monkeypatch.setattr(module, "cuda_arguments", lambda tensor: DEVICE_AND_STREAM)
    return found


def on_cuda(name: str, *arguments: Any) -> Any:
    """What is registered for CUDA tensors, called with tensors of the CPU."""
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
    return getattr(torch.ops.hashkernels, name).default.redispatch(keys, *arguments)


def on_cpu(name: str, *arguments: Any) -> Any:
    return getattr(torch.ops.hashkernels, name).default(*arguments)


def random_codes(count: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, width + 3), generator=generator, dtype=torch.uint8)[:, :width]


def expect_same(got: Any, expected: Any) -> None:
    for a, b in zip(*((x,) if isinstance(x, Tensor) else x for x in (got, expected)), strict=True):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", list(PACKABLE))
def test_packing(launchers: Launchers, dtype: torch.dtype) -> None:
    x = torch.randn(9, 21, generator=torch.Generator().manual_seed(1)).relu().to(dtype)
    for little in (False, True):
        for rows in (x, x.T.contiguous().T, x[:, :13]):
            packed = on_cuda("pack_codes", rows, little, 0)
            expect_same(packed, on_cpu("pack_codes", rows, little, 1))
            expect_same(
                on_cuda("unpack_codes", packed, rows.shape[1], little, 0),
                on_cpu("unpack_codes", packed, rows.shape[1], little, 1),
            )
    assert launchers.calls == ["cuda_pack_codes", "cuda_unpack_codes"] * 6


def test_nan_raises_where_values_are_looked_at(launchers: Launchers, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.tensor([[float("nan"), 1.0]])
    with pytest.raises(ValueError, match="x must not contain NaN"):
        on_cuda("pack_codes", x, False, 0)
    monkeypatch.setattr(_validation, "value_checks_enabled", lambda tensor: False)
    assert on_cuda("pack_codes", x, False, 0).tolist() == [[0x40]]


@pytest.mark.parametrize("num_queries", [0, 1, 11])
def test_search(launchers: Launchers, num_queries: int) -> None:
    queries, database = random_codes(num_queries, 5, 1), random_codes(60, 5, 2)
    for dtype in DISTANCE_DTYPES:
        expect_same(
            on_cuda("hamming_distance", queries, database, dtype, 0),
            on_cpu("hamming_distance", queries, database, dtype, 1),
        )
    for allowed in (None, torch.arange(60) % 7 == 0):
        expect_same(
            on_cuda("topk", queries, database, 12, allowed, 0), on_cpu("topk", queries, database, 12, allowed, 1)
        )
    expect_same(on_cuda("range_search", queries, database, 18, 0), on_cpu("range_search", queries, database, 18, 1))
    expect_same(
        on_cuda("range_nearest", queries, database, 18, 6, 0), on_cpu("range_nearest", queries, database, 18, 6, 1)
    )
    parts = {0: 0, 1: 1, 11: 4}[num_queries]
    for name in ("cuda_range_count", "cuda_range_fill", "cuda_range_nearest"):
        assert launchers.calls.count(name) == parts


@pytest.mark.parametrize("words", [False, True])
def test_counting(launchers: Launchers, words: bool) -> None:
    queries, database = random_codes(11, 5, 1), random_codes(60, 5, 2)
    generator = torch.Generator().manual_seed(3)
    labels = [torch.randint(0, 2**40 if words else 3, (n, 2) if words else (n,), generator=generator) for n in (11, 60)]
    pair = (queries, database, *labels)
    expect_same(on_cuda("retrieval_counts", *pair, 0), on_cpu("retrieval_counts", *pair, 1))
    expect_same(
        on_cuda("index_order_precision", *pair, [1, 7, 60], 0),
        on_cpu("index_order_precision", *pair, [1, 7, 60], 1),
    )
    assert launchers.calls == ["cuda_retrieval_counts", *["cuda_index_order_precision"] * 4]


@pytest.mark.parametrize("columns", [None, 0, 23])
@pytest.mark.parametrize("with_grad", [False, True])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("margin_loss", MARGINS),
        ("likelihood_loss", (0.5, 1.0, 0.7, True)),
        ("cauchy_loss", (5.0, 0.4, 0.3, 1.0, 0.7, False)),
    ],
)
def test_pairwise_losses(
    launchers: Launchers, name: str, parameters: tuple[Any, ...], columns: int | None, with_grad: bool
) -> None:
    generator = torch.Generator().manual_seed(4)
    u = torch.randn(17, 12, generator=generator)[:, :9]
    bank = None if columns is None else torch.randn(columns, 9, generator=generator)
    labels = torch.arange(17) % 3
    bank_labels = None if columns is None else torch.arange(columns) % 3
    arguments = (u, bank, labels, bank_labels, *parameters, 0.0, with_grad)
    expect_same(on_cuda(name, *arguments, 0), on_cpu(name, *arguments, 1))
    assert launchers.calls == [f"cuda_{name}"]


def test_float64_embeddings_go_to_the_reference(launchers: Launchers) -> None:
    u = torch.randn(17, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    arguments = (u, None, torch.arange(17) % 3, None, *MARGINS, 0.3, True)
    got, expected = on_cuda("margin_loss", *arguments, 0), on_cpu("margin_loss", *arguments, 1)
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert launchers.calls == []


def test_tensors_on_two_devices_are_refused() -> None:
    queries, database = random_codes(3, 4, 1), random_codes(5, 4, 2)
    with pytest.raises(ValueError, match="must be on"):
        hk.topk(queries, database.to("meta"), 1)
