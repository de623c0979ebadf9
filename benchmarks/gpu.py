"""The CUDA kernels on this machine's GPU: checked first, then timed against torch, torch.compile and Triton on the same
GPU, and against what the GPU gives at most.

    python -m hashkernels.benchmarks.gpu --output benchmarks/results/<name>/figures.json

Seconds are the median over rounds of CUDA events around one call. Peers that need the whole distance matrix run on a
part of the queries, and their time is scaled up. Rates are pairs a second; a share is that of the ceiling which the
case names. The file is written again after every step, so that what was measured is not lost. ``--device cpu --quick``
runs the same code at small sizes where there is no GPU: it shows that the benchmark works, its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from hashkernels.benchmarks.gpu_ceilings import measure_ceilings
from hashkernels.benchmarks.gpu_checks import CHECKS, random_codes
from hashkernels.benchmarks.gpu_resnet import resnet50
from torch import Tensor

import hashkernels as hk
from hashkernels import _ops, reference

Run = Callable[[], Any]


@dataclass(frozen=True)
class Figure:
    """One case: ours, how many times as long each peer takes, and the share of what the GPU gives at most."""

    case: str
    seconds: float
    fastest: float
    slowest: float
    pairs_per_second: float
    peers: Mapping[str, float] = field(default_factory=dict)
    ceiling: str = ""
    share: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        parts = [f"{self.case}: {1000 * self.seconds:.3f} ms, {self.pairs_per_second:.3g} pairs/s"]
        parts += [f"{ratio:.1f} times {name}" for name, ratio in self.peers.items()]
        if self.share is not None:
            parts.append(f"{100 * self.share:.0f} % of {self.ceiling}")
        return ", ".join([*parts, *(f"{name} {value}" for name, value in self.more.items())])


class Bench:
    """The device, the sizes, and how a call is timed."""

    def __init__(self, device: torch.device, *, quick: bool) -> None:
        self.device, self.quick = device, quick
        self.rounds = 1 if quick else 20
        self.ceilings: dict[str, float] = {}

    def size(self, full: int) -> int:
        return max(full // 1000, min(full, 64)) if self.quick else full

    def times(self, run: Run) -> list[float]:
        """Seconds of one call, round by round."""
        run()
        times = []
        for _ in range(self.rounds):
            if self.device.type != "cuda":
                began = time.perf_counter()
                run()
                times.append(time.perf_counter() - began)
                continue
            start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            start.record()
            run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end) / 1000)
        return times

    def graphed(self, run: Run) -> Run:
        """What replays the kernels of a call, which must not wait for the device."""
        if self.device.type != "cuda":
            return run
        stream = torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        return graph.replay

    def seconds_of(self, run: Run) -> float:
        return statistics.median(self.times(run))

    def figure(
        self,
        case: str,
        pairs: float,
        ours: Run,
        peers: Mapping[str, Run],
        *,
        share_of_peers: float = 1.0,
        floors: Mapping[str, float] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Figure:
        """Time all. ``floors``: the seconds below which no implementation can be, by the ceiling that says so."""
        times = self.times(ours)
        seconds = statistics.median(times)
        ratios = {}
        for name, run in peers.items():
            try:
                ratios[name] = self.seconds_of(run) / share_of_peers / seconds
            except Exception as error:
                print(f"{case}: {name} failed: {error}", flush=True)
        ceiling, floor = max((floors or {"": 0.0}).items(), key=lambda item: item[1])
        share = floor / seconds if floor > 0 else None
        return Figure(case, seconds, min(times), max(times), pairs / seconds, ratios, ceiling, share, more or {})

    def floor(self, ceiling: str, amount: float) -> dict[str, float]:
        """Seconds for that many of what the ceiling counts; empty where it was not measured."""
        rate = self.ceilings.get(ceiling)
        return {} if not rate else {ceiling: amount / rate}


def signs(codes: Tensor) -> Tensor:
    kind = torch.bfloat16 if codes.is_cuda else torch.float32
    return reference.unpack_codes(codes, 8 * codes.shape[1], False).to(kind)


def distance_case(bench: Bench, num_queries: int, num_database: int, bits: int) -> Figure:
    num_queries, num_database = bench.size(num_queries), bench.size(num_database)
    queries = random_codes(num_queries, bits, 1, bench.device)
    database = random_codes(num_database, bits, 2, bench.device)
    query_signs, database_signs = signs(queries), signs(database)
    pairs = num_queries * num_database
    peers: dict[str, Run] = {"torch": lambda: (bits - query_signs @ database_signs.T) * 0.5}
    if bits == 64 and bench.device.type == "cuda" and find_spec("cupy") is not None:
        peers["CuPy"] = cupy_distances(queries, database)
    return bench.figure(
        f"distance, {num_queries:,} x {num_database:,}, {bits} bits, int16",
        pairs,
        lambda: _ops.hamming_distance(queries, database, torch.int16),
        peers,
        floors=bench.floor("population_counts", pairs * bits / 32) | bench.floor("written_bytes", 2 * pairs),
    )


def cupy_distances(queries: Tensor, database: Tensor) -> Run:
    """The distance matrix by an elementwise kernel of CuPy over codes of 64 bits."""
    import cupy

    distance = cupy.ElementwiseKernel("uint64 a, uint64 b", "int16 d", "d = __popcll(a ^ b)", "distance")
    left, right = (cupy.from_dlpack(codes.view(torch.int64)).view(cupy.uint64).ravel() for codes in (queries, database))
    return lambda: distance(left[:, None], right[None, :])


def topk_case(bench: Bench, num_queries: int, num_database: int, bits: int, k: int) -> Figure:
    num_queries, num_database = bench.size(num_queries), bench.size(num_database)
    k = min(k, num_database)
    queries = random_codes(num_queries, bits, 1, bench.device)
    database = random_codes(num_database, bits, 2, bench.device)
    some = min(num_queries, 256 if num_database <= 1_000_000 else 1)
    pairs = num_queries * num_database
    peers: dict[str, Run] = {}
    if num_database * bits <= 1 << 33:  # the signs of more do not fit
        query_signs, database_signs = signs(queries[:some]), signs(database)
        peers["torch"] = lambda: torch.topk(query_signs @ database_signs.T, k)
    by_products = bits <= 256 and num_queries > 16 and "binary_multiply_adds_256" in bench.ceilings
    kind = "128" if bits <= 64 else "256"
    # A code's bits enter a product twice, 64 of them at a time. A copy counts bytes read and written.
    counted = (
        bench.floor(f"binary_multiply_adds_{kind}", pairs * 128 * -(-bits // 64))
        if by_products
        else bench.floor("population_counts", pairs * bits / 32)
    )
    return bench.figure(
        f"top-{k}, {num_queries:,} x {num_database:,}, {bits} bits",
        pairs,
        lambda: _ops.topk(queries, database, k),
        peers,
        share_of_peers=some / num_queries,
        floors=counted | bench.floor("copied_bytes", num_database * bits / 8),
    )


def counting_case(bench: Bench, num_queries: int, num_database: int, bits: int, index_order: bool) -> Figure:
    num_queries, num_database = bench.size(num_queries), bench.size(num_database)
    queries = random_codes(num_queries, bits, 1, bench.device)
    database = random_codes(num_database, bits, 2, bench.device)
    labels = torch.arange(num_database, device=bench.device) % 100
    query_labels = torch.arange(num_queries, device=bench.device) % 100

    def ours() -> tuple[Tensor, Tensor]:
        if index_order:
            return _ops.index_order_precision(queries, database, query_labels, labels, [num_database])
        return _ops.retrieval_counts(queries, database, query_labels, labels)

    some = min(num_queries, 64)
    query_signs, database_signs = signs(queries[:some]), signs(database)

    def by_sorting() -> Tensor:
        order = torch.argsort(query_signs @ database_signs.T, dim=1, descending=True, stable=True)
        hits = (labels[order] == query_labels[:some, None]).cumsum(1, dtype=torch.float32)
        return hits / torch.arange(1, num_database + 1, device=bench.device)

    pairs = num_queries * num_database
    name = "precision in index order" if index_order else "counts for mAP"
    return bench.figure(
        f"{name}, {num_queries:,} x {num_database:,}, {bits} bits",
        pairs,
        ours,
        {"torch sort": by_sorting},
        share_of_peers=some / num_queries,
        floors=bench.floor("population_counts", pairs * bits / 32) | bench.floor("shared_atomics", pairs),
    )


def margin_case(
    bench: Bench, num_rows: int, num_columns: int, dtype: torch.dtype, precision: str, *, graph: bool = False
) -> Figure:
    """``graph`` replays ours and eager torch's kernels from CUDA graphs, without the time that Python takes."""
    bits = 64
    num_rows, num_columns = bench.size(num_rows), bench.size(num_columns) if num_columns else 0
    generator = torch.Generator(bench.device).manual_seed(1)

    def embeddings(count: int) -> Tensor:
        return torch.randn(count, bits, generator=generator, device=bench.device).to(dtype)

    u = embeddings(num_rows).requires_grad_()
    bank = embeddings(num_columns) if num_columns else None
    labels = torch.arange(num_rows, device=bench.device) % 100
    bank_labels = torch.arange(num_columns, device=bench.device) % 100 if num_columns else None
    margins = {"positive_margin": 0.8 * bits, "negative_margin": -0.3 * bits}

    def ours() -> Tensor:
        loss = _ops.margin_loss(u, labels, **margins, bank=bank, bank_labels=bank_labels, precision=precision).total
        return torch.autograd.grad(loss, u)[0]

    def dense(u: Tensor) -> Tensor:
        columns, column_labels = (u, labels) if bank is None or bank_labels is None else (bank, bank_labels)
        theta, same = u.float() @ columns.float().T, labels[:, None] == column_labels
        counted = torch.ones_like(same)
        if bank is None:
            counted = ~torch.eye(len(u), dtype=torch.bool, device=u.device)
        positive, negative = same & counted, ~same & counted
        near = torch.where(positive, (theta - margins["positive_margin"]).clamp(max=0) ** 2, 0).sum() / positive.sum()
        far = torch.where(negative, (theta - margins["negative_margin"]).clamp(min=0) ** 2, 0).sum() / negative.sum()
        return near + far

    expected = torch.autograd.grad(dense(u), u)[0]
    tolerance = 1e-3 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(ours(), expected, rtol=0, atol=tolerance * float(expected.abs().max()))

    peers: dict[str, Run] = {"eager": lambda: torch.autograd.grad(dense(u), u)[0]}
    run: Run = ours
    if graph:
        run, peers["eager"] = bench.graphed(ours), bench.graphed(peers["eager"])
    elif bench.device.type == "cuda" and precision == "split":
        compiled = torch.compile(dense, dynamic=False)
        peers["torch.compile"] = lambda: torch.autograd.grad(compiled(u), u)[0]
        if find_spec("triton") is not None:
            from hashkernels.benchmarks.gpu_triton import margin_loss as triton_loss

            found = triton_loss(u.detach(), labels, bank, bank_labels, **margins)[1]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-2 * float(expected.abs().max()))
            peers["Triton"] = lambda: triton_loss(u.detach(), labels, bank, bank_labels, **margins)

    pairs = num_rows * (num_columns or num_rows)
    multiplications = 1 if precision == "float32" else 6 if dtype == torch.float32 else 3
    floors = {} if precision == "float32" else bench.floor("bfloat16_multiply_adds", pairs * bits * multiplications)
    kind = str(dtype).removeprefix("torch.") + (", in a graph" if graph else "")
    return bench.figure(
        f"margin loss and gradient, {num_rows:,} x {num_columns or num_rows:,}, {bits} bits, {kind}, {precision}",
        pairs,
        run,
        peers,
        floors=floors,
        more={"extra_bytes": extra_memory(bench.device, ours)},
    )


