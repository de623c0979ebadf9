"""The options of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast, get_args

import numpy as np

from hashkernels._validation import check_choice, check_int
from hashkernels.metrics.protocols import PROTOCOLS, ProtocolName
from hashkernels.metrics.report import CountTies, Denominator, Ties, ZeroHit


class Settings(NamedTuple):
    """Checked options; ``ks`` ascends."""

    ks: tuple[int, ...]
    ties: Ties
    denominator: Denominator
    zero_hit: ZeroHit
    protocol: ProtocolName | None = None


class Policies(NamedTuple):
    """Options that can be checked before the length of the ranking is known."""

    k: int | tuple[int, ...] | None
    ties: Ties
    denominator: Denominator
    zero_hit: ZeroHit
    protocol: ProtocolName | None

    def settings(self, num_ranked: int) -> Settings:
        """With the cutoffs of a ranking of ``num_ranked`` items."""
        k = self.k
        if self.protocol is not None:
            wanted = PROTOCOLS[self.protocol].k or num_ranked
            if wanted > num_ranked:
                raise ValueError(f'protocol "{self.protocol}" needs at least {wanted} items to rank, got {num_ranked}')
            k = wanted if k is None else k
            if (max(k) if isinstance(k, tuple) else k) != wanted:
                given = ", ".join(map(str, k if isinstance(k, tuple) else (k,)))
                raise ValueError(
                    f"k must be {wanted}, alone or as the largest of several, with protocol "
                    f'"{self.protocol}", got {given}'
                )
        return Settings(check_cutoffs(k, num_ranked), self.ties, self.denominator, self.zero_hit, self.protocol)


def check_policies(
    k: Any, ties: Any, denominator: Any, zero_hit: Any, protocol: Any = None, *, of_counts: bool = False
) -> Policies:
    """Options that agree with each other; ``of_counts`` where no order of the database is known."""
    check_choice("ties", ties, get_args(CountTies if of_counts else Ties))
    check_choice("denominator", denominator, get_args(Denominator))
    check_choice("zero_hit", zero_hit, get_args(ZeroHit))
    if protocol is not None:
        fixed = PROTOCOLS[cast(ProtocolName, check_choice("protocol", protocol, PROTOCOLS))]
        for option, given, value in (
            ("denominator", denominator, fixed.denominator),
            ("zero_hit", zero_hit, fixed.zero_hit),
        ):
            if given != value:
                raise ValueError(f'{option} must be "{value}" with protocol "{protocol}", got "{given}"')
    return Policies(_check_form(k), ties, denominator, zero_hit, protocol)


def check_cutoffs(k: int | Sequence[int] | None, num_ranked: int) -> tuple[int, ...]:
    """Cutoffs in 1..num_ranked, ascending; None is the whole ranking."""
    if k is None:
        return (num_ranked,)
    return tuple(sorted({check_int("k", cutoff, 1, num_ranked) for cutoff in (k if isinstance(k, tuple) else (k,))}))


def _check_form(k: Any) -> int | tuple[int, ...] | None:
    if isinstance(k, np.ndarray) and k.ndim == 0:
        k = k.item()
    if k is None or isinstance(k, int | np.integer):
        return k if k is None else check_int("k", k)
    if isinstance(k, str | bytes) or not isinstance(k, Sequence | np.ndarray):
        raise TypeError(f"k must be an int or several, got {type(k).__name__}")
    if len(k) == 0:
        raise ValueError("k must name at least one cutoff, got none")
    return tuple(check_int("k", cutoff) for cutoff in k)
