"""Warnings of codes that are not packed, and of codes that are packed twice; never of others."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import hashkernels as hk

MANY = 1 << 16
RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (MANY, 16), dtype=np.uint8)
PACKED = np.packbits(RNG.integers(0, 2, (MANY, 64), dtype=np.uint8), axis=1)
SEARCHES = {
    "topk": lambda database, **given: hk.topk(database[:64], database, 3, **given),
    "range_search": lambda database, **given: hk.range_search(database[:64], database, 1, **given),
    "range_count": lambda database, **given: hk.range_count(database[:64], database, 1, **given),
}


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 255), (1, 255)])
@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_search_of_many_codes_of_a_byte_a_bit_is_warned_of(search, low, high, kind) -> None:
    database = kind(np.where(BITS, high, low).astype(np.uint8))
    said = f"codes of database hold only {low} and {high}, taken as packed codes of 128 bits: if they are of 16 bits"
    with pytest.warns(hk.HashkernelsWarning, match=said) as caught:
        search(database)
    assert caught[0].filename == __file__
    search(database, bits=128)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_a_search_of_packed_codes_is_not_warned_of(search) -> None:
    marked = BITS.copy()
    marked[0, 3] = 7
    order = np.lexsort(PACKED.T[::-1])
    for database in (
        PACKED,
        PACKED[order],  # by their first bytes
        np.sort(PACKED, axis=0),
        np.zeros_like(PACKED),
        np.tile(PACKED[:1], (MANY, 1)),
        np.arange(MANY, dtype=">u8").view(np.uint8).reshape(MANY, 8),
        np.arange(MANY, dtype="<u8").view(np.uint8).reshape(MANY, 8),
        BITS[:-1],  # little enough work that it does not matter
        BITS[:, :7],  # codes of 56 bits
        marked,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            search(database)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_codes_that_are_packed_twice_are_warned_of(kind) -> None:
    with pytest.warns(hk.HashkernelsWarning, match="x of uint8 is nearly everywhere above 0") as caught:
        packed = hk.pack_codes(kind(PACKED))
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(np.asarray(packed), np.packbits(PACKED > 0, axis=1))


SIGNS = {
    "0 and 1": BITS,
    "masks": BITS * 255,
    "-1 and +1 as uint8": np.where(BITS, 255, 1).astype(np.uint8),
    "ones": np.ones_like(BITS),
    "white": np.full_like(BITS, 255),
    "zeros": np.zeros_like(BITS),
    "counts": RNG.poisson(1.0, BITS.shape).astype(np.uint8),
    "too few to tell": PACKED[:3],
    "none": PACKED[:0],
    "int16": PACKED.astype(np.int16),
    "int8": PACKED.view(np.int8),
}


@pytest.mark.parametrize("signs", SIGNS.values(), ids=SIGNS)
def test_numbers_that_are_packed_by_sign_are_not_warned_of(signs: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(hk.pack_codes(signs), np.packbits(signs > 0, axis=1))


def test_compiled_packing_looks_at_no_values() -> None:
    @torch.compile(backend="eager", fullgraph=True)
    def pack(x: torch.Tensor) -> torch.Tensor:
        return hk.pack_codes(x)

    @torch.compile(backend="eager", fullgraph=True)
    def nearest(database: torch.Tensor) -> torch.Tensor:
        return hk.topk(database[:64], database, 3).indices

    with warnings.catch_warnings():
        warnings.simplefilter("error", hk.HashkernelsWarning)
        codes = torch.from_numpy(PACKED[:1000])
        assert torch.equal(pack(codes), torch.from_numpy(np.packbits(PACKED[:1000] > 0, axis=1)))
        assert nearest(torch.from_numpy(BITS))[0, 0] == 0