def extra_memory(device: torch.device, run: Run) -> int:
    """The most bytes that a call holds beyond what was there before."""
    if device.type != "cuda":
        return 0
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def training_case(bench: Bench) -> Figure:
    """The share of a ResNet-50 training step at N = 128 that the loss takes, forward and backward."""
    num_images, side = (2, 32) if bench.quick else (128, 224)
    model = resnet50(64).to(bench.device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images = torch.randn(num_images, 3, side, side, device=bench.device)
    labels = torch.arange(num_images, device=bench.device) % 10
    u = torch.randn(num_images, 64, device=bench.device, requires_grad=True)
    margins = {"positive_margin": 40.0, "negative_margin": -10.0}

    def loss_alone() -> Tensor:
        return torch.autograd.grad(_ops.margin_loss(u, labels, **margins).total, u)[0]

    def step() -> None:
        with torch.autocast(bench.device.type, dtype=torch.bfloat16, enabled=not bench.quick):
            embeddings = model(images)
        _ops.margin_loss(embeddings, labels, **margins).total.backward()
        optimizer.step()
        optimizer.zero_grad()

    seconds = bench.seconds_of(step)
    figure = bench.figure(f"loss of a ResNet-50 step, N = {num_images}", num_images**2, loss_alone, {})
    return Figure(**{**asdict(figure), "more": {"step_seconds": seconds, "share_of_step": figure.seconds / seconds}})


CASES: dict[str, Callable[[Bench], Figure]] = {
    "distance 64": lambda bench: distance_case(bench, 10_000, 100_000, 64),
    "distance 256": lambda bench: distance_case(bench, 10_000, 100_000, 256),
    "topk 1 x 100M": lambda bench: topk_case(bench, 1, 100_000_000, 64, 100),
    "topk 10k x 1M": lambda bench: topk_case(bench, 10_000, 1_000_000, 64, 100),
    "topk 10k x 1M, k 10": lambda bench: topk_case(bench, 10_000, 1_000_000, 64, 10),
    "topk 10k x 1M, k 1000": lambda bench: topk_case(bench, 10_000, 1_000_000, 64, 1000),
    "counts 10k x 1M": lambda bench: counting_case(bench, 10_000, 1_000_000, 64, False),
    "index order 10k x 1M": lambda bench: counting_case(bench, 10_000, 1_000_000, 64, True),
    "topk 31 x 10M": lambda bench: topk_case(bench, 31, 10_000_000, 64, 100),
    "topk 64 x 10M": lambda bench: topk_case(bench, 64, 10_000_000, 64, 100),
    **{
        f"topk 10k x 1M, {bits} bits": lambda bench, bits=bits: topk_case(bench, 10_000, 1_000_000, bits, 100)
        for bits in (16, 32, 128, 256, 512)
    },
    **{
        f"counts 10k x 1M, {bits} bits": lambda bench, bits=bits: counting_case(bench, 10_000, 1_000_000, bits, False)
        for bits in (16, 32, 128, 256)
    },
    "topk 1k x 10M, 1024 bits": lambda bench: topk_case(bench, 1_000, 10_000_000, 1024, 100),
    "topk 1 x 10M, 1024 bits": lambda bench: topk_case(bench, 1, 10_000_000, 1024, 100),
    "margin 256": lambda bench: margin_case(bench, 256, 0, torch.float32, "split"),
    "margin 4096": lambda bench: margin_case(bench, 4096, 0, torch.float32, "split"),
    "margin 16384": lambda bench: margin_case(bench, 16_384, 0, torch.float32, "split"),
    "margin 16384 float32": lambda bench: margin_case(bench, 16_384, 0, torch.float32, "float32"),
    "margin 16384 bfloat16": lambda bench: margin_case(bench, 16_384, 0, torch.bfloat16, "auto"),
    "margin 256 x 130k": lambda bench: margin_case(bench, 256, 130_000, torch.float32, "split"),
    "margin 256 x 130k bfloat16": lambda bench: margin_case(bench, 256, 130_000, torch.bfloat16, "auto"),
    **{
        f"margin {rows} x {columns or rows}, graph": lambda bench, rows=rows, columns=columns: margin_case(
            bench, rows, columns, torch.float32, "split", graph=True
        )
        for rows, columns in ((256, 0), (4096, 0), (16_384, 0), (256, 130_000))
    },
    "resnet": training_case,
}


def environment(device: torch.device) -> dict[str, Any]:
    """What the figures depend on."""

    def output(*command: str) -> str:
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.strip()
        except OSError:
            return ""

    root = Path(__file__).parent
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor(),
        "driver": output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "clocks": output("nvidia-smi", "--query-gpu=clocks.sm,clocks.mem", "--format=csv,noheader"),
        "commit": output("git", "-C", str(root), "describe", "--always", "--dirty"),
        "python": platform.python_version(),
        "torch_cuda": torch.version.cuda,
        **hk.info().to_dict(),
    }


