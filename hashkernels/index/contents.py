"""What an index holds, and the checks that all its methods share."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from hashkernels import _ops
from hashkernels._arrays import ArrayT, to_tensors
from hashkernels._validation import check_codes, pad_mask
from hashkernels.index.native_file import BitOrder
from hashkernels.index.plain import in_kind_of, is_plain_search, plain_queries
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
        self, search: _ops.PlainSearch, queries: ArrayT, number: int, threads: int | None
    ) -> list[ArrayT] | None:
        """What one native call finds: distances and ids; offsets, distances and ids; or counts. None where the search
        goes the way of ops, which also says what is wrong with its arguments."""
        state = self._state
        storage = state.storage
        codes = storage.plain
        if self._verification is not None or codes is None:
            return None
        if not is_plain_search(search, number, storage.count, self._bits, threads):
            return None
        plain = plain_queries(search, queries, number, storage.num_bytes, self._pad)
        if plain is None:
            return None
        found = list(codes.find(search, plain, number, threads))
        if state.ids is not None and search != "range_count":
            found[-1] = state.ids.of(found[-1])
        return in_kind_of(queries, found)

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
