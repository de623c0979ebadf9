"""Inputs that the cases share: codes of several kinds, made or read from a folder of data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hashkernels.data.formats import unreadable

Codes = npt.NDArray[np.uint8]

KINDS = ("random", "clustered", "equal", "sorted")
_CLUSTER_SIZE = 100
_FLIPPED = 0.05  # of the bits of a clustered code


def random_codes(num_codes: int, bits: int, seed: int) -> Codes:
    """Uniform packed codes [num_codes, ceil(bits / 8)] with zero pad bits."""
    codes = np.random.default_rng(seed).integers(0, 256, (num_codes, (bits + 7) // 8), dtype=np.uint8)
    codes[:, -1] &= 0xFF << (codes.shape[1] * 8 - bits) & 0xFF
    return codes


def query_and_database_codes(kind: str, queries: int, database: int, bits: int) -> tuple[Codes, Codes]:
    """Codes of one of ``KINDS``: "random", "clustered" (a few bits from common centers), "equal" (all the same), or
    "sorted" (the database comes nearer to the queries up to its end, so every code displaces an earlier result)."""
    if kind == "equal":
        return np.tile(random_codes(1, bits, 1), (queries, 1)), np.tile(random_codes(1, bits, 1), (database, 1))
    if kind == "clustered":
        centers = random_codes(max(database // _CLUSTER_SIZE, 1), bits, 3)
        return _near(centers, queries, bits, 4), _near(centers, database, bits, 5)
    codes = random_codes(database, bits, 2)
    if kind == "sorted":
        weight = np.bitwise_count(codes).sum(axis=1, dtype=np.int32)
        return np.zeros((queries, codes.shape[1]), dtype=np.uint8), codes[np.argsort(-weight, kind="stable")]
    return random_codes(queries, bits, 1), codes


def _near(centers: Codes, count: int, bits: int, seed: int) -> Codes:
    random = np.random.default_rng(seed)
    flips = np.packbits(random.random((count, bits), dtype=np.float32) < _FLIPPED, axis=1)
    codes: Codes = centers[random.integers(len(centers), size=count)] ^ flips
    return codes


def data_set(path: Path) -> tuple[Codes, Codes, int] | None:
    """Queries, database and bits of a file of real codes; None where it is of no known form.

    Files with ``q48`` and ``db48`` hold hashes of a published method; ``needles`` and ``haystack``, or ``code``,
    perceptual hashes; ``fp`` fingerprints of molecules. Without queries of its own, a file gives every 100th code.
    """
    with unreadable(path), np.load(path) as arrays:
        if "db48" in arrays:
            return arrays["q48"], arrays["db48"], 48
        if "haystack" in arrays:
            return arrays["needles"], arrays["haystack"], 8 * arrays["haystack"].shape[1]
        for name in ("code", "fp"):
            if name in arrays and arrays[name].dtype == np.uint8:
                codes = arrays[name]
                return codes[::100], codes, 8 * codes.shape[1]
    return None


def bit_counts(queries: npt.NDArray[np.uint8], database: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """The distance matrix by NumPy, a query at a time."""
    rows = [np.bitwise_count(query ^ database).sum(axis=1, dtype=np.int32) for query in queries]
    return np.stack(rows)
