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
    def draw(self, eligible: Tensor, per_class: int) -> tuple[Tensor, Tensor | None]:
        """Positions ``int64 [D]`` of up to ``per_class`` random items of each class among ``eligible``, and which of
        them count, ``bool [D]`` or None for all. On a GPU and in compiled graphs there are always as many of class ids,
        so that no one waits to hear how many."""
        if self.classes.ndim == 1:
            labels = torch.where(eligible, self.classes, self.num_classes)
            drawn, counted = _draw_of_each(labels, self.num_classes, per_class)
            return (drawn[counted], None) if value_checks_enabled(counted) else (drawn, counted)
        rows, labels = self._memberships(eligible.nonzero()[:, 0])
        drawn, counted = _draw_of_each(labels, self.num_classes, per_class)
        chosen = torch.zeros_like(self.filled)  # an item that several classes have drawn counts once
        chosen[rows[drawn[counted]]] = True
        return chosen.nonzero()[:, 0], None

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


def _draw_of_each(labels: Tensor, num_classes: int, per_class: int) -> tuple[Tensor, Tensor]:
    """Up to ``per_class`` random positions of each class in ``labels`` (``int64 [n]``; ``num_classes`` is none), and
    which of them count."""
    shuffled = torch.randperm(len(labels), device=labels.device)
    # By class, and at random within it. Not labels[shuffled], on which inductor of torch 2.13 stumbles.
    by_class, order = labels.gather(0, shuffled).sort(stable=True)
    positions = shuffled.gather(0, order)
    first = torch.searchsorted(by_class, torch.arange(num_classes + 1, device=labels.device))
    if num_classes * per_class >= len(labels):
        place = torch.arange(len(labels), device=labels.device) - first.gather(0, by_class)
        return positions, (place < per_class) & (by_class < num_classes)
    place = first[:-1, None] + torch.arange(per_class, device=labels.device)  # [num_classes, per_class]
    return positions[place.clamp(max=len(labels) - 1)].flatten(), (place < first[1:, None]).flatten()
