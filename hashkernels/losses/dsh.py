"""Deep supervised hashing."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_real
from hashkernels.losses._base import Batch, Terms
from hashkernels.losses._fused import PairOp
from hashkernels.losses._pairwise import PairwiseLoss


class DSHLoss(PairwiseLoss):
    """Contrastive loss on squared Euclidean distances, with a pull of every bit to -1 or +1.

    With ``d_ij = |u_i - u_j|^2`` and ``s_ij`` = 1 for relevant pairs, else 0::

        mean_ij 1/2 (s_ij d_ij + (1 - s_ij) max(0, margin - d_ij))  +  quantization_weight * mean_i sum_k ||u_ik| - 1|

    The paper adds ``alpha (| |u_i| - 1 |_1 + | |u_j| - 1 |_1)`` to every pair; each item being in two of the ordered
    pairs, ``quantization_weight = 2 alpha``. Distances are computed from inner products and the lengths of the
    embeddings.

    Args:
        bits: code length.
        num_classes: number of classes.
        num_train: keep a bank of so many items and compare the batch with it; needs ``indices=``.
        margin: squared distance that irrelevant pairs should have; default: the paper's ``2 * bits``, which is a
            Hamming distance of ``bits / 2``.
        quantization_weight: weight of the second term; the default is the paper's alpha of 0.01.
        self_pairs: whether an item makes a pair with itself.
        skip_unfilled: leave out bank rows not written yet; else they count as zeros.

    Terms: ``contrastive``, ``quantization``.

    Source: Liu, Wang, Shan and Chen, *Deep Supervised Hashing for Fast Image Retrieval*, CVPR 2016.

    Example:
        >>> import torch
        >>> loss = DSHLoss(2, num_classes=2)
        >>> u = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
        >>> loss(u, torch.tensor([0, 0])).item(), loss(u, torch.tensor([0, 1])).item()
        (2.0, 0.0)
    """

    _settings = ("margin", "quantization_weight", "self_pairs", "skip_unfilled")

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        num_train: int | None = None,
        margin: float | None = None,
        quantization_weight: float = 0.02,
        self_pairs: bool = False,
        skip_unfilled: bool = True,
    ) -> None:
        super().__init__(bits, num_classes, num_train=num_train, self_pairs=self_pairs, skip_unfilled=skip_unfilled)
        self.margin = 2.0 * self.bits if margin is None else check_real("margin", margin, 0)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)

    def _similarity(self, rows: Tensor, columns: Tensor) -> Tensor:
        squares = rows.square().sum(dim=1, keepdim=True) + columns.square().sum(dim=1)
        return squares - 2 * (rows @ columns.T)

    def _pair_loss(self, similarity: Tensor, relevant: Tensor) -> Tensor:
        return _ops.pair_contrastive(similarity, relevant, self.margin)

    def _fused(self, batch: Batch) -> PairOp:
        return partial(_ops.contrastive_loss, margin=self.margin)

    def _compute(self, batch: Batch) -> Terms:
        absolute = _ops.ElementTerm("absolute", self.quantization_weight)
        error = _ops.element_loss(batch.u, absolute, divisor=len(batch.u)).total
        return Terms.sum_of(contrastive=self._pair_mean(batch).value, quantization=error)
