"""Central similarity quantization."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from hashkernels import _ops
from hashkernels._validation import check_int, check_real
from hashkernels.losses._base import Batch, HashLoss, Packed, Presets, Terms
from hashkernels.losses._centers import center_tensor, hadamard_or_random, random_signs, target_codes


class CSQLoss(HashLoss):
    """Pull every item to the center of its class, bit by bit.

    With the target ``t`` of an item (its class's center, or the sign of the sum of its classes' centers)::

        mean softplus(-scale * t * u)  +  quantization_weight * mean (|tanh(scale / 2 * u)| - 1)^2

    Both means run over samples and bits; a sample without a class adds nothing to the first. With ``scale = 2`` the
    first is the binary cross-entropy of ``(tanh(u) + 1) / 2`` against ``(t + 1) / 2``, in a form that neither
    overflows nor needs clamped logarithms.

    Args:
        bits: code length.
        num_classes: number of classes.
        centers: -1/+1 ``[num_classes, bits]`` (a `hashkernels.centers.Codebook`, an array or a tensor). Default: rows
            of a Hadamard matrix, or random balanced words where there is none of that order or too few rows.
        quantization_weight: weight of the second term. The authors' code uses 0.05 with ResNet and 0.001 or 0.0001
            with AlexNet.
        scale: slope of the logit. 2 is the paper's; 1 takes ``u`` itself as the logit, as later code of others does.
        seed: of the default centers and of the bits that fill ties between the centers of several classes; those bits
            are a buffer, so training goes on the same after loading a state dict.

    Terms: ``center``, ``quantization``.

    Raises:
        ValueError: centers of another shape or with values other than -1 and +1.

    Source: Yuan et al., *Central Similarity Quantization for Efficient Image and Video Retrieval*, CVPR 2020. The
    pairwise term of the authors' code, which all their commands switch off, is left out.

    Example:
        >>> import torch
        >>> loss = CSQLoss(16, num_classes=10)
        >>> u = loss.centers[:4].float().requires_grad_()
        >>> value = loss(u, torch.arange(4))
        >>> round(value.item(), 4)
        0.127
        >>> sorted(loss.last_terms)
        ['center', 'quantization']
    """

    uses_references = False
    _settings = ("quantization_weight", "scale", "seed")
    presets: ClassVar[Presets] = {
        "resnet": {"quantization_weight": 0.05},
        "alexnet": {"quantization_weight": lambda bits: 0.0001 if bits >= 64 else 0.001},
    }
    centers: Tensor
    tie_break: Tensor

    def __init__(
        self,
        bits: int,
        num_classes: int,
        *,
        centers: Any = None,
        quantization_weight: float = 0.001,
        scale: float = 2.0,
        seed: int = 0,
    ) -> None:
        super().__init__(bits, num_classes)
        self.quantization_weight = check_real("quantization_weight", quantization_weight, 0)
        self.scale = check_real("scale", scale, 0)
        self.seed = check_int("seed", seed, 0)
        if centers is None:
            values = hadamard_or_random(self.num_classes, self.bits, self.seed)
        else:
            values = center_tensor(centers, self.num_classes, self.bits)
        self.register_buffer("centers", values)
        self.register_buffer("tie_break", random_signs((self.bits,), self.seed))

    def _compute(self, batch: Batch) -> Terms:
        targets = target_codes(self.centers, self.tie_break, batch.labels)
        loss = _ops.element_loss(
            batch.u,
            _ops.ElementTerm("logistic", 1.0, self.scale),
            _ops.ElementTerm("tanh_error", self.quantization_weight, self.scale),
            targets=targets,
            divisor=batch.u.numel(),
        )
        return Terms(loss.total, Packed(("center", "quantization"), loss.terms, loss.terms.dtype))
