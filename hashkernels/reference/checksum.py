"""CRC-32C, a byte of every block at a time."""

from __future__ import annotations

import torch
from torch import Tensor

_POLYNOMIAL = 0x82F63B78  # of Castagnoli, reflected


def block_checksums(data: Tensor, block_size: int) -> Tensor:
    """CRC-32C of each block of ``block_size`` bytes of uint8 [n], the last one shorter: int32, to be read as uint32."""
    whole = data.shape[0] // block_size
    parts = [data[: whole * block_size].reshape(whole, block_size), data[whole * block_size :].reshape(1, -1)]
    checksums = torch.cat([_of_rows(rows) for rows in parts if rows.numel()] or [data.new_empty(0, dtype=torch.int64)])
    return torch.where(checksums < 1 << 31, checksums, checksums - (1 << 32)).to(torch.int32)


def _of_rows(rows: Tensor) -> Tensor:
    table = torch.arange(256, device=rows.device)
    for _ in range(8):
        table = (table >> 1) ^ torch.where(table & 1 != 0, _POLYNOMIAL, 0)
    crc = torch.full((rows.shape[0],), 0xFFFFFFFF, dtype=torch.int64, device=rows.device)
    for column in rows.T:
        crc = (crc >> 8) ^ table[(crc ^ column) & 0xFF]
    return crc ^ 0xFFFFFFFF
