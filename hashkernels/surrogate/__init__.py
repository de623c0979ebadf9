"""The surrogate posterior of hash codes, the wrapper that adds it to any loss, and what it says of codes."""

from __future__ import annotations

from hashkernels.surrogate.loss import SurrogateLoss
from hashkernels.surrogate.posterior import SurrogatePosterior
from hashkernels.surrogate.tools import (
    ObservedCodes,
    PairTable,
    PosteriorFit,
    all_codes,
    bit_probabilities,
    code_log_probabilities,
    code_probabilities,
    naive_log_probabilities,
    observed_codes,
    pair_table,
    posterior_fit,
)

__all__ = [
    "ObservedCodes",
    "PairTable",
    "PosteriorFit",
    "SurrogateLoss",
    "SurrogatePosterior",
    "all_codes",
    "bit_probabilities",
    "code_log_probabilities",
    "code_probabilities",
    "naive_log_probabilities",
    "observed_codes",
    "pair_table",
    "posterior_fit",
]
