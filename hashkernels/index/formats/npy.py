"""Codes in NumPy's .npy, mapped."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._files import atomic_write
from hashkernels._validation import MAX_BITS
from hashkernels.index.formats._codes import code_array


def read_npy(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """Packed codes uint8 [N, W] from .npy, as a read-only view of the mapped file; nothing is unpickled.

    Raises:
        ValueError: the file is no .npy, is truncated, or holds another shape or dtype.
        OSError: it cannot be opened.
    """
    with open(path, "rb"):  # an OSError means that, and nothing that NumPy says of a header
        pass
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # the header is a Python literal: the parser's own errors come through
        raise ValueError(f"{path}: not a .npy file: {error}") from error
    if array.dtype != np.uint8 or array.ndim != 2 or not 1 <= array.shape[1] <= MAX_BITS // 8:
        raise ValueError(f"{path}: codes must be uint8 [N, 1..{MAX_BITS // 8}], got {array.dtype} {array.shape}")
    return np.asarray(array)


def write_npy(path: str | os.PathLike[str], codes: Any) -> None:
    """Write uint8 [N, W] as .npy, atomically.

    Raises:
        ValueError: codes are not [N, W].
        TypeError: codes are not uint8.
    """
    rows = code_array("codes", codes)
    with atomic_write(path) as file:
        np.save(file, rows, allow_pickle=False)
