"""What a surrogate posterior says about a set of codes, next to what the codes themselves say.

A code is given by its signs (any real dtype, bit = x > 0). Nothing of 2^bits entries is made above 20 bits: there,
distributions are evaluated on the codes that occur.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from hashkernels._validation import check_choice, check_embeddings, check_int, check_real, check_signs
from hashkernels.surrogate.posterior import SurrogatePosterior

MAX_TABLE_BITS = 20
_CHUNK_ELEMENTS = 1 << 22

Direction = Literal["data||model", "model||data"]
Average = Literal["items", "blocks"]


class ObservedCodes(NamedTuple):
    """The distinct codes of a set: int8 -1/+1 [C, bits] in ascending order of number, counts int64 [C]."""

    codes: Tensor
    counts: Tensor


class PosteriorFit(NamedTuple):
    """Divergence, in nats, of the surrogate and of independent bits from the distribution of the codes."""

    surrogate: float
    naive: float
    num_codes: int


class PairTable(NamedTuple):
    """How two bits go together: probabilities [2, 2] and [2], index 0 for a bit below or at zero, 1 above.

    ``joint[a, b]`` of (first bit = a, second bit = b); ``product`` is what independent bits would give; ``correlation``
    is Pearson's, 0 where a bit never changes; ``mutual_information`` is in nats.
    """

    joint: Tensor
    first: Tensor
    second: Tensor
    product: Tensor
    correlation: float
    mutual_information: float


def observed_codes(x: Tensor) -> ObservedCodes:
    """The distinct sign patterns of ``x`` [N, bits] and how often each occurs.

    Example:
        >>> import torch
        >>> from hashkernels.surrogate import observed_codes
        >>> observed_codes(torch.tensor([[0.5, -1.0], [2.0, -0.1], [-1.0, 1.0]])).counts
        tensor([2, 1])
    """
    positive = check_signs("x", x)
    width = 62  # of an int64, so that numbers stay positive and sort as such
    words = [_number(part) for part in torch.split(positive, width, dim=1)]
    numbers = torch.stack(words[::-1], dim=1)  # most significant first, as rows are sorted
    distinct, counts = torch.unique(numbers, dim=0, return_counts=True)
    return ObservedCodes(_signs(distinct.flip(1), positive.shape[1], width), counts)


def all_codes(bits: int) -> Tensor:
    """Every code of up to 20 bits in order of its number (first bit least significant): int8 -1/+1 [2^bits, bits]."""
    bits = check_int("bits", bits, 1, MAX_TABLE_BITS)
    return _signs(torch.arange(1 << bits).unsqueeze(1), bits, bits)


@torch.no_grad()
def bit_probabilities(posterior: SurrogatePosterior, u: Tensor) -> Tensor:
    """Probability that each bit is 1, mean over the items of ``u`` (float [N, bits]): float64 [bits]."""
    u = _check_evaluated(posterior, u)
    shares = []
    for mean, size in zip(_block_means(posterior, u), posterior.block_sizes, strict=True):
        pattern = torch.arange(1 << size, device=mean.device)
        shares += [mean[(pattern >> j) % 2 == 1].sum() for j in range(size)]
    return torch.stack(shares)


@torch.no_grad()
def code_probabilities(posterior: SurrogatePosterior, u: Tensor, *, average: Average = "items") -> Tensor:
    """Probability of every code of up to 20 bits, in the order of `all_codes`.

    Args:
        posterior: evaluated without dropout.
        u: float [N, bits], at least one item: the network's outputs.
        average: "items", the mean over the items of each item's product over the blocks, which keeps the dependence
            between blocks; or "blocks", the product of the blocks' means.

    Returns:
        float64 [2^bits]; sums to 1.

    Raises:
        ValueError: more than 20 bits (use `code_log_probabilities` on the codes that matter), or no items.

    Example:
        >>> import torch
        >>> from hashkernels.surrogate import SurrogatePosterior, code_probabilities
        >>> q = code_probabilities(SurrogatePosterior(12), torch.randn(50, 12))
        >>> q.shape, round(q.sum().item(), 6)
        (torch.Size([4096]), 1.0)
    """
    check_choice("average", average, ("items", "blocks"))
    u = _check_evaluated(posterior, u)
    if posterior.bits > MAX_TABLE_BITS:
        raise ValueError(
            f"posterior must have at most {MAX_TABLE_BITS} bits for a table of all codes, got {posterior.bits}"
        )
    if average == "blocks":
        means = _block_means(posterior, u)
        rows = [mean.unsqueeze(0) for mean in means]
        return _row_products(rows, rows[0])[0]
    half = sum(1 for start in itertools.accumulate(posterior.block_sizes) if 2 * start <= posterior.bits)
    low = sum(posterior.block_sizes[:half])
    total = torch.zeros(1 << (posterior.bits - low), 1 << low, dtype=torch.float64, device=u.device)
    for log_probs in _chunks(posterior, u, max(total.shape)):
        probs = [block.exp() for block in log_probs]
        total += _row_products(probs[half:], probs[0]).T @ _row_products(probs[:half], probs[0])
    return total.flatten() / u.shape[0]


@torch.no_grad()
def code_log_probabilities(
    posterior: SurrogatePosterior, u: Tensor, codes: Tensor, *, average: Average = "items"
) -> Tensor:
    """Natural logarithm of the probability of each of ``codes`` ([C, bits], by sign): float64 [C].

    For any number of bits; the other arguments are those of `code_probabilities`. Time grows as N x C x blocks, memory
    does not.
    """
    check_choice("average", average, ("items", "blocks"))
    u = _check_evaluated(posterior, u)
    if check_signs("codes", codes).shape[1] != posterior.bits:
        raise ValueError(f"codes must have shape [C, {posterior.bits}], got {tuple(codes.shape)}")
    index = posterior.pattern_index(codes)  # [C, blocks]
    if average == "blocks":
        means = _block_means(posterior, u)
        return torch.stack([mean.log()[index[:, k]] for k, mean in enumerate(means)]).sum(0)
    total = torch.full((codes.shape[0],), -torch.inf, dtype=torch.float64, device=u.device)
    for log_probs in _chunks(posterior, u, codes.shape[0]):
        per_item = log_probs[0][:, index[:, 0]]  # [n, C]
        for k, block in enumerate(log_probs[1:], start=1):
            per_item += block[:, index[:, k]]
        total = torch.logaddexp(total, torch.logsumexp(per_item, 0))
    return total - math.log(u.shape[0])


def naive_log_probabilities(x: Tensor, codes: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """The estimate that takes bits as independent: log of the product of each bit's frequency in ``x`` [N, bits].

    Args:
        x: the codes that bits are counted in, by sign.
        codes: [C, bits], by sign.
        smoothing: pseudo-count of each of the 2^bits codes (half of them have a given bit); at most 20 bits where it is
            above 0.

    Returns:
        float64 [C]; -inf where a code has a bit that ``x`` never shows.

    Raises:
        ValueError: codes of another length than those of ``x``; no items, and no smoothing.
    """
    ones = check_signs("x", x).double().sum(0)
    pseudo = _pseudo_total(smoothing, x.shape[1])
    total = x.shape[0] + pseudo
    if not total:
        raise ValueError("x must have at least one row where smoothing is 0")
    chance = (ones + pseudo / 2) / total
    bits = check_signs("codes", codes).double()
    if bits.shape[1] != x.shape[1]:
        raise ValueError(f"codes must have shape [C, {x.shape[1]}] for x of {x.shape[1]} bits, got {tuple(bits.shape)}")
    return torch.xlogy(bits, chance).sum(1) + torch.xlogy(1 - bits, 1 - chance).sum(1)


def posterior_fit(
    posterior: SurrogatePosterior,
    u: Tensor,
    *,
    average: Average = "items",
    direction: Direction = "data||model",
    smoothing: float = 0.0,
) -> PosteriorFit:
    """Kullback-Leibler divergence between the codes of ``u`` and the surrogate's and the naive estimate, in nats.

    Args:
        posterior: evaluated without dropout.
        u: float [N, bits]. Its signs are the data; the surrogate's distribution is averaged over its items.
        average: as in `code_probabilities`.
        direction: "data||model", KL(p || q) = sum_c p(c) ln(p(c) / q(c)) with p the frequencies of the codes, to which
            only the codes that occur contribute; or "model||data", KL(q || p).
        smoothing: pseudo-count added to each of the 2^bits codes of the data. 0 leaves the frequencies alone; above 0,
            and so for "model||data", all codes are evaluated, at most 20 bits.

    Returns:
        `PosteriorFit`: the divergence of the surrogate, that of independent bits, and the number of distinct codes.

    The paper compares the two on 16 bits in two blocks (LBHash, appendix F.3.1: 0.1084 against 0.4965) without saying
    how it averages or which direction it takes.

    Example:
        >>> import torch
        >>> from hashkernels.surrogate import SurrogatePosterior, posterior_fit
        >>> u = torch.randn(100, 1).sign() * torch.ones(100, 16)       # all bits of a code agree
        >>> fit = posterior_fit(SurrogatePosterior(16), u)
        >>> fit.num_codes, fit.naive > 9
        (2, True)
    """
    check_choice("direction", direction, ("data||model", "model||data"))
    u = _check_evaluated(posterior, u)
    pseudo = _pseudo_total(smoothing, posterior.bits)
    if direction == "model||data" and not pseudo:
        raise ValueError('smoothing must be above 0 for direction "model||data", got 0')
    distinct, counts = observed_codes(u)
    if pseudo:
        codes = all_codes(posterior.bits).to(u.device)
        data = torch.full((codes.shape[0],), float(smoothing), dtype=torch.float64, device=u.device)
        data[_number(distinct > 0)] += counts
        surrogate = code_probabilities(posterior, u, average=average).log()
    else:
        codes, data = distinct, counts.double()
        surrogate = code_log_probabilities(posterior, u, codes, average=average)
    log_data = data.log() - math.log(u.shape[0] + pseudo)
    naive = naive_log_probabilities(u, codes, smoothing=smoothing)

    def divergence(log_model: Tensor) -> float:
        log_p, log_q = (log_data, log_model) if direction == "data||model" else (log_model, log_data)
        p = log_p.exp()
        return float(torch.where(p > 0, p * (log_p - log_q), 0.0).sum())

    return PosteriorFit(divergence(surrogate), divergence(naive), distinct.shape[0])


def pair_table(x: Tensor, first: int, second: int) -> PairTable:
    """Joint and marginal frequencies of two bits of ``x`` [N, bits] (LBHash, Fig. 6).

    Args:
        x: codes, by sign; at least one.
        first, second: positions of the two bits, 0..bits-1.

    Example:
        >>> import torch
        >>> from hashkernels.surrogate import pair_table
        >>> pair_table(torch.tensor([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0], [-1.0, 1.0]]), 0, 1).joint
        tensor([[0.2500, 0.2500],
                [0.0000, 0.5000]], dtype=torch.float64)
    """
    positive = check_signs("x", x)
    if positive.shape[0] == 0:
        raise ValueError("x must have at least one row")
    columns = [positive[:, check_int(name, j, 0, x.shape[1] - 1)] for name, j in (("first", first), ("second", second))]
    joint = torch.bincount(2 * columns[0].long() + columns[1].long(), minlength=4).double().view(2, 2) / x.shape[0]
    one, two = joint.sum(1), joint.sum(0)
    product = one.unsqueeze(1) * two
    spread = float(product.prod()) ** 0.25  # sqrt of the product of both variances
    correlation = float(joint[1, 1] - product[1, 1]) / spread if spread else 0.0
    information = float((torch.xlogy(joint, joint) - torch.xlogy(joint, product)).sum())
    return PairTable(joint, one, two, product, correlation, information)


def _check_evaluated(posterior: Any, u: Any) -> Tensor:
    """The items that a posterior is evaluated on, at least one."""
    if not isinstance(posterior, SurrogatePosterior):
        raise TypeError(f"posterior must be a SurrogatePosterior, got {type(posterior).__name__}")
    tensor = check_embeddings("u", u, posterior.bits)
    if tensor.shape[0] == 0:
        raise ValueError("u must have at least one row")
    return tensor


def _chunks(posterior: SurrogatePosterior, u: Tensor, width: int) -> Iterator[list[Tensor]]:
    """Log-probabilities of the patterns of each block (float64 [n, 2^size]) for some items at a time.

    So many that an array of ``width`` entries an item stays small.
    """
    widest = max(width, posterior.num_blocks << posterior.block_bits)
    for part in torch.split(u, max(1, _CHUNK_ELEMENTS // widest)):
        yield [block.double() for block in posterior.log_probs(part, dropout=False)]


def _block_means(posterior: SurrogatePosterior, u: Tensor) -> list[Tensor]:
    """Mean over items of each block's probabilities: float64 [2^size] a block."""
    sums = [
        sum(blocks)
        for blocks in zip(*([b.exp().sum(0) for b in part] for part in _chunks(posterior, u, 1)), strict=True)
    ]
    return [total / u.shape[0] for total in sums]


