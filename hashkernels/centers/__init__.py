"""Class centres from coding theory, with bounds on how good they could be.

Every constructor gives a `Codebook`: ``np.asarray(codebook)`` is ``int8 [num_classes, bits]`` of -1/+1, and
``codebook.min_distance`` was counted over all pairs, not taken from a table. Bounds: `hashkernels.centers.bounds`.
"""

from __future__ import annotations

from hashkernels.centers import bounds
from hashkernels.centers.codebook import Codebook, minimum_distance
from hashkernels.centers.hadamard import hadamard_centers, hadamard_matrix, has_hadamard_matrix
from hashkernels.centers.random import random_centers

__all__ = [
    "Codebook",
    "bounds",
    "hadamard_centers",
    "hadamard_matrix",
    "has_hadamard_matrix",
    "minimum_distance",
    "random_centers",
]
