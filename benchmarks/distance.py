"""The distance matrix, against a +-1 matrix product and NumPy's bit counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

import hashkernels as hk

from .codes import bit_counts, random_codes
from .harness import OURS, Case, Trial


def build(queries: int, database: int, bits: int) -> Trial:
    query_codes, database_codes = random_codes(queries, bits, 1), random_codes(database, bits, 2)
    query_signs = torch.from_numpy(hk.unpack_codes(query_codes, bits)).float()
    database_signs = torch.from_numpy(hk.unpack_codes(database_codes, bits)).float()

    def check(results: Mapping[str, Any]) -> None:
        expected = bit_counts(query_codes, database_codes)
        for name, result in results.items():
            np.testing.assert_array_equal(np.asarray(result), expected, err_msg=name)

    return Trial(
        {
            OURS: lambda: hk.hamming_distance(query_codes, database_codes),
            "torch matmul": lambda: 0.5 * (bits - query_signs @ database_signs.T),
            "numpy": lambda: bit_counts(query_codes, database_codes),
        },
        check,
    )


CASES = tuple(
    Case(
        "hamming_distance",
        (OURS, "torch matmul", "numpy"),
        build,
        {"queries": 100, "database": 100_000, "bits": bits},
        {"queries": 3, "database": 700, "bits": bits},
        "pairs",
        lambda queries, database, bits: queries * database,
    )
    for bits in (32, 64, 256)
)
