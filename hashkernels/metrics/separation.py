"""How far codes are from the center of their class, and from other classes: an indicator that needs no ranking."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import to_real_array, to_tensor
from hashkernels._validation import (
    check_bits,
    check_choice,
    check_embeddings,
    check_labels,
    check_same_device,
    value_checks_enabled,
)
from hashkernels.metrics._inputs import checked_codes

Inter = Literal["center", "sample"]

_CHUNK_ELEMENTS = 1 << 24
_FAR = torch.iinfo(torch.int32).max


class ClassDistances(NamedTuple):
    """Hamming distances of codes to class centers.

    intra: int32 [N], of each item to the center of its class, the farthest of several.
    inter: int32, the nearest other center, of each class's center [C] ("center") or of each item [N] ("sample");
        2^31 - 1 for an item that belongs to every class.
    """

    intra: npt.NDArray[np.int32]
    inter: npt.NDArray[np.int32]


class Separation(NamedTuple):
    """The two extremes of the distances between codes and class centers.

    min_inter: the least distance between classes, in the reading that ``inter`` names. max_intra: the greatest distance
    of an item to the center of its class.
    """

    min_inter: int
    max_intra: int
    inter: Inter

    @property
    def ratio(self) -> float:
        """min_inter / max_intra, the indicator of the paper; infinite where every item sits on its center, but 0 where
        min_inter is 0."""
        if self.min_inter == 0:
            return 0.0
        return self.min_inter / self.max_intra if self.max_intra else float("inf")

    @property
    def perfect(self) -> bool:
        """Whether every ranking among the items is proven perfect: each relevant item nearer than any irrelevant one.

        Two items of a class are at most 2 max_intra apart. By the triangle inequality, two without a common class are
        at least min_inter - 2 max_intra apart ("center"), or min_inter - max_intra ("sample"). The factor between
        min_inter and the distance of false positives that the paper states does not follow from its proof; this does.
        """
        least_between = self.min_inter - (2 if self.inter == "center" else 1) * self.max_intra
        return least_between > 2 * self.max_intra


def majority_centers(codes: Any, labels: Any, bits: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """The bitwise majority of the codes of each class, -1 where both values are as frequent.

    Args:
        codes: uint8 [N, ceil(bits / 8)], packed codes.
        labels: class ids [N], or multi-hot [N, C].
        bits: code length.

    Returns:
        Centers int8 -1/+1 [K, bits] of the K classes that occur, and these classes, int64 [K] ascending.

    Example:
        >>> import numpy as np
        >>> codes = np.array([[0b11000000], [0b11100000], [0b10000000], [0b00010000]], dtype=np.uint8)
        >>> majority_centers(codes, np.array([7, 7, 7, 9]), 4)
        (array([[ 1,  1, -1, -1],
               [-1, -1, -1,  1]], dtype=int8), array([7, 9]))
    """
    tensor, members, classes = _items(codes, labels, check_bits(bits), None)
    return _majority(tensor, members, bits, classes.numel()).cpu().numpy(), classes.cpu().numpy()


def class_distances(
    codes: Any,
    labels: Any,
    centers: Any = None,
    *,
    bits: int,
    inter: Inter = "sample",
    threads: int | None = None,
) -> ClassDistances:
    """Distances within and between classes: D_intra and D_inter of LBHash.

    Args:
        codes: uint8 [N, ceil(bits / 8)], packed codes, NumPy array or torch tensor on any device.
        labels: class ids [N], or multi-hot [N, C] with at least one class a row.
        centers: -1/+1 [C, bits], row c of class c: a ``hashkernels.centers.Codebook``, an array or a tensor; all of
            them count, whether their class occurs or not. Default: `majority_centers` of the codes.
        bits: code length.
        inter: between classes, "center" takes the distance from one center to another, "sample" from an item to the
            centers of classes that it does not belong to. The appendix of the paper leaves open which is meant.
        threads: how many threads to use; default ``hashkernels.get_num_threads()``.

    Raises:
        ValueError: a wrong shape, centers other than -1 and +1, labels out of range or without a class, or fewer than
            two classes. TypeError: a wrong dtype.

    Example:
        >>> import numpy as np
        >>> codes = np.array([[0b00000000], [0b10000000], [0b11110000]], dtype=np.uint8)
        >>> centers = np.array([[-1, -1, -1, -1], [1, 1, 1, 1]])
        >>> class_distances(codes, np.array([0, 0, 1]), centers, bits=4)
        ClassDistances(intra=array([0, 1, 0], dtype=int32), inter=array([4, 3, 4], dtype=int32))
    """
    bits = check_bits(bits)
    check_choice("inter", inter, ("center", "sample"))
    if centers is None:
        tensor, members, classes = _items(codes, labels, bits, None)
        signs = _majority(tensor, members, bits, classes.numel())
    else:
        signs = _center_signs(centers, bits)
        tensor, members, _ = _items(codes, labels, bits, signs.shape[0])
    if signs.shape[0] < 2:
        raise ValueError(f"centers must be of at least two classes, got {signs.shape[0]}")
    packed = _ops.pack_codes(signs.to(tensor.device), False, threads)

    intra, nearest = [], []
    step = max(1, _CHUNK_ELEMENTS // packed.shape[0])
    for part, own in zip(torch.split(tensor, step), torch.split(members, step), strict=True):
        distances = _ops.hamming_distance(part, packed, torch.int32, threads)
        hot = own if own.ndim == 2 else own.unsqueeze(1) == torch.arange(packed.shape[0], device=own.device)
        intra.append(distances.masked_fill(~hot, -1).amax(1))
        nearest.append(distances.masked_fill(hot, _FAR).amin(1))
    if inter == "center":
        between = _ops.hamming_distance(packed, packed, torch.int32, threads)
        nearest = [between.fill_diagonal_(_FAR).amin(1)]
    return ClassDistances(torch.cat(intra).cpu().numpy(), torch.cat(nearest).cpu().numpy())


def separation(
    codes: Any,
    labels: Any,
    centers: Any = None,
    *,
    bits: int,
    inter: Inter = "sample",
    threads: int | None = None,
) -> Separation:
    """The extremes of `class_distances`, whose ratio tells models apart without a ranking (LBHash, appendix C.1).

    Arguments and errors as there.

    Example:
        >>> import numpy as np
        >>> codes = np.array([[0b00000000], [0b10000000], [0b11110000]], dtype=np.uint8)
        >>> found = separation(codes, np.array([0, 0, 1]), bits=4)
        >>> found, found.ratio, found.perfect
        (Separation(min_inter=3, max_intra=1, inter='sample'), 3.0, False)
    """
    distances = class_distances(codes, labels, centers, bits=bits, inter=inter, threads=threads)
    return Separation(int(distances.inter.min()), int(distances.intra.max()), inter)


class SeparationTracker:
    """`separation` of the batches of an epoch, against fixed centers, for use while training.

    One product of signs a batch, on the device where the embeddings are; nothing waits for that device before
    `compute`.

    Args:
        centers: as in `class_distances`.
        inter: as there.

    Example:
        >>> import numpy as np, torch
        >>> tracker = SeparationTracker(np.array([[-1, -1, -1, -1], [1, 1, 1, 1]]))
        >>> tracker.update(torch.tensor([[-0.3, -1.0, -2.0, 0.1]]), torch.tensor([0]))
        >>> tracker.compute()
        Separation(min_inter=3, max_intra=1, inter='sample')
    """

    def __init__(self, centers: Any, *, inter: Inter = "sample") -> None:
        signs = _center_signs(centers, None)
        if signs.shape[0] < 2:
            raise ValueError(f"centers must be of at least two classes, got {signs.shape[0]}")
        check_choice("inter", inter, ("center", "sample"))
        self.inter = inter
        self._signs = signs.to(torch.float32)
        self._between = int(_sign_distances(self._signs, self._signs).fill_diagonal_(_FAR).min())
        self.reset()

    def reset(self) -> None:
        """Forget all batches."""
        self._intra: Tensor | None = None
        self._nearest: Tensor | None = None

    @torch.no_grad()
    def update(self, u: Tensor, labels: Tensor) -> None:
        """Take in a batch: embeddings float [N, bits], N >= 1, and labels as in `class_distances`, on one device."""
        num_classes, bits = self._signs.shape
        u = check_embeddings("u", u, bits)
        labels = check_labels("labels", labels, u.shape[0], num_classes)
        check_same_device("u", u, "labels", labels)
        if u.shape[0] == 0:
            raise ValueError("u must have at least one row")
        self._signs = self._signs.to(u.device)
        classes = torch.arange(num_classes, device=u.device)
        hot = labels != 0 if labels.ndim == 2 else labels.unsqueeze(1) == classes
        if labels.ndim == 2 and value_checks_enabled(labels):
            _check_members(hot)
        distances = _sign_distances((u > 0).to(torch.float32).mul_(2).sub_(1), self._signs)
        intra, nearest = distances.masked_fill(~hot, -1).max(), distances.masked_fill(hot, _FAR).min()
        self._intra = intra if self._intra is None else torch.maximum(self._intra, intra)
        self._nearest = nearest if self._nearest is None else torch.minimum(self._nearest, nearest)

    def compute(self) -> Separation:
        """Over all batches since the start or the last `reset`. ValueError where there was none."""
        if self._intra is None or self._nearest is None:
            raise ValueError("update must be called at least once before compute")
        nearest = int(self._nearest) if self.inter == "sample" else self._between
        return Separation(nearest, int(self._intra), self.inter)


def _items(codes: Any, labels: Any, bits: int, num_classes: int | None) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, the classes of each as numbers int64 [N] or as bool [N, K], and which classes these K are."""
    tensor = checked_codes("codes", codes, bits)
    checked = check_labels("labels", to_tensor("labels", labels), tensor.shape[0], num_classes, synchronize=True)
    checked = checked.to(tensor.device)
    if checked.ndim == 1:
        if num_classes is not None:
            return tensor, checked.long(), torch.arange(num_classes, device=tensor.device)
        classes, numbers = torch.unique(checked.long(), return_inverse=True)
        return tensor, numbers, classes
    hot = checked != 0
    _check_members(hot)
    if num_classes is not None:
        return tensor, hot, torch.arange(num_classes, device=tensor.device)
    classes = hot.any(0).nonzero().squeeze(1)
    return tensor, hot[:, classes], classes


