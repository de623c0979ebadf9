"""The surrogate posterior: a classifier of sign patterns that makes the distribution of hash codes differentiable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F

from hashkernels._validation import (
    check_bits,
    check_embeddings,
    check_int,
    check_real,
    check_signs,
    check_tensor,
    dtype_name,
)
from hashkernels.losses._precision import adds_in_any_order, full_precision, sum_dtype
from hashkernels.surrogate.blocks import BlockStack

MAX_BLOCK_BITS = 12


class SurrogatePosterior(torch.nn.Module):
    """Probability of every sign pattern of a code, block by block, given what the network put out (LBHash, Fig. 8).

    A code of ``bits`` bits is cut into blocks of ``block_bits``; the last one takes the bits that are left. The network
    of a block maps its ``r`` outputs to a categorical distribution over the 2^r patterns of these bits, and the
    probability of a whole code is the product over the blocks. Patterns are numbered with the first bit of the block
    least significant: ``index(v) = sum_j 1[v_j > 0] 2^j``, so an output of exactly 0 is bit 0.

    Unlike the listing in the paper, ``bits`` need not be a multiple of 8, and all blocks are evaluated together.

    Args:
        bits: length of a code, 1..4096.
        block_bits: bits of a block, 1..12 (a block has 2^block_bits outputs); ``min(block_bits, bits)`` is used.
        hidden: width of the hidden layer of a block.
        dropout: probability of dropping a hidden unit in training, at least 0 and below 1; rounded to 2^-16.

    Computes in the dtype of its parameters (float32 by default), under autocast as well; half types are summed over the
    batch in float32.

    Raises:
        ValueError, TypeError: an argument out of its range or of a wrong type.

    Example:
        >>> import torch
        >>> from hashkernels.surrogate import SurrogatePosterior
        >>> posterior = SurrogatePosterior(20, block_bits=8).eval()
        >>> posterior(torch.randn(5, 20)).shape                  # blocks of 8, 8 and 4 bits
        torch.Size([5, 3, 256])
        >>> posterior.pattern_index(torch.tensor([[1.0, -1, 1] + [-1] * 17]))
        tensor([[5, 0, 0]])
        >>> bool(posterior.nll(torch.randn(5, 20)) > 0)
        True
    """

    def __init__(self, bits: int, *, block_bits: int = 8, hidden: int = 256, dropout: float = 0.5) -> None:
        super().__init__()
        self.bits = check_bits(bits)
        self.block_bits = min(check_int("block_bits", block_bits, 1, MAX_BLOCK_BITS), self.bits)
        self.hidden = check_int("hidden", hidden, 1)
        self.dropout = check_real("dropout", dropout, 0)
        if self.dropout >= 1:
            raise ValueError(f"dropout must be below 1, got {self.dropout:g}")
        full, rest = divmod(self.bits, self.block_bits)
        self.num_blocks = full + (rest > 0)
        self.full_blocks = BlockStack(full, self.block_bits, self.hidden, self.dropout)
        self.last_block = BlockStack(1, rest, self.hidden, self.dropout) if rest else None

    def extra_repr(self) -> str:
        return f"bits={self.bits}, block_bits={self.block_bits}, hidden={self.hidden}, dropout={self.dropout:g}"

    @property
    def block_sizes(self) -> tuple[int, ...]:
        """Bits of each block, in order."""
        return tuple(stack.size for stack in self._stacks() for _ in range(stack.bias_in.shape[0]))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        """Logits of the patterns of each block.

        Args:
            u: float [N, bits], the network's outputs before the sign.

        Returns:
            [N, num_blocks, 2^block_bits]. A shorter last block of r bits fills the first 2^r entries; the others are
            -inf, so a softmax gives them probability 0.
        """
        u = self._check_embeddings(u)
        with full_precision(u):
            parts = []
            for stack, x in self._cut(u):
                unused = (1 << self.block_bits) - (1 << stack.size)
                parts.append(F.pad(stack.logits(x, dropout=self.training), (0, unused), value=-torch.inf))
            return torch.cat(parts).transpose(0, 1)

    def pattern_index(self, x: torch.Tensor) -> torch.Tensor:
        """Number of the sign pattern of each block of ``x`` (any real dtype, [N, bits]): int64 [N, num_blocks]."""
        return self._pattern_index("x", x)

    def log_prob(self, u: torch.Tensor, targets: torch.Tensor | None = None) -> torch.Tensor:
        """Natural logarithm of the probability of each item's target code.

        Args:
            u: float [N, bits].
            targets: [N, bits] of any real dtype, read by sign; default: ``u`` itself.

        Returns:
            [N], in the dtype of the parameters.
        """
        return -self._item_nll(u, targets, freeze=False, dropout=self.training)

    def nll(
        self,
        u: torch.Tensor,
        targets: torch.Tensor | None = None,
        weight: torch.Tensor | None = None,
        *,
        freeze: bool = False,
        dropout: bool | None = None,
    ) -> torch.Tensor:
        """Cross-entropy to the target patterns, summed over blocks, mean over the batch; 0 for an empty batch.

        Args:
            u: float [N, bits]. Detach it to train only the posterior.
            targets: [N, bits] of any real dtype, read by sign; default: ``u`` itself (the posterior's own objective).
            weight: what each item counts in the mean over N, of any real dtype [N]; default: 1.
            freeze: no gradient reaches the posterior's parameters.
            dropout: whether hidden units are dropped; default: in training mode.

        First derivatives only where no weight is given.
        """
        dropout = self.training if dropout is None else dropout
        if weight is not None:
            item_nll = self._item_nll(u, targets, freeze=freeze, dropout=dropout)
            _check_weight(weight, item_nll.shape[0])
            total = (item_nll * weight.to(item_nll.dtype)).sum(dtype=sum_dtype(item_nll.dtype))
            return (total / max(u.shape[0], 1)).to(item_nll.dtype)
        targets = u.detach() if targets is None else targets
        to_parameters, to_u = self._two_nlls(u, targets, targets, None, freeze=freeze, dropout=dropout)
        return to_parameters + (to_u - to_u.detach())  # one value with the gradients of both

    def log_probs(self, u: torch.Tensor, *, freeze: bool = False, dropout: bool | None = None) -> list[torch.Tensor]:
        """Log-probabilities of the patterns of each block for ``u`` (float [N, bits]): one [N, 2^size] a block."""
        u = self._check_embeddings(u)
        dropout = self.training if dropout is None else dropout
        with full_precision(u):
            parts = [stack.logits(x, dropout=dropout, freeze=freeze) for stack, x in self._cut(u)]
            return [block for part in parts for block in F.log_softmax(part, dim=-1)]

    def log_prob_table(
        self, u: torch.Tensor, codes: torch.Tensor, *, freeze: bool = False, dropout: bool | None = None
    ) -> torch.Tensor:
        """Log-probability of each of ``codes`` ([M, bits], read by sign) for each item of ``u`` ([N, bits]): [N, M]."""
        index = self._pattern_index("codes", codes).T  # [blocks, M]
        blocks = self.log_probs(u, freeze=freeze, dropout=dropout)
        return torch.stack([_columns(block, i) for block, i in zip(blocks, index, strict=True)]).sum(0)

    def split_nll(
        self, u: torch.Tensor, targets: torch.Tensor, weight: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``(nll(u.detach()), nll(u, targets, weight, freeze=True))`` in one pass: what one step of an X_D loss needs.

        Both share one draw of the dropout mask; each is 0 for an empty batch. First derivatives only, in reverse mode.
        """
        return self._two_nlls(u, u.detach(), targets, weight, freeze=False, dropout=self.training)

    def shared_nll(
        self, u: torch.Tensor, codes: torch.Tensor, shares: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`split_nll` with a mean over ``codes`` ([M, bits], read by sign) in place of a target of each item's own.

        ``shares`` [N, M] says what each code counts for each item; a row may add up to any number. The second is
        ``-(shares * log_prob_table(u, codes, freeze=True)).sum() / N``. No gradient reaches ``shares``, and there are
        first derivatives in reverse mode only.
        """
        u = self._check_embeddings(u)
        own, targets = u.detach() > 0, self._positive("codes", codes)
        _check_real_tensor("shares", shares, 2)
        if tuple(shares.shape) != (len(own), len(targets)):
            raise ValueError(f"shares must have shape ({len(own)}, {len(targets)}), got {tuple(shares.shape)}")
        cuts = zip(self._cut(u), self._cut(own), self._cut(targets), strict=True)
        with full_precision(u):
            shares = shares.to(u.dtype)
            sums = [
                stack.shared_nll(x, _index(first), _index(others), shares, dropout=self.training)
                for (stack, x), (_, first), (_, others) in cuts
            ]
            own_nll, target_nll = (sum(sums[1:], start=sums[0]) / max(u.shape[0], 1)).to(u.dtype).unbind()
            return own_nll, target_nll

    def _two_nlls(
        self,
        u: torch.Tensor,
        own: torch.Tensor,
        targets: torch.Tensor,
        weight: torch.Tensor | None,
        *,
        freeze: bool,
        dropout: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The cross-entropy to ``own``, whose gradient reaches the parameters alone, and that to ``targets``, whose
        gradient reaches ``u`` alone."""
        u = self._check_embeddings(u)
        if weight is not None:
            _check_weight(weight, u.shape[0])
        positive = torch.cat([self._positive("targets", x, u.shape[0]) for x in (own, targets)])
        cuts = zip(self._cut(u), self._cut(positive), strict=True)
        with full_precision(u):
            sums = [
                stack.split_nll(x, _index(both).view(len(both), 2, u.shape[0]), weight, freeze=freeze, dropout=dropout)
                for (stack, x), (_, both) in cuts
            ]
            own_nll, target_nll = (sum(sums[1:], start=sums[0]) / max(u.shape[0], 1)).to(u.dtype).unbind()
            return own_nll, target_nll

    def _item_nll(self, u: torch.Tensor, targets: torch.Tensor | None, *, freeze: bool, dropout: bool) -> torch.Tensor:
        u = self._check_embeddings(u)
        positive = self._positive("targets", u.detach() if targets is None else targets, u.shape[0])
        with full_precision(u):
            total = u.new_zeros(u.shape[0])
            for (stack, x), (_, target) in zip(self._cut(u), self._cut(positive), strict=True):
                logits = stack.logits(x, dropout=dropout, freeze=freeze)
                item_nll = F.cross_entropy(logits.flatten(0, 1), _index(target).flatten(), reduction="none")
                total = total + item_nll.view(logits.shape[:2]).sum(0)
            return total

    def _pattern_index(self, name: str, x: torch.Tensor) -> torch.Tensor:
        positive = self._positive(name, x)
        return torch.cat([_index(blocks) for _, blocks in self._cut(positive)]).T

    def _stacks(self) -> Iterator[BlockStack]:
        yield self.full_blocks
        if self.last_block is not None:
            yield self.last_block

    def _cut(self, x: torch.Tensor) -> Iterator[tuple[BlockStack, torch.Tensor]]:
        """Each stack with its part of ``x`` [N, bits], as [blocks of the stack, N, size]."""
        start = 0
        for stack in self._stacks():
            count = stack.bias_in.shape[0]
            part = x[:, start : start + count * stack.size]
            yield stack, part.reshape(x.shape[0], count, stack.size).transpose(0, 1)
            start += count * stack.size

    def _check_embeddings(self, u: Any) -> torch.Tensor:
        return check_embeddings("u", u, self.bits).to(self.full_blocks.weight_in.dtype)

    def _positive(self, name: str, value: Any, num_items: int | None = None) -> torch.Tensor:
        tensor = check_signs(name, value)
        if tensor.shape[1] != self.bits or (num_items is not None and tensor.shape[0] != num_items):
            rows = "N" if num_items is None else num_items
            raise ValueError(f"{name} must have shape [{rows}, {self.bits}], got {tuple(tensor.shape)}")
        return tensor


def _check_real_tensor(name: str, value: Any, ndim: int) -> torch.Tensor:
    tensor = check_tensor(name, value, ndim)
    if tensor.is_complex():
        raise TypeError(f"{name} must be of a real dtype, got {dtype_name(tensor.dtype)}")
    return tensor


def _check_weight(weight: Any, num_items: int) -> None:
    if tuple(_check_real_tensor("weight", weight, 1).shape) != (num_items,):
        raise ValueError(f"weight must have shape ({num_items},), got {tuple(weight.shape)}")


def _index(positive: torch.Tensor) -> torch.Tensor:
    """Pattern number of bool [blocks, N, size]: int64 [blocks, N], the first bit least significant."""
    return (positive.long() << torch.arange(positive.shape[2], device=positive.device)).sum(2)


def _columns(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``values[:, index]``, with the same gradient at every call on every device.

    Where a column is taken several times, a GPU adds up the gradient of ``index_select`` in any order, and that of an
    indexing in one order; with the threads of a CPU it is the other way round.
    """
    return values[:, index] if adds_in_any_order(values.device) else values.index_select(1, index)
