"""Models that end in a hash layer: a head for any backbone, and a small convolutional net to train from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from hashkernels import _validation as check
from hashkernels.train.seeds import seeded

Module = TypeVar("Module", bound=nn.Module)

_FINEST_GRID = 8  # cells a side that reach the linear layer, so that its size does not grow with the image


def to_inputs(items: torch.Tensor) -> torch.Tensor:
    """What the models take: uint8 images are scaled to 0..1, floating-point items are passed on as float32."""
    return items.float() / 255 if items.dtype == torch.uint8 else items.float()


def use_fast_layout(module: Module) -> Module:
    """Bring convolutions into the layout (channels last) whose maps torch pools several times faster on a CPU."""
    nn.utils.convert_conv2d_weight_memory_format(module, torch.channels_last)
    return module


class HashHead(nn.Module):
    """A hash layer for any backbone: a linear map to ``bits`` outputs, batch-normalised.

    Batch normalisation is on by default because it keeps every bit balanced from the first step. Without it a loss with
    a summed quantization term, like ECM's, commits to the signs that the first steps happen to give, and a net trained
    from scratch ends with one code for all images. The normalisation has a learned shift, since bits may be set for
    more or fewer than half of the items, but keeps the scale of codes of -1 and +1: an output has variance 1 in a
    batch.

    Args:
        in_features: width of the embeddings that come in.
        bits: code length; the sign of output ``j`` is bit ``j``.
        batch_norm: normalise the outputs over the batch.
        hidden: width of a hidden layer with ReLU in front, or None for a linear head.

    Raises:
        ValueError: a size below 1.

    Shapes: float [N, in_features] -> float [N, bits].

    Example:
        >>> head = HashHead(512, 32).eval()
        >>> tuple(head(torch.zeros(4, 512)).shape)
        (4, 32)
    """

    def __init__(self, in_features: int, bits: int, batch_norm: bool = True, *, hidden: int | None = None) -> None:
        super().__init__()
        in_features, bits = check.check_int("in_features", in_features, 1), check.check_bits(bits)
        hidden = None if hidden is None else check.check_int("hidden", hidden, 1)
        self.bits = bits
        self.config: dict[str, Any] = {
            "in_features": in_features,
            "bits": bits,
            "batch_norm": bool(batch_norm),
            "hidden": hidden,
        }
        layers: list[nn.Module] = []
        if hidden is not None:
            layers += [nn.Linear(in_features, hidden), nn.ReLU()]
        layers.append(nn.Linear(in_features if hidden is None else hidden, bits))
        if batch_norm:
            norm = nn.BatchNorm1d(bits)
            norm.weight.requires_grad_(False)
            layers.append(norm)
        self.layers = nn.Sequential(*layers)

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item, (in_features,)."""
        return (self.config["in_features"],)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings [N, in_features] -> outputs [N, bits]."""
        check_items("items", x, self.item_shape)
        outputs: torch.Tensor = self.layers(x)
        return outputs


class SmallConvNet(nn.Module):
    """Two convolutions and a hash layer, small enough to train from scratch on a CPU.

    Each convolution (3 x 3, ReLU) is followed by 2 x 2 max pooling; the first pooling is left out where images have
    fewer than 16 pixels a side. Larger maps than 8 x 8 are averaged down to it.

    Args:
        image_shape: (C, H, W).
        bits: code length.
        width: channels of the first convolution; the second has twice as many.
        features: width of the layer in front of the hash layer.
        batch_norm: see `HashHead`.

    Raises:
        ValueError: a shape that is not (C, H, W) with at least 2 pixels a side, or a size below 1.

    Shapes: float [N, C, H, W] -> float [N, bits].

    Example:
        >>> net = SmallConvNet((1, 28, 28), 32).eval()
        >>> tuple(net(torch.zeros(2, 1, 28, 28)).shape)
        (2, 32)
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        bits: int,
        *,
        width: int = 32,
        features: int = 128,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        shape = tuple(check.check_int("image_shape", size) for size in image_shape)
        if len(shape) != 3 or min(shape) < 1 or min(shape[1:]) < 2:
            raise ValueError(f"image_shape must be (C, H, W) with at least 2 pixels a side, got {shape}")
        width, features, bits = (
            check.check_int("width", width, 1),
            check.check_int("features", features, 1),
            check.check_bits(bits),
        )
        channels, height, breadth = shape
        self.bits = bits
        self.config: dict[str, Any] = {
            "image_shape": list(shape),
            "bits": bits,
            "width": width,
            "features": features,
            "batch_norm": bool(batch_norm),
        }
        # ReLU after pooling: the same function as before it, on a quarter of the elements.
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
        if min(height, breadth) >= 16:
            layers.append(nn.MaxPool2d(2))
            height, breadth = height // 2, breadth // 2
        layers += [nn.ReLU(), nn.Conv2d(width, 2 * width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
        height, breadth = height // 2, breadth // 2
        if max(height, breadth) > _FINEST_GRID:
            height, breadth = min(height, _FINEST_GRID), min(breadth, _FINEST_GRID)
            layers.append(nn.AdaptiveAvgPool2d((height, breadth)))
        layers += [nn.Flatten(), nn.Linear(2 * width * height * breadth, features), nn.ReLU()]
        self.backbone = use_fast_layout(nn.Sequential(*layers))
        self.head = HashHead(features, bits, batch_norm)

    @property
    def item_shape(self) -> tuple[int, ...]:
        """Shape of one item, (C, H, W)."""
        return tuple(self.config["image_shape"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images [N, C, H, W] in 0..1 -> outputs [N, bits]."""
        check_items("items", x, self.item_shape)
        outputs: torch.Tensor = self.head(self.backbone(x))
        return outputs


HashModel = SmallConvNet | HashHead


def build_model(item_shape: Sequence[int], bits: int, *, seed: int = 0, hidden: int | None = None) -> HashModel:
    """The model for items of one shape, with weights drawn from ``seed``.

    (C, H, W) gives a `SmallConvNet`, (D,) a `HashHead`. The global random state is left as it was.

    Raises:
        ValueError: a size out of its range. TypeError: ``item_shape`` is no sequence.
    """
    if not isinstance(item_shape, Sequence):
        raise TypeError(f"item_shape must be (C, H, W) or (D,), got {type(item_shape).__name__}")
    with seeded(check.check_int("seed", seed, 0, check.MAX_SEED)):
        if len(item_shape) == 1:
            return HashHead(check.check_int("item_shape", item_shape[0]), bits, hidden=hidden)
        return SmallConvNet(item_shape, bits)


def check_items(name: str, items: torch.Tensor, shape: tuple[int, ...]) -> None:
    """Raise ``ValueError`` unless ``items`` have ``shape``, each."""
    if tuple(items.shape[1:]) != shape:
        raise ValueError(f"{name} must have shape [N, {', '.join(map(str, shape))}], got {list(items.shape)}")
