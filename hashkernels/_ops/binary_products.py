"""Whether a GPU's binary matrix products are to be trusted: they are compared once with what all GPUs have."""

from __future__ import annotations

import warnings

import torch

from hashkernels import _loader
from hashkernels._ops._library import cuda_arguments, pair_arguments, workspace

# Enough for the kernels to choose matrices, in each of the widths that they are compiled for.
_NUM_QUERIES, _NUM_DATABASE, _K = 40, 20_000, 20
_WIDTHS = (8, 16, 32)


def agree(device: torch.device) -> bool:
    """True where they are there and give the same bits. The first call for a device in a process waits for it; one
    inside of a graph capture, which must not wait, gives False until another has been made."""
    if device.type != "cuda":
        return False
    index = torch.cuda.current_device() if device.index is None else device.index
    if index not in _known and torch.cuda.is_current_stream_capturing():
        return False
    if index not in _known:
        _known[index] = _compare(torch.device("cuda", index))
    return _known[index]


_known: dict[int, bool] = {}


def _compare(device: torch.device) -> bool:
    present = _loader.cuda_kernel("cuda_has_binary_products")
    if present is None or not present(device.index):
        return False
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("default")
    try:
        for width in _WIDTHS:
            if not torch.equal(_search(device, width, portable=False), _search(device, width, portable=True)):
                warnings.warn(
                    f"binary matrix products of {torch.cuda.get_device_name(device)} differ from population counts on "
                    f"codes of {8 * width} bits; searches on it use population counts",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return False
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    return True


def _search(device: torch.device, width: int, *, portable: bool) -> torch.Tensor:
    """Distances and indices of one search, in one tensor."""
    kernel, sizes = _loader.cuda_kernel("cuda_topk"), _loader.cuda_kernel("cuda_topk_workspace")
    assert kernel is not None
    assert sizes is not None
    generator = torch.Generator().manual_seed(width)
    codes = torch.randint(0, 256, (_NUM_QUERIES + _NUM_DATABASE, width), generator=generator, dtype=torch.uint8)
    codes = codes.to(device)
    queries, database = codes[:_NUM_QUERIES], codes[_NUM_QUERIES:]
    distances = torch.empty((_NUM_QUERIES, _K), dtype=torch.int32, device=device)
    indices = torch.empty((_NUM_QUERIES, _K), dtype=torch.int64, device=device)
    space = workspace(queries, int(sizes(_NUM_QUERIES, _NUM_DATABASE, width, _K)))
    kernel(
        *pair_arguments(queries, database),
        _K,
        0,
        portable,
        distances.data_ptr(),
        indices.data_ptr(),
        space.data_ptr(),
        *cuda_arguments(queries),
    )
    return torch.stack((distances.long(), indices))
