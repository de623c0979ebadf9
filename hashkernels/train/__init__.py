"""Models, the training loop, methods by name, and checkpoints."""

from __future__ import annotations

from hashkernels.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hashkernels.train.encoding import embed, encode
from hashkernels.train.history import EpochRecord, History, Progress
from hashkernels.train.loop import fit
from hashkernels.train.models import HashHead, HashModel, SmallConvNet, build_model
from hashkernels.train.recipes import (
    Recipe,
    build_loss,
    method_names,
    method_recipe,
    method_settings,
    method_title,
    register,
)

__all__ = [
    "Checkpoint",
    "EpochRecord",
    "HashHead",
    "HashModel",
    "History",
    "Progress",
    "Recipe",
    "SmallConvNet",
    "build_loss",
    "build_model",
    "embed",
    "encode",
    "fit",
    "load_checkpoint",
    "method_names",
    "method_recipe",
    "method_settings",
    "method_title",
    "register",
    "save_checkpoint",
]