class Report:
    """What was found so far, in a file that is whole at all times."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self._path = path
        self.content: dict[str, Any] = {
            "environment": environment(device),
            "ceilings": {},
            "checks": {},
            "figures": [],
            "left_out": {},
        }
        self.save()

    def save(self) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.content, indent=1) + "\n")
        new.replace(self._path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="JSON file for checks and figures")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, ... or cpu (default: cuda)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try the benchmark itself")
    parser.add_argument("--only", default="", help="run the cases whose name contains this")
    parser.add_argument("--seconds", type=float, default=240.0, help="begin no further case after so long")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if device.type == "cuda":
        if not torch.cuda.is_available():
            parser.error("torch sees no GPU")
        device = torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
        torch.cuda.set_device(device)
    began = time.monotonic()
    bench = Bench(device, quick=arguments.quick)
    report = Report(arguments.output, device)
    failed = False

    def step(name: str, run: Run) -> Any:
        nonlocal failed
        if time.monotonic() - began > arguments.seconds:
            report.content["left_out"][name] = "no time was left"
            result = None
        else:
            try:
                result = run()
            except Exception as error:
                failed = True
                traceback.print_exc()
                report.content["left_out"][name] = f"{type(error).__name__}: {error}"
                result = None
        report.save()
        return result

    for name, check in CHECKS.items():
        found = step(name, lambda check=check: check(device, arguments.quick))
        report.content["checks"][name] = found
        print(f"{name}: {'FAILED' if found is None else found}", flush=True)
    bench.ceilings = step("ceilings", lambda: measure_ceilings(bench.seconds_of, device)) or {}
    report.content["ceilings"] = bench.ceilings
    print(*(f"{name} {rate:.3g}/s" for name, rate in bench.ceilings.items()), sep=", ", flush=True)
    for name, case in CASES.items():
        if arguments.only not in name:
            continue
        figure = step(name, lambda case=case: case(bench))
        if figure is not None:
            report.content["figures"].append(asdict(figure))
            print(figure.line(), flush=True)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    report.save()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
