"""Outputs of commands: checked before the work, complete or not there after it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashkernels._files import atomic_write, check_no_device, partial_name, try_writing

# Of formats that are read or written here, and of those that users may take the outputs for.
_ENDINGS = {".npy", ".npz", ".hki", ".faiss", ".u8bin", ".bvecs", ".hex", ".pgvector", ".safetensors", ".pt", ".pth"}
_ENDINGS |= {".pkl", ".csv", ".tsv", ".txt", ".json", ".html", ".md", ".tex"}


@contextmanager
def staged_folder(path: str | os.PathLike[str], *, force: bool = False) -> Iterator[Path]:
    """A temporary folder to fill, whose files appear at ``path`` only when the block ends well.

    A new folder appears in one rename. Into an existing one (allowed when it is empty, or with ``force``) the files are
    renamed one by one, and files of other names that were there stay; the temporary folder is inside it, since it may
    be a link or a mount point, and no file is renamed from one file system to another.

    Raises:
        FileExistsError: ``path`` is a folder that is not empty and ``force`` is false, or is no folder.
    """
    target = Path(path)
    check_output_folder(target, force=force)
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = partial_name(target / "results" if target.is_dir() else target)
    staging.mkdir()
    try:
        yield staging
        if target.is_dir():
            for item in sorted(staging.iterdir()):
                os.replace(item, target / item.name)
            staging.rmdir()
        else:
            os.rename(staging, target)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def check_output_folder(path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """Raise ``OSError`` unless results can be written into the folder ``path``, which need not be there yet: it is no
    file, and empty or ``force``."""
    target = Path(path)
    there = next(folder for folder in (target, *target.absolute().parents) if folder.exists() or folder.is_symlink())
    if not there.is_dir():
        raise FileExistsError(f"{there} exists and is not a folder")
    if target.is_dir() and not force and any(target.iterdir()):
        raise FileExistsError(f"{target} exists and is not empty: pass --force to overwrite")
    try_writing(target, there)
    return target


def check_output_files(paths: Iterable[str | os.PathLike[str]], *, force: bool = False) -> None:
    """Raise unless each of ``paths`` can be written: a file of its own in a folder that exists, new or ``force``.

    Raises:
        OSError: a path is a folder, lies in none or in one that is read-only, or exists without ``force``.
        ValueError: two paths are the same.
    """
    seen: set[Path] = set()
    for path in paths:
        target = Path(path)
        if target.resolve() in seen:
            raise ValueError(f"outputs must be different files, got {target} twice")
        seen.add(target.resolve())
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a folder, expected the name of a file")
        if not target.parent.is_dir():
            raise FileNotFoundError(f"{target.parent} is not a folder: create it first")
        check_no_device(target)
        if target.exists() and not force:
            raise FileExistsError(f"{target} exists: pass --force to overwrite")
        try_writing(target)


def check_ending(name: str, path: str | os.PathLike[str], ending: str) -> None:
    """Raise ``ValueError`` where the name of a file to write in one format ends like those of another.

    Other endings, and none, are the user's own.
    """
    other = Path(path).suffix.lower()
    if other != ending and other in _ENDINGS:
        raise ValueError(f"{name} must not end in {other}, as what is written is {ending}, got {path}")


def save_npy(path: str | os.PathLike[str], array: NDArray[Any]) -> None:
    """Write one array as .npy, atomically and without pickling."""
    with atomic_write(path) as file:
        np.save(file, array, allow_pickle=False)


def save_npz(path: str | os.PathLike[str], **arrays: NDArray[Any]) -> None:
    """Write named arrays as one compressed .npz, atomically and without pickling."""
    savez: Callable[..., None] = np.savez_compressed
    with atomic_write(path) as file:
        savez(file, allow_pickle=False, **arrays)


def save_text(path: str | os.PathLike[str], text: str) -> None:
    """Write text as UTF-8, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())
