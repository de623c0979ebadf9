"""The way of CUDA tensors to their launchers, without a GPU: the CPU kernels, which take the same addresses, play the
launchers, and every result must be that of the CPU op."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._pytree import tree_leaves

import hashkernels as hk
from hashkernels import _loader, _ops, _validation, reference
from hashkernels._ops import _library, binary_products
from hashkernels._ops.codes import PACKABLE
from hashkernels._ops.search import DISTANCE_DTYPES

DEVICE_AND_STREAM = (3, 77)
MARGINS = (3.0, -1.0, 0.7, 1.9)


class Launchers:
    """The native CUDA functions over host memory; ``calls`` names the launches. Workspaces are written all over."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.splits: list[bool] = []  # whether each of the losses was to be computed on tensor cores
        self.native = _loader._native

    def find(self, name: str) -> Callable[..., Any]:
        function: Callable[..., Any] = getattr(self, name)
        bound = getattr(self.native, name)  # which takes the same arguments

        def size(*arguments: Any) -> Any:
            bound(*arguments)
            return function(*arguments)

        def launch(*arguments: Any) -> None:
            assert arguments[-2:] == DEVICE_AND_STREAM
            self.calls.append(name)
            with suppress(RuntimeError):  # there is no such device
                bound(*arguments[:-2], -1, 0)
            function(*arguments[:-2])

        return size if name.endswith("_workspace") else launch

    def cuda_pack_codes(self, *arguments: Any) -> None:
        *pack, has_nan = arguments
        if self.native.pack_codes(*pack, 1) and has_nan:
            ctypes.c_int32.from_address(has_nan).value = 1

    def cuda_unpack_codes(self, *arguments: Any) -> None:
        self.native.unpack_codes(*arguments, 1)

    def cuda_hamming_distance(self, *arguments: Any) -> None:
        self.native.hamming_distance(*arguments, 1)

    def cuda_topk_workspace(self, num_queries: int, num_database: int, num_bytes: int, k: int) -> int:
        return 10 * num_queries

    def cuda_topk(self, *arguments: Any) -> None:
        *topk, portable, distances, indices, workspace = arguments
        assert portable  # the stand-in has no binary products
        self.native.topk(*topk, distances, indices, 1)
        self.fill(workspace, 10 * topk[1])

    def cuda_range_workspace(self, num_queries: int, num_database: int, num_bytes: int, radius: int) -> int:
        return 10 * num_queries

    def cuda_range_count(self, *arguments: Any) -> None:
        *count, workspace = arguments
        self.native.range_count(*count, 1)
        self.fill(workspace, 10 * count[1])

    def cuda_range_fill(self, *arguments: Any) -> None:
        *fill, allowed, offsets, distances, indices, workspace = arguments
        assert (
            self.values(workspace, ctypes.c_int64, 10 * fill[1]).tolist() == [-1] * 10 * fill[1]
        )  # as counting left it
        shift = ctypes.c_int64.from_address(offsets).value
        self.native.range_search(*fill, 0, allowed, 1).write(distances + 4 * shift, indices + 8 * shift, 1)

    def cuda_range_nearest(self, *arguments: Any) -> None:
        *pair, radius, max_results, allowed, counts, distances, indices, workspace = arguments
        self.native.range_count(*pair, radius, allowed, counts, 1)
        self.native.topk(*pair, max_results, allowed, distances, indices, 1)
        size = pair[1] * max_results
        near = self.values(distances, ctypes.c_int32, size)
        self.values(indices, ctypes.c_int64, size)[near > radius] = -1
        near[near > radius] = 2**31 - 1
        self.fill(workspace, 10 * pair[1])

    def cuda_retrieval_counts(self, *arguments: Any) -> None:
        self.native.retrieval_counts(*arguments, 1)

    def cuda_index_order_workspace(self, num_queries: int, num_database: int, num_bytes: int) -> int:
        return 10 * num_queries

    def cuda_index_order_sums(self, *arguments: Any) -> None:
        *order, workspace = arguments
        self.native.index_order_sums(*order, 1)
        self.fill(workspace, 10 * order[1])

    def cuda_margin_loss_workspace(self, num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int:
        return num_rows + num_columns

    cuda_likelihood_loss_workspace = cuda_cauchy_loss_workspace = cuda_margin_loss_workspace
    cuda_contrastive_loss_workspace = cuda_margin_loss_workspace

    def cuda_margin_loss(self, *arguments: Any) -> None:
        self.pair_loss(self.native.margin_loss, *arguments)

    def cuda_likelihood_loss(self, *arguments: Any) -> None:
        self.pair_loss(self.native.likelihood_loss, *arguments)

    def cuda_cauchy_loss(self, *arguments: Any) -> None:
        self.pair_loss(self.native.cauchy_loss, *arguments)

    def cuda_contrastive_loss(self, *arguments: Any) -> None:
        self.pair_loss(self.native.contrastive_loss, *arguments)

    def cuda_triplet_likelihood(self, *arguments: Any) -> None:
        similarities, *rest, grad, query_losses = arguments
        self.native.triplet_likelihood(similarities, False, *rest, grad, 1)
        self.fill(query_losses, rest[3])

    def pair_loss(self, kernel: Callable[..., Any], *arguments: Any) -> None:
        u, u_dtype, num_rows, bits, u_stride, v, v_dtype, num_columns, v_stride, *rest = arguments
        row_labels, column_labels, label_words, left_out, counted, *parameters = rest
        *parameters, split, total, sums, grad, workspace = parameters
        self.splits.append(split)
        rows, columns = self.embeddings(u, u_dtype, num_rows, u_stride), None
        if v or num_columns == 0:
            columns = self.embeddings(v, v_dtype, num_columns, v_stride)
        if counted:  # the kernel of the CPU knows no such columns
            assert columns is not None
            assert left_out == label_words == 0
            kept = self.values(counted, ctypes.c_bool, num_columns)
            columns = columns.view(num_columns, v_stride)[torch.from_numpy(kept)]
            ids = self.values(column_labels, ctypes.c_int64, num_columns)[kept]
            num_columns, column_labels = len(ids), ids.ctypes.data
        kernel(
            rows.data_ptr(),
            "float32",
            num_rows,
            bits,
            u_stride,
            0 if columns is None else columns.data_ptr(),
            num_columns,
            v_stride,
            row_labels,
            column_labels,
            label_words,
            left_out,
            *parameters,
            total,
            sums,
            grad,
            1,
        )
        self.fill(workspace, num_rows + num_columns)

    def embeddings(self, address: int, dtype: str, num_rows: int, stride: int) -> Tensor:
        """float32, with the rows as far apart as they are."""
        if num_rows == 0:
            return torch.empty(0)
        kind = ctypes.c_float if dtype == "float32" else ctypes.c_int16
        there = (kind * (num_rows * stride)).from_address(address)
        return torch.frombuffer(there, dtype=getattr(torch, dtype)).float()

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
    some = torch.arange(60) % 7 == 0
    for restriction in ((None, None), (some, None), (None, 6), (some, 2)):
        pair = (queries, database, 18, *restriction)
        expect_same(on_cuda("range_search", *pair, 0), on_cpu("range_search", *pair, 1))
    for allowed in (None, some):
        pair = (queries, database, 18, allowed)
        expect_same(on_cuda("range_count", *pair, 0), on_cpu("range_count", *pair, 1))
    expect_same(
        on_cuda("range_nearest", queries, database, 18, 6, 0), on_cpu("range_nearest", queries, database, 18, 6, 1)
    )
    parts = {0: 0, 1: 1, 11: 4}[num_queries]
    for name, calls in {"cuda_range_count": 4, "cuda_range_fill": 2, "cuda_range_nearest": 3}.items():
        assert launchers.calls.count(name) == calls * parts


@pytest.mark.parametrize("words", [False, True])
def test_counting(launchers: Launchers, words: bool) -> None:
    queries, database = random_codes(11, 5, 1), random_codes(60, 5, 2)
    generator = torch.Generator().manual_seed(3)
    labels = [torch.randint(0, 2**40 if words else 3, (n, 2) if words else (n,), generator=generator) for n in (11, 60)]
    pair = (queries, database, *labels)
    expect_same(on_cuda("retrieval_counts", *pair, 0), on_cpu("retrieval_counts", *pair, 1))
    for starts in ((None, None), _ops.rank_starts(*on_cpu("retrieval_counts", *pair, 1))):
        order = (*pair, *starts, [1, 7, 60])
        assert torch.equal(on_cuda("index_order_sums", *order, 0), on_cpu("index_order_sums", *order, 1))
    assert launchers.calls == ["cuda_retrieval_counts", *["cuda_index_order_sums"] * 8]


@pytest.mark.parametrize("columns", [None, 0, 23])
@pytest.mark.parametrize("with_grad", [False, True])
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("margin_loss", MARGINS),
        ("likelihood_loss", (0.5, 1.0, 0.7, True, False)),
        ("likelihood_loss", (0.5, 1.0, 0.7, True, True)),
        ("cauchy_loss", (5.0, 0.4, 0.2, 0.3, 1.0, 0.7, False)),
        ("contrastive_loss", (20.0, 1.0, 0.7, False)),
    ],
)
def test_pairwise_losses(
    launchers: Launchers, name: str, parameters: tuple[Any, ...], columns: int | None, with_grad: bool
) -> None:
    generator = torch.Generator().manual_seed(4)
    u = torch.randn(17, 12, generator=generator)[:, :9]
    bank = None if columns is None else torch.randn(columns, 9, generator=generator)
    classes = torch.arange(17) % 3, None if columns is None else torch.arange(columns) % 3
    if name == "likelihood_loss" and parameters[-1]:  # of classes that overlap
        words = [None if ids is None else (ids[:, None] >= torch.arange(3)).long() for ids in classes]
        classes = tuple(None if hot is None else _ops.pack_labels(hot) for hot in words)
    labels, bank_labels = classes
    arguments = (u, bank, labels, bank_labels, None, None, *parameters, 0.0, with_grad)
    expect_same(on_cuda(name, *arguments, 0, "auto"), on_cpu(name, *arguments, 1, "auto"))
    assert launchers.calls == [f"cuda_{name}"]


