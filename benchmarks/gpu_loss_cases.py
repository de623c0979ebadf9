"""The fused losses on a GPU, value and gradient, against eager torch, torch.compile and Triton on the same one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from hashkernels.benchmarks.gpu_bench import Bench, Figure, Run, extra_memory
from hashkernels.benchmarks.gpu_resnet import resnet50
from torch import Tensor
from torch.nn.functional import normalize, softplus

from hashkernels import _ops

COMPILED = ("margin", "contrastive")  # each compilation takes seconds


def margins(bits: int) -> dict[str, float]:
    return {"positive_margin": 0.8 * bits, "negative_margin": -0.3 * bits}


def _pair_margin(theta: Tensor, same: Tensor, positive_margin: float, negative_margin: float) -> Tensor:
    missed = torch.where(same, (theta - positive_margin).clamp(max=0), (theta - negative_margin).clamp(min=0))
    return missed.square()


def _squared_distances(theta: Tensor, u: Tensor, v: Tensor) -> Tensor:
    return u.float().square().sum(1)[:, None] + v.float().square().sum(1) - 2 * theta


# The op with its parameters for so many bits, and what a pair costs as a user would write it: by inner products, which
# pairs are relevant, and the embeddings of both.
PairCost = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
PAIR_LOSSES: dict[str, Callable[[int], tuple[Callable[..., Any], PairCost]]] = {
    "margin": lambda bits: (
        partial(_ops.margin_loss, **margins(bits)),
        lambda theta, same, u, v: _pair_margin(theta, same, *margins(bits).values()),
    ),
    "likelihood": lambda bits: (
        partial(_ops.likelihood_loss, scale=0.1),
        lambda theta, same, u, v: softplus(0.1 * theta) - torch.where(same, 0.1 * theta, 0),
    ),
    "Cauchy": lambda bits: (
        partial(
            _ops.cauchy_loss,
            gamma=20.0,
            distance_scale=bits / 2,
            positive_min_distance=1.0,
            negative_min_distance=1.0,
        ),
        lambda theta, same, u, v: _ops.pair_cauchy((bits / 2 * (1 - theta)).clamp(min=1.0), same, 20.0, 1.0),
    ),
    "contrastive": lambda bits: (
        partial(_ops.contrastive_loss, margin=4.0 * bits),
        lambda theta, same, u, v: _ops.pair_contrastive(_squared_distances(theta, u, v), same, 4.0 * bits),
    ),
}
PAIR_LOSSES["likelihood of overlapping classes"] = lambda bits: (
    partial(_ops.likelihood_loss, scale=0.1, overlap=True),
    PAIR_LOSSES["likelihood"](bits)[1],
)


class PairBatch:
    """Embeddings, maybe a bank, their labels, and the loss of all pairs as a matrix."""

    def __init__(self, bench: Bench, name: str, num_rows: int, num_columns: int, bits: int, dtype: torch.dtype) -> None:
        generator = torch.Generator(bench.device).manual_seed(1)

        def embeddings(count: int) -> Tensor:
            rows = torch.randn(count, bits, generator=generator, device=bench.device)
            return (normalize(rows) if name == "Cauchy" else rows).to(dtype)

        self.op, self.cost = PAIR_LOSSES[name](bits)
        self.u = embeddings(num_rows).requires_grad_()
        self.bank = embeddings(num_columns) if num_columns else None
        num_classes = 100 if num_rows >= 200 else 16
        self.classes = [torch.arange(n, device=bench.device) % num_classes for n in (num_rows, num_columns or num_rows)]
        self.hot: list[Tensor] | None = None
        if "classes" in name:  # every item has its class and the next one
            every = torch.arange(num_classes, device=bench.device)
            self.hot = [((every - own[:, None]) % num_classes < 2).float() for own in self.classes]
        self.labels = self.classes if self.hot is None else [_ops.pack_labels(hot.long()) for hot in self.hot]

    def gradient(self, precision: str) -> Tensor:
        own, others = self.labels
        bank_labels = None if self.bank is None else others
        loss = self.op(self.u, own, bank=self.bank, bank_labels=bank_labels, precision=precision)
        return torch.autograd.grad(loss.total, self.u)[0]

    def dense(self, u: Tensor) -> Tensor:
        v = u if self.bank is None else self.bank
        theta = u.float() @ v.float().T
        if self.hot is None:
            same = self.classes[0][:, None] == self.classes[1]
            costs = self.cost(theta, same, u, v)
        else:
            common = self.hot[0] @ self.hot[1].T
            same = common > 0
            costs = self.cost(theta, same, u, v) * torch.where(same, common / (4 - common), 1)
        counted = torch.ones_like(same)
        if self.bank is None:
            counted = ~torch.eye(len(u), dtype=torch.bool, device=u.device)
        kinds = (same & counted, ~same & counted)
        return sum((torch.where(kind, costs, 0).sum() / kind.sum() for kind in kinds), start=theta.new_zeros(()))

    def dense_gradient(self) -> Tensor:
        return torch.autograd.grad(self.dense(self.u), self.u)[0]

    def compiled(self) -> Run:
        compiled = torch.compile(self.dense, dynamic=False)
        return lambda: torch.autograd.grad(compiled(self.u), self.u)[0]

    def triton(self, expected: Tensor) -> Run:
        from hashkernels.benchmarks.gpu_triton import margin_loss

        own, others = self.classes
        arguments = self.u.detach(), own, self.bank, None if self.bank is None else others
        run = partial(margin_loss, *arguments, **margins(self.u.shape[1]))
        _expect_close(run()[1], expected, 1e-2)
        return run


def _expect_close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


def pair_case(
    bench: Bench,
    name: str,
    num_rows: int,
    num_columns: int = 0,
    dtype: torch.dtype = torch.float32,
    precision: str = "split",
    *,
    bits: int = 64,
    graph: bool = False,
) -> Figure:
    """``num_columns``: of a bank; without it the batch against itself. ``graph`` replays ours and eager torch's kernels
    from CUDA graphs, without the time that Python takes."""
    num_rows, num_columns = bench.size(num_rows), bench.size(num_columns) if num_columns else 0
    batch = PairBatch(bench, name, num_rows, num_columns, bits, dtype)
    expected = batch.dense_gradient()
    _expect_close(batch.gradient(precision), expected, 1e-3 if dtype == torch.float32 else 1e-2)

    ours: Run = partial(batch.gradient, precision)
    run = bench.graphed(ours) if graph else ours
    peers: dict[str, Callable[[], Run]] = {
        "eager": lambda: bench.graphed(batch.dense_gradient) if graph else batch.dense_gradient
    }
    if bench.device.type == "cuda" and precision == "split" and not graph and name in COMPILED:
        peers["torch.compile"] = batch.compiled
        if name == "margin" and find_spec("triton") is not None:
            peers["Triton"] = lambda: batch.triton(expected)

    pairs = num_rows * (num_columns or num_rows)
    multiplications = 1 if precision == "float32" else 6 if dtype == torch.float32 else 3
    floors = {} if precision == "float32" else bench.floor("bfloat16_multiply_adds", pairs * bits * multiplications)
    kind = str(dtype).removeprefix("torch.") + (", in a graph" if graph else "")
    return bench.figure(
        f"{name} loss and gradient, {num_rows:,} x {num_columns or num_rows:,}, {bits} bits, {kind}, {precision}",
        pairs,
        run,
        peers,
        floors=floors,
        more={"extra_bytes": extra_memory(bench.device, ours)},
    )


def triplets_case(bench: Bench, num_items: int) -> Figure:
    """All triplets of a batch of ten classes; eager torch has them all in memory."""
    num_items = bench.size(num_items)
    classes = torch.arange(num_items, device=bench.device) % 10
    relevant = classes[:, None] == classes
    generator = torch.Generator(bench.device).manual_seed(1)
    similarities = torch.randn(num_items, num_items, generator=generator, device=bench.device).requires_grad_()
    weights = torch.ones(num_items, dtype=torch.float64, device=bench.device)

    def ours() -> Tensor:
        loss = _ops.triplet_likelihood(similarities, relevant, ~relevant, weights, margin=5.0)
        return torch.autograd.grad(loss, similarities)[0]

    def eager() -> Tensor:
        costs = softplus(similarities[:, None, :] + 5.0 - similarities[:, :, None])
        loss = torch.where(relevant[:, :, None] & ~relevant[:, None, :], costs, 0).sum()
        return torch.autograd.grad(loss, similarities)[0]

    _expect_close(ours(), eager(), 1e-4)
    triplets = float((relevant.sum(1) * (~relevant).sum(1)).sum())
    return bench.figure(
        f"triplet likelihood and gradient, {num_items:,} queries and items",
        triplets,
        ours,
        {"eager": lambda: eager},
        more={"extra_bytes": extra_memory(bench.device, ours)},
    )


def training_case(bench: Bench) -> Figure:
    """The share of a ResNet-50 training step at N = 128 that the loss takes, forward and backward."""
    num_images, side = (2, 32) if bench.quick else (128, 224)
    model = resnet50(64).to(bench.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(num_images, 3, side, side, device=bench.device)
    labels = torch.arange(num_images, device=bench.device) % 10
    u = torch.randn(num_images, 64, device=bench.device, requires_grad=True)

    def loss_alone() -> Tensor:
        return torch.autograd.grad(_ops.margin_loss(u, labels, **margins(64)).total, u)[0]

    def step() -> None:
        with torch.autocast(bench.device.type, dtype=torch.bfloat16, enabled=not bench.quick):
            embeddings = model(images)
        _ops.margin_loss(embeddings, labels, **margins(64)).total.backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = bench.seconds_of(step)
    figure = bench.figure(f"loss of a ResNet-50 step, N = {num_images}", num_images**2, loss_alone, {})
    return Figure(**{**asdict(figure), "more": {"step_seconds": seconds, "share_of_step": figure.seconds / seconds}})
