"""Whether a GPU's binary matrix products are to be trusted: they are compared once with what all GPUs have."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from hashkernels import _loader
from hashkernels._warnings import HashkernelsWarning

# search(queries, database, k, portable): distances and indices of a top-k search.
Search = Callable[[Tensor, Tensor, int, bool], tuple[Tensor, Tensor]]

# Enough for the kernels to choose matrices, in each of the widths that they are compiled for.
_NUM_QUERIES, _NUM_DATABASE, _K = 40, 20_000, 20
_WIDTHS = (8, 16, 32)

_known: dict[int, bool] = {}


def agree(device: torch.device, search: Search) -> bool:
    """True where they are there and ``search`` gives the same bits with them. The first call for a device in a process
    waits for it; one inside of a graph capture, which must not wait, gives False until another has been made."""
    if device.type != "cuda":
        return False
    index = torch.cuda.current_device() if device.index is None else device.index
    if index not in _known:
        if torch.cuda.is_current_stream_capturing():
            return False
        _known[index] = _compare(torch.device("cuda", index), search)
    return _known[index]


def _compare(device: torch.device, search: Search) -> bool:
    present = _loader.cuda_kernel("cuda_has_binary_products")
    if present is None or not present(device.index):
        return False
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("default")
    try:
        for width in _WIDTHS:
            generator = torch.Generator().manual_seed(width)
            shape = (_NUM_QUERIES + _NUM_DATABASE, width)
            codes = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8, device="cpu").to(device)
            pair = codes[:_NUM_QUERIES], codes[_NUM_QUERIES:]
            both = zip(search(*pair, _K, False), search(*pair, _K, True), strict=True)
            if not all(torch.equal(found, expected) for found, expected in both):
                warnings.warn(
                    f"binary matrix products of {torch.cuda.get_device_name(device)} differ from population counts on "
                    f"codes of {8 * width} bits; searches on it use population counts",
                    HashkernelsWarning,
                    stacklevel=2,
                )
                return False
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return True
