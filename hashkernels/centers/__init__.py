"""Class centres from coding theory, with bounds on how good they could be.

Every constructor gives a `Codebook`: ``np.asarray(codebook)`` is ``int8 [num_classes, bits]`` of -1/+1, and
``codebook.min_distance`` was counted over all pairs, not taken from a table. Bounds: `hashkernels.centers.bounds`.

`best_centers` tries everything; the others make one kind of code each. `assign_centers` chooses which class gets which.
"""

from __future__ import annotations

from hashkernels.centers import bounds
from hashkernels.centers.assign import assign_centers
from hashkernels.centers.bch import bch_centers
from hashkernels.centers.best import best_centers
from hashkernels.centers.codebook import Codebook, minimum_distance
from hashkernels.centers.greedy import greedy_centers
from hashkernels.centers.hadamard import hadamard_centers, hadamard_matrix, has_hadamard_matrix
from hashkernels.centers.levenshtein import levenshtein_centers
from hashkernels.centers.random import random_centers
from hashkernels.centers.reed_solomon import reed_solomon_centers

__all__ = [
    "Codebook",
    "assign_centers",
    "bch_centers",
    "best_centers",
    "bounds",
    "greedy_centers",
    "hadamard_centers",
    "hadamard_matrix",
    "has_hadamard_matrix",
    "levenshtein_centers",
    "minimum_distance",
    "random_centers",
    "reed_solomon_centers",
]
