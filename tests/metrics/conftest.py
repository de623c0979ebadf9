"""Oracles of the metrics: enumeration of every order of the ties in exact rationals, and the usual NumPy evaluator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest


class Values(NamedTuple):
    """Mean, least and greatest value over all orders of the ties."""

    mean: Fraction
    least: Fraction
    greatest: Fraction

    @classmethod
    def of(cls, values: Sequence[Fraction]) -> Values:
        return cls(sum(values, Fraction(0)) / len(values), min(values), max(values))


class Enumeration:
    """Every order of a ranking given as ties (size, relevant items in it), nearest first.

    Orders that differ only among relevant or among irrelevant items give the same metrics, and the same number of
    orders stands behind each arrangement: going through the arrangements is going through all permutations.
    """

    def __init__(self, ties: Sequence[tuple[int, int]]) -> None:
        self.relevant = sum(positives for _, positives in ties)
        self.orders = [tuple(itertools.chain(*order)) for order in itertools.product(*map(self._arrangements, ties))]

    @staticmethod
    def _arrangements(tie: tuple[int, int]) -> list[tuple[int, ...]]:
        size, positives = tie
        return [
            tuple(int(place in chosen) for place in range(size))
            for chosen in itertools.combinations(range(size), positives)
        ]

    def average_precision(self, k: int, denominator: str) -> Values:
        return Values.of([self._average_precision(order[:k], k, denominator) for order in self.orders])

    def hits(self, k: int) -> Values:
        return Values.of([Fraction(sum(order[:k])) for order in self.orders])

    def share_of_orders_with_a_hit(self, k: int) -> Fraction:
        return Fraction(sum(any(order[:k]) for order in self.orders), len(self.orders))

    def _average_precision(self, head: Sequence[int], k: int, denominator: str) -> Fraction:
        divisor = {"hits": sum(head), "min": min(k, self.relevant), "relevant": self.relevant}[denominator]
        total, found = Fraction(0), 0
        for rank, hit in enumerate(head, 1):
            found += hit
            total += Fraction(found * hit, rank)
        return total / divisor if divisor else Fraction(0)


class Problem(NamedTuple):
    """Signs, packed codes and labels of queries and a database."""

    query_bits: np.ndarray
    database_bits: np.ndarray
    query_codes: np.ndarray
    database_codes: np.ndarray
    query_labels: np.ndarray
    database_labels: np.ndarray

    @property
    def bits(self) -> int:
        return int(self.query_bits.shape[1])

    @property
    def distances(self) -> np.ndarray:
        return (self.query_bits[:, None, :] != self.database_bits[None]).sum(-1)

    @property
    def relevance(self) -> np.ndarray:
        if self.query_labels.ndim == 1:
            return self.query_labels[:, None] == self.database_labels
        return (self.query_labels.astype(np.int64) @ self.database_labels.astype(np.int64).T) > 0

    def arguments(self) -> tuple[np.ndarray, ...]:
        return self.query_codes, self.database_codes, self.query_labels, self.database_labels


def make_problem(
    bits: int, num_queries: int, num_database: int, *, num_classes: int = 4, multi_hot: bool = False, seed: int = 0
) -> Problem:
    """Noisy copies of one prototype a class, so that ties and relevance are both common."""
    rng = np.random.default_rng(seed)
    prototypes = rng.integers(0, 2, (num_classes, bits), dtype=np.uint8)
    classes = rng.integers(0, num_classes, num_queries), rng.integers(0, num_classes, num_database)
    query_bits, database_bits = (prototypes[c] ^ (rng.random((len(c), bits)) < 0.25) for c in classes)
    labels: tuple[np.ndarray, ...] = classes
    if multi_hot:
        labels = tuple((rng.random((len(c), num_classes)) < 1.5 / num_classes).astype(np.uint8) for c in classes)
    packed = np.packbits(query_bits, axis=1), np.packbits(database_bits, axis=1)
    return Problem(query_bits, database_bits, *packed, *labels)


def usual_average_precision(problem: Problem, k: int, denominator: str) -> np.ndarray:
    """The evaluator found in deep-hashing code: sort each row, walk down it, average the precision at the hits."""
    values = []
    for distances, relevance in zip(problem.distances, problem.relevance, strict=True):
        head = relevance[np.argsort(distances, kind="stable")][:k]
        ranks = np.flatnonzero(head) + 1.0
        precision = np.arange(1, len(ranks) + 1) / ranks
        divisor = {"hits": len(ranks), "min": min(k, relevance.sum()), "relevant": relevance.sum()}[denominator]
        values.append(precision.sum() / divisor if len(ranks) else 0.0)
    return np.array(values)


@pytest.fixture(scope="session")
def enumeration() -> type[Enumeration]:
    return Enumeration


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    return make_problem


@pytest.fixture(scope="session")
def usual() -> Callable[..., np.ndarray]:
    return usual_average_precision
