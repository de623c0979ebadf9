"""The surrogate posterior of hash codes, the wrapper that adds it to any loss, and what it says of codes."""

from __future__ import annotations

from .loss import SurrogateLoss
from .posterior import SurrogatePosterior
from .tools import (
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
