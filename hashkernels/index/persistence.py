"""An index and its file: what is saved, what is mapped, what is still to be appended."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import torch

from hashkernels._arrays import to_tensor
from hashkernels._validation import check_choice
from hashkernels.index.contents import Contents
from hashkernels.index.hashed import HashedStorage
from hashkernels.index.ids import IdArray, check_stored, ids_of
from hashkernels.index.native_file import NativeFile, Progress, Settings, append_segment, write_file
from hashkernels.index.segments import segmented
from hashkernels.index.storage import Storage, new_storage, storage_of_planes
from hashkernels.index.structures import Structure, with_structure
from hashkernels.index.table_file import check_tables, extra_of, stored_tables

if TYPE_CHECKING:
    from hashkernels.index.binary_index import BinaryIndex

Verify = Literal["full", "lazy", "none"]


def verify_contents(file: NativeFile, progress: Progress | None = None, *, tables: bool = True) -> None:
    """Raise ``ValueError`` unless the contents have their checksums, ids are such as an index has, and hash tables, if
    they are asked for, are those of the codes."""
    file.verify(progress)
    ids = _ids(file, mmap=True)
    if ids is not None:
        try:
            check_stored("ids", ids)
        except ValueError as error:
            raise ValueError(f"{file.path}: damaged index file: its {error}") from None
    if tables:
        check_tables(file, lambda: _codes(file).planes())


class Persistence(Contents):
    """Saving, loading and appending, for ``BinaryIndex``."""

    _file: NativeFile | None = None
    _in_file: int | None = None  # how many codes from the first on are those of the file; None: not any more

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file of its own, whole and compact; when this returns, it is on the disk.

        Hash tables that the index has built (see ``structure`` and ``prepare``) go into the file.

        The file is written under another name and then renamed: until then, and whatever happens, what was at ``path``
        stays. Processes that have the old file mapped keep it.

        Args:
            path: of the file; what is there is replaced.

        Raises:
            ValueError: the index is that of a damaged file, and nothing has asked for its contents before.
            OSError: the disk is full, or the folder may not be written to.

        >>> import tempfile, pathlib
        >>> import numpy as np
        >>> from hashkernels import BinaryIndex
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.hki"
        >>> index = BinaryIndex(8)
        >>> index.add(np.array([[1], [3]], np.uint8))
        >>> index.save(path)
        >>> BinaryIndex.load(path)
        BinaryIndex(bits=8, ntotal=2)
        """
        with self._writing:
            storage, ids = self._checked_state()
            id_kind = "none" if ids is None else ids.values.dtype.name
            settings = Settings(self._bits, self._bitorder, id_kind)  # type: ignore[arg-type]  # the name is one
            tables = storage.tables if isinstance(storage, HashedStorage) else None
            extras = [] if tables is None else [extra_of(tables)]
            write_file(path, settings, _bytes(storage), storage.count, None if ids is None else ids.values, extras)
            self._file, self._in_file = NativeFile(path), storage.count

    def flush(self) -> None:
        """Bring what was added since ``load``, ``save`` or the last ``flush`` to the end of the file.

        Costs what was added, not what is there. When this returns it is on the disk; until then the file holds what it
        held. After ``remove_ids`` the whole file is written anew. Every flush that appends leaves one more segment,
        which a search of the mapped file visits one after another; ``save`` makes one of them all. Hash tables in the
        file stay those of the codes before, and searches of more do without them until ``save`` has written new ones.

        Raises:
            ValueError: the index has no file yet, or another process has changed it since.
            OSError: the disk is full, or the file may not be written.
        """
        if self._file is None:
            raise ValueError("the index must have a file to be flushed to: save or load it first")
        with self._writing:
            storage, ids = self._state
            kind = "none" if ids is None else ids.values.dtype.name
            first = self._in_file
            appends = first is not None and kind == self._file.settings.id_kind
            if appends and first is not None and first < storage.count:
                tail = new_storage(storage.num_bytes).added(
                    storage.gather(torch.arange(first, storage.count, device="cpu"))
                )
                new_ids = None if ids is None else ids.values[first:]
                self._file = append_segment(self._file, _bytes(tail), tail.count, new_ids)
                self._in_file = storage.count
        if not appends:
            self.save(self._file.path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        mmap: bool = True,
        verify: Verify = "lazy",
        structure: Structure = "auto",
    ) -> Self:
        """Open an index that ``save`` wrote. The file may come from a stranger: nothing in it is believed unchecked.

        Args:
            path: of the file.
            mmap: search the file where it is: loading takes no time, and processes that load the same file share its
                memory. What is added stays in memory until ``flush``. With False the index is read into memory, its
                segments into one.
            verify: when to hold the contents against their checksums: "full", now; "lazy", before the first answer,
                which is a ``ValueError`` where they are damaged; "none", never. Header, sizes and segments are checked
                in any case. "full" also sees that no id comes twice or is -1, for which it sorts them, and that hash
                tables, if ``structure`` allows them, are those of the codes, for which it builds them; the others take
                ids and tables that have their checksums as they are.
            structure: as of a new index. Hash tables in the file are searched where they lie, nothing is built; "auto"
                uses them for codes of any length, "scan" does not. What is added goes without, or has new ones built.

        Raises:
            ValueError: the file is no index, is truncated or damaged, or of a version that is not known; ``verify`` or
                ``structure`` is none of those named.
            OSError: it cannot be opened.
        """
        check_choice("verify", verify, ("full", "lazy", "none"))
        file = NativeFile(path)
        bits, bitorder, _ = file.settings
        # cls is BinaryIndex
        index: BinaryIndex = cls(bits, bitorder=bitorder, structure=structure)  # type: ignore[call-arg, assignment]
        if verify == "full":
            verify_contents(file, tables=structure != "scan")
        elif verify == "lazy" and not mmap:
            file.verify()
        elif verify == "lazy":
            index._verification = file.verify
        storage = _codes(file)
        if not mmap:
            storage = storage_of_planes(storage.planes(), storage.count)
        storage = with_structure(storage, bits, bitorder, structure, stored_tables(file, mmap=mmap))
        ids = _ids(file, mmap=mmap)
        index._state = index._state._replace(storage=storage, ids=None if ids is None else ids_of(ids))
        index._file, index._in_file = file, file.count
        return index  # type: ignore[return-value]

    def _forget_file_contents(self) -> None:
        self._in_file = None


def _codes(file: NativeFile) -> Storage:
    """The codes of all segments, where they lie."""
    num_bytes = file.settings.num_bytes
    return segmented([_storage(part.planes, part.num_codes, num_bytes) for part in file.segments], num_bytes)


def _storage(planes: np.ndarray[tuple[int], np.dtype[np.uint8]], count: int, num_bytes: int) -> Storage:
    words = planes.view(np.int64).reshape(-1, 8 * num_bytes, 8)
    return storage_of_planes(to_tensor("planes", words), count)


def _ids(file: NativeFile, *, mmap: bool) -> IdArray | None:
    """The ids of all segments, where they lie if they can."""
    if file.settings.id_dtype is None:
        return None
    parts = [segment.ids.view(file.settings.id_dtype) for segment in file.segments if segment.ids is not None]
    return parts[0] if len(parts) == 1 and mmap else np.concatenate([np.empty(0, file.settings.id_dtype), *parts])


def _bytes(storage: Storage) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return storage.planes().numpy().reshape(-1).view(np.uint8)
