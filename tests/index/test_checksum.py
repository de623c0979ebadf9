"""CRC-32C against its published check values and a loop over bits, under every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hashkernels import _ops


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checksums(data: bytes, block: int, threads: int = 1) -> list[int]:
    found = _ops.block_checksums(torch.tensor(list(data), dtype=torch.uint8), block, threads)
    return found.numpy().view(np.uint32).tolist()


# The check value of the CRC catalogue; RFC 3720, appendix B.4.
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
    ],
)
def test_published_values(isa, data, expected):
    assert checksums(data, len(data)) == [expected]
    assert crc32c(data) == expected


@given(data=st.binary(max_size=300), block=st.integers(1, 70))
def test_every_block_has_its_own(isa, threads, data, block):
    assert checksums(data, block, threads) == [crc32c(data[i : i + block]) for i in range(0, len(data), block)]


def test_the_op(isa):
    data = torch.arange(200, dtype=torch.uint8)
    torch.library.opcheck(torch.ops.hashkernels.block_checksums.default, (data, 64, 1))
    for bad in (data.int(), data[::2], data.reshape(2, 100)):
        with pytest.raises(ValueError, match="data must be contiguous uint8"):
            _ops.block_checksums(bad, 8)
    with pytest.raises(ValueError, match="block_size must be at least 1, got 0"):
        _ops.block_checksums(data, 0)
