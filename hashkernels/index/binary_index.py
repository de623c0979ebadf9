"""A growing collection of packed codes with exact search."""

from __future__ import annotations

from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch

from hashkernels._arrays import ArrayT, to_tensors
from hashkernels._validation import check_bits, check_choice, check_device, check_int, check_threads
from hashkernels.index.hamming import HammingSearch
from hashkernels.index.hashed import HashedStorage
from hashkernels.index.ids import as_dtype, check_ids, check_sought, ids_of, no_ids
from hashkernels.index.jaccard import JaccardSearch
from hashkernels.index.native_file import BitOrder
from hashkernels.index.pairs import SelfJoin
from hashkernels.index.persistence import Persistence
from hashkernels.index.snapshot import Snapshot
from hashkernels.index.storage import Storage, copied, new_storage
from hashkernels.index.structures import STRUCTURES, Structure, with_structure


class BinaryIndex(HammingSearch, JaccardSearch, SelfJoin, Persistence):
    """Codes found by exact Hamming distance, in memory or in a mapped file, under positions or ids of your own.

    Without ids a code is known by its position, the order in which it was added; ``add_with_ids`` gives ids instead,
    and after ``remove_ids`` the others keep theirs. Of equal distances the code that was added first comes first.

    With the native extension the one copy of the codes is kept bit by bit, in blocks of 512, which the fastest search
    reads as it is; ``hashkernels.topk``, given packed codes, first has to bring them into that form or does without.
    A code takes ``bytes_per_code`` bytes, no more than packed; the last block is whole, and after additions in many
    parts room for up to as many codes again is reserved. Any number of threads may search while another adds or
    removes: each search answers from what the index held when it began. A pickle, and a copy, hold the codes and ids in
    memory; processes on one machine better share a file.

    Args:
        bits: the length of a code, in 1..4096.
        bitorder: of the codes, "big" or "little": which end of the last byte the pad bits are at.
        device: "cpu", or a GPU such as "cuda" or "cuda:1", in whose memory the codes then stay, packed. Such an index
            takes tensors of its device beside CPU tensors and NumPy arrays; results are where the queries were.
        structure: what searches may use besides the codes, whatever it is the results are the same.
            "scan": nothing, every search reads all codes.
            "auto": for codes of up to 16 bits a table of buckets, 4 bytes a code and 256 KB, built once 64 queries have
            come since the last addition; else as "scan".
            "hash": multi-index hashing, much faster for a small radius, for data in clusters and for the few nearest of
            short codes (up to three times for ten of a million of 32 bits), built at the first search after an addition
            (one to three seconds for 10 million codes of 64 bits) and dropped by the next addition.
            It takes 4 bytes a code and 4 a bucket for every chunk of about log2(ntotal) bits, and a second copy of the
            codes in whole words: 22 to 125 bytes a code of 64 bits, 115 to 230 a code of 256, the fewest in large
            indexes; ``structure_bytes`` tells. Used where it is estimated to be faster than a scan. A GPU always
            scans.

    Raises:
        ValueError: an argument is out of range, torch sees no such device, or "hash" is asked of a GPU.
        TypeError: ``bits`` is no int, ``bitorder`` or ``structure`` no str.

    >>> import numpy as np
    >>> index = BinaryIndex(8)
    >>> index.add(np.array([[0b0110], [0b1011], [0b0000]], np.uint8))
    >>> index.search(np.array([[0b0100]], np.uint8), 2)
    SearchResult(distances=array([[1, 1]], dtype=int32), indices=array([[0, 2]]))
    """

    def __init__(
        self,
        bits: int,
        *,
        bitorder: BitOrder = "big",
        device: str | torch.device = "cpu",
        structure: Structure = "auto",
    ) -> None:
        bits, device = check_bits(bits), check_device("device", device)
        check_choice("bitorder", bitorder, ("big", "little"))
        self._structure = check_choice("structure", structure, STRUCTURES)
        if structure == "hash" and device.type != "cpu":
            raise ValueError(f"structure must be auto or scan on {device}, got 'hash'")
        super().__init__(bits, bitorder, device, Snapshot(_empty_storage(bits, bitorder, device, structure), None))

    @property
    def bits(self) -> int:
        """The length of a code."""
        return self._bits

    @property
    def device(self) -> torch.device:
        """Where the codes are."""
        return self._device

    @property
    def bitorder(self) -> BitOrder:
        """The bit order of the codes, "big" or "little"."""
        return self._bitorder

    @property
    def ntotal(self) -> int:
        """How many codes the index holds."""
        return self._state.storage.count

    @property
    def ids(self) -> npt.NDArray[Any] | None:
        """A copy of the ids by position, int64 or uint64 [ntotal]; None where positions stand for themselves."""
        ids = self._state.ids
        return None if ids is None else ids.values.copy()

    @property
    def bytes_per_code(self) -> int:
        """The bytes that a code takes, ``ceil(bits / 8)``.

        >>> BinaryIndex(65).bytes_per_code
        9
        """
        return (self._bits + 7) // 8

    @property
    def structure_bytes(self) -> int:
        """The bytes of what is searched besides the codes; 0 before it is built, or taken from a file by ``prepare`` or
        the first search, and after ``add`` has dropped it."""
        storage = self._state.storage
        return storage.structure_bytes if isinstance(storage, HashedStorage) else 0

    def prepare(self, *, threads: int | None = None) -> None:
        """Build now what ``structure`` allows, so that no search has to.

        Raises:
            ValueError: ``threads`` is out of range.
            TypeError: ``threads`` is no int.

        >>> import numpy as np
        >>> index = BinaryIndex(64, structure="hash")
        >>> index.add(np.zeros((1000, 8), np.uint8))
        >>> index.prepare()
        >>> index.structure_bytes > 0
        True
        """
        check_threads(threads)
        storage = self._checked_state().storage
        if isinstance(storage, HashedStorage):
            storage.prepare(threads)

    def __len__(self) -> int:
        return self.ntotal

    def __repr__(self) -> str:
        return f"BinaryIndex(bits={self._bits}, ntotal={self.ntotal})"

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle or a copy is made of: no file, and no tables, which are built again."""
        storage, ids = self._checked_state()
        settings = {"bitorder": self._bitorder, "device": str(self._device), "structure": self._structure}
        # Codes of their own, so that what is added to one is in no other.
        codes = storage.gather(torch.arange(storage.count, device="cpu"))
        return {
            "bits": self._bits,
            "settings": settings,
            "codes": codes.numpy(),
            "ids": None if ids is None else ids.values.copy(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(BinaryIndex(state["bits"], **state["settings"]).__dict__)
        ids = state["ids"]
        if ids is None:
            self.add(state["codes"])
            return
        # An index that was emptied has ids, too.
        self._state = self._state._replace(ids=no_ids(ids.dtype))
        self.add_with_ids(state["codes"], ids)

    def add(self, codes: ArrayT) -> None:
        """Append codes, at positions ``ntotal``, ``ntotal + 1``, ...

        The codes are copied. Adding N codes one at a time costs O(N): the room for them doubles when it runs out.

        Args:
            codes: uint8 [n, ceil(bits / 8)], a CPU tensor or a NumPy array, pad bits zero.

        Raises:
            ValueError: the index has ids, the width is not that of ``bits`` bits, pad bits are set, or the codes are
                neither on the CPU nor where the index is.
            TypeError: ``codes`` is neither a tensor nor an array, or not uint8.
        """
        (new,) = to_tensors(codes=codes)
        new = self._checked("codes", new)
        with self._writing:
            storage, ids = self._checked_state()
            if ids is not None and len(new):
                raise ValueError("the index has ids: codes must come with ids of their own, by add_with_ids")
            self._state = Snapshot(storage.added(new), ids)

    def add_with_ids(self, codes: ArrayT, ids: Any) -> None:
        """Append codes under ids, all or none of them.

        Args:
            codes: as in ``add``.
            ids: NumPy array or tensor [n] of int64 or uint64, whichever those before are; other integers become int64.
                Any but -1 (of uint64 the largest), which stands for nothing found.

        Raises:
            ValueError: an id is there already, comes twice or is -1, there is not one for each code, the index has
                codes without ids, or ``codes`` do not fit.
            TypeError: ids are not integers or codes not uint8, in a tensor or an array, or int64 and uint64 are mixed.

        >>> import numpy as np
        >>> index = BinaryIndex(8)
        >>> index.add_with_ids(np.array([[1], [3]], np.uint8), np.array([70, 80]))
        >>> index.search(np.array([[3]], np.uint8), 2).indices
        array([[80, 70]])
        """
        (new,) = to_tensors(codes=codes)
        new = self._checked("codes", new)
        given = check_ids("ids", ids, len(new))
        with self._writing:
            storage, known = self._checked_state()
            if known is None and storage.count:
                raise ValueError(f"the index holds {storage.count} codes without ids: they must come by add")
            known = no_ids(given.dtype) if known is None else known
            if known.values.dtype != given.dtype:
                raise TypeError(f"ids must be {known.values.dtype} like those of the index, got {given.dtype}")
            if not len(new):
                return
            known = known.added(given)
            self._state = Snapshot(storage.added(new), known)

    def remove_ids(self, ids: Any) -> int:
        """Remove codes by id; the others keep their ids, also those that positions stood for.

        The codes are moved together, which costs as much as reading them once: remove many at a time. From then on the
        index has ids, even if it holds no codes any more.

        Args:
            ids: integers [n], in any order; those that are not there are ignored, as is -1.

        Returns:
            How many codes were removed.

        Raises:
            ValueError: ids are not of one dimension.
            TypeError: ids are not integers, in a tensor or an array.

        >>> import numpy as np
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[1], [3], [7]], np.uint8))
        >>> index.remove_ids(np.array([1, 9]))
        1
        >>> index.search(np.array([[7]], np.uint8), 2)
        SearchResult(distances=array([[0, 2]], dtype=int32), indices=array([[2, 0]]))
        """
        gone = check_sought("ids", ids)
        with self._writing:
            storage, known = self._checked_state()
            known = ids_of(np.arange(storage.count)) if known is None else known
            keep = np.ones(storage.count, bool)
            places = known.positions(as_dtype(gone, known.values.dtype))
            keep[places[places >= 0]] = False
            removed = storage.count - int(keep.sum())
            if removed:
                empty = _empty_storage(self._bits, self._bitorder, self._device, self._structure)
                kept = copied(storage, np.flatnonzero(keep), empty)
                self._state = Snapshot(kept, known.kept(keep))
                self._forget_file_contents()
        return removed

    def merge(self, other: BinaryIndex) -> None:
        """Append all codes of another index, with their ids, all or none of them; the other one stays as it is.

        An index to which nothing was added takes codes with or without ids, one that ``remove_ids`` emptied has ids.

        Raises:
            ValueError: bits or bit order differ, one index has ids and the other has not, or an id is in both.
            TypeError: ``other`` is no index, or ids are int64 in one and uint64 in the other.
        """
        if not isinstance(other, BinaryIndex):
            raise TypeError(f"other must be a BinaryIndex, got {type(other).__name__}")
        if (other.bits, other.bitorder) != (self._bits, self._bitorder):
            raise ValueError(
                f"other must hold codes of {self._bits} bits in {self._bitorder} order, "
                f"got {other.bits} bits in {other.bitorder} order"
            )
        new, new_ids = other._checked_state()
        with self._writing:
            storage, ids = self._checked_state()
            if not new.count:
                return
            if (ids is None) != (new_ids is None) and (ids is not None or storage.count):
                raise ValueError("either both indexes must have ids, or neither")
            if new_ids is not None:
                ids = no_ids(new_ids.values.dtype) if ids is None else ids
                if ids.values.dtype != new_ids.values.dtype:
                    raise TypeError(f"ids of other must be {ids.values.dtype}, got {new_ids.values.dtype}")
                ids = ids.added(new_ids.values)
            self._state = Snapshot(copied(new, np.arange(new.count), storage), ids)

    @overload
    def reconstruct(self, positions: int) -> npt.NDArray[np.uint8]: ...
    @overload
    def reconstruct(self, positions: ArrayT) -> ArrayT: ...
    def reconstruct(self, positions: Any) -> Any:
        """A copy of stored codes.

        Args:
            positions: an int, or integers [n] as a tensor or NumPy array: ids, or positions in 0..``ntotal`` - 1 where
                the index has no ids.

        Returns:
            For an int the code as NumPy uint8 [ceil(bits / 8)]; else uint8 [n, ceil(bits / 8)] of the same kind.

        Raises:
            ValueError: there is no such code, or ``positions`` are not of one dimension.
            TypeError: positions are not integers.
        """
        state = self._checked_state()
        if state.storage.count == 0:
            raise ValueError("positions must name one of the codes of the index, which holds none")
        if not isinstance(positions, torch.Tensor | np.ndarray):
            low, high = (0, state.storage.count - 1) if state.ids is None else (-1 << 63, (1 << 64) - 1)
            position = check_int("positions", positions, low, high)
            dtype = np.uint64 if position >= 1 << 63 else np.int64
            chosen = state.positions("positions", torch.from_numpy(np.array([position], dtype)))
            return state.storage.gather(chosen)[0].numpy()
        (chosen,) = to_tensors(positions=positions)
        found = state.storage.gather(state.positions("positions", self._within_reach("positions", chosen)))
        return found.numpy() if isinstance(positions, np.ndarray) else found


def _empty_storage(bits: int, bitorder: str, device: torch.device, structure: str) -> Storage:
    empty = new_storage((bits + 7) // 8, device)
    return empty if device.type != "cpu" else with_structure(empty, bits, bitorder, structure)
