"""The op that moves discrete codes towards the minimum of a quadratic objective, bit by bit."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import define, rows, thread_argument, thread_count

_FLOATS = (torch.float32, torch.float64)


def discrete_descent(codes: Tensor, pull: Tensor, gram: Tensor, sweeps: int, threads: int | None = None) -> Tensor:
    """Codes int8 [N, bits] of -1/+1 after ``sweeps`` passes over their bits in turn, each of which takes the value that
    lowers b' G b - 2 pull . b of its item, and stays where both are equal.

    ``pull`` is [N, bits], ``gram`` the symmetric [bits, bits] matrix G of the same dtype, float32 or float64. The codes
    are the same bits on every instruction set, thread count and device.
    """
    moved: Tensor = _discrete_descent(codes, pull, gram, sweeps, thread_argument(threads))
    return moved


def _checked(codes: Tensor, pull: Tensor, gram: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    codes, pull = rows("codes", codes, torch.int8), rows("pull", pull, *_FLOATS)
    gram = rows("gram", gram, pull.dtype)
    bits = _validation.check_bits(codes.shape[1])
    for name, tensor, shape in (("pull", pull, tuple(codes.shape)), ("gram", gram, (bits, bits))):
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
        _validation.check_same_device("codes", codes, name, tensor)
    return codes, pull, gram


def _on_cpu(codes: Tensor, pull: Tensor, gram: Tensor, sweeps: int, threads: int) -> Tensor:
    codes, pull, gram = _checked(codes, pull, gram)
    kernel = _loader.cpu_kernel("discrete_descent")
    if kernel is None:
        return reference.discrete_descent(codes, pull, gram, sweeps)
    moved = codes.clone(memory_format=torch.contiguous_format)
    pull, gram = pull.contiguous(), gram.contiguous()
    kernel(
        pull.data_ptr(),
        gram.data_ptr(),
        pull.dtype == torch.float64,
        *codes.shape,
        sweeps,
        moved.data_ptr(),
        thread_count(threads),
    )
    return moved


def _on_cuda(codes: Tensor, pull: Tensor, gram: Tensor, sweeps: int, threads: int) -> Tensor:
    return reference.discrete_descent(*_checked(codes, pull, gram), sweeps)


def _fake(codes: Tensor, pull: Tensor, gram: Tensor, sweeps: int, threads: int) -> Tensor:
    return torch.empty_like(codes, memory_format=torch.contiguous_format)


_discrete_descent = define(
    "discrete_descent(Tensor codes, Tensor pull, Tensor gram, int sweeps, int threads) -> Tensor",
    cpu=_on_cpu,
    cuda=_on_cuda,
    fake=_fake,
)
