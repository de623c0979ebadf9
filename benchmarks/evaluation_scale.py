"""What an evaluation takes beyond a single run: memory at millions of items, time by ranks, its share of an epoch.

    python -m hashkernels.benchmarks.evaluation_scale memory --items 10000000
    python -m hashkernels.benchmarks.evaluation_scale ranks
    python -m hashkernels.benchmarks.evaluation_scale epoch --data PATH    # Fashion-MNIST, its files or an .npz

Each prints a table; with ``--output NAME`` it also goes to NAME.txt, and all figures to NAME.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import distributed

import hashkernels as hk
from hashkernels.data import load_source
from hashkernels.data.files import check_output_files, save_text
from hashkernels.report import text_table
from hashkernels.train import build_loss, build_model, encode, fit

from .harness import environment

_QUERIES, _BITS = 1000, 48
_ITEMS, _MOST_RANKS = 200_000, 4


def memory(items: int) -> dict[str, Any]:
    """Peak memory of fresh processes that stream a database from files, at a tenth of the items and at all of them."""
    found: dict[str, Any] = {"queries": _QUERIES, "bits": _BITS}
    with tempfile.TemporaryDirectory() as folder:
        for count in (items // 10, items):
            rng = np.random.default_rng(0)
            codes = open_memmap(Path(folder) / "codes.npy", "w+", np.uint8, (count, _BITS // 8))
            labels = open_memmap(Path(folder) / "labels.npy", "w+", np.int64, (count,))
            for start in range(0, count, 1 << 20):
                part = slice(start, min(start + (1 << 20), count))
                codes[part] = rng.integers(0, 256, (part.stop - start, _BITS // 8), dtype=np.uint8)
                labels[part] = rng.integers(0, 100, part.stop - start)
            codes.flush()
            labels.flush()
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, "stream", "--folder", folder],
                capture_output=True,
                text=True,
                check=True,
            )
            found[f"{count} items"] = json.loads(done.stdout)
    return found


def stream(folder: str) -> dict[str, Any]:
    """Evaluate the files of a folder; memory that is mapped from them is not counted."""
    codes, labels = (np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("codes", "labels"))
    before, start = _anonymous_bytes(), time.perf_counter()
    evaluator = hk.RetrievalEvaluator(_BITS, threads=1)
    evaluator.update(np.array(codes[:_QUERIES]), np.array(labels[:_QUERIES]), "query")
    most = before
    for first in range(0, len(codes), 1 << 20):
        part = slice(first, first + (1 << 20))
        evaluator.update(codes[part], labels[part], "database")
        most = max(most, _anonymous_bytes())
    value = evaluator.compute().map
    return {
        "map": value,
        "seconds": time.perf_counter() - start,
        "grown_by_MB": (max(most, _anonymous_bytes()) - before) / 1e6,
        "peak_resident_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
        "distance_matrix_would_take_MB": len(codes) * _QUERIES * 4 / 1e6,
    }


def ranks() -> dict[str, Any]:
    """Time of one evaluation shared by 1 to 4 ranks of one thread each; all find the same bits."""
    found: dict[str, Any] = {"queries": 5000, "items": _ITEMS, "bits": 64, "cores": len(os.sched_getaffinity(0))}
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_rank, (folder,), nprocs=_MOST_RANKS)
        heard = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(_MOST_RANKS)]
    assert len({part["map"] for ranks in heard for part in ranks.values()}) == 1
    for size in heard[0]:
        seconds = max(part[size]["seconds"] for part in heard[: int(size)])
        found[f"{size} ranks"] = {"map": heard[0][size]["map"], "seconds": seconds}
    return found


def _rank(rank: int, folder: str) -> None:
    """Takes part in the groups of 1 to 4 ranks that it belongs to, and waits while the others are at work."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=_MOST_RANKS)
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (_ITEMS, 8), dtype=np.uint8), rng.integers(0, 100, _ITEMS)
    found = {}
    for size in range(1, _MOST_RANKS + 1):
        group = distributed.new_group(list(range(size)))
        distributed.barrier()
        if rank < size:
            part = slice(rank * _ITEMS // size, (rank + 1) * _ITEMS // size)
            seconds = []
            for _ in range(3):
                distributed.barrier(group)
                start = time.perf_counter()
                report = hk.evaluate(
                    codes[:5000], codes[part], labels[:5000], labels[part], k=1000, distributed=group, threads=1
                )
                seconds.append(time.perf_counter() - start)
            found[size] = {"map": report.map, "seconds": min(seconds)}
        distributed.barrier()
    (Path(folder) / f"{rank}.json").write_text(json.dumps(found))
    distributed.destroy_process_group()


def epoch(data: str) -> dict[str, Any]:
    """Seconds of an epoch on Fashion-MNIST, of encoding queries and database, and of the evaluation beyond that."""
    split = load_source("fashion-mnist", root=Path(data))
    model, loss = build_model(split.item_shape, 32), build_loss("csq", 32, split.num_classes)
    start = time.perf_counter()
    fit(model, loss, (split.train_items, split.train_labels), epochs=1)
    trained = time.perf_counter()
    codes = [encode(model, part.numpy()) for part in (split.query_items, split.database_items)]
    encoded = time.perf_counter()
    report = hk.evaluate(*codes, split.query_labels.numpy(), split.database_labels.numpy(), bits=32)
    evaluated = time.perf_counter()
    return {
        "training_items": len(split.train_items),
        "queries": len(codes[0]),
        "items": len(codes[1]),
        "bits": 32,
        "one epoch": {
            "map": report.map,
            "seconds": trained - start,
            "encoding_seconds": encoded - trained,
            "evaluation_seconds": evaluated - encoded,
            "evaluation_percent_of_epoch": 100 * (evaluated - encoded) / (trained - start),
        },
    }


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not say RssAnon")


def as_text(found: Mapping[str, Any]) -> str:
    """One row for each part that was measured, after what holds for all of them."""
    common = [f"{name} {value}" for name, value in found.items() if not isinstance(value, dict)]
    parts = {name: value for name, value in found.items() if isinstance(value, dict)}
    columns = list(next(iter(parts.values())))
    rows = [[name, *(f"{part[column]:.6g}" for column in columns)] for name, part in parts.items()]
    return ", ".join(common) + "\n\n" + text_table(["", *(column.replace("_", " ") for column in columns)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["memory", "stream", "ranks", "epoch"])
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--folder")
    parser.add_argument("--data")
    parser.add_argument("--output", type=Path, help="without an ending")
    given = parser.parse_args()
    if given.what == "stream":
        print(json.dumps(stream(given.folder)))
        return
    outputs = [] if given.output is None else [given.output.with_suffix(ending) for ending in (".json", ".txt")]
    check_output_files(outputs, force=True)
    work = {"memory": lambda: memory(given.items), "ranks": ranks, "epoch": lambda: epoch(given.data)}
    found = work[given.what]()
    text = as_text(found)
    print(text)
    numbers = json.dumps({"environment": environment(), **found}, indent=1)
    for path, content in zip(outputs, (numbers, text), strict=False):
        save_text(path, content + "\n")


if __name__ == "__main__":
    main()
