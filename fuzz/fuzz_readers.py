"""Feeds mutated files to every reader; whatever a file holds, a reader returns or raises ``ValueError``.

    python fuzz/fuzz_readers.py --seconds 5             every reader, as continuous integration does
    python fuzz/fuzz_readers.py faiss --seconds 3600    one of them

Needs atheris (pip install atheris). A failure is written to ``crash-*`` in the working folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import atheris
import numpy as np

import hashkernels as hk
from hashkernels.data import judgments
from hashkernels.index import formats, ids, native_file, persistence, table_file
from hashkernels.index.formats import _cursor, databases, faiss, npy, vectors

CODES = np.arange(10, dtype=np.uint8).reshape(5, 2)
WIDE = np.pad(CODES, ((0, 0), (0, 1)))  # of 17 bits, which take several tables
IDS = np.array([5, -2, 9, 2**40, 7])


def write_native(path: Path) -> None:
    index = hk.BinaryIndex(17, structure="hash")
    index.add_with_ids(WIDE, IDS)
    index.prepare()
    index.save(path)


def write_appended(path: Path) -> None:
    write_native(path)
    index = hk.BinaryIndex.load(path)
    index.add_with_ids(WIDE[:2], IDS[:2] + 100)
    index.flush()


def read_native(path: Path) -> None:
    for verify in ("none", "full"):  # unverified contents may give any answer, but harm nothing
        index = hk.BinaryIndex.load(path, verify=verify)  # type: ignore[arg-type]
        if index.ntotal:
            index.search(np.zeros((1, index.bytes_per_code), np.uint8), 1)


READERS: dict[str, tuple[Callable[[Path], Any], Callable[[Path], Any]]] = {
    "native": (write_native, read_native),
    "appended": (write_appended, read_native),
    "faiss": (lambda path: formats.write_faiss(path, CODES, IDS), formats.read_faiss),
    "u8bin": (lambda path: formats.write_u8bin(path, CODES), formats.read_u8bin),
    "bvecs": (lambda path: formats.write_bvecs(path, CODES), formats.read_bvecs),
    "ivecs": (lambda path: formats.write_ivecs(path, CODES), formats.read_ivecs),
    "npy": (lambda path: formats.write_npy(path, CODES), formats.read_npy),
    "hex": (lambda path: formats.write_hex(path, CODES), formats.read_hex),
    "judgments": (lambda path: path.write_text("7 0 30 1\n7 0 41 0.5\n8 0 30 2\n"), judgments.read_judgments),
}


def instrument(*modules: ModuleType) -> None:
    """Let the fuzzer see which lines of the readers run; an editable install hides them from its import hook."""
    for module in modules:
        for value in list(vars(module).values()):
            if getattr(value, "__module__", None) != module.__name__:
                continue
            for function in (value, *(vars(value).values() if isinstance(value, type) else ())):
                if isinstance(function, FunctionType):
                    atheris.instrument_func(function)


def records_of(path: Path) -> list[int]:
    """Where the records of a native file lie."""
    file = native_file.NativeFile(path)
    return [0, 512, 1024, *(segment.start for segment in (*file.segments, *file.extras))]


def sealed(data: bytes, records: list[int]) -> bytes:
    """A native file whose records have the checksums of what they say, so that mutations get behind them."""
    raw = bytearray(data)
    for at in records:
        if len(raw) >= at + 64:
            raw[at + 60 : at + 64] = native_file.crc32c(bytes(raw[at : at + 60])).to_bytes(4, "little")
    return bytes(raw)


def fuzz(name: str, seconds: int) -> None:
    """Fuzz one reader in this process, which ends with it."""
    write, read = READERS[name]
    instrument(formats, ids, native_file, persistence, table_file, _cursor, databases, faiss, npy, vectors, judgments)
    with tempfile.TemporaryDirectory() as folder:
        corpus, path = Path(folder) / "corpus", Path(folder) / "file"
        corpus.mkdir()
        write(corpus / "whole")
        (corpus / "half").write_bytes((corpus / "whole").read_bytes()[: (corpus / "whole").stat().st_size // 2])

        records = records_of(corpus / "whole") if read is read_native else []

        def once(data: bytes) -> None:
            for content in (data, sealed(data, records)) if records else (data,):
                path.write_bytes(content)
                try:
                    read(path)
                except ValueError:
                    continue

        options = [sys.argv[0], str(corpus), f"-max_total_time={seconds}", "-max_len=8192", "-rss_limit_mb=2048"]
        atheris.Setup(options, once)
        atheris.Fuzz()


def main() -> None:
    """Fuzz the reader that is named, or each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reader", nargs="?", choices=READERS)
    parser.add_argument("--seconds", type=int, default=5)
    options = parser.parse_args()
    if options.reader is not None:
        fuzz(options.reader, options.seconds)
        return

    def failed(name: str) -> bool:
        command = [sys.executable, __file__, name, "--seconds", str(options.seconds)]
        return subprocess.run(command, check=False).returncode != 0

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [name for name, failure in zip(READERS, pool.map(failed, READERS), strict=True) if failure]
    if found:
        sys.exit(f"{', '.join(found)}: the reader failed, see crash-* for the file")


if __name__ == "__main__":
    main()
