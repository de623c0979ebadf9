"""Losses for learning hash codes: ``loss(u, labels)`` on the embeddings before the sign gives a scalar.

Every loss is made as ``Loss(bits, num_classes, ...)``, takes class ids or multi-hot labels, and leaves its terms in
``loss.last_terms``.
"""

from __future__ import annotations

from hashkernels.losses._base import HashLoss
from hashkernels.losses.csq import CSQLoss
from hashkernels.losses.ecm import ECMLoss

__all__ = ["CSQLoss", "ECMLoss", "HashLoss"]
