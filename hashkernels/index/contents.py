"""What an index holds, and the checks that all its methods share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, to_tensors
from hashkernels._validation import MAX_THREADS, check_codes, pad_mask
from hashkernels.index.native_file import BitOrder
from hashkernels.index.snapshot import Snapshot


class Contents:
    """The state of a ``BinaryIndex``, on which its searches, its file and its changes build."""

    def __init__(self, bits: int, bitorder: BitOrder, device: torch.device, state: Snapshot) -> None:
        self._bits, self._bitorder, self._device = bits, bitorder, device
        self._pad = pad_mask(bits, bitorder)
        self._state = state
        self._writing = threading.Lock()
        # What is still to be done before the first answer; raises ValueError where the contents are damaged.
        self._verification: Callable[[], None] | None = None
        self._verifying = threading.Lock()

    def _checked_state(self) -> Snapshot:
        """What the index holds, after a file that was to be verified when it is first used has been."""
        if self._verification is not None:
            with self._verifying:
                if self._verification is not None:
                    self._verification()
                    self._verification = None
        return self._state

    def _at_once(
        self, search: _ops.StoredSearch, queries: ArrayT, number: int, threads: int | None
    ) -> list[ArrayT] | None:
        """What one native call finds: distances and ids; offsets, distances and ids; or counts. None where the search
        goes the way of ops, which also says what is wrong with its arguments."""
        state = self._state
        if (
            not _ops.nobody_watches()
            or type(number) is not int
            or not (1 <= number <= state.storage.count if search == "topk" else 0 <= number <= self._bits)
            or not (threads is None or (type(threads) is int and 1 <= threads <= MAX_THREADS))
            or self._verification is not None
            or not state.storage.count
        ):
            return None
        rows: Any = queries
        is_tensor = type(rows) is Tensor and rows.dtype == torch.uint8 and rows.is_cpu and rows.layout == torch.strided
        if is_tensor:
            rows = rows.numpy()
        results = number if search == "topk" else 1
        if type(rows) is not np.ndarray or not _ops.are_plain_codes(rows, state.storage.num_bytes, self._pad, results):
            return None
        found = state.storage.at_once(search, rows, number, threads)
        if found is None:
            return None
        parts: list[Any] = [part for part in found if isinstance(part, np.ndarray)]
        if state.ids is not None and search != "range_count":
            parts[-1] = state.ids.of(parts[-1])
        if is_tensor:
            parts = [torch.from_numpy(part) for part in parts]
        return parts

    def _filtered(self, queries: ArrayT, filter: ArrayT | None) -> tuple[Tensor, Snapshot, Tensor | None]:
        """Queries, what they are looked for in, and what of that may be found."""
        state = self._checked_state()
        if state.storage.count == 0:
            raise ValueError("the index must hold at least one code to be searched, got none")
        (codes,) = to_tensors(queries=queries)
        return self._checked("queries", codes), state, state.allowed(queries, filter)

    def _checked(self, name: str, codes: Tensor) -> Tensor:
        return self._within_reach(name, check_codes(name, codes, self._bits, self._bitorder))

    def _within_reach(self, name: str, tensor: Tensor) -> Tensor:
        if not tensor.is_cpu and tensor.device != self._device:
            places = "cpu" if self._device.type == "cpu" else f"cpu or {self._device}"
            raise ValueError(f"{name} must be on {places} like the index, got {tensor.device}")
        return tensor
