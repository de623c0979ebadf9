"""How well a set of codes uses its bits."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._ops.sums import Floats, log2
from hashkernels._validation import check_bits
from hashkernels.metrics._inputs import checked_codes

_ROWS = 1 << 16
# [byte, bit], the first bit of a byte being its highest
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)


class CodeStatistics(NamedTuple):
    """Use of the bits of a set of codes.

    bit_balance: float64 [bits], share of codes in which each bit is set; 0.5 is balanced, 0 or 1 a bit that says
        nothing.
    bit_entropy: float64 [bits], entropy of each bit in bits, 0..1.
    bit_correlation: float64 [bits, bits], Pearson's correlation of each two bits; 0 with a bit that is constant.
    distinct_codes: how many different codes there are.
    collisions: how many pairs of items have the same code.
    code_entropy: entropy of the distribution of the codes in bits, at most log2 of their number.
    num_codes: how many codes there are.
    """

    bit_balance: npt.NDArray[np.float64]
    bit_entropy: npt.NDArray[np.float64]
    bit_correlation: npt.NDArray[np.float64]
    distinct_codes: int
    collisions: int
    code_entropy: float
    num_codes: int

    @property
    def constant_bits(self) -> int:
        """How many bits are the same in all codes."""
        return int(((self.bit_balance == 0.0) | (self.bit_balance == 1.0)).sum())

    @property
    def greatest_correlation(self) -> float:
        """The greatest absolute correlation of two different bits; 0 of a single bit."""
        above = np.abs(self.bit_correlation[np.triu_indices(len(self.bit_balance), 1)])
        return float(above.max(initial=0.0))

    @property
    def mean_correlation(self) -> float:
        """The mean absolute correlation over all pairs of different bits; 0 of a single bit."""
        above = np.abs(self.bit_correlation[np.triu_indices(len(self.bit_balance), 1)])
        return math.fsum(above) / max(above.size, 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for ``json.dumps``; of the correlations the mean and the greatest."""
        return {
            "bit_balance": self.bit_balance.tolist(),
            "bit_entropy": self.bit_entropy.tolist(),
            "mean_correlation": self.mean_correlation,
            "greatest_correlation": self.greatest_correlation,
            "distinct_codes": self.distinct_codes,
            "collisions": self.collisions,
            "code_entropy": self.code_entropy,
            "num_codes": self.num_codes,
            "constant_bits": self.constant_bits,
        }


def code_statistics(codes: Any, bits: int) -> CodeStatistics:
    """Balance, entropy, correlation of the bits, distinct codes, collisions: what shows that a hash has collapsed.

    Args:
        codes: uint8 [N, ceil(bits / 8)], packed codes, NumPy array or torch tensor on any device; pad bits zero.
        bits: code length.

    Returns:
        CodeStatistics of NumPy arrays, bit-identical on every machine.

    Raises:
        ValueError: no code, a width that does not fit ``bits``, or pad bits that are set.
        TypeError: codes that are not uint8.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import code_statistics
        >>> codes = np.array([[0b10000000], [0b11000000], [0b11000000], [0b10000000]], dtype=np.uint8)
        >>> statistics = code_statistics(codes, 4)
        >>> statistics.bit_balance.tolist(), statistics.bit_entropy.tolist(), statistics.distinct_codes
        ([1.0, 0.5, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], 2)
        >>> statistics.collisions, statistics.code_entropy
        (2, 1.0)
        >>> statistics.constant_bits
        3
    """
    bits = check_bits(bits)
    tensor = checked_codes("codes", codes, bits)
    num_codes = int(tensor.shape[0])
    rows = tensor.cpu().numpy()
    ones = np.concatenate([np.bincount(column, minlength=256) @ _BITS_OF_BYTE for column in rows.T])[:bits]
    _, copies = np.unique(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}"), return_counts=True)
    shares = np.sort(copies) / num_codes
    return CodeStatistics(
        bit_balance=ones / num_codes,
        bit_entropy=_entropy(ones, num_codes),
        bit_correlation=_correlation(rows, bits, ones),
        distinct_codes=copies.size,
        collisions=int((copies * (copies - 1) // 2).sum()),
        code_entropy=abs(math.fsum(shares * log2(shares))),
        num_codes=num_codes,
    )


def _entropy(ones: npt.NDArray[np.int64], count: int) -> Floats:
    entropy = np.zeros(ones.shape)
    varied = (ones > 0) & (ones < count)
    for part in (ones[varied], count - ones[varied]):
        share = part / count
        entropy[varied] -= share * log2(share)
    return np.minimum(entropy, 1.0)


def _correlation(rows: npt.NDArray[np.uint8], bits: int, ones: npt.NDArray[np.int64]) -> Floats:
    count = rows.shape[0]
    both = np.zeros((bits, bits), dtype=np.int64)
    for start in range(0, count, _ROWS):
        # sums of at most _ROWS ones are exact in float32
        part = np.unpackbits(rows[start : start + _ROWS], axis=1, count=bits).astype(np.float32)
        both += (part.T @ part).astype(np.int64)
    spread = ones * (count - ones)
    scale = np.sqrt(spread[:, None].astype(np.float64) * spread)
    covariance = count * both - ones[:, None] * ones
    correlation: Floats = np.divide(covariance, scale, out=np.zeros((bits, bits)), where=scale > 0)
    return correlation
