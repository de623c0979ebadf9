"""The one place where arguments are checked.

Every function names the argument, says what was expected and what came. Shapes, ranges and values raise
``ValueError``; wrong types and dtypes raise ``TypeError``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Collection
from types import ModuleType
from typing import Any

import numpy as np
import torch

from hashkernels._values import all_finite, least_and_greatest

MAX_BITS = 4096
MAX_THREADS = 4096
MAX_SEED = (1 << 64) - 1  # that torch takes
PACKABLE_DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.int16,
    torch.int32,
    torch.int64,
)

_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)  # for which torch has few operations

# Tuples: torch.compile of older releases cannot trace isinstance against a union.
_BOOLS = (bool, np.bool_)
_INTEGERS = (int, np.integer)
_NUMBERS = (int, float, np.integer, np.floating)

_validate_device_values = False


def set_device_value_checks(enabled: bool) -> None:
    """Switch value checks on CUDA tensors, which synchronise with the device, on or off."""
    global _validate_device_values
    _validate_device_values = bool(enabled)


def value_checks_enabled(tensor: torch.Tensor) -> bool:
    """Whether values (not only shapes and dtypes) of ``tensor`` may be looked at.

    Never while compiling or on fake tensors; on an accelerator only after ``hashkernels.validate(True)``.
    """
    if torch.compiler.is_compiling() or type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return False
    return tensor.is_cpu or (_validate_device_values and not tensor.is_meta)


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: ``1 bit``, ``2 bits``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def dtype_name(dtype: torch.dtype) -> str:
    """``uint8``: what it is called by users of torch and of NumPy alike."""
    return str(dtype).removeprefix("torch.")


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package, or raise an ``ImportError`` that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        package = module.partition(".")[0]
        raise ImportError(f"{package} is missing: pip install 'hashkernels[{extra}]'", name=package) from None


def check_int(name: str, value: Any, low: int | None = None, high: int | None = None) -> int:
    """An integer (not a bool) in ``low..high``, either end open when None."""
    if isinstance(value, _BOOLS) or not isinstance(value, _INTEGERS):
        raise TypeError(f"{name} must be an int, got {type(value).__name__}")
    number = int(value)
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} must be {_interval(low, high)}, got {number}")
    return number


def check_real(name: str, value: Any, low: float | None = None, high: float | None = None) -> float:
    """A finite real number in ``low..high``, either end open when None."""
    if isinstance(value, _BOOLS) or not isinstance(value, _NUMBERS):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if (low is not None and number < low) or (high is not None and number > high):
        raise ValueError(f"{name} must be {_interval(low, high)}, got {number:g}")
    return number


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """One of the strings in ``choices``."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, got {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
    return value


