"""Which class gets which centre: similar classes should get near ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from hashkernels._validation import check_int
from hashkernels.centers.codebook import Codebook

__all__ = ["assign_centers"]


def assign_centers(centers: Codebook, similarity: Any, *, max_swaps: int = 100_000) -> Codebook:
    """The same centres in another order, so that similar classes have near centres.

    Swaps the centres of two classes as long as a swap raises ``sum_ij similarity[i, j] <c_i, c_j>``, always the swap
    that raises it most (a local optimum of the quadratic assignment problem). Distances stay what they are, only
    which classes are near is chosen; codes with all distances equal, such as Hadamard rows, leave nothing to choose.

    Args:
        centers: a codebook.
        similarity: real ``[num_classes, num_classes]``, greater for classes more alike, such as the cosines of class
            means or a confusion matrix; the diagonal is ignored, and a matrix that is not symmetric is averaged with
            its transpose.
        max_swaps: at most so many swaps.

    Returns:
        A codebook whose row i is the centre of class i.

    Raises:
        ValueError: another shape, or values that are not finite.
        TypeError: not a codebook, or a matrix that is not of real numbers.

    Example:
        >>> words = [[1, 1, 1, 1], [1, 1, -1, 1], [-1, -1, 1, -1], [-1, -1, -1, -1]]
        >>> alike = np.eye(4)[[2, 3, 0, 1]]  # classes 0 and 2, 1 and 3
        >>> book = assign_centers(Codebook(words, construction="two pairs"), alike)
        >>> (np.asarray(book)[0] != np.asarray(book)[2]).sum()
        np.int64(1)
    """
    if not isinstance(centers, Codebook):
        raise TypeError(f"centers must be a Codebook, got {type(centers).__name__}")
    matrix = np.asarray(similarity)
    if matrix.dtype.kind not in "biuf":
        raise TypeError(f"similarity must be real numbers, got {matrix.dtype}")
    size = centers.num_classes
    if matrix.shape != (size, size):
        raise ValueError(f"similarity must have shape [{size}, {size}], got {matrix.shape}")
    alike = matrix.astype(np.float64)
    if not np.isfinite(alike).all():
        raise ValueError("similarity must be finite")
    max_swaps = check_int("max_swaps", max_swaps, 0)
    alike = alike / 2 + alike.T / 2
    np.fill_diagonal(alike, 0)
    # By a power of two, which rounds nothing: of two matrices in different units both or none leave a swap to make.
    alike = np.ldexp(alike, -np.frexp(np.abs(alike).max())[1])
    words = np.asarray(centers)
    order = np.arange(size)
    products = words.astype(np.float64) @ words.T.astype(np.float64)
    np.fill_diagonal(products, 0)
    mixed = alike @ products
    smallest = 1e-9 * centers.bits * size
    for _ in range(max_swaps):
        gains = mixed + mixed.T - np.diag(mixed)[:, None] - np.diag(mixed)[None, :] + 2 * alike * products
        first, second = divmod(int(gains.argmax()), size)
        if gains[first, second] <= smallest:
            break
        swap = [second, first]
        mixed += np.outer(alike[:, second] - alike[:, first], products[first] - products[second])
        mixed[:, [first, second]] = mixed[:, swap]
        products[[first, second]] = products[swap]
        products[:, [first, second]] = products[:, swap]
        order[[first, second]] = order[swap]
    return Codebook(words[order], construction=centers.construction, upper_bound=centers.upper_bound)
