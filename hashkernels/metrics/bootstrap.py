"""How far a mean over queries would move had other queries been drawn."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hashkernels._validation import check_int, check_real
from hashkernels.metrics._fixed import fixed_mean, fixed_means, fixed_sum

_BLOCK = 1 << 20


class ConfidenceInterval(NamedTuple):
    """Percentile interval of a resampled mean.

    lo, hi: its ends. mean: of the values themselves. standard_error: standard deviation of the resampled means.
    confidence: share of the resampled means that lie between the ends. num_resamples: how many there were.
    """

    lo: float
    hi: float
    mean: float
    standard_error: float
    confidence: float
    num_resamples: int


def bootstrap_mean(
    values: Any,
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int | np.random.Generator = 0,
) -> ConfidenceInterval:
    """Percentile bootstrap (Efron 1979) of the mean of per-query values: queries are drawn anew, with replacement.

    It measures the draw of the queries alone, not that of the database or of the training. To compare two methods on
    the same queries, resample the difference of their values.

    Args:
        values: float64 [Q], in -1..1.
        num_resamples: how many means are drawn, at least 10.
        confidence: in 0..1, both ends excluded.
        seed: of ``numpy.random.default_rng``, or a generator. One seed gives the same interval on every machine.

    Returns:
        ConfidenceInterval.

    Raises:
        ValueError: no value, values that are not within -1..1, or an option out of range.

    Example:
        >>> import numpy as np
        >>> from hashkernels.metrics import bootstrap_mean
        >>> interval = bootstrap_mean(np.array([0.25, 0.5, 0.75, 1.0]))
        >>> interval.mean, interval.lo < 0.625 < interval.hi
        (0.625, True)
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"values must be at least one number a query [Q], got shape {array.shape}")
    if (beyond := array[~(np.abs(array) <= 1.0)]).size:
        raise ValueError(f"values must be in -1..1, got {beyond[0]}")
    num_resamples = check_int("num_resamples", num_resamples, 10)
    confidence = check_real("confidence", confidence, 0.0, 1.0)
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence:g}")
    if not isinstance(seed, np.random.Generator):
        check_int("seed", seed, 0)
    generator = np.random.default_rng(seed)
    step = max(1, _BLOCK // array.size)
    means = []
    for start in range(0, num_resamples, step):
        drawn = generator.integers(0, array.size, (min(step, num_resamples - start), array.size))
        means.append(fixed_means(fixed_sum(array[drawn]), array.size))
    drawn_means = np.sort(np.concatenate(means))
    lo, hi = np.quantile(drawn_means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    mean = fixed_mean(fixed_sum(array).item(), array.size)
    center = math.fsum(drawn_means) / num_resamples
    error = math.sqrt(math.fsum((drawn_means - center) ** 2) / num_resamples)
    return ConfidenceInterval(float(lo), float(hi), mean, error, confidence, num_resamples)
