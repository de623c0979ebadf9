"""Ops that pack and unpack bits."""

from __future__ import annotations

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import cuda_arguments, define, row_stride, rows, thread_argument, thread_count

PACKABLE = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.bool: "bool",
    torch.int16: "int16",
    torch.int32: "int32",
    torch.int64: "int64",
}


def pack_codes(x: Tensor, little: bool, threads: int | None = None) -> Tensor:
    """[N, L] -> uint8 [N, ceil(L / 8)], bit = x > 0. A NaN raises ``ValueError`` where values may be looked at."""
    codes: Tensor = _pack_codes(x.detach(), little, thread_argument(threads))
    return codes


def unpack_codes(codes: Tensor, bits: int, little: bool, threads: int | None = None) -> Tensor:
    """uint8 [N, W] -> int8 [N, bits] of -1 and +1."""
    signs: Tensor = _unpack_codes(codes, bits, little, thread_argument(threads))
    return signs


def pack_labels(labels: Tensor) -> Tensor:
    """Labels as kernels take them: class ids [N] -> int64 [N]; multi-hot [N, C] -> int64 words [N, ceil(C / 64)], where
    bit c % 64 of word c // 64 is class c."""
    if labels.ndim == 1:
        return labels if labels.dtype == torch.int64 else labels.to(torch.int64)
    words: Tensor = _pack_labels(labels)
    return words


def _pack_codes_cpu(x: Tensor, little: bool, threads: int) -> Tensor:
    x = rows("x", x, *PACKABLE)
    kernel = _loader.cpu_kernel("pack_codes")
    if kernel is None:
        return _pack_codes_reference(x, little, threads)
    num_rows, bits = x.shape
    codes = x.new_empty((num_rows, (bits + 7) // 8), dtype=torch.uint8)
    nan_seen = kernel(
        x.data_ptr(),
        PACKABLE[x.dtype],
        num_rows,
        bits,
        row_stride(x),
        codes.data_ptr(),
        codes.shape[1],
        little,
        thread_count(threads),
    )
    if nan_seen:
        raise ValueError("x must not contain NaN")
    return codes


def _pack_codes_cuda(x: Tensor, little: bool, threads: int) -> Tensor:
    x = rows("x", x, *PACKABLE)
    kernel = _loader.cuda_kernel("cuda_pack_codes")
    if kernel is None:
        return _pack_codes_reference(x, little, threads)
    num_rows, bits = x.shape
    codes = _pack_codes_fake(x, little, threads)
    look = x.is_floating_point() and _validation.value_checks_enabled(x)
    nan_seen = x.new_zeros(1, dtype=torch.int32) if look else None
    kernel(
        x.data_ptr(),
        PACKABLE[x.dtype],
        num_rows,
        bits,
        row_stride(x),
        codes.data_ptr(),
        codes.shape[1],
        little,
        0 if nan_seen is None else nan_seen.data_ptr(),
        *cuda_arguments(x),
    )
    if nan_seen is not None and bool(nan_seen):
        raise ValueError("x must not contain NaN")
    return codes


def _pack_codes_reference(x: Tensor, little: bool, threads: int) -> Tensor:
    if x.is_floating_point() and _validation.value_checks_enabled(x) and bool(torch.isnan(x).any()):
        raise ValueError("x must not contain NaN")
    return reference.pack_codes(x, little)


def _pack_codes_fake(x: Tensor, little: bool, threads: int) -> Tensor:
    return x.new_empty((x.shape[0], (x.shape[1] + 7) // 8), dtype=torch.uint8)


def _unpackable(codes: Tensor, bits: int) -> Tensor:
    codes = rows("codes", codes, torch.uint8)
    if (bits + 7) // 8 != codes.shape[1]:
        expected = f"{_validation.counted((bits + 7) // 8, 'byte')} a code for {_validation.counted(bits, 'bit')}"
        raise ValueError(f"codes must have {expected}, got {codes.shape[1]}")
    return codes


def _unpack_codes_cpu(codes: Tensor, bits: int, little: bool, threads: int) -> Tensor:
    codes = _unpackable(codes, bits)
    kernel = _loader.cpu_kernel("unpack_codes")
    if kernel is None:
        return reference.unpack_codes(codes, bits, little)
    signs = codes.new_empty((codes.shape[0], bits), dtype=torch.int8)
    kernel(
        codes.data_ptr(),
        codes.shape[0],
        bits,
        row_stride(codes),
        signs.data_ptr(),
        bits,
        little,
        thread_count(threads),
    )
    return signs


def _unpack_codes_cuda(codes: Tensor, bits: int, little: bool, threads: int) -> Tensor:
    codes = _unpackable(codes, bits)
    kernel = _loader.cuda_kernel("cuda_unpack_codes")
    if kernel is None:
        return reference.unpack_codes(codes, bits, little)
    signs = _unpack_codes_fake(codes, bits, little, threads)
    kernel(
        codes.data_ptr(),
        codes.shape[0],
        bits,
        row_stride(codes),
        signs.data_ptr(),
        bits,
        little,
        *cuda_arguments(codes),
    )
    return signs


def _unpack_codes_fake(codes: Tensor, bits: int, little: bool, threads: int) -> Tensor:
    return codes.new_empty((codes.shape[0], bits), dtype=torch.int8)


def _pack_labels_cpu(labels: Tensor) -> Tensor:
    num_items, num_classes = labels.shape
    if num_classes == 0 or _loader.cpu_kernel("pack_codes") is None:
        return reference.pack_labels(labels)
    codes = _pack_codes_cpu(labels != 0, True, thread_argument(1))
    words = labels.new_zeros((num_items, 8 * ((num_classes + 63) // 64)), dtype=torch.uint8)
    words[:, : codes.shape[1]] = codes
    return words.view(torch.int64)


def _pack_labels_cuda(labels: Tensor) -> Tensor:
    return reference.pack_labels(labels)


def _pack_labels_fake(labels: Tensor) -> Tensor:
    return labels.new_empty((labels.shape[0], (labels.shape[1] + 63) // 64), dtype=torch.int64)


_pack_codes = define(
    "pack_codes(Tensor x, bool little, int threads) -> Tensor",
    cpu=_pack_codes_cpu,
    cuda=_pack_codes_cuda,
    fake=_pack_codes_fake,
)
_unpack_codes = define(
    "unpack_codes(Tensor codes, int bits, bool little, int threads) -> Tensor",
    cpu=_unpack_codes_cpu,
    cuda=_unpack_codes_cuda,
    fake=_unpack_codes_fake,
)
_pack_labels = define(
    "pack_labels(Tensor labels) -> Tensor", cpu=_pack_labels_cpu, cuda=_pack_labels_cuda, fake=_pack_labels_fake
)
