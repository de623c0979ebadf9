"""Distributions over codes against plain counting and enumeration."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch

from hashkernels.surrogate import (
    SurrogatePosterior,
    all_codes,
    bit_probabilities,
    code_log_probabilities,
    code_probabilities,
    naive_log_probabilities,
    observed_codes,
    pair_table,
    posterior_fit,
)


def make(bits, block_bits=4, num_items=7):
    torch.manual_seed(bits)
    # In training mode, so that a tool which forgot to switch dropout off would be seen.
    return SurrogatePosterior(bits, block_bits=block_bits, hidden=6), torch.randn(num_items, bits)


def enumerate_items(posterior, u):
    """Probability of every code for every item, from the logits alone: [N, 2^bits], first bit least significant."""
    probabilities = posterior.eval()(u).double().softmax(2)
    posterior.train()
    rows = []
    for item in probabilities:
        row = []
        for number in range(2**posterior.bits):
            value, rest = 1.0, number
            for k, size in enumerate(posterior.block_sizes):
                value *= item[k, rest % 2**size].item()
                rest >>= size
            row.append(value)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(("bits", "block_bits"), [(1, 4), (3, 4), (4, 4), (6, 4), (9, 4), (10, 3), (9, 8), (12, 4)])
def test_probabilities_of_all_codes_equal_enumeration(bits, block_bits):
    posterior, u = make(bits, block_bits, num_items=3)
    per_item = enumerate_items(posterior, u)
    expected = per_item.mean(0)
    found = code_probabilities(posterior, u)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        code_log_probabilities(posterior, u, all_codes(bits)), expected.log(), rtol=1e-6, atol=1e-6
    )

    bit_set = all_codes(bits) > 0
    torch.testing.assert_close(bit_probabilities(posterior, u), expected @ bit_set.double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("bits", [4, 7])
def test_average_over_blocks_is_the_product_of_block_means(bits):
    posterior, u = make(bits, 3)
    blocks = [block.double().exp().mean(0) for block in posterior.eval().log_probs(u)]
    expected = torch.tensor([math.prod(combo) for combo in itertools.product(*(b.tolist() for b in blocks[::-1]))])
    found = code_probabilities(posterior, u, average="blocks")
    torch.testing.assert_close(found, expected.double(), rtol=1e-6, atol=1e-9)
    logs = code_log_probabilities(posterior, u, all_codes(bits), average="blocks")
    torch.testing.assert_close(logs, expected.double().log(), rtol=1e-6, atol=1e-6)
    assert abs(found.sum().item() - 1) < 1e-6
    if bits > 3:
        assert not torch.allclose(found, code_probabilities(posterior, u))


def test_a_block_of_all_bits_makes_both_averages_equal():
    posterior, u = make(5, 8)
    torch.testing.assert_close(code_probabilities(posterior, u), code_probabilities(posterior, u, average="blocks"))


@pytest.mark.parametrize("bits", [1, 5, 61, 62, 63, 64, 130])
def test_observed_codes_equal_counting(bits):
    rng = np.random.default_rng(bits)
    pool = rng.choice([-1, 1], (6, bits))
    x = pool[rng.integers(0, 6, 50)] * rng.uniform(0.1, 2, (50, bits))
    counted = Counter(tuple(int(v) for v in np.where(row > 0, 1, -1)) for row in x)
    codes, counts = observed_codes(torch.from_numpy(x))
    assert codes.dtype == torch.int8
    assert dict(zip(map(tuple, codes.tolist()), counts.tolist(), strict=True)) == dict(counted)
    numbers = [sum(2**j for j, v in enumerate(code) if v > 0) for code in codes.tolist()]
    assert numbers == sorted(numbers)


def test_all_codes_count_up_with_the_first_bit_least_significant():
    assert all_codes(2).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert all_codes(20).shape == (1 << 20, 20)
    with pytest.raises(ValueError, match=r"bits must be in 1\.\.20, got 21"):
        all_codes(21)


def test_naive_estimate_is_the_product_of_bit_frequencies():
    x = torch.tensor([[1, 1, -1], [1, -1, -1], [-1, -1, -1], [1, 1, -1]])
    chances = [3 / 4, 2 / 4, 0]
    for code, found in zip(all_codes(3).tolist(), naive_log_probabilities(x, all_codes(3)).tolist(), strict=True):
        expected = math.prod(p if bit > 0 else 1 - p for p, bit in zip(chances, code, strict=True))
        assert math.exp(found) == pytest.approx(expected)
    smooth = naive_log_probabilities(x, all_codes(3), smoothing=0.5).exp()
    assert smooth.sum().item() == pytest.approx(1)
    assert smooth[all_codes(3)[:, 2] > 0].sum().item() == pytest.approx((0 + 0.5 * 4) / (4 + 0.5 * 8))


@pytest.mark.parametrize(("direction", "smoothing"), [("data||model", 0.0), ("data||model", 0.3), ("model||data", 0.3)])
@pytest.mark.parametrize("average", ["items", "blocks"])
def test_fit_equals_the_divergence_written_out(direction, smoothing, average):
    posterior, u = make(5, 3, num_items=40)
    counts = np.full(32, smoothing)
    for row in u.tolist():
        counts[sum(2**j for j, v in enumerate(row) if v > 0)] += 1
    p = counts / counts.sum()
    per_item = enumerate_items(posterior, u).numpy()
    if average == "items":
        q = per_item.mean(0)
    else:
        first, second = per_item.reshape(-1, 4, 8).sum(1).mean(0), per_item.reshape(-1, 4, 8).sum(2).mean(0)
        q = (second[:, None] * first[None, :]).ravel()
    ones = np.array([[number >> j & 1 for j in range(5)] for number in range(32)])
    share = p @ ones
    naive = np.prod(np.where(ones == 1, share, 1 - share), 1)

    def divergence(a, b):
        return sum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)

    fit = posterior_fit(posterior, u, direction=direction, smoothing=smoothing, average=average)
    pairs = [(p, q), (p, naive)] if direction == "data||model" else [(q, p), (naive, p)]
    assert fit.surrogate == pytest.approx(divergence(*pairs[0]), rel=1e-6)
    assert fit.naive == pytest.approx(divergence(*pairs[1]), rel=1e-9)
    assert fit.num_codes == (counts > smoothing).sum()


def test_trained_posterior_beats_independent_bits_on_correlated_codes():
    torch.manual_seed(0)
    centers = torch.randint(0, 2, (6, 16)).float() * 2 - 1
    u = centers[torch.randint(0, 6, (1500,))] + 0.6 * torch.randn(1500, 16)
    posterior = SurrogatePosterior(16, hidden=64, dropout=0.1)
    optimizer = torch.optim.Adam(posterior.parameters(), 1e-2)
    for step in range(60):
        optimizer.zero_grad()
        posterior.nll(u[(step * 250) % 1500 :][:250]).backward()
        optimizer.step()
    fit = posterior_fit(posterior, u)
    assert fit.surrogate < fit.naive / 2
    # Long codes are evaluated on the codes that occur.
    wide = SurrogatePosterior(64, hidden=8)
    assert posterior_fit(wide, torch.randn(20, 64)).num_codes == 20


def test_pair_table_of_the_figure_in_the_paper():
    # Fig. 6 of the paper: joint .079 .446 .394 .081 on a thousand codes, marginals .473 .527 and .475 .525.
    cells = {(-1, 1): 79, (1, 1): 446, (-1, -1): 394, (1, -1): 81}
    x = torch.tensor([code for code, count in cells.items() for _ in range(count)])
    table = pair_table(x, 0, 1)
    expected = np.array([[0.394, 0.079], [0.081, 0.446]])
    np.testing.assert_allclose(table.joint, expected, atol=1e-12)
    np.testing.assert_allclose(table.first, [0.473, 0.527], atol=1e-12)
    np.testing.assert_allclose(table.second, [0.475, 0.525], atol=1e-12)
    np.testing.assert_allclose(table.product, np.outer([0.473, 0.527], [0.475, 0.525]), atol=1e-12)
    assert table.correlation == pytest.approx(np.corrcoef(x.numpy().T)[0, 1])
    information = (expected * np.log(expected / np.outer([0.473, 0.527], [0.475, 0.525]))).sum()
    assert table.mutual_information == pytest.approx(information)
    constant = pair_table(torch.ones(3, 2), 0, 1)
    assert constant.correlation == constant.mutual_information == 0


def test_errors_name_the_argument():
    posterior, u = make(5)
    wide = SurrogatePosterior(21, hidden=2)
    with pytest.raises(ValueError, match="posterior must have at most 20 bits for a table of all codes, got 21"):
        code_probabilities(wide, torch.randn(2, 21))
    with pytest.raises(ValueError, match="smoothing must be 0 above 20 bits, got 1 at 21 bits"):
        posterior_fit(wide, torch.randn(2, 21), smoothing=1.0)
    with pytest.raises(ValueError, match="smoothing must be above 0 for direction"):
        posterior_fit(posterior, u, direction="model||data")
    with pytest.raises(ValueError, match="direction must be one of"):
        posterior_fit(posterior, u, direction="forward")
    with pytest.raises(ValueError, match="average must be one of items, blocks, got 'mean'"):
        code_probabilities(posterior, u, average="mean")
    with pytest.raises(ValueError, match=r"codes must have shape \[C, 5\], got \(2, 4\)"):
        code_log_probabilities(posterior, u, torch.ones(2, 4))
    with pytest.raises(ValueError, match="u must have at least one row"):
        code_probabilities(posterior, u[:0])
    with pytest.raises(ValueError, match=r"second must be in 0\.\.4, got 5"):
        pair_table(u, 0, 5)
    with pytest.raises(ValueError, match="x must have at least one row"):
        pair_table(u[:0], 0, 1)
    with pytest.raises(TypeError, match=r"codes must be a torch\.Tensor, got list"):
        code_log_probabilities(posterior, u, u.tolist())
    for tool in (code_probabilities, bit_probabilities, posterior_fit):
        with pytest.raises(TypeError, match="posterior must be a SurrogatePosterior, got str"):
            tool("x", u)
        with pytest.raises(TypeError, match=r"u must be a torch\.Tensor, got list"):
            tool(posterior, u.tolist())


def test_the_naive_estimate_wants_codes_of_the_length_of_its_items():
    for width in (1, 9):
        with pytest.raises(ValueError, match=rf"codes must have shape \[C, 10\] for x of 10 bits, got \(3, {width}\)"):
            naive_log_probabilities(torch.randn(5, 10), torch.ones(3, width))
    with pytest.raises(ValueError, match="x must have at least one row where smoothing is 0"):
        naive_log_probabilities(torch.empty(0, 3), all_codes(3))
    assert naive_log_probabilities(torch.empty(0, 3), all_codes(3), smoothing=1.0).exp().tolist() == pytest.approx(
        [1 / 8] * 8
    )
