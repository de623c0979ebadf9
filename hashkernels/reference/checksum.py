"""CRC-32C of many blocks at once, halves put together from single bytes up.

A register that starts at zero is a linear function of the data: that of A followed by B is that of A, moved on by as
many zero bytes as B has, xor that of B. A start at all ones, moved on by the whole length, is added at the end.
"""

from __future__ import annotations

import torch
from torch import Tensor

_POLYNOMIAL = 0x82F63B78  # of Castagnoli, reflected
_ONES = 0xFFFFFFFF
_ROWS_AT_ONCE = 64


def block_checksums(data: Tensor, block_size: int) -> Tensor:
    """CRC-32C of each block of ``block_size`` bytes of uint8 [n], the last one shorter: int32, to be read as uint32."""
    whole = data.shape[0] // block_size
    parts = [data[: whole * block_size].reshape(whole, block_size), data[whole * block_size :].reshape(1, -1)]
    found = [_of_rows(rows) for part in parts if part.numel() for rows in torch.split(part, _ROWS_AT_ONCE)]
    checksums = torch.cat(found or [torch.empty(0, dtype=torch.int64, device="cpu")])
    return torch.where(checksums < 1 << 31, checksums, checksums - (1 << 32)).to(torch.int32)


def _of_rows(rows: Tensor) -> Tensor:
    register = torch.arange(256, device="cpu")
    for _ in range(8):
        register = (register >> 1) ^ torch.where(register & 1 != 0, _POLYNOMIAL, 0)
    length, start = rows.shape[1], torch.tensor([_ONES], device="cpu")
    # Zeros in front leave a register of zero as it is, so every length can be made a power of two.
    registers = register[torch.nn.functional.pad(rows, ((1 << (length - 1).bit_length()) - length, 0)).int()]
    # What becomes of each byte of a register when one zero byte follows.
    byte = torch.arange(256, device="cpu")
    move = torch.stack([register, byte, byte << 8, byte << 16])
    for level in range(length.bit_length()):
        if length >> level & 1:
            start = _moved(start, move)
        if registers.shape[1] > 1:
            registers = _moved(registers[:, ::2], move) ^ registers[:, 1::2]
        move = _moved(move, move)
    return registers[:, 0] ^ start ^ _ONES


def _moved(registers: Tensor, move: Tensor) -> Tensor:
    moved = move[0][registers & 0xFF]
    for k in range(1, 4):
        moved = moved ^ move[k][registers >> 8 * k & 0xFF]
    return moved
