"""Use of the bits of a set of codes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hashkernels.metrics import code_statistics


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 63, 64, 65, 129])
def test_statistics_equal_counting(bits):
    rng = np.random.default_rng(bits)
    signs = (rng.random((300, bits)) < rng.random(bits)).astype(np.uint8)
    found = code_statistics(np.packbits(signs, axis=1), bits)
    share = signs.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(share * np.log2(share)) - np.nan_to_num((1 - share) * np.log2(1 - share))
    np.testing.assert_allclose(found.bit_balance, share, atol=1e-15)
    np.testing.assert_allclose(found.bit_entropy, entropy, atol=1e-14)
    assert found.distinct_codes == len(np.unique(signs, axis=0))
    assert found.num_codes == 300
    assert found.constant_bits == int(((share == 0) | (share == 1)).sum())


def test_collapsed_codes_show():
    found = code_statistics(torch.full((50, 2), 0b10100000, dtype=torch.uint8), 16)
    assert found.distinct_codes == 1
    assert found.constant_bits == 16
    assert found.bit_entropy.tolist() == [0.0] * 16


def test_balanced_bits_have_entropy_one():
    found = code_statistics(np.array([[0b11110000], [0b00001111]], dtype=np.uint8), 8)
    assert found.bit_balance.tolist() == [0.5] * 8
    assert found.bit_entropy.tolist() == [1.0] * 8


def test_correlation_collisions_and_entropy_of_codes_are_numpy_s():
    rng = np.random.default_rng(5)
    bits = rng.random((300, 11)) < 0.4
    bits[:, 3] = ~bits[:, 0]
    bits[:, 7] = True
    bits[150:] = bits[:150]
    found = code_statistics(np.packbits(bits, axis=1), 11)
    varied = np.delete(np.arange(11), 7)
    expected = np.corrcoef(bits[:, varied].T.astype(float))
    np.testing.assert_allclose(found.bit_correlation[np.ix_(varied, varied)], expected, atol=1e-12)
    assert not found.bit_correlation[7].any()
    assert found.bit_correlation[0, 3] == -1.0
    assert found.greatest_correlation == 1.0
    copies = np.unique(bits, axis=0, return_counts=True)[1]
    assert found.collisions == sum(int(count) * (int(count) - 1) // 2 for count in copies)
    assert found.code_entropy == pytest.approx(-(copies / 300 * np.log2(copies / 300)).sum(), abs=1e-12)
