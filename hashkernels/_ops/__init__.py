"""The only place that touches ``torch.library`` and data pointers.

Typed functions over tensors, one family a file. They trust their callers for the meaning of the values (see
``_validation``), look at dtypes and shapes once more before an address leaves Python, and answer from
``hashkernels.reference`` where no kernel is built.
"""

from __future__ import annotations

from hashkernels._ops._first_order import first_order, reverse_mode_only
from hashkernels._ops._library import empty_on_huge_pages, get_num_threads, nobody_watches, set_num_threads
from hashkernels._ops.at_once import (
    PlainPlanes,
    PlainSearch,
    are_plain_codes,
    find_in_codes,
    find_in_tables,
    least_distance,
)
from hashkernels._ops.checksum import block_checksums
from hashkernels._ops.codes import pack_codes, pack_labels, unpack_codes
from hashkernels._ops.descent import discrete_descent
from hashkernels._ops.elements import ElementLoss, ElementTerm, element_loss
from hashkernels._ops.hash_tables import (
    HashTables,
    build_hash_tables,
    can_hash,
    check_hash_contents,
    check_hash_tables,
    hash_range_count,
    hash_range_search,
    hash_table_shapes,
    hash_topk,
)
from hashkernels._ops.index import (
    BLOCK_CODES,
    gather_codes,
    has_sliced_search,
    most_hash_work,
    search_method,
    slice_codes,
    sliced_range_count,
    sliced_range_search,
    sliced_topk,
)
from hashkernels._ops.pairwise import PairLoss, cauchy_loss, contrastive_loss, likelihood_loss, margin_loss
from hashkernels._ops.rescore import score_codes, score_vectors
from hashkernels._ops.retrieval import (
    FRACTION_BITS,
    LOW_BITS,
    index_order_precision,
    index_order_sums,
    precision_of,
    rank_starts,
    retrieval_counts,
)
from hashkernels._ops.search import (
    device_search_method,
    hamming_distance,
    range_count,
    range_nearest,
    range_search,
    topk,
)
from hashkernels._ops.surrogate import hidden_gradients, hidden_units, pattern_errors
from hashkernels._ops.triplets import triplet_likelihood
from hashkernels.reference import (  # differentiable by torch, or no kernel's work
    pair_cauchy,
    pair_contrastive,
    pair_likelihood,
    unpack_kept,
)

__all__ = [
    "BLOCK_CODES",
    "FRACTION_BITS",
    "LOW_BITS",
    "ElementLoss",
    "ElementTerm",
    "HashTables",
    "PairLoss",
    "PlainPlanes",
    "PlainSearch",
    "are_plain_codes",
    "block_checksums",
    "build_hash_tables",
    "can_hash",
    "cauchy_loss",
    "check_hash_contents",
    "check_hash_tables",
    "contrastive_loss",
    "device_search_method",
    "discrete_descent",
    "element_loss",
    "empty_on_huge_pages",
    "find_in_codes",
    "find_in_tables",
    "first_order",
    "gather_codes",
    "get_num_threads",
    "hamming_distance",
    "has_sliced_search",
    "hash_range_count",
    "hash_range_search",
    "hash_table_shapes",
    "hash_topk",
    "hidden_gradients",
    "hidden_units",
    "index_order_precision",
    "index_order_sums",
    "least_distance",
    "likelihood_loss",
    "margin_loss",
    "most_hash_work",
    "nobody_watches",
    "pack_codes",
    "pack_labels",
    "pair_cauchy",
    "pair_contrastive",
    "pair_likelihood",
    "pattern_errors",
    "precision_of",
    "range_count",
    "range_nearest",
    "range_search",
    "rank_starts",
    "retrieval_counts",
    "reverse_mode_only",
    "score_codes",
    "score_vectors",
    "search_method",
    "set_num_threads",
    "slice_codes",
    "sliced_range_count",
    "sliced_range_search",
    "sliced_topk",
    "topk",
    "triplet_likelihood",
    "unpack_codes",
    "unpack_kept",
]
