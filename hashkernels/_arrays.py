"""NumPy arrays as CPU tensors and back, without copying."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ArrayT = TypeVar("ArrayT", Tensor, npt.NDArray[Any])
"""A tensor or a NumPy array: what comes back is of the kind that came in."""


class _WritableView:
    """The memory of a read-only array under an interface that does not say so.

    torch has no read-only tensors, and warns about every read-only array that it is given. Nothing in this library
    writes to an input, so the warning would be noise, and a copy of a memory-mapped database would defeat its purpose.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}
        self._owner = array


def to_tensor(name: str, value: Any) -> Tensor:
    """A tensor as it is, unless it is to be read negated; a NumPy array, or anything that speaks DLPack, as a tensor
    over the same memory.

    Of a NumPy array only what torch cannot describe is copied: negative strides, foreign byte order, elements off their
    alignment.
    """
    if isinstance(value, Tensor):
        if value.layout != torch.strided:
            raise TypeError(f"{name} must be dense, got {value.layout}")
        return value if torch.compiler.is_compiling() else value.resolve_neg()
    if not isinstance(value, np.ndarray):
        if hasattr(value, "__dlpack__"):
            return torch.utils.dlpack.from_dlpack(value)
        raise TypeError(f"{name} must be a torch.Tensor or a numpy.ndarray, got {type(value).__name__}")
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a numpy.ndarray without a mask, got a MaskedArray")
    if not value.dtype.isnative:
        value = value.astype(value.dtype.newbyteorder("="))
    # A list takes less time than any(), which a small search would notice.
    if not value.flags.aligned or [step for step in value.strides if step < 0 or step % value.itemsize]:
        value = value.copy()
    if not value.flags.writeable:
        value = np.asarray(_WritableView(value))
    try:
        return torch.from_numpy(value)
    except TypeError:
        raise TypeError(f"{name} must have a numeric dtype that torch knows, got {value.dtype}") from None


def labels_to_tensor(name: str, value: Any) -> Tensor:
    """Labels as `to_tensor` gives them; names of classes are an error that says how to number them."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "SUT":
        raise TypeError(
            f"{name} must be class ids or multi-hot, got {value.dtype}: "
            "numpy.unique(names, return_inverse=True)[1] numbers names"
        )
    return to_tensor(name, value)


def to_tensors(**arrays: Any) -> list[Tensor]:
    """Tensors for arguments that must be all tensors or all NumPy arrays: mixing the two kinds is an error."""
    first_name, first = next(iter(arrays.items()))
    is_numpy = isinstance(first, np.ndarray)
    tensors = []
    for name, value in arrays.items():
        tensors.append(to_tensor(name, value))
        if isinstance(value, np.ndarray) != is_numpy:
            kind = "numpy.ndarray" if is_numpy else "torch.Tensor"
            raise TypeError(f"{name} must be a {kind} like {first_name}, got {type(value).__name__}")
    return tensors


def to_real_array(name: str, value: Any) -> npt.NDArray[Any]:
    """Real numbers, or bools, of a tensor on any device or of what NumPy takes; floats that it lacks as float64."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.double() if value.is_floating_point() and value.dtype.itemsize < 4 else value
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    return array


def like(array: ArrayT, result: Tensor) -> ArrayT:
    """The result in the kind of ``array``."""
    if isinstance(array, np.ndarray):
        return result.numpy()
    return result
