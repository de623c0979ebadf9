"""The logistic likelihood of pair labels, shared by DPSH and its descendants."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from hashkernels import _ops
from hashkernels.losses._base import Batch
from hashkernels.losses._fused import PairOp
from hashkernels.losses._pairwise import PairwiseLoss


class PairLikelihoodLoss(PairwiseLoss):
    """Base of losses whose pairs have the loss ``softplus(theta) - relevant * theta``, with ``theta`` a multiple of
    the inner product."""

    def _logit_scale(self) -> float:
        """That multiple: DPSH's by default."""
        return 0.5

    def _pair_loss(self, similarity: Tensor, relevant: Tensor) -> Tensor:
        return _ops.pair_likelihood(similarity, relevant, self._logit_scale())

    def _fused(self, batch: Batch) -> PairOp:
        return partial(_ops.likelihood_loss, scale=self._logit_scale())
