"""What the training loop reports: one record an epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class EpochRecord(NamedTuple):
    """Means over the batches of one epoch, and what the codes of the epoch's outputs look like.

    Attributes:
        epoch: counted from 1.
        loss: mean over the items.
        terms: mean over the batches of each of the loss's named terms.
        distinct_codes: number of different codes among the items, as the net gave them while it was trained.
        bit_balance: mean over bits of ``1 - |2p - 1|`` where ``p`` is the share of items with the bit set: 1 when each
            bit splits the items in halves, 0 when all bits are constant.
        constant_bits: number of bits that are the same for all items.
        separation: the least distance between the majority codes of two classes over the greatest distance of an item
            to that of its class (or over 1): a cheap indicator of the least average precision that these codes can
            have (LBHash, appendix C.1). 0 with fewer than two classes.
    """

    epoch: int
    loss: float
    terms: dict[str, float]
    distinct_codes: int
    bit_balance: float
    constant_bits: int
    separation: float


class Progress(NamedTuple):
    """Where a training run stands, after each batch.

    Attributes:
        step: batches done, counted from 1.
        num_steps: batches in the whole run.
        record: of the epoch that this batch ended, else None.
    """

    step: int
    num_steps: int
    record: EpochRecord | None


@dataclass
class History:
    """The records of one run, in order, and the settings it ran with."""

    settings: dict[str, Any]
    records: list[EpochRecord] = field(default_factory=list)

    def series(self, name: str) -> list[float]:
        """One attribute of the records over the epochs, by name."""
        return [float(getattr(record, name)) for record in self.records]

    def to_dict(self) -> dict[str, Any]:
        """A dict that ``json.dumps`` takes."""
        return {"settings": dict(self.settings), "epochs": [record._asdict() for record in self.records]}