@pytest.mark.parametrize("with_grad", [False, True])
@pytest.mark.parametrize("queries", [0, 7])
def test_triplets(launchers: Launchers, queries: int, with_grad: bool) -> None:
    generator = torch.Generator().manual_seed(6)
    similarities = torch.randn(queries, 30, generator=generator)[:, :23]
    kinds = torch.randint(0, 3, (queries, 23), generator=generator)
    weights = torch.rand(queries, dtype=torch.float64, generator=generator)
    arguments = (similarities, kinds == 0, kinds == 1, weights, 2.0, with_grad)
    expect_same(on_cuda("triplet_likelihood", *arguments, 0), on_cpu("triplet_likelihood", *arguments, 1))
    assert launchers.calls == ["cuda_triplet_likelihood"]
    with pytest.raises(TypeError, match=r"irrelevant must be bool, got int64"):
        on_cuda("triplet_likelihood", similarities, kinds == 0, kinds, weights, 2.0, with_grad, 0)


def test_triplets_in_float64_go_to_the_reference(launchers: Launchers) -> None:
    similarities = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    marks = torch.arange(9).expand(5, 9) % 3
    arguments = (similarities, marks == 0, marks == 1, torch.ones(5, dtype=torch.float64), 2.0, True)
    got, expected = on_cuda("triplet_likelihood", *arguments, 0), on_cpu("triplet_likelihood", *arguments, 1)
    for found, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(found, wanted)
    assert launchers.calls == []