def _check_members(hot: Tensor) -> None:
    if not bool(hot.any(1).all()):
        raise ValueError("labels must have at least one class in each row")


def _majority(codes: Tensor, members: Tensor, bits: int, num_classes: int) -> Tensor:
    signs = _ops.unpack_codes(codes, bits, False).to(torch.int32)
    if members.ndim == 1:
        balance = signs.new_zeros(num_classes, bits).index_add_(0, members, signs)
    else:
        balance = members.double().T @ signs.double()
    return torch.where(balance > 0, 1, -1).to(torch.int8)


def _center_signs(centers: Any, bits: int | None) -> Tensor:
    """Given centers as int8 -1/+1 [C, bits]."""
    array = to_real_array("centers", centers)
    if array.ndim != 2 or (bits is not None and array.shape[1] != bits):
        raise ValueError(f"centers must have shape [C, {'bits' if bits is None else bits}], got {array.shape}")
    if not (np.abs(array) == 1).all():
        raise ValueError("centers must hold only -1 and +1")
    return torch.from_numpy(array.astype(np.int8))


def _sign_distances(first: Tensor, second: Tensor) -> Tensor:
    """Hamming distances int32 of float32 -1/+1 rows; exact up to 2^24 bits."""
    with torch.autocast(first.device.type, enabled=False):  # which would round the product
        return ((first.shape[1] - first @ second.T) / 2).to(torch.int32)
