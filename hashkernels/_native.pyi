"""The native extension: pointers in, results written where the pointers say.

Addresses are ints; sizes are ints; the strides of codes are in bytes, those of embeddings in elements; the elements of
one row lie side by side. Every function releases the GIL around its kernel, and raises ``ValueError``,
``RuntimeError`` or ``MemoryError`` when the kernel reports that it could not do its work.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

def isa() -> str: ...
def available_isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def build_info() -> dict[str, Any]: ...
def cuda_device_count() -> int: ...
def crc32c_blocks(data: int, size: int, block_size: int, out: int, threads: int) -> None: ...
def pack_codes(
    src: int,
    dtype_code: str,
    rows: int,
    bits: int,
    row_stride: int,
    dst: int,
    dst_row_stride: int,
    little: bool,
    threads: int,
) -> bool: ...
def unpack_codes(
    codes: int,
    rows: int,
    bits: int,
    row_stride: int,
    dst: int,
    dst_row_stride: int,
    little: bool,
    threads: int,
) -> None: ...
def hamming_distance(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    out: int,
    out_bytes_per_element: int,
    threads: int,
) -> None: ...
def topk(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    k: int,
    allowed: int,
    out_distances: int,
    out_indices: int,
    threads: int,
) -> None: ...

class RangeFinds:
    """What a radius search found; ``write`` copies it to distances int32 and indices int64."""

    def ranges(self, num_queries: int, out_offsets: int, out_counts: int) -> int: ...
    def write(self, out_distances: int, out_indices: int, threads: int) -> None: ...

def range_search(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    max_results: int,
    allowed: int,
    threads: int,
) -> RangeFinds: ...
def range_count(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    allowed: int,
    out_counts: int,
    threads: int,
) -> None: ...
def sliced_size(num_codes: int, num_bytes: int) -> int: ...
def slice_codes(
    src: int, num_codes: int, stride: int, num_bytes: int, first: int, planes: int, threads: int
) -> None: ...
def unslice_codes(
    planes: int, num_bytes: int, first: int, count: int, dst: int, dst_stride: int, threads: int
) -> None: ...
def gather_codes(planes: int, num_bytes: int, positions: int, count: int, dst: int, dst_stride: int) -> None: ...
def sliced_topk(
    queries: int,
    num_queries: int,
    query_stride: int,
    planes: int,
    num_database: int,
    num_bytes: int,
    k: int,
    allowed: int,
    out_distances: int,
    out_indices: int,
    threads: int,
) -> None: ...
def sliced_range_search(
    queries: int,
    num_queries: int,
    query_stride: int,
    planes: int,
    num_database: int,
    num_bytes: int,
    radius: int,
    max_results: int,
    allowed: int,
    threads: int,
) -> RangeFinds: ...
def sliced_range_count(
    queries: int,
    num_queries: int,
    query_stride: int,
    planes: int,
    num_database: int,
    num_bytes: int,
    radius: int,
    allowed: int,
    out_counts: int,
    threads: int,
) -> None: ...
def discrete_descent(
    pull: int, gram: int, float64: bool, num_items: int, bits: int, sweeps: int, codes: int, threads: int
) -> None: ...
def triplet_likelihood(
    similarities: int,
    float64: bool,
    relevant: int,
    irrelevant: int,
    weights: int,
    num_queries: int,
    num_items: int,
    margin: float,
    loss: int,
    grad: int,
    threads: int,
) -> None: ...
def score_codes(
    queries: int,
    num_queries: int,
    query_stride: int,
    bits: int,
    codes: int,
    num_candidates: int,
    little: bool,
    out_scores: int,
    threads: int,
) -> None: ...
def score_vectors(
    queries: int,
    num_queries: int,
    query_stride: int,
    num_values: int,
    vectors: int,
    int8: bool,
    row_stride: int,
    positions: int,
    num_candidates: int,
    out_scores: int,
    threads: int,
) -> None: ...

max_chunks: int
max_chunk_bits: int
max_hashed_codes: int

class HashTables:
    def __init__(
        self,
        num_codes: int,
        num_bytes: int,
        num_chunks: int,
        widths: int,
        order: int,
        offsets: int,
        rows: int,
        ids: int,
        slots: int,
    ) -> None: ...
    def topk(
        self, queries: npt.NDArray[Any], k: int, threads: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...
    def range_search(
        self, queries: npt.NDArray[Any], radius: int, threads: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]] | None: ...
    def range_count(
        self, queries: npt.NDArray[Any], radius: int, threads: int
    ) -> tuple[npt.NDArray[np.int64]] | None: ...

def tag_bits(num_codes: int) -> int: ...
def choose_chunks(
    planes: int, num_codes: int, num_bytes: int, bits: int, little: bool, out_order: int, out_widths: int
) -> int: ...
def build_hash_tables(planes: int, tables: HashTables, threads: int) -> None: ...
def hash_range_search(
    queries: int,
    num_queries: int,
    query_stride: int,
    tables: HashTables,
    radius: int,
    max_results: int,
    allowed: int,
    max_work: float,
    threads: int,
) -> RangeFinds | None: ...
def hash_range_count(
    queries: int,
    num_queries: int,
    query_stride: int,
    tables: HashTables,
    radius: int,
    allowed: int,
    max_work: float,
    out_counts: int,
    threads: int,
) -> bool: ...
def hash_topk(
    queries: int,
    num_queries: int,
    query_stride: int,
    tables: HashTables,
    k: int,
    allowed: int,
    max_work: float,
    out_distances: int,
    out_indices: int,
    out_left: int,
    threads: int,
) -> int: ...
def search_method(sliced: bool, num_bytes: int, num_queries: int, num_codes: int, threads: int) -> str: ...
def most_hash_work(num_bytes: int, num_queries: int, num_codes: int, threads: int) -> float: ...
def are_plain_codes(codes: npt.NDArray[Any], num_bytes: int, pad: int, results: int) -> bool: ...

class _Searched:
    def topk(
        self, queries: npt.NDArray[Any], k: int, threads: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
    def range_search(
        self, queries: npt.NDArray[Any], radius: int, threads: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
    def range_count(self, queries: npt.NDArray[Any], radius: int, threads: int) -> tuple[npt.NDArray[np.int64]]: ...

class PlainCodes(_Searched):
    def __init__(self, codes: npt.NDArray[Any]) -> None: ...

class PlainPlanes(_Searched):
    def __init__(self, planes: int, count: int, num_bytes: int) -> None: ...

def retrieval_counts(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    query_labels: int,
    database_labels: int,
    label_words: int,
    out_total: int,
    out_relevant: int,
    threads: int,
) -> None: ...
def index_order_sums(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    query_labels: int,
    database_labels: int,
    label_words: int,
    start_ranks: int,
    start_hits: int,
    cutoffs: list[int],
    out_sums: int,
    threads: int,
) -> None: ...
def margin_loss(
    u: int,
    dtype_code: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    quantization: float,
    out_total: int,
    out_sums: int,
    grad: int,
    threads: int,
) -> None: ...
def likelihood_loss(
    u: int,
    dtype_code: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    scale: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    overlap: bool,
    quantization: float,
    out_total: int,
    out_sums: int,
    grad: int,
    threads: int,
) -> None: ...
def cauchy_loss(
    u: int,
    dtype_code: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    gamma: float,
    distance_scale: float,
    positive_min_distance: float,
    negative_min_distance: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    quantization: float,
    out_total: int,
    out_sums: int,
    grad: int,
    threads: int,
) -> None: ...
def contrastive_loss(
    u: int,
    dtype_code: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    margin: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    quantization: float,
    out_total: int,
    out_sums: int,
    grad: int,
    threads: int,
) -> None: ...
def cuda_pack_codes(
    src: int,
    dtype_code: str,
    rows: int,
    bits: int,
    row_stride: int,
    dst: int,
    dst_row_stride: int,
    little: bool,
    has_nan: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_unpack_codes(
    codes: int,
    rows: int,
    bits: int,
    row_stride: int,
    dst: int,
    dst_row_stride: int,
    little: bool,
    device: int,
    stream: int,
) -> None: ...
def cuda_hamming_distance(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    out: int,
    out_bytes_per_element: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_has_binary_products(device: int) -> bool: ...
def cuda_topk_workspace(num_queries: int, num_database: int, num_bytes: int, k: int) -> int: ...
def cuda_topk(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    k: int,
    allowed: int,
    portable: bool,
    out_distances: int,
    out_indices: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_range_workspace(num_queries: int, num_database: int, num_bytes: int, radius: int) -> int: ...
def cuda_range_count(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    allowed: int,
    out_counts: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_range_fill(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    allowed: int,
    offsets: int,
    out_distances: int,
    out_indices: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_range_nearest(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    max_results: int,
    allowed: int,
    out_counts: int,
    out_distances: int,
    out_indices: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_retrieval_counts(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    query_labels: int,
    database_labels: int,
    label_words: int,
    out_total: int,
    out_relevant: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_index_order_workspace(num_queries: int, num_database: int, num_bytes: int) -> int: ...
def cuda_index_order_sums(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    query_labels: int,
    database_labels: int,
    label_words: int,
    start_ranks: int,
    start_hits: int,
    cutoffs: list[int],
    out_sums: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_margin_loss_workspace(num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int: ...
def cuda_margin_loss(
    u: int,
    row_dtype: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    column_dtype: str,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    counted: int,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    quantization: float,
    split: bool,
    out_total: int,
    out_sums: int,
    grad: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_likelihood_loss_workspace(num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int: ...
def cuda_likelihood_loss(
    u: int,
    row_dtype: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    column_dtype: str,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    counted: int,
    scale: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    overlap: bool,
    quantization: float,
    split: bool,
    out_total: int,
    out_sums: int,
    grad: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_cauchy_loss_workspace(num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int: ...
def cuda_cauchy_loss(
    u: int,
    row_dtype: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    column_dtype: str,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    counted: int,
    gamma: float,
    distance_scale: float,
    positive_min_distance: float,
    negative_min_distance: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    quantization: float,
    split: bool,
    out_total: int,
    out_sums: int,
    grad: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_contrastive_loss_workspace(num_rows: int, num_columns: int, bits: int, with_grad: bool) -> int: ...
def cuda_contrastive_loss(
    u: int,
    row_dtype: str,
    num_rows: int,
    bits: int,
    row_stride: int,
    v: int,
    column_dtype: str,
    num_columns: int,
    column_stride: int,
    row_labels: int,
    column_labels: int,
    label_words: int,
    left_out: int,
    counted: int,
    margin: float,
    positive_scale: float,
    negative_scale: float,
    weighted: bool,
    quantization: float,
    split: bool,
    out_total: int,
    out_sums: int,
    grad: int,
    workspace: int,
    device: int,
    stream: int,
) -> None: ...
def cuda_triplet_likelihood(
    similarities: int,
    relevant: int,
    irrelevant: int,
    weights: int,
    num_queries: int,
    num_items: int,
    margin: float,
    loss: int,
    grad: int,
    query_losses: int,
    device: int,
    stream: int,
) -> None: ...
def harmonic_sums(
    start: int,
    count: int,
    num_values: int,
    table_reciprocal: int,
    table_ramp: int,
    table_size: int,
    out_reciprocal: int,
    out_ramp: int,
) -> None: ...
def log2(values: int, num_values: int, out: int) -> None: ...
def hit_means(numbers: int, count: int, out: int) -> None: ...
def running_sums(values: int, rows: int, columns: int, out: int) -> None: ...
def fixed_sums(values: int, rows: int, columns: int, high: int, low: int) -> None: ...
def share_sums(
    size: int, positives: int, num_queries: int, num_ties: int, unanswerable: bool, high: int, low: int, threads: int
) -> None: ...
def tie_precision_sums(
    size: int,
    positives: int,
    num_ties: int,
    num_queries: int,
    table_reciprocal: int,
    table_ramp: int,
    table_size: int,
    out_mean: int,
    out_least: int,
    out_greatest: int,
    threads: int,
) -> None: ...
def cut_precision_sums(
    size: int,
    positives: int,
    num_queries: int,
    num_ties: int,
    cutoffs: int,
    num_cutoffs: int,
    table_reciprocal: int,
    table_ramp: int,
    table_size: int,
    out_relevant: int,
    out_cuts: int,
    out_sums: int,
    threads: int,
) -> None: ...
def hidden_units(
    float64: bool,
    x: int,
    block_stride: int,
    item_stride: int,
    weight: int,
    num_blocks: int,
    num_items: int,
    hidden: int,
    size: int,
    bias: int,
    kept: int,
    scale: float,
    units: int,
    slope: int,
    threads: int,
) -> None: ...
def pattern_errors(
    float64: bool,
    patterns: int,
    num_blocks: int,
    num_items: int,
    num_patterns: int,
    logits: int,
    weights: int,
    errors: int,
    nll: int,
    threads: int,
) -> None: ...
def hidden_gradients(
    float64: bool,
    x: int,
    block_stride: int,
    item_stride: int,
    weight: int,
    num_blocks: int,
    num_items: int,
    hidden: int,
    size: int,
    patterns: int,
    num_patterns: int,
    product: int,
    slope: int,
    weight_out: int,
    grad_x: int,
    grad_weight: int,
    grad_bias: int,
    threads: int,
) -> None: ...
def element_loss(
    float64: bool,
    u: int,
    targets: int,
    count: int,
    functions: list[int],
    parameters: list[float],
    weights: list[float],
    terms: int,
    total: int,
    grad: int,
    threads: int,
) -> None: ...
def all_finite(values: int, float64: bool, count: int) -> bool: ...
def scale(values: int, float64: bool, factor: float, count: int, out: int) -> None: ...
def least_and_greatest(values: int, count: int) -> tuple[int, int]: ...
