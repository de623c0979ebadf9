"""Readable torch versions of every kernel: the oracle of the tests, and the answer where no kernel is built.

They take and return tensors of any device, build no matrix of all pairs, and check nothing: ``hashkernels._ops`` does.
"""

from __future__ import annotations

from hashkernels.reference.checksum import block_checksums
from hashkernels.reference.codes import pack_codes, pack_labels, unpack_codes
from hashkernels.reference.descent import discrete_descent
from hashkernels.reference.elements import ELEMENT_FUNCTIONS, NUM_WITH_TARGETS, element, element_loss
from hashkernels.reference.index import BLOCK_CODES, slice_codes, unslice_codes
from hashkernels.reference.pairwise import (
    cauchy_loss,
    class_share,
    contrastive_loss,
    likelihood_loss,
    margin_loss,
    pair_cauchy,
    pair_contrastive,
    pair_likelihood,
    sign_error,
)
from hashkernels.reference.rescore import score_codes, score_vectors
from hashkernels.reference.retrieval import FRACTION_BITS, LOW_BITS, index_order_sums, retrieval_counts
from hashkernels.reference.search import hamming_distance, least_distance, range_count, range_search, topk
from hashkernels.reference.surrogate import hidden_gradients, hidden_units, pattern_errors, unpack_kept
from hashkernels.reference.triplets import triplet_likelihood

__all__ = [
    "BLOCK_CODES",
    "ELEMENT_FUNCTIONS",
    "FRACTION_BITS",
    "LOW_BITS",
    "NUM_WITH_TARGETS",
    "block_checksums",
    "cauchy_loss",
    "class_share",
    "contrastive_loss",
    "discrete_descent",
    "element",
    "element_loss",
    "hamming_distance",
    "hidden_gradients",
    "hidden_units",
    "index_order_sums",
    "least_distance",
    "likelihood_loss",
    "margin_loss",
    "pack_codes",
    "pack_labels",
    "pair_cauchy",
    "pair_contrastive",
    "pair_likelihood",
    "pattern_errors",
    "range_count",
    "range_search",
    "retrieval_counts",
    "score_codes",
    "score_vectors",
    "sign_error",
    "slice_codes",
    "topk",
    "triplet_likelihood",
    "unpack_codes",
    "unpack_kept",
    "unslice_codes",
]
