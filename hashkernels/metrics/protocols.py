"""The evaluation protocols that tables of deep hashing use, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

ProtocolName = Literal["cifar10-1", "cifar10-2", "cifar10", "nuswide-21", "imagenet-100", "coco"]


class Protocol(NamedTuple):
    """What a named protocol fixes.

    k: the cutoff of mAP; None is the whole ranking.
    denominator, zero_hit: as in ``hashkernels.evaluate``: papers divide by the relevant items found within k and count
        a query without one as 0.
    num_queries, num_database: the sizes of its split; None where lists of the same name differ.
    description: the split in one sentence.
    """

    k: int | None
    denominator: Literal["hits"]
    zero_hit: Literal["zero"]
    num_queries: int | None
    num_database: int | None
    description: str


PROTOCOLS: Mapping[ProtocolName, Protocol] = MappingProxyType(
    {
        "cifar10-1": Protocol(
            None, "hits", "zero", 1_000, 59_000, "100 queries a class; the 5,000 training images are in the database"
        ),
        "cifar10-2": Protocol(
            None, "hits", "zero", 10_000, 50_000, "1,000 queries a class; the database is the training set"
        ),
        "cifar10": Protocol(
            None, "hits", "zero", 1_000, 54_000, "100 queries a class; the 5,000 training images are not searched"
        ),
        "nuswide-21": Protocol(
            5_000,
            "hits",
            "zero",
            2_100,
            193_734,
            "the 21 most frequent concepts, 100 queries each; the rest is searched",
        ),
        "imagenet-100": Protocol(
            1_000, "hits", "zero", 5_000, 128_503, "100 classes, validation images as queries; HashNet's lists"
        ),
        "coco": Protocol(
            5_000, "hits", "zero", 5_000, None, "80 classes; lists of 112,218 and of 117,218 database images are in use"
        ),
    }
)
"""Protocols by name. Papers differ in what they call CIFAR-10: name the protocol beside the number."""
