"""The surrogate posterior of hash codes, and the wrapper that adds it to any loss."""

from __future__ import annotations

from .loss import SurrogateLoss
from .posterior import SurrogatePosterior

__all__ = ["SurrogateLoss", "SurrogatePosterior"]
