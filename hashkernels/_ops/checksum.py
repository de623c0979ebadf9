"""The op that checksums blocks of bytes."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import define, thread_argument, thread_count


def block_checksums(data: Tensor, block_size: int, threads: int | None = None) -> Tensor:
    """CRC-32C of each block of ``block_size`` bytes of uint8 [n], the last one shorter: int32 [ceil(n / block_size)],
    to be read as uint32."""
    checksums: Tensor = _block_checksums(data, block_size, thread_argument(threads))
    return checksums


def _block_checksums_cpu(data: Tensor, block_size: int, threads: int) -> Tensor:
    if data.dtype != torch.uint8 or data.ndim != 1 or not data.is_contiguous():
        got = f"{_validation.dtype_name(data.dtype)} {tuple(data.shape)}"
        raise ValueError(f"data must be contiguous uint8 [n], got {got}")
    if data.device.type != "cpu":
        raise ValueError(f"data must be on cpu, got {data.device}")
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    kernel = _loader.cpu_kernel("crc32c_blocks")
    if kernel is None:
        return reference.block_checksums(data, block_size)
    checksums = _block_checksums_fake(data, block_size, threads)
    kernel(data.data_ptr(), data.numel(), block_size, checksums.data_ptr(), thread_count(threads))
    return checksums


def _block_checksums_fake(data: Tensor, block_size: int, threads: int) -> Tensor:
    return data.new_empty(((data.shape[0] + block_size - 1) // block_size,), dtype=torch.int32)


_block_checksums = define(
    "block_checksums(Tensor data, int block_size, int threads) -> Tensor",
    cpu=_block_checksums_cpu,
    fake=_block_checksums_fake,
)
