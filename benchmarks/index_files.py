"""Files of an index: written, mapped, verified, shared, killed; and rescoring against FAISS with NumPy.

    python -m benchmarks.index_files --folder /a/folder/on/the/disk
    python -m benchmarks.index_files --embeddings embeddings.npy      also rescores these: see sentence_embeddings.py

Run it from the folder that holds tests/. It writes results/cpu_index_files.json and .txt. Every result is checked
before it is timed, or as part of it; times are medians of interleaved rounds where something is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import hashkernels as hk

from .codes import bit_counts, random_codes
from .harness import environment

BITS, PROCESSES, ROUNDS, QUERIES = 64, 8, 7, 300

_READER = """
import sys, time
import numpy as np
import hashkernels as hk
path, verify, first = sys.argv[1:]
query = np.load(path + ".query.npy")
hk.topk(query, query, 1)  # threads and libraries are up
start = time.perf_counter()
index = hk.BinaryIndex.load(path, verify=verify)
loaded = time.perf_counter()
found = index.search(query, 10)
searched = time.perf_counter()
index.search(query, 10)
again = time.perf_counter()
print(loaded - start, searched - loaded, again - searched, *found.indices[0].tolist(), flush=True)
sys.stdin.readline()
"""


def interleaved(contenders: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def write(index: hk.BinaryIndex, codes: np.ndarray[Any, Any], path: Path) -> dict[str, float]:
    """Saving against plain writes of the same bytes, all brought to the disk; the second is renamed, as saving does."""
    raw, beside = path.with_suffix(".raw"), path.with_suffix(".partial")

    def plain(to: Path) -> None:
        with open(to, "wb") as file:
            file.write(codes.data)
            os.fsync(file.fileno())

    def renamed() -> None:
        plain(beside)
        os.replace(beside, raw)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    contenders = {"save": lambda: index.save(path), "plain write": lambda: plain(raw), "plain, renamed": renamed}
    seconds = interleaved(contenders)
    raw.unlink()
    return {"bytes": path.stat().st_size, **{f"{name} s": value for name, value in seconds.items()}}


def reader(path: Path, verify: str) -> subprocess.Popen[str]:
    """A fresh process that loads the file, searches it twice, and then waits."""
    command = [sys.executable, "-c", _READER, str(path), verify, "10"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen[str]) -> list[float]:
    """What it says."""
    assert process.stdout is not None
    return [float(word) for word in process.stdout.readline().split()]


def end(process: subprocess.Popen[str]) -> None:
    """Let it go."""
    process.communicate("\n")


def load(path: Path, expected: list[int]) -> dict[str, dict[str, float]]:
    """Loading and the first search of a mapped file, in processes that have not seen it; the file is in memory."""
    rows: dict[str, dict[str, float]] = {}
    for verify in ("none", "lazy", "full"):
        said = []
        for _ in range(3):
            process = reader(path, verify)
            said.append(answer(process))
            end(process)
            assert [int(x) for x in said[-1][3:]] == expected
        loaded, first, again = (statistics.median(row[i] for row in said) for i in range(3))
        rows[verify] = {"load ms": loaded * 1e3, "first search ms": first * 1e3, "second search ms": again * 1e3}
    return rows


def verify(path: Path) -> dict[str, float]:
    """Checking every block against reading the same bytes once."""
    from hashkernels.index.native_file import NativeFile

    file = NativeFile(path)
    words = np.memmap(path, np.uint64, mode="r", shape=path.stat().st_size // 8)
    seconds = interleaved({"verify": file.verify, "sum of words": words.sum})
    size = path.stat().st_size
    return {f"{name} GB/s": size / value / 1e9 for name, value in seconds.items()}


def shared(path: Path, expected: list[int]) -> dict[str, float]:
    """Proportional share of the mapped file in memory, summed over processes that have all searched it."""
    processes = [reader(path, "none") for _ in range(PROCESSES)]
    for process in processes:
        assert [int(x) for x in answer(process)[3:]] == expected
    total = sum(_pss(process.pid, path) for process in processes)
    for process in processes:
        end(process)
    return {"processes": PROCESSES, "PSS of all MB": total / 1e6, "file MB": path.stat().st_size / 1e6}


def tables(index: hk.BinaryIndex, path: Path, expected: list[int]) -> dict[str, float]:
    """Hash tables built, and taken from the file."""
    start = time.perf_counter()
    index.prepare()
    built = time.perf_counter()
    index.save(path)
    saved = time.perf_counter()
    row = load(path, expected)["lazy"]
    return {"build s": built - start, "save s": saved - built, "MB": index.structure_bytes / 1e6, **row}


def kills(count: int) -> dict[str, Any]:
    """A writer killed that often while it adds and saves; the test fails where the file has lost anything."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "tests/index/test_kills.py", str(count)], check=True, capture_output=True, text=True
    )
    return {"kills": count, **json.loads(done.stdout), "lost": 0, "s": time.perf_counter() - start}


