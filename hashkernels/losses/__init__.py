"""Losses for learning hash codes: ``loss(u, labels)`` on the embeddings before the sign gives a scalar.

Every loss is made as ``Loss(bits, num_classes, ...)``, takes class ids or multi-hot labels, and leaves its terms in
``loss.last_terms``. Means are the default where papers write sums, so that weights hold for any batch size; each loss
says how to get the sum.

- pairs of items: `ECMLoss`, `DPSHLoss`, `DHNLoss`, `DSHLoss`, `HashNetLoss`, `DBDHLoss`, `DSDHLoss`, `DCHLoss`
- triplets: `DTSHLoss`
- rankings: `MIHashLoss`, `TALRLoss`
- class centers and classifiers: `CSQLoss`, `DPNLoss`, `OrthoHashLoss`, `GreedyHashLoss`

`DistributedLoss` wraps any of them for training by several processes.
"""

from __future__ import annotations

from hashkernels.losses._base import HashLoss
from hashkernels.losses.csq import CSQLoss
from hashkernels.losses.dbdh import DBDHLoss
from hashkernels.losses.dch import DCHLoss
from hashkernels.losses.dhn import DHNLoss
from hashkernels.losses.distributed import DistributedLoss
from hashkernels.losses.dpn import DPNLoss
from hashkernels.losses.dpsh import DPSHLoss
from hashkernels.losses.dsdh import DSDHLoss
from hashkernels.losses.dsh import DSHLoss
from hashkernels.losses.dtsh import DTSHLoss
from hashkernels.losses.ecm import ECMLoss
from hashkernels.losses.greedyhash import GreedyHashLoss
from hashkernels.losses.hashnet import HashNetLoss
from hashkernels.losses.mihash import MIHashLoss
from hashkernels.losses.orthohash import OrthoHashLoss
from hashkernels.losses.talr import TALRLoss

__all__ = [
    "CSQLoss",
    "DBDHLoss",
    "DCHLoss",
    "DHNLoss",
    "DPNLoss",
    "DPSHLoss",
    "DSDHLoss",
    "DSHLoss",
    "DTSHLoss",
    "DistributedLoss",
    "ECMLoss",
    "GreedyHashLoss",
    "HashLoss",
    "HashNetLoss",
    "MIHashLoss",
    "OrthoHashLoss",
    "TALRLoss",
]
