"""What must hold on a GPU before anything is timed: CPU and GPU agree bit for bit, and results never change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from hashkernels import _ops

MARGINS = {"positive_margin": 6.0, "negative_margin": -2.0}
CAUCHY = {"gamma": 9.0, "distance_scale": 0.2, "positive_min_distance": 1.0, "negative_min_distance": 1.0}
Tensors = tuple[Tensor, ...]


def random_codes(count: int, bits: int, seed: int, device: torch.device) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randint(0, 256, (count, bits // 8), generator=generator, dtype=torch.uint8, device=device)


def hard_codes(count: int, bits: int, kind: str, device: torch.device) -> Tensor:
    """All equal; all of one of two codes far apart; or a few codes many times, the pattern of a clustered database."""
    codes = random_codes(count, bits, 3, device)
    if kind == "equal":
        return codes[:1].expand(count, -1).contiguous()
    if kind == "opposite":
        sign = (torch.arange(count, device=device) % 2 == 0)[:, None]
        return torch.where(sign, codes[:1], ~codes[:1])
    return codes[torch.arange(count, device=device) % 17]


def cases(device: torch.device, quick: bool) -> Iterator[tuple[str, Callable[..., Any], Tensors]]:
    """A name, an op, and its arguments on the device."""
    widths = (8, 48, 64) if quick else (8, 32, 48, 64, 128, 256, 1024)
    sizes = [(1, 70), (33, 300)] if quick else [(1, 300_000), (7, 20_000), (31, 9_001), (300, 5_000)]
    for bits in widths:
        for num_queries, num_database in sizes:
            for kind in ("random", "equal", "opposite", "repeated"):
                database = (
                    random_codes(num_database, bits, 2, device)
                    if kind == "random"
                    else hard_codes(num_database, bits, kind, device)
                )
                queries = torch.cat(
                    (database[: num_queries // 2], random_codes(num_queries - num_queries // 2, bits, 1, device))
                )
                labels = torch.arange(num_database, device=device) % 11
                name = f"{kind}, {num_queries} x {num_database}, {bits} bits"
                yield f"top-k, {name}", lambda q, d: _ops.topk(q, d, min(100, len(d))), (queries, database)
                yield f"range, {name}", lambda q, d, r=bits // 3: _ops.range_search(q, d, r), (queries, database)
                codes_and_labels = (queries, database, labels[:num_queries].clone(), labels)
                yield f"counts, {name}", _ops.retrieval_counts, codes_and_labels
                yield (
                    f"index order, {name}",
                    lambda q, d, ql, dl: _ops.index_order_precision(q, d, ql, dl, [1, len(d)]),
                    codes_and_labels,
                )


def check_same_as_cpu(device: torch.device, quick: bool) -> int:
    """The number of cases, all equal in every bit."""
    count = 0
    for name, op, arguments in cases(device, quick):
        expected = op(*(x.cpu() for x in arguments))
        for right, found in zip(expected, op(*arguments), strict=True):
            if not torch.equal(found.cpu(), right):
                raise AssertionError(f"{name}: the GPU's result differs from the CPU's")
        count += 1
    return count


def everything(device: torch.device) -> list[Tensor]:
    """Results of every op at one size."""
    num_database, num_rows = (20_000, 500) if device.type == "cuda" else (2000, 50)
    queries, database = random_codes(40, 64, 1, device), random_codes(num_database, 64, 2, device)
    labels = torch.arange(num_database, device=device) % 11
    u = torch.randn(num_rows, 64, generator=torch.Generator(device).manual_seed(3), device=device)
    pair = (queries, database, labels[:40].clone(), labels)
    results = [
        _ops.hamming_distance(queries, database[:1000]),
        *_ops.topk(queries, database, 50),
        *_ops.topk(queries[:2], database, 50),
        *_ops.range_search(queries, database, 20),
        *_ops.range_nearest(queries, database, 20, 9),
        *_ops.retrieval_counts(*pair),
        *_ops.index_order_precision(*pair, [10, num_database]),
        _ops.pack_codes(u, False),
    ]
    own = labels[:num_rows].clone()
    classes = _ops.pack_labels((own[:, None] >= torch.arange(11, device=device)).long())
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        for precision in ("float32", "split"):
            leaf = u.detach().to(dtype).requires_grad_()
            for loss in (
                _ops.margin_loss(leaf, own, **MARGINS, precision=precision),
                _ops.likelihood_loss(leaf, classes, scale=0.1, overlap=True, precision=precision),
                _ops.cauchy_loss(leaf, own, **CAUCHY, precision=precision),
                _ops.contrastive_loss(leaf, own, margin=128.0, precision=precision),
            ):
                results += [loss.total.detach(), torch.autograd.grad(loss.total, leaf)[0]]
    similarities = (u @ u.T).requires_grad_()
    same = own[:, None] == own
    weights = torch.ones(num_rows, dtype=torch.float64, device=device)
    total = _ops.triplet_likelihood(similarities, same, ~same, weights, margin=2.0)
    return [*results, total.detach(), torch.autograd.grad(total, similarities)[0]]


def check_repeats(device: torch.device, quick: bool) -> int:
    """Several runs, the same bits."""
    expected = everything(device)
    runs = 2 if quick else 10
    for _ in range(runs):
        if not all(torch.equal(a, b) for a, b in zip(everything(device), expected, strict=True)):
            raise AssertionError("a repeated run gave other bits")
    return runs


def check_two_streams(device: torch.device) -> int:
    """Two streams at once, the same bits as one after the other."""
    expected = everything(device)
    if device.type != "cuda":
        return 1
    torch.cuda.synchronize(device)
    streams = [torch.cuda.Stream(device) for _ in range(2)]
    for _ in range(5):
        found = []
        for stream in streams:
            with torch.cuda.stream(stream):
                found.append(everything(device))
        torch.cuda.synchronize(device)
        for results in found:
            if not all(torch.equal(a, b) for a, b in zip(results, expected, strict=True)):
                raise AssertionError("two streams at once gave other bits")
    return 2


def digest(device: torch.device) -> str:
    """All bits of all results, folded."""
    parts = [x.detach().cpu().reshape(-1).view(torch.uint8).long() for x in everything(device)]
    return " ".join(str(int((x * (1 + torch.arange(x.numel()) % 251)).sum())) for x in parts)


def check_two_processes(device: torch.device) -> int:
    """Two processes on one card, the same bits as this one."""
    command = [
        sys.executable,
        "-c",
        f"import torch; from {__name__} import digest; print(digest(torch.device({str(device)!r})))",
    ]
    expected = digest(device)
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for process in running:
            out, _ = process.communicate(timeout=180)
            if process.returncode != 0 or out.strip().splitlines()[-1] != expected:
                raise AssertionError("two processes at once gave other bits")
    finally:
        for process in running:
            process.kill()
    return 2


CHECKS: dict[str, Callable[[torch.device, bool], int]] = {
    "same bits as the CPU": check_same_as_cpu,
    "same bits again": check_repeats,
    "two streams at once": lambda device, quick: check_two_streams(device),
    "two processes at once": lambda device, quick: check_two_processes(device),
}
