"""Class centers as targets of a loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashkernels._validation import check_int, dtype_name
from hashkernels.centers import hadamard_centers, has_hadamard_matrix, random_centers


def center_tensor(centers: Any, num_classes: int, bits: int) -> Tensor:
    """Given centers (a Codebook, an array or a tensor) as a new ``int8 [num_classes, bits]`` of -1/+1, on torch's
    default device like all that a module makes."""
    values = center_values(centers)
    if tuple(values.shape) != (num_classes, bits):
        raise ValueError(f"centers must have shape [num_classes={num_classes}, bits={bits}], got {tuple(values.shape)}")
    return values


def center_values(centers: Any) -> Tensor:
    """`center_tensor` of any number of classes and bits."""
    if isinstance(centers, Tensor):
        if centers.is_complex() or centers.dtype == torch.bool:
            raise TypeError(f"centers must be real numbers, got {dtype_name(centers.dtype)}")
        values = centers.detach().cpu()
    else:
        try:
            array = np.asarray(centers)
        except ValueError:
            raise ValueError("centers must have rows of one length") from None
        if array.dtype.kind not in "iuf":
            raise TypeError(f"centers must be real numbers, got {array.dtype}")
        values = torch.from_numpy(np.array(array))
    if values.ndim != 2:
        raise ValueError(f"centers must have shape [num_classes, bits], got {tuple(values.shape)}")
    if not bool((values.double().abs() == 1).all()):
        raise ValueError("centers must hold only -1 and +1")
    return values.to(torch.get_default_device(), torch.int8)


def hadamard_or_random(num_classes: int, bits: int, seed: int) -> Tensor:
    """Hadamard rows where there are enough of them, else balanced random words: algorithm 1 of CSQ."""
    if has_hadamard_matrix(bits) and num_classes <= 2 * bits:
        book = hadamard_centers(num_classes, bits, seed=seed)
    else:
        book = random_centers(num_classes, bits, seed=seed)
    return center_tensor(book, num_classes, bits)


def random_signs(shape: tuple[int, ...], seed: int) -> Tensor:
    """``int8`` of -1/+1, the same for the same seed on every machine, on torch's default device."""
    rng = np.random.default_rng(check_int("seed", seed, 0))
    return torch.from_numpy((2 * rng.integers(0, 2, shape) - 1).astype(np.int8)).to(torch.get_default_device())


def target_codes(centers: Tensor, tie_break: Tensor, labels: Tensor) -> Tensor:
    """The code that each item should have, ``int8 [N, bits]`` of -1/+1.

    The center of its class; of several classes, the sign of the sum of their centers, where a sum of zero takes the
    bit of ``tie_break``. An item without a class has a row of zeros.
    """
    if labels.ndim == 1:
        return centers.index_select(0, labels)
    total = labels.float() @ centers.float()  # whole numbers, exact
    return torch.where(total == 0, tie_break, total.sign().to(torch.int8)) * labels.any(dim=1, keepdim=True)