def _row_products(probs: list[Tensor], like: Tensor) -> Tensor:
    """Outer product over blocks of [n, 2^size] rows, the first block least significant: [n, 2^(sum of sizes)]."""
    product = like.new_ones(like.shape[0], 1)
    for block in probs:
        product = (block.unsqueeze(2) * product.unsqueeze(1)).flatten(1)
    return product


def _signs(words: Tensor, bits: int, width: int) -> Tensor:
    """int8 -1/+1 [C, bits] from words [C, ...] that hold ``width`` bits each, the first bit least significant."""
    position = torch.arange(bits, device=words.device)
    bit = (words[:, position // width] >> (position % width)) & 1
    return (2 * bit - 1).to(torch.int8)


def _number(positive: Tensor) -> Tensor:
    """Number of each row of bool [C, bits], the first bit least significant: int64 [C]."""
    return (positive.long() << torch.arange(positive.shape[1], device=positive.device)).sum(1)


def _pseudo_total(smoothing: float, bits: int) -> float:
    """Pseudo-counts of all codes together."""
    smoothing = check_real("smoothing", smoothing, 0)
    if smoothing and bits > MAX_TABLE_BITS:
        raise ValueError(f"smoothing must be 0 above {MAX_TABLE_BITS} bits, got {smoothing:g} at {bits} bits")
    return smoothing * 2.0**bits
