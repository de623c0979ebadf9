"""The CUDA kernels on this machine's GPU, each first checked, then timed against torch on the same GPU.

    python -m hashkernels.benchmarks.gpu --output benchmarks/results/<name>.json

Seconds are the median over rounds of CUDA events around one call; peers that need the whole distance matrix run on a
part of the queries, and their time is scaled up. Rates are pairs a second.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import hashkernels as hk
from hashkernels import _ops, reference

ROUNDS = 20


@dataclass(frozen=True)
class Figure:
    """One case: ours and torch's seconds, and how many pairs a second that is."""

    case: str
    seconds: float
    torch_seconds: float
    pairs_per_second: float
    ratio: float


def random_codes(count: int, bits: int, seed: int) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    return torch.randint(0, 256, (count, bits // 8), generator=generator, dtype=torch.uint8, device="cuda")


def seconds_of(run: Callable[[], Any]) -> float:
    """Median seconds of one call on the device."""
    run()
    times = []
    for _ in range(ROUNDS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return statistics.median(times)


def figure(case: str, pairs: float, ours: Callable[[], Any], peer: Callable[[], Any], share: float = 1.0) -> Figure:
    """Time both; the peer does ``share`` of the work."""
    seconds, torch_seconds = seconds_of(ours), seconds_of(peer) / share
    return Figure(case, seconds, torch_seconds, pairs / seconds, torch_seconds / seconds)


def signs(codes: Tensor) -> Tensor:
    return reference.unpack_codes(codes, 8 * codes.shape[1], False).to(torch.float16)


def require_same(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> None:
    for a, b in zip(left, right, strict=True):
        if not torch.equal(a.cpu(), b.cpu()):
            raise AssertionError("a GPU result differs from the CPU's")


def distance_case(num_queries: int, num_database: int, bits: int) -> Figure:
    queries, database = random_codes(num_queries, bits, 1), random_codes(num_database, bits, 2)
    part = queries[:8]
    require_same((_ops.hamming_distance(part, database),), (_ops.hamming_distance(part.cpu(), database.cpu()),))
    query_signs, database_signs = signs(queries), signs(database)
    return figure(
        f"distance, {num_queries:,} x {num_database:,}, {bits} bits, int16",
        num_queries * num_database,
        lambda: _ops.hamming_distance(queries, database, torch.int16),
        lambda: (bits - query_signs @ database_signs.T) * 0.5,
    )


def topk_case(num_queries: int, num_database: int, bits: int, k: int) -> Figure:
    queries, database = random_codes(num_queries, bits, 1), random_codes(num_database, bits, 2)
    part = queries[:4]
    require_same(_ops.topk(part, database, k), _ops.topk(part.cpu(), database.cpu(), k))
    some = min(num_queries, 256)
    query_signs, database_signs = signs(queries[:some]), signs(database)
    return figure(
        f"top-{k}, {num_queries:,} x {num_database:,}, {bits} bits",
        num_queries * num_database,
        lambda: _ops.topk(queries, database, k),
        lambda: torch.topk(query_signs @ database_signs.T, k),
        some / num_queries,
    )


def map_case(num_queries: int, num_database: int, bits: int, index_order: bool) -> Figure:
    queries, database = random_codes(num_queries, bits, 1), random_codes(num_database, bits, 2)
    labels = torch.arange(num_database, device="cuda") % 100
    query_labels = labels[:num_queries].clone()

    def count(q: Tensor, d: Tensor, ql: Tensor, dl: Tensor) -> tuple[Tensor, Tensor]:
        if index_order:
            return _ops.index_order_precision(q, d, ql, dl, [len(d)])
        return _ops.retrieval_counts(q, d, ql, dl)

    few = queries[:4], database, query_labels[:4], labels
    require_same(count(*few), count(*(x.cpu() for x in few)))
    some = min(num_queries, 64)
    query_signs, database_signs = signs(queries[:some]), signs(database)

    def by_sorting() -> Tensor:
        order = torch.argsort(query_signs @ database_signs.T, dim=1, descending=True, stable=True)
        hits = (labels[order] == query_labels[:some, None]).cumsum(1, dtype=torch.float32)
        return hits / torch.arange(1, num_database + 1, device="cuda")

    name = "index-order precision" if index_order else "retrieval counts"
    return figure(
        f"{name}, {num_queries:,} x {num_database:,}, {bits} bits",
        num_queries * num_database,
        lambda: count(queries, database, query_labels, labels),
        by_sorting,
        some / num_queries,
    )


def margin_case(num_rows: int, num_columns: int, bits: int) -> Figure:
    u = torch.randn(num_rows, bits, device="cuda", requires_grad=True)
    bank = torch.randn(num_columns, bits, device="cuda") if num_columns else None
    labels = torch.arange(num_rows, device="cuda") % 100
    bank_labels = torch.arange(num_columns, device="cuda") % 100 if num_columns else None
    margins = {"positive_margin": 0.8 * bits, "negative_margin": -0.3 * bits}

    def fused() -> Tensor:
        loss = _ops.margin_loss(u, labels, **margins, bank=bank, bank_labels=bank_labels).total
        return torch.autograd.grad(loss, u)[0]

    def eager() -> Tensor:
        columns, column_labels = (u, labels) if bank is None or bank_labels is None else (bank, bank_labels)
        theta, same = u @ columns.T, labels[:, None] == column_labels
        counted = torch.ones_like(same) if bank is not None else ~torch.eye(num_rows, dtype=torch.bool, device="cuda")
        positive, negative = same & counted, ~same & counted
        loss = torch.where(positive, (theta - margins["positive_margin"]).clamp(max=0) ** 2, 0).sum() / positive.sum()
        loss = (
            loss
            + torch.where(negative, (theta - margins["negative_margin"]).clamp(min=0) ** 2, 0).sum() / negative.sum()
        )
        return torch.autograd.grad(loss, u)[0]

    expected = eager()
    torch.testing.assert_close(fused(), expected, rtol=0, atol=1e-3 * float(expected.abs().max()))
    return figure(
        f"margin loss and gradient, {num_rows:,} x {num_columns or num_rows:,}, {bits} bits",
        num_rows * (num_columns or num_rows),
        fused,
        eager,
    )


CASES: tuple[Callable[[], Figure], ...] = (
    lambda: distance_case(10_000, 100_000, 64),
    lambda: distance_case(10_000, 100_000, 256),
    lambda: topk_case(1, 100_000_000, 64, 100),
    lambda: topk_case(64, 10_000_000, 64, 100),
    lambda: topk_case(10_000, 1_000_000, 64, 100),
    lambda: map_case(10_000, 1_000_000, 64, False),
    lambda: map_case(10_000, 1_000_000, 64, True),
    lambda: margin_case(16_384, 0, 64),
    lambda: margin_case(256, 130_000, 64),
)


def environment() -> dict[str, Any]:
    """What the figures depend on."""

    def output(*command: str) -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    root = Path(__file__).parent
    return {
        "device": torch.cuda.get_device_name(),
        "driver": output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "clocks": output("nvidia-smi", "--query-gpu=clocks.sm,clocks.mem", "--format=csv,noheader"),
        "commit": output("git", "-C", str(root), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "torch_cuda": torch.version.cuda,
        **hk.info().to_dict(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON file for the figures")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("torch sees no GPU")
    figures = []
    for case in CASES:
        torch.cuda.empty_cache()
        figures.append(case())
        result = figures[-1]
        print(
            f"{result.case}: {1000 * result.seconds:.3f} ms, {result.pairs_per_second:.3g} pairs/s, "
            f"{result.ratio:.1f} times torch",
            flush=True,
        )
    document = {"environment": environment(), "figures": [asdict(x) for x in figures]}
    arguments.output.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
