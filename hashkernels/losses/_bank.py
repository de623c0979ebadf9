"""The latest embedding of every training item, addressed by its position in the training set."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hashkernels._validation import check_int, check_item_positions, check_same_device, value_checks_enabled
from hashkernels.losses._labels import NO_CLASS, packed_classes


class Bank(nn.Module):
    """Embeddings, classes and a mask of the filled rows, as buffers: they are saved with the loss, and written by every
    call in training mode, with gradients or without.

    Classes are ids until the first multi-hot labels come, and packed from then on: with a thousand classes an id is a
    sixteenth of the packed ones, and compared in one step. The embeddings have torch's default dtype when made, and
    follow ``loss.double()`` and ``loss.half()``.
    """

    embeddings: Tensor  # [num_train, bits]
    classes: Tensor  # int64: ids [num_train], or packed [num_train, ceil(num_classes / 64)]
    filled: Tensor  # bool [num_train]

    def __init__(self, num_train: int, bits: int, num_classes: int) -> None:
        super().__init__()
        self.num_train = check_int("num_train", num_train, 1)
        self.num_classes = num_classes
        self.register_buffer("embeddings", torch.zeros(self.num_train, bits))
        self.register_buffer("classes", torch.full((self.num_train,), NO_CLASS, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros(self.num_train, dtype=torch.bool))

    def check_indices(self, indices: Any, u: Tensor) -> Tensor:
        """The positions of a batch, ``int64 [N]``."""
        if indices is None:
            raise ValueError(f"indices must be given: the loss keeps a bank of num_train={self.num_train} items")
        tensor = check_item_positions("indices", indices, u.shape[0])
        check_same_device("u", u, "indices", tensor)
        positions = tensor.to(torch.int64)
        if positions.numel() and value_checks_enabled(positions):
            low, high = (int(x) for x in torch.aminmax(positions))
            if low < 0 or high >= self.num_train:
                # What is too large for int64 has become negative.
                wrong = high if low >= 0 else low + (1 << 64) if tensor.dtype == torch.uint64 else low
                raise ValueError(
                    f"indices must be in 0..{self.num_train - 1} for a bank of num_train={self.num_train} items, "
                    f"got {wrong}"
                )
        return positions

    @torch.no_grad()
    def write(self, indices: Tensor, u: Tensor, labels: Tensor) -> None:
        """Store a batch. Of an index that comes twice one of the two stays."""
        if labels.ndim > self.classes.ndim:
            # A tensor made under inference_mode could never be loaded into outside of it.
            with torch.inference_mode(False):
                self.classes = self._packed(self.classes)
        self.embeddings.index_copy_(0, indices, u.detach().to(self.embeddings.dtype))
        self.classes.index_copy_(0, indices, labels if self.classes.ndim == 1 else self._packed(labels))
        self.filled.index_fill_(0, indices, True)

    def classes_beside(self, labels: Tensor) -> Tensor:
        """The classes of all rows, in a form that can meet ``labels``: ids meet ids alone."""
        return self._packed(self.classes) if labels.ndim > self.classes.ndim else self.classes

    def _packed(self, labels: Tensor) -> Tensor:
        return packed_classes(labels, self.num_classes)

    def snapshot(self, dtype: torch.dtype) -> Tensor:
        """A copy of the embeddings, which a later write does not change under the backward of this step."""
        return self.embeddings.to(dtype, copy=True)

    @torch.no_grad()
    def draw(self, eligible: Tensor, per_class: int) -> Tensor:
        """Positions ``int64 [D]``, ascending, of up to ``per_class`` random items of each class among ``eligible``."""
        rows, labels = self._memberships(eligible.nonzero()[:, 0])
        shuffled = torch.randperm(len(rows), device=rows.device)
        # By class, and at random within it. Not labels[shuffled], on which inductor of torch 2.13 stumbles.
        order = shuffled[labels.gather(0, shuffled).argsort(stable=True)]
        sizes = torch.bincount(labels, minlength=self.num_classes)
        first = sizes.cumsum(0) - sizes
        place = torch.arange(len(rows), device=rows.device) - first[labels[order]]
        chosen = torch.zeros_like(self.filled)
        chosen[rows[order[place < per_class]]] = True
        return chosen.nonzero()[:, 0]

    def _memberships(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Every pair of one of ``rows`` and a class that it has, int64 both; of packed classes in one round for each
        class of an item."""
        if self.classes.ndim == 1:
            return rows, self.classes[rows]
        found_rows, found_labels = [rows.new_empty(0)], [rows.new_empty(0)]
        for word in range(self.classes.shape[1]):
            left, having = self.classes[rows, word], rows
            while len(having := having[left != 0]):
                left = left[left != 0]
                lowest = left & -left
                found_rows.append(having)
                found_labels.append(64 * word + (lowest.double().abs().frexp().exponent - 1))
                left = left ^ lowest
        return torch.cat(found_rows), torch.cat(found_labels)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Classes of either form are loaded, whichever the bank has now."""
        loaded = state_dict.get(f"{prefix}classes")
        shapes = (self.num_train,), (self.num_train, (self.num_classes + 63) // 64)
        if isinstance(loaded, Tensor) and loaded.ndim != self.classes.ndim and tuple(loaded.shape) in shapes:
            self.classes = self.classes.new_empty(loaded.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"num_train={self.num_train}"
