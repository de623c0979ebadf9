"""Multi-index hashing over planes (``_ops/index.py``): the tables as tensors, and the searches through them.

csrc/include/hashkernels/hash_tables.h describes the arrays. Only native code searches through them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hashkernels import _loader
from hashkernels._ops._library import empty_on_huge_pages, row_stride, rows, thread_argument, thread_count
from hashkernels._ops.search import address, check_range, check_topk, range_count_fake, ranges_of
from hashkernels._validation import pad_mask


@dataclass(frozen=True)
class HashTables:
    """The tables of ``count`` codes of ``num_bytes`` bytes."""

    count: int
    num_bytes: int
    widths: Tensor  # int32 [chunks]: the bits of each
    order: Tensor  # int16 [8 * num_bytes]
    offsets: Tensor  # int32 [sum of 2^width + 1], as all below read as unsigned
    rows: Tensor  # int64 [count, words], or [0, words] where one chunk has every bit
    ids: Tensor  # int32 [count]
    slots: Tensor  # int32 [chunks - 1, count], each below a tag

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """The arrays, in the order of ``hash_table_shapes``."""
        return self.widths, self.order, self.offsets, self.rows, self.ids, self.slots

    @property
    def nbytes(self) -> int:
        """The memory that the tables take."""
        return sum(part.nbytes for part in self.parts)

    @cached_property
    def native(self) -> Any:
        """The addresses as native functions take them."""
        addresses = [part.data_ptr() if part.numel() else 0 for part in self.parts]
        return _native("HashTables")(self.count, self.num_bytes, len(self.widths), *addresses)


def can_hash(count: int) -> bool:
    """Whether tables over that many codes can be built and searched here."""
    return _loader.cpu_kernel("hash_topk") is not None and 0 < count < _native("max_hashed_codes")


def hash_table_shapes(
    count: int, num_bytes: int, bits: int, widths: list[int]
) -> list[tuple[tuple[int, ...], torch.dtype]]:
    """Shape and dtype of ``HashTables.parts``, for chunks of these widths."""
    whole = widths == [bits]
    return [
        ((len(widths),), torch.int32),
        ((8 * num_bytes,), torch.int16),
        ((sum(2**width + 1 for width in widths),), torch.int32),
        ((0 if whole else count, (num_bytes + 7) // 8), torch.int64),
        ((count,), torch.int32),
        ((len(widths) - 1, count), torch.int32),
    ]


def check_hash_tables(tables: HashTables) -> None:
    """Raise ``ValueError`` where a search through tables of unknown origin could read outside of them."""
    widths, count = tables.widths.tolist(), tables.count
    if not widths or min(widths) < 1 or max(widths) > _native("max_chunk_bits") or sum(widths) > 8 * tables.num_bytes:
        raise ValueError(f"chunks of {widths[:8]} bits cannot be those of codes of {tables.num_bytes} bytes")
    if not torch.equal(tables.order.sort().values, torch.arange(8 * tables.num_bytes, dtype=torch.int16, device="cpu")):
        raise ValueError("the order of bits names one twice")
    row_mask = (1 << 32 - _native("tag_bits")(count)) - 1
    slots, step = tables.slots.view(-1), 1 << 20
    numbers = (slots[at : at + step] & row_mask for at in range(0, len(slots), step))
    for most, parts in ((count, [tables.offsets]), (count - 1, [tables.ids]), (count - 1, numbers)):
        for low, high in (map(int, torch.aminmax(part)) for part in parts):
            if low < 0 or high > most:
                raise ValueError(f"an entry must be in 0..{most}, got {low if low < 0 else high}")


def check_hash_contents(tables: HashTables, planes: Tensor, bits: int, *, little: bool) -> None:
    """Raise ``ValueError`` where tables that ``check_hash_tables`` has passed are not those of the codes in the planes.

    They are filled anew, over the same chunks: how the bits are shared out changes nothing but the time of a search.
    """
    last, pad = 8 * tables.num_bytes, pad_mask(bits, "little" if little else "big")
    chunks = tables.order[: int(tables.widths.sum())].tolist()
    if any(pad >> plane - last + 8 & 1 for plane in chunks if plane >= last - 8):
        raise ValueError("a chunk has a pad bit in place of one of the codes")
    expected = _filled(planes, tables.count, bits, tables.widths, tables.order, None)
    for name in ("ids", "offsets", "rows", "slots"):
        if not torch.equal(getattr(tables, name), getattr(expected, name)):
            raise ValueError(f"their {name} are not those of the codes")


def build_hash_tables(
    planes: Tensor, count: int, bits: int, threads: int | None = None, *, little: bool = False
) -> HashTables:
    """Tables over the codes at positions 0..count-1, whose bits are in the order "little" or "big"."""
    num_bytes = planes.shape[1] // 8
    order = torch.empty(8 * num_bytes, dtype=torch.int16, device="cpu")
    widths = torch.empty(_native("max_chunks"), dtype=torch.int32, device="cpu")
    chosen = order.data_ptr(), widths.data_ptr()
    widths = widths[: _native("choose_chunks")(planes.data_ptr(), count, num_bytes, bits, little, *chosen)].clone()
    return _filled(planes, count, bits, widths, order, threads)


def _filled(planes: Tensor, count: int, bits: int, widths: Tensor, order: Tensor, threads: int | None) -> HashTables:
    """Tables over these chunks."""
    num_bytes = planes.shape[1] // 8
    shapes = hash_table_shapes(count, num_bytes, bits, widths.tolist())[2:]
    tables = HashTables(count, num_bytes, widths, order, *(empty_on_huge_pages(*shape) for shape in shapes))
    _native("build_hash_tables")(planes.data_ptr(), tables.native, thread_count(thread_argument(threads)))
    return tables


def hash_range_search(
    queries: Tensor,
    tables: HashTables,
    radius: int,
    allowed: Tensor | None,
    max_results: int | None,
    threads: int | None,
    max_work: float = math.inf,
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """``range_search`` through the tables; None where a query would take more than ``max_work``, or turned out to."""
    queries = rows("queries", queries, torch.uint8)
    allowed = check_range(queries, tables.count, radius, allowed, max_results)
    arguments = (*_query_arguments(queries), tables.native, radius, max_results or 0, address(allowed), max_work)
    num_threads = thread_argument(threads)
    finds = _native("hash_range_search")(*arguments, thread_count(num_threads))
    return None if finds is None else ranges_of(finds, queries, num_threads)


def hash_range_count(
    queries: Tensor,
    tables: HashTables,
    radius: int,
    allowed: Tensor | None,
    threads: int | None,
    max_work: float = math.inf,
) -> Tensor | None:
    """``range_count`` through the tables; None where a query would take more than ``max_work``, or turned out to."""
    queries = rows("queries", queries, torch.uint8)
    allowed = check_range(queries, tables.count, radius, allowed)
    counts = range_count_fake(queries)
    arguments = (*_query_arguments(queries), tables.native, radius, address(allowed), max_work, counts.data_ptr())
    done = _native("hash_range_count")(*arguments, thread_count(thread_argument(threads)))
    return counts if done else None


def hash_topk(
    queries: Tensor, tables: HashTables, k: int, allowed: Tensor | None, max_work: float, threads: int | None
) -> tuple[Tensor, Tensor, Tensor]:
    """``topk`` through the tables, and int64 [n]: the queries that were not answered, since their work would exceed
    ``max_work``. Their rows are unspecified."""
    queries = rows("queries", queries, torch.uint8)
    allowed = check_topk(queries, tables.count, k, allowed)
    num_queries = queries.shape[0]
    distances = empty_on_huge_pages((num_queries, k), torch.int32)
    indices, left = (empty_on_huge_pages(shape, torch.int64) for shape in ((num_queries, k), (num_queries,)))
    outputs = (distances.data_ptr(), indices.data_ptr(), left.data_ptr())
    arguments = (*_query_arguments(queries), tables.native, k, address(allowed), max_work, *outputs)
    num_left = _native("hash_topk")(*arguments, thread_count(thread_argument(threads)))
    return distances, indices, left[:num_left]


def _query_arguments(queries: Tensor) -> tuple[int, int, int]:
    return queries.data_ptr(), queries.shape[0], row_stride(queries)


def _native(name: str) -> Any:
    found: Any = _loader.cpu_kernel(name)
    if found is None:
        raise RuntimeError(f"{name} needs the native extension: ask can_hash() first")
    return found
