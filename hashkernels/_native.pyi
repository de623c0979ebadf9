"""The native extension: pointers in, results written where the pointers say.

Addresses are ints; sizes are ints; the strides of codes are in bytes, those of embeddings in elements; the elements of
one row lie side by side. Every function releases the GIL around its kernel, and raises ``ValueError``,
``RuntimeError`` or ``MemoryError`` when the kernel reports that it could not do its work.
"""

from typing import Any

def isa() -> str: ...
def available_isas() -> list[str]: ...
def set_isa(name: str) -> None: ...
def build_info() -> dict[str, Any]: ...
def cuda_device_count() -> int: ...
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
def range_count(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    out_counts: int,
    threads: int,
) -> None: ...
def range_fill(
    queries: int,
    num_queries: int,
    query_stride: int,
    database: int,
    num_database: int,
    database_stride: int,
    num_bytes: int,
    radius: int,
    offsets: int,
    out_distances: int,
    out_indices: int,
    threads: int,
) -> None: ...
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
def index_order_precision(
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
    cutoffs: int,
    num_cutoffs: int,
    out_hits: int,
    out_precision_sum: int,
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
    positive_margin: float,
    negative_margin: float,
    positive_scale: float,
    negative_scale: float,
    out_terms: int,
    out_counts: int,
    grad: int,
    threads: int,
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