def check_tensor(name: str, value: Any, ndim: int) -> torch.Tensor:
    """A torch tensor of ``ndim`` dimensions."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.ndim != ndim:
        raise ValueError(f"{name} must have {counted(ndim, 'dimension')}, got shape {tuple(value.shape)}")
    return value


def check_signs(name: str, value: Any) -> torch.Tensor:
    """Real numbers [N, L] of any dtype, as what is read of them: whether each is above 0, bool."""
    tensor = check_tensor(name, value, 2)
    if tensor.is_complex():
        raise TypeError(f"{name} must be of a real dtype, got {dtype_name(tensor.dtype)}")
    if tensor.dtype in _WIDE_UNSIGNED:
        return tensor.long() != 0
    if tensor.is_floating_point() and tensor.element_size() < 2:
        tensor = tensor.float()  # torch compares none of 8 bits
    return tensor > 0


def check_embeddings(name: str, value: Any, bits: int | None = None) -> torch.Tensor:
    """Floating-point embeddings [N, bits], finite."""
    tensor = check_tensor(name, value, 2)
    if not tensor.is_floating_point() or tensor.element_size() < 2:
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {dtype_name(tensor.dtype)}")
    if tensor.layout != torch.strided:
        raise TypeError(f"{name} must be dense, got {tensor.layout}")
    if bits is not None and tensor.shape[1] != bits:
        raise ValueError(f"{name} must have shape [N, {bits}], got {tuple(tensor.shape)}")
    if value_checks_enabled(tensor) and not all_finite(tensor):
        raise ValueError(f"{name} must be finite, got {tensor[~torch.isfinite(tensor)][0].item()}")
    return tensor


def check_labels(
    name: str, value: Any, num_items: int, num_classes: int | None = None, *, synchronize: bool = False
) -> torch.Tensor:
    """Class ids (integers [N]) or multi-hot labels ({0, 1} of any real dtype, [N, C]) of ``num_items`` items.

    Class ids of an unsigned dtype of more than 8 bits come back as int64. ``synchronize`` lets values be looked at on
    an accelerator too, by callers that wait for the device anyway.
    """
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch.Tensor, got {type(value).__name__}")
    if value.ndim not in (1, 2):
        raise ValueError(f"{name} must be class ids [N] or multi-hot [N, C], got shape {tuple(value.shape)}")
    if value.shape[0] != num_items:
        raise ValueError(f"{name} must have one row for each of {num_items} items, got {value.shape[0]}")
    if value.ndim == 1:
        if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
            raise TypeError(f"{name} given as class ids must be integers, got {dtype_name(value.dtype)}")
        ids = value.long() if value.dtype in _WIDE_UNSIGNED else value
        may_wrap = value.dtype == torch.uint64
        if (may_wrap or num_classes is not None) and ids.numel() and (synchronize or value_checks_enabled(value)):
            low, high = least_and_greatest(ids)
            if may_wrap and low < 0:
                raise ValueError(f"{name} must be below 2^63, got {low + (1 << 64)}")
            if num_classes is not None and (low < 0 or high >= num_classes):
                raise ValueError(f"{name} must be in 0..{num_classes - 1}, got {low if low < 0 else high}")
        return ids
    if value.is_complex():
        raise TypeError(f"{name} given as multi-hot must be real, got {dtype_name(value.dtype)}")
    if num_classes is not None and value.shape[1] != num_classes:
        raise ValueError(f"{name} given as multi-hot must have {num_classes} columns, got {value.shape[1]}")
    if (synchronize or value_checks_enabled(value)) and not _holds_bits(value):
        raise ValueError(f"{name} given as multi-hot must hold only 0 and 1")
    return value


def _holds_bits(value: torch.Tensor) -> bool:
    """Whether all elements are 0 or 1; integers tell by the least and the greatest, in one pass."""
    if value.numel() and value.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64):
        low, high = least_and_greatest(value)
        return low >= 0 and high <= 1
    return bool(((value == 0) | (value == 1)).all())


def check_bits(bits: Any, name: str = "bits") -> int:
    """A code length in 1..4096."""
    return check_int(name, bits, 1, MAX_BITS)


def check_threads(value: Any) -> int | None:
    """A number of threads in 1..4096; None stands for the default."""
    return None if value is None else check_int("threads", value, 1, MAX_THREADS)


def check_class_count(value: Any, bits: int, most: int | None = None) -> int:
    """A number of classes that can have a code of ``bits`` bits each: 2..2^bits, and ``most`` where it is given."""
    number = check_int("num_classes", value, 2)
    if number > 1 << bits:
        raise ValueError(
            f"num_classes must be at most 2^bits = {1 << bits}, the number of codes of {counted(bits, 'bit')}, "
            f"got {number}"
        )
    return check_int("num_classes", number, 2, most)


def check_packable(name: str, value: Any) -> torch.Tensor:
    """Real numbers [N, L], L in 1..4096, of a dtype whose signs can be packed."""
    tensor = check_tensor(name, value, 2)
    if tensor.dtype not in PACKABLE_DTYPES:
        raise TypeError(
            f"{name} must be floats of 16 bits or more, signed integers, uint8 or bool, got {dtype_name(tensor.dtype)}"
        )
    if not 1 <= tensor.shape[1] <= MAX_BITS:
        raise ValueError(f"{name} must have 1..{MAX_BITS} columns, got {tensor.shape[1]}")
    return tensor


def check_codes(
    name: str, value: Any, bits: int | None = None, bitorder: str = "big", *, synchronize: bool = False
) -> torch.Tensor:
    """Packed codes uint8 [N, ceil(bits / 8)]; when ``bits`` is given, the pad bits must be zero.

    ``synchronize`` as in ``check_labels``.
    """
    tensor = check_tensor(name, value, 2)
    if tensor.dtype != torch.uint8:
        hint = ": pack_codes makes them of signs" if tensor.dtype in PACKABLE_DTYPES else ""
        raise TypeError(f"{name} must be uint8 packed codes, got {dtype_name(tensor.dtype)}{hint}")
    width = tensor.shape[1]
    if bits is None:
        if not 1 <= width <= MAX_BITS // 8:
            raise ValueError(f"{name} must have 1..{MAX_BITS // 8} bytes a code, got {width}")
        return tensor
    check_bits(bits)
    if width != (bits + 7) // 8:
        hint = ", one a bit: pack_codes makes packed codes of signs or {0, 1}" if width == bits else ""
        expected = f"{counted((bits + 7) // 8, 'byte')} a code for {counted(bits, 'bit')}"
        raise ValueError(f"{name} must have {expected}, got {width}{hint}")
    pad = pad_mask(bits, bitorder)
    if pad and (synchronize or value_checks_enabled(tensor)) and (tensor[:, -1] & pad).any():
        other = "little" if bitorder == "big" else "big"
        hint = "" if (tensor[:, -1] & pad_mask(bits, other)).any() else f", as they are by bitorder={other!r}"
        raise ValueError(f"{name} must have zero pad bits beyond bit {bits} of each code{hint}")
    return tensor


def pad_mask(bits: int, bitorder: str) -> int:
    """The bits of the last byte of a code that are none of its own."""
    pad = -bits % 8
    return (1 << pad) - 1 if bitorder == "big" else 0xFF & ~(0xFF >> pad)


def check_code_pair(queries: Any, database: Any, bits: int | None = None) -> int:
    """Queries and a database of at least one code, of one width; returns the number of bits. They are on one device, or
    the database in host memory and the queries on a GPU."""
    check_codes("queries", queries, bits)
    check_codes("database", database, bits)
    if database.shape[1] != queries.shape[1]:
        raise ValueError(
            f"database must have {counted(queries.shape[1], 'byte')} a code like queries, got {database.shape[1]}"
        )
    if not (queries.is_cuda and database.device.type == "cpu"):
        check_same_device("queries", queries, "database", database)
    if database.shape[0] == 0:
        raise ValueError(f"database must hold at least one code, got shape {tuple(database.shape)}")
    return int(queries.shape[1]) * 8 if bits is None else bits


def check_filter(name: str, value: Any, num_database: int) -> torch.Tensor:
    """The positions of a database of N codes that may be found: bool [N], or integers in 0..N-1, as int64."""
    tensor = check_tensor(name, value, 1)
    if tensor.dtype != torch.bool:
        return check_positions(name, tensor, num_database)
    if tensor.shape[0] != num_database:
        raise ValueError(f"{name} given as a mask must have {num_database} elements, got {tensor.shape[0]}")
    return tensor


def check_positions(name: str, value: Any, count: int) -> torch.Tensor:
    """Integers [n] of any dtype in 0..count-1, as int64."""
    tensor = _check_integers(name, value)
    positions = tensor.long()
    if positions.numel() and value_checks_enabled(positions):
        low, high = least_and_greatest(positions)
        if low < 0 or high >= count:
            # What is too large for int64 has become negative.
            wrong = high if low >= 0 else low + (1 << 64) if tensor.dtype == torch.uint64 else low
            raise ValueError(f"{name} must be in 0..{count - 1}, got {wrong}")
    return positions


def check_item_positions(name: str, value: Any, num_items: int) -> torch.Tensor:
    """Integers of any dtype, one for each item: [num_items]. How large they may be is not checked."""
    tensor = _check_integers(name, value)
    if tensor.shape[0] != num_items:
        raise ValueError(f"{name} must have one entry for each of {num_items} items, got {tensor.shape[0]}")
    return tensor


def _check_integers(name: str, value: Any) -> torch.Tensor:
    tensor = check_tensor(name, value, 1)
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} must be integers, got {dtype_name(tensor.dtype)}")
    return tensor


def check_device(name: str, value: Any) -> torch.device:
    """The CPU, or a GPU that torch sees, with its number."""
    try:
        device = torch.device(value)
    except (RuntimeError, TypeError):
        raise ValueError(f"{name} must be cpu or a CUDA device, got {value!r}") from None
    if device.type == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if device.type != "cuda" or (device.index or 0) >= count:
        expected = f"cpu or one of {count} CUDA devices" if count else "cpu, as torch sees no CUDA device"
        raise ValueError(f"{name} must be {expected}, got {str(device)!r}")
    return device if device.index is not None else torch.device("cuda", torch.cuda.current_device())


def check_same_device(first_name: str, first: torch.Tensor, name: str, other: torch.Tensor) -> None:
    """Both tensors on one device."""
    if first.device != other.device:
        raise ValueError(f"{name} must be on {first.device} like {first_name}, got {other.device}")


def _interval(low: float | None, high: float | None) -> str:
    def show(x: float) -> str:
        return str(x) if isinstance(x, int) else f"{x:g}"

    if low is not None and high is not None:
        return f"in {show(low)}..{show(high)}"
    if low is not None:
        return f"at least {show(low)}"
    assert high is not None
    return f"at most {show(high)}"
