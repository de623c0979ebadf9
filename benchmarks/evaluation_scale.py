"""What an evaluation takes beyond a single run: memory at millions of items, time by ranks, its share of an epoch.

    python -m hashkernels.benchmarks.evaluation_scale memory --items 10000000
    python -m hashkernels.benchmarks.evaluation_scale ranks
    python -m hashkernels.benchmarks.evaluation_scale epoch --data PATH    # the files of Fashion-MNIST

Each prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

import hashkernels as hk
from hashkernels.data import load_source
from hashkernels.train import build_loss, build_model, encode, fit

_QUERIES, _BITS = 1000, 48


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
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in range(1, 5):
            torch.multiprocessing.spawn(_rank, (size, folder), nprocs=size)
            heard = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(size)]
            assert len({part["map"] for part in heard}) == 1
            found[f"{size} ranks"] = {"map": heard[0]["map"], "seconds": max(part["seconds"] for part in heard)}
    assert len({part["map"] for part in found.values()}) == 1
    return found


def _rank(rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    meet = f"file://{folder}/meet-{size}"
    torch.distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=size)
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(0, 256, (200_000, 8), dtype=np.uint8), rng.integers(0, 100, 200_000)
    part = slice(rank * 200_000 // size, (rank + 1) * 200_000 // size)
    arguments = codes[:5000], codes[part], labels[:5000], labels[part]
    seconds = []
    for _ in range(3):
        torch.distributed.barrier()
        start = time.perf_counter()
        report = hk.evaluate(*arguments, k=1000, distributed=True, threads=1)
        seconds.append(time.perf_counter() - start)
    (Path(folder) / f"{rank}.json").write_text(json.dumps({"map": report.map, "seconds": min(seconds)}))
    torch.distributed.destroy_process_group()


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
        "map": report.map,
        "epoch_seconds": trained - start,
        "encoding_seconds": encoded - trained,
        "evaluation_seconds": evaluated - encoded,
        "evaluation_share_of_epoch": (evaluated - encoded) / (trained - start),
    }


def _anonymous_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status does not say RssAnon")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["memory", "stream", "ranks", "epoch"])
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--folder")
    parser.add_argument("--data")
    given = parser.parse_args()
    if given.what == "memory":
        found = memory(given.items)
    elif given.what == "stream":
        found = stream(given.folder)
    else:
        found = ranks() if given.what == "ranks" else epoch(given.data)
    print(json.dumps(found, indent=1 if given.what != "stream" else None))


if __name__ == "__main__":
    main()
