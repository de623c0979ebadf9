"""What a trained model makes of items: outputs, and codes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from hashkernels import _validation as check
from hashkernels._arrays import ArrayT, like, to_tensors
from hashkernels.codes import pack_codes
from hashkernels.train.models import to_inputs


def embed(
    model: nn.Module, items: ArrayT, *, batch_size: int = 512, progress: Callable[[int, int], None] | None = None
) -> ArrayT:
    """Outputs of a model in evaluation mode, float32 [N, bits]; NumPy in, NumPy out.

    Args:
        items: as for `fit`: uint8 images, floating-point images or embeddings.
        batch_size: items that go through the model at once.
        progress: called after each batch with the number of items done and the number of all.

    Raises:
        ValueError: no items.
    """
    check.check_int("batch_size", batch_size, 1)
    (tensor,) = to_tensors(items=items)
    if not len(tensor):
        raise ValueError("items must not be empty")
    device = device_of(model)
    outputs: list[torch.Tensor] = []
    done = 0
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for part in torch.split(tensor, batch_size):
                outputs.append(model(to_inputs(part.to(device))).cpu())
                done += len(part)
                if progress is not None:
                    progress(done, len(tensor))
            joined = torch.cat(outputs)
    finally:
        model.train(was_training)
    return like(items, joined.clone())  # cloned out of inference mode, so that callers may use it under autograd


def encode(
    model: nn.Module, items: ArrayT, *, batch_size: int = 512, progress: Callable[[int, int], None] | None = None
) -> ArrayT:
    """Packed codes of items, uint8 [N, ceil(bits / 8)]: the signs of `embed`'s outputs, whose arguments it takes.

    Example:
        >>> import numpy as np
        >>> from hashkernels.train import HashHead
        >>> encode(HashHead(8, 12), np.zeros((3, 8), np.float32)).shape
        (3, 2)
    """
    return pack_codes(embed(model, items, batch_size=batch_size, progress=progress))


def device_of(model: nn.Module) -> torch.device:
    """Where its parameters are; the CPU without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
