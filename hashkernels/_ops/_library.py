"""What every op shares: the library, the thread count, and the way from a tensor to a pointer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashkernels import _validation

LIBRARY = torch.library.Library("hashkernels", "DEF")  # type: ignore[no-untyped-call]

# A CUDA op whose workspace would be larger works on one part of the queries after another.
MAX_WORKSPACE_VALUES = 1 << 26

_HUGE = 1 << 22  # from so many bytes on NumPy asks for huge pages
_CACHE_LINE = 64
_NUMPY_INTEGERS = {torch.uint8: np.uint8, torch.int32: np.int32, torch.int64: np.int64}
_PLAIN = (Tensor, torch.nn.Parameter)

_num_threads: int | None = None


def set_num_threads(threads: int | None) -> None:
    """Use that many threads, 1..4096, in every native kernel from now on; None follows ``torch.get_num_threads()``.

    torch's own threads (GNU OpenMP) keep their cores for some ten milliseconds after each operation, waiting for the
    next. With ``OMP_WAIT_POLICY=passive`` in the environment of the process they sleep, and kernels find cores free.
    """
    global _num_threads
    _num_threads = _validation.check_threads(threads)


def get_num_threads() -> int:
    """The number of threads that native kernels use unless a call says otherwise."""
    return torch.get_num_threads() if _num_threads is None else _num_threads


def thread_argument(threads: int | None) -> int:
    """The op's int for a ``threads=`` argument: 0 stands for the default, looked up when the op runs."""
    return _validation.check_threads(threads) or 0


def thread_count(threads: int) -> int:
    """The number of threads for the kernel, from the op's int."""
    return threads or get_num_threads()


def define(
    schema: str, *, cpu: Callable[..., Any], fake: Callable[..., Any], cuda: Callable[..., Any] | None = None
) -> Any:
    """Register ``hashkernels::<schema>`` with its implementations and return what calls it.

    Where nothing but one implementation could run, it is called without a walk through the dispatcher, which takes
    longer than a kernel does on few items.
    """
    name = schema.partition("(")[0]
    cuda = None if cuda is None else _on_its_device(cuda)
    LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, cpu, "CPU")  # type: ignore[no-untyped-call]
    LIBRARY.impl(name, cpu if cuda is None else cuda, "CUDA")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"hashkernels::{name}", fake, lib=LIBRARY)
    op = getattr(torch.ops.hashkernels, name).default

    def call(*arguments: Any) -> Any:
        if not nobody_watches():
            return op(*arguments)
        kind = _common_kind(arguments)
        if kind == "cpu":
            return cpu(*arguments)
        return cuda(*arguments) if cuda is not None and kind == "cuda" else op(*arguments)

    return call


def _on_its_device(op: Callable[..., Any]) -> Callable[..., Any]:
    """The op with the device of its tensors current. torch sees to it that a device to which it only comes back is left
    alone: making that one current would make a context there, of hundreds of megabytes."""

    def run(*arguments: Any) -> Any:
        index = next(argument.device.index for argument in arguments if isinstance(argument, Tensor))
        if index is None or index == torch.cuda.current_device():
            return op(*arguments)
        with torch.cuda.device(index):
            return op(*arguments)

    return run


def nobody_watches() -> bool:
    """Whether nobody is to see the call of an op: no compiler, no mode, no transform."""
    return (
        not torch.compiler.is_compiling()
        and not torch._C._len_torch_dispatch_stack()
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._get_tracing_state() is None
    )


def _common_kind(arguments: tuple[Any, ...]) -> str | None:
    """The kind of memory, "cpu" or "cuda", that all tensors among the arguments lie in, if all are ordinary ones."""
    kind = None
    for argument in arguments:
        if type(argument) not in _PLAIN:
            if isinstance(argument, Tensor):
                return None
            continue
        own = "cpu" if argument.is_cpu else "cuda" if argument.is_cuda else None
        # What is to be read negated (``z.conj().imag``), the dispatcher makes.
        if own is None or (kind is not None and own != kind) or argument.is_neg():
            return None
        kind = own
    return kind


def rows(name: str, tensor: Tensor, *dtypes: torch.dtype) -> Tensor:
    """The tensor, copied only where the elements of a row do not lie side by side. The pointer contract depends on it,
    and on the dtype, so both are looked at here whatever the caller has checked."""
    if tensor.dtype not in dtypes:
        wanted = " or ".join(map(_validation.dtype_name, dtypes))
        raise TypeError(f"{name} must be {wanted}, got {_validation.dtype_name(tensor.dtype)}")
    if tensor.ndim != 2:
        raise ValueError(f"{name} must have 2 dimensions, got shape {tuple(tensor.shape)}")
    if tensor.is_contiguous() or (tensor.stride(1) == 1 and tensor.stride(0) >= tensor.shape[1]):
        return tensor
    return tensor.contiguous()


def row_stride(tensor: Tensor) -> int:
    """Elements from one row to the next of what ``rows`` returned."""
    return max(tensor.stride(0), tensor.shape[1])


def code_rows(queries: Tensor, database: Tensor) -> tuple[Tensor, Tensor]:
    """Both sides of a comparison as ``rows``, of one width."""
    queries, database = rows("queries", queries, torch.uint8), rows("database", database, torch.uint8)
    if database.shape[1] != queries.shape[1]:
        raise ValueError(f"database must have {queries.shape[1]} bytes a code like queries, got {database.shape[1]}")
    _validation.check_same_device("queries", queries, "database", database)
    return queries, database


def _code_arguments(codes: Tensor) -> tuple[int, int, int]:
    count, width = codes.shape
    return codes.data_ptr(), count, max(codes.stride(0), width)


def pair_arguments(queries: Tensor, database: Tensor) -> tuple[int, int, int, int, int, int, int]:
    """The seven leading arguments of every kernel that compares codes; both come from ``code_rows``."""
    return *_code_arguments(queries), *_code_arguments(database), queries.shape[1]


def cuda_arguments(tensor: Tensor) -> tuple[int, int]:
    """The two last arguments of every CUDA launcher: the device, and the caller's stream on it."""
    return tensor.get_device(), torch.cuda.current_stream(tensor.device).cuda_stream


def empty_on_huge_pages(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Like ``torch.empty`` of integers on the CPU. NumPy asks the system for huge pages where that is worth it: reading
    here and there in large tables then takes half the time, and reading on and on a tenth less. Where it does, rows of
    up to a cache line that are a power of two long lie within one. A few elements come from it in half the time that
    torch takes."""
    size = math.prod(shape) * dtype.itemsize
    if size < _HUGE:
        return torch.from_numpy(np.empty(shape, _NUMPY_INTEGERS[dtype]))
    room = torch.from_numpy(np.empty(size + _CACHE_LINE, np.uint8))
    first = -room.data_ptr() % _CACHE_LINE
    return room[first : first + size].view(dtype).view(shape)


def workspace(tensor: Tensor, num_values: int) -> Tensor:
    """Device memory for a launcher, next to ``tensor``."""
    return tensor.new_empty(num_values, dtype=torch.int64)


def query_parts(num_queries: int, workspace_values: Callable[[int], int]) -> Iterator[slice]:
    """Slices of the queries, each with a workspace of at most ``MAX_WORKSPACE_VALUES`` if one query has."""
    step = max(num_queries, 1)
    while step > 1 and workspace_values(step) > MAX_WORKSPACE_VALUES:
        step = (step + 1) // 2
    for first in range(0, num_queries, step):
        yield slice(first, min(first + step, num_queries))