@pytest.mark.parametrize("kinds", [("float16", "float16"), ("bfloat16", "bfloat16"), ("bfloat16", "float32")])
def test_half_types_reach_the_kernel_as_they_are(launchers: Launchers, kinds: tuple[str, str]) -> None:
    generator = torch.Generator().manual_seed(4)
    u, bank = (
        torch.randn(n, 8, generator=generator).to(getattr(torch, kind)) for n, kind in zip((7, 9), kinds, strict=True)
    )
    labels, bank_labels = torch.arange(7) % 3, torch.arange(9) % 3
    rest = (labels, bank_labels, None, None, *MARGINS, 0.0, True)
    got = on_cuda("margin_loss", u, bank, *rest, 0, "auto")
    expect_same(got, on_cpu("margin_loss", u.float(), bank.float(), *rest, 1, "auto"))
    assert got[2].dtype == torch.float32


@pytest.mark.parametrize("which", ["one of each row", "some of all rows"])
def test_a_bank_but_for_some(launchers: Launchers, which: str) -> None:
    generator = torch.Generator().manual_seed(4)
    u, bank = torch.randn(17, 9, generator=generator), torch.randn(23, 9, generator=generator)
    labels = torch.arange(17) % 3, torch.arange(23) % 3
    missing = (torch.arange(34)[::2], None) if which == "one of each row" else (None, torch.arange(46)[::2] % 5 > 0)
    arguments = (u, bank, *labels, *missing, 0.5, 1.0, 0.7, True, False, 0.0, True)
    got, expected = (call("likelihood_loss", *arguments, 0, "auto") for call in (on_cuda, on_cpu))
    for found, wanted in zip(got, expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)
    assert launchers.calls == ["cuda_likelihood_loss"]