def _pss(pid: int, path: Path) -> int:
    total, ours = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = line.split()
        if "-" in head[0] and not head[0].endswith(":"):
            ours = line.endswith(str(path.resolve()))
        elif ours and head[0] == "Pss:":
            total += int(head[1]) * 1024
    return total


def clusters(count: int, width: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Unit vectors around random centers."""
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(count // 50 + 1, width))
    rows = centers[rng.integers(0, len(centers), count)] + 0.6 * rng.normal(size=(count, width))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def rescore(embeddings: np.ndarray[Any, Any], source: str, oversample: int, k: int = 10) -> dict[str, Any]:
    """Recall of the true k nearest, and time, of codes alone, rescored by us, and by FAISS with NumPy."""
    queries, database = embeddings[:QUERIES], embeddings[QUERIES:]
    bits = database.shape[1] // 8 * 8
    queries, database = np.ascontiguousarray(queries[:, :bits]), np.ascontiguousarray(database[:, :bits])
    truth = np.argsort(-(queries @ database.T), axis=1, kind="stable")[:, :k]
    packed_queries, packed = hk.pack_codes(queries), hk.pack_codes(database)
    ours, theirs = hk.BinaryIndex(bits), faiss.IndexBinaryFlat(bits)
    ours.add(packed)
    theirs.add(packed)

    def by_faiss(rows: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
        _, candidates = theirs.search(packed_queries, k * oversample)
        if rows is None:
            listed = np.unpackbits(packed[candidates], axis=2).astype(np.float32) * 2 - 1
        else:
            listed = rows[candidates]
        scores = np.einsum("qcd,qd->qc", listed, queries)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(candidates, order, 1)

    options: dict[str, Any] = {"rescore": queries, "oversample": oversample}
    contenders: dict[str, Callable[[], Any]] = {
        "codes alone": lambda: ours.search(packed_queries, k).indices,
        "hashkernels, codes": lambda: ours.search(packed_queries, k, **options).indices,
        "hashkernels, float32": lambda: ours.search(packed_queries, k, **options, vectors=database).indices,
        "faiss and numpy, codes": lambda: by_faiss(None),
        "faiss and numpy, float32": lambda: by_faiss(database),
    }
    recall = {
        name: float(np.mean([len(set(a) & set(b)) / k for a, b in zip(run(), truth, strict=True)]))
        for name, run in contenders.items()
    }
    seconds = interleaved(contenders, rounds=5)
    table = {name: {"recall": recall[name], "ms": seconds[name] * 1e3} for name in contenders}
    numbers = {"database": len(database), "queries": len(queries), "bits": bits, "k": k, "oversample": oversample}
    return {"embeddings": source, **numbers, "results": table}


def text_of(report: dict[str, Any]) -> str:
    """The same numbers for people."""
    here = report["environment"]
    lines = [f"{here['cpu']}, {here['isa']}, {here['threads']} threads: {report['codes']:,} codes of {BITS} bits", ""]
    for name in ("write", "verify", "shared", "tables", "kills"):
        lines.append(f"{name}: " + ", ".join(f"{key} {value:,.4g}" for key, value in report[name].items()))
    for policy, row in report["load"].items():
        lines.append(f"load, verify={policy}: " + ", ".join(f"{key} {value:,.4g}" for key, value in row.items()))
    for run in report["rescoring"]:
        sizes = ", ".join(f"{key} {run[key]:,}" for key in ("database", "queries", "bits", "k", "oversample"))
        lines += ["", f"rescoring {run['embeddings']} ({sizes})", f"{'':<26}{'recall':>8}{'ms':>10}"]
        lines += [f"{name:<26}{row['recall']:>8.4f}{row['ms']:>10.2f}" for name, row in run["results"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--embeddings", type=Path, default=None)
    parser.add_argument("--source", default="embeddings", help="what the embeddings are of, in a few words")
    parser.add_argument("--synthetic", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "cpu_index_files.json")
    options = parser.parse_args()
    codes, query = random_codes(options.codes, BITS, 1), random_codes(1, BITS, 2)
    expected = np.argsort(bit_counts(query, codes)[0], kind="stable")[:10].tolist()
    report: dict[str, Any] = {"environment": environment(), "codes": options.codes, "bits": BITS}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "codes.hki"
        np.save(f"{path}.query.npy", query)
        index = hk.BinaryIndex(BITS, structure="hash")
        index.add(codes)
        report["write"] = write(index, codes, path)
        report["load"] = load(path, expected)
        report["verify"] = verify(path)
        report["shared"] = shared(path, expected)
        report["tables"] = tables(index, path, expected)
    report["kills"] = kills(options.kills)
    report["rescoring"] = [rescore(clusters(options.synthetic, 384), "synthetic clusters", 4)]
    if options.embeddings is not None:
        embeddings = np.load(options.embeddings)
        report["rescoring"] += [rescore(embeddings, options.source, factor) for factor in (4, 10)]
    options.output.write_text(json.dumps(report, indent=2) + "\n")
    text = text_of(report)
    options.output.with_suffix(".txt").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
