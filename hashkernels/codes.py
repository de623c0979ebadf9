"""Packed codes: one bit a dimension, eight to a byte."""

from __future__ import annotations

from typing import Literal

import torch

from hashkernels import _ops
from hashkernels._arrays import ArrayT, like, to_tensors
from hashkernels._unpacked import warn_of_packed
from hashkernels._validation import check_bits, check_choice, check_codes, check_packable, value_checks_enabled

BitOrder = Literal["big", "little"]

_BIT_ORDERS = ("big", "little")


def pack_codes(x: ArrayT, *, bitorder: BitOrder = "big", threads: int | None = None) -> ArrayT:
    """Turn embeddings into packed binary codes: bit = ``x > 0``.

    Args:
        x: [N, L], L in 1..4096, of a float dtype of 16 bits or more, int8, int16, int32, int64, uint8 or bool. A tensor
            of any device or a NumPy array; rows may be strided.
        bitorder: "big" puts dimension 0 into the highest bit of byte 0, like ``numpy.packbits``; "little" into the
            lowest.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.

    Returns:
        uint8 [N, ceil(L / 8)] of the same kind and on the same device as ``x``; the pad bits of the last byte are zero.
        Zero and -0.0 give 0, that is -1 in the -1/+1 view.

    Warns of uint8 that looks like packed codes, whose bytes would each become one bit (not on a GPU).

    Raises:
        ValueError: ``x`` is not two-dimensional, has no or more than 4096 columns, or contains NaN (on a GPU this is
            looked at only after ``hashkernels.validate(True)``).
        TypeError: ``x`` is neither a tensor nor an array, or of another dtype.

    >>> import numpy as np
    >>> pack_codes(np.array([[0.5, -1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0]]))
    array([[160, 128]], dtype=uint8)
    """
    (tensor,) = to_tensors(x=x)
    check_packable("x", tensor)
    check_choice("bitorder", bitorder, _BIT_ORDERS)
    if tensor.dtype == torch.uint8 and tensor.is_cpu and value_checks_enabled(tensor):
        warn_of_packed("x", tensor.numpy())
    return like(x, _ops.pack_codes(tensor, bitorder == "little", threads))


def unpack_codes(codes: ArrayT, bits: int, *, bitorder: BitOrder = "big", threads: int | None = None) -> ArrayT:
    """Turn packed codes into signs: +1 where the bit is set, -1 elsewhere.

    Args:
        codes: uint8 [N, ceil(bits / 8)], a tensor of any device or a NumPy array; rows may be strided.
        bits: the length of a code, in 1..4096.
        bitorder: the order that the codes were packed in.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.

    Returns:
        int8 [N, bits] of -1 and +1, of the same kind and on the same device as ``codes``.

    Raises:
        ValueError: the width is not that of ``bits`` bits, or pad bits are set.
        TypeError: ``codes`` is neither a tensor nor an array, or not uint8.

    >>> import numpy as np
    >>> unpack_codes(np.array([[160, 128]], dtype=np.uint8), 9)
    array([[ 1, -1,  1, -1, -1, -1, -1, -1,  1]], dtype=int8)
    """
    (tensor,) = to_tensors(codes=codes)
    check_choice("bitorder", bitorder, _BIT_ORDERS)
    check_codes("codes", tensor, check_bits(bits), bitorder)
    return like(codes, _ops.unpack_codes(tensor, int(bits), bitorder == "little", threads))