def test_precision_chooses_the_path(launchers: Launchers) -> None:
    labels = torch.arange(65) % 3
    u = torch.ones(65, 4)
    for rows, precision in ((64, "auto"), (65, "auto"), (64, "split"), (65, "float32")):
        on_cuda("margin_loss", u[:rows], None, labels[:rows], None, None, None, *MARGINS, 0.0, False, 0, precision)
    assert launchers.splits == [False, True, True, False]
    with pytest.raises(ValueError, match="precision must be one of auto, float32, split, got 'half'"):
        _ops.margin_loss(u, labels, positive_margin=1, negative_margin=0, precision="half")


def test_float64_embeddings_go_to_the_reference(launchers: Launchers) -> None:
    u = torch.randn(17, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    arguments = (u, None, torch.arange(17) % 3, None, None, None, *MARGINS, 0.3, True)
    got, expected = on_cuda("margin_loss", *arguments, 0, "auto"), on_cpu("margin_loss", *arguments, 1, "auto")
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert launchers.calls == []


def test_tensors_on_two_devices_are_refused() -> None:
    queries, database = random_codes(3, 4, 1), random_codes(5, 4, 2)
    with pytest.raises(ValueError, match="must be on"):
        hk.topk(queries, database.to("meta"), 1)


def every_op_but_range_search() -> list[tuple[Any, ...]]:
    queries, database = random_codes(11, 5, 1), random_codes(60, 5, 2)
    labels, allowed = (torch.arange(11) % 3, torch.arange(60) % 3), torch.arange(60) % 7 == 0
    u, bank = torch.randn(11, 8), torch.randn(60, 8)
    marks = torch.arange(60).expand(11, 60) % 3
    starts = torch.zeros(2, 11, 41, dtype=torch.int64).unbind()
    return [
        ("pack_codes", u, False, 0),
        ("unpack_codes", queries, 40, False, 0),
        ("hamming_distance", queries, database, torch.int32, 0),
        ("topk", queries, database, 12, allowed, 0),
        ("range_count", queries, database, 18, allowed, 0),
        ("range_nearest", queries, database, 18, 6, 0),
        ("retrieval_counts", queries, database, *labels, 0),
        ("index_order_sums", queries, database, *labels, *starts, [1, 7, 60], 0),
        ("margin_loss", u, bank, *labels, labels[0], None, *MARGINS, 0.3, True, 0, "auto"),
        ("triplet_likelihood", torch.randn(11, 60), marks == 0, marks == 1, torch.ones(11).double(), 2.0, True, 0),
    ]


def test_nothing_is_waited_for_but_the_size_of_a_range_search(
    launchers: Launchers, monkeypatch: pytest.MonkeyPatch, waits: Any
) -> None:
    monkeypatch.setattr(_validation, "value_checks_enabled", lambda tensor: False)  # as on a GPU
    for name, *arguments in every_op_but_range_search():
        with waits:
            on_cuda(name, *arguments)
        assert waits.found == [], name
    queries, database, allowed = random_codes(11, 5, 1), random_codes(60, 5, 2), torch.arange(60) % 7 == 0
    for calls, max_results in enumerate((None, 6), 1):
        with waits:
            on_cuda("range_search", queries, database, 18, allowed, max_results, 0)
        assert len(waits.found) == calls


def test_a_launcher_gets_no_address_of_host_memory(
    launchers: Launchers, monkeypatch: pytest.MonkeyPatch, waits: Any
) -> None:
    """Tensors of the meta device, whose address is 0, play those of a GPU."""

    def launch(*arguments: Any) -> int:
        assert all(argument < 1 << 20 for argument in arguments if isinstance(argument, int))
        return 0

    monkeypatch.setattr(_loader, "cuda_kernel", lambda name: launch)
    for name, *arguments in every_op_but_range_search():
        there = [part.to("meta") if isinstance(part, Tensor) else part for part in arguments]
        with waits:
            results = on_cuda(name, *there)
        assert waits.found == [], name
        assert {result.device.type for result in tree_leaves(results)} == {"meta"}, name


def test_what_no_gpu_computes_is_refused_there() -> None:
    queries, vectors, planes = (torch.empty(*shape, device="meta") for shape in ((2, 8), (5, 8), (1, 8, 8)))
    codes, positions = torch.empty(2, 3, 1, dtype=torch.uint8, device="meta"), torch.zeros(2, 3, dtype=torch.int64)
    for name, *arguments in (
        ("score_vectors", queries, vectors, positions.to("meta"), 0),
        ("score_codes", queries, codes, False, 0),
        ("gather_codes", planes.to(torch.int64), positions[0].to("meta")),
        ("block_checksums", codes[0, 0], 64, 0),
    ):
        with pytest.raises(ValueError, match=r"on (the )?cpu"):
            on_cuda(name, *arguments)


def test_binary_products_are_trusted_where_they_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_loader, "cuda_kernel", lambda name: lambda device: True)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: self)

    def search(wrong_width: int) -> binary_products.Search:
        def results(queries: Tensor, database: Tensor, k: int, portable: bool) -> tuple[Tensor, Tensor]:
            distances, indices = reference.topk(queries, database, k, None)
            return distances, indices + (not portable and queries.shape[1] == wrong_width)

        return results

    device = torch.device("cuda", 0)
    assert binary_products._compare(device, search(0))
    with pytest.warns(hk.HashkernelsWarning, match="differ from population counts on codes of 256 bits"):
        assert not binary_products._compare(device, search(32))


def test_the_device_of_the_tensors_is_current_where_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    current = [0]

    @contextmanager
    def entered(index: int) -> Iterator[None]:
        current.append(index)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", entered)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[-1])
    op = _library._on_its_device(lambda *arguments: (current[-1], len(current)))
    with FakeTensorMode():
        here, there = torch.empty(1, device="cuda:0"), torch.empty(1, device="cuda:1")
    assert op(3, None, here) == (0, 1)
    assert op(3, None, there) == (1, 2)
    assert current == [0]


@pytest.mark.parametrize(("count", "k"), [(2**31, 5), (2**31 - 1, 2**31 + 1)])
def test_more_ranks_than_a_gpu_counts_are_refused_by_name(launchers: Launchers, count: int, k: int) -> None:
    queries, database = (torch.empty(n, 1, dtype=torch.uint8, device="meta") for n in (1, count))
    labels = torch.empty(1, dtype=torch.int64, device="meta"), torch.empty(count, dtype=torch.int64, device="meta")
    with pytest.raises(ValueError, match=r"(database|k) must be at most 214748364[78] for ranks in index order"):
        on_cuda("index_order_sums", queries, database, *labels, None, None, [k], 0)
    assert launchers.calls == []
