"""How well a set of codes uses its bits."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from hashkernels._validation import check_bits
from hashkernels.metrics._harmonic import Floats, log2
from hashkernels.metrics._inputs import checked_codes

# [byte, bit], the first bit of a byte being its highest
_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64)


class CodeStatistics(NamedTuple):
    """Use of the bits of a set of codes.

    bit_balance: float64 [bits], share of codes in which each bit is set; 0.5 is balanced, 0 or 1 a bit that says
        nothing.
    bit_entropy: float64 [bits], entropy of each bit in bits, 0..1.
    distinct_codes: how many different codes there are.
    num_codes: how many codes there are.
    """

    bit_balance: npt.NDArray[np.float64]
    bit_entropy: npt.NDArray[np.float64]
    distinct_codes: int
    num_codes: int

    @property
    def constant_bits(self) -> int:
        """How many bits are the same in all codes."""
        return int(((self.bit_balance == 0.0) | (self.bit_balance == 1.0)).sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, ready for ``json.dumps``."""
        return {
            "bit_balance": self.bit_balance.tolist(),
            "bit_entropy": self.bit_entropy.tolist(),
            "distinct_codes": self.distinct_codes,
            "num_codes": self.num_codes,
            "constant_bits": self.constant_bits,
        }


def code_statistics(codes: Any, bits: int) -> CodeStatistics:
    """Balance and entropy of each bit, and the number of distinct codes: what shows that a hash has collapsed.

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
        >>> statistics.constant_bits
        3
    """
    bits = check_bits(bits)
    tensor = checked_codes("codes", codes, bits)
    num_codes = int(tensor.shape[0])
    rows = tensor.cpu().numpy()
    ones = np.concatenate([np.bincount(column, minlength=256) @ _BITS_OF_BYTE for column in rows.T])[:bits]
    distinct = int(np.unique(np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")).size)
    return CodeStatistics(ones / num_codes, _entropy(ones, num_codes), distinct, num_codes)


def _entropy(ones: npt.NDArray[np.int64], count: int) -> Floats:
    entropy = np.zeros(ones.shape)
    varied = (ones > 0) & (ones < count)
    for part in (ones[varied], count - ones[varied]):
        share = part / count
        entropy[varied] -= share * log2(share)
    return np.minimum(entropy, 1.0)
