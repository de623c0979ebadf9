"""Files: written so that a reader never sees half of one, mapped so that a reader takes no memory of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a temporary file beside ``path`` for writing bytes, and rename it to ``path`` when the block ends well.

    When the block raises, the temporary file is removed and what was at ``path`` stays as it was. Once the block has
    ended, a loss of power leaves the new file. A device or a pipe is refused: the rename would put a file in its place.

    Example:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "greeting.txt"
        >>> with atomic_write(target) as file:
        ...     _ = file.write(b"hello")
        >>> target.read_bytes()
        b'hello'
    """
    target = Path(path)
    check_no_device(target)
    partial = partial_name(target)
    try:
        # "xb" (not mkstemp) so that the file gets the permissions that the umask asks for.
        file = open(partial, "xb")  # noqa: SIM115  # closed below, also where that fails
    except OSError as error:
        name_file(error, target, instead_of=partial)
        raise
    with file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException as error:
            with suppress(OSError):  # what could not be written cannot be on closing either
                file.close()
            partial.unlink(missing_ok=True)
            name_file(error, target, instead_of=partial)
            raise
    _sync_folder(target.parent)


def check_no_device(target: Path) -> None:
    """Raise ``OSError`` where ``target`` is there but is neither a file nor a folder."""
    if target.exists() and not target.is_file() and not target.is_dir():
        raise OSError(f"{target} is a device or a pipe, expected the name of a file")


def try_writing(target: Path, folder: Path | None = None) -> None:
    """Raise ``OSError``, which names ``target``, unless a temporary file can be made beside it, or in ``folder``."""
    partial = partial_name(target if folder is None else folder / "results")
    try:
        open(partial, "xb").close()
    except OSError as error:
        name_file(error, target, instead_of=partial)
        raise
    partial.unlink()


def name_file(
    error: BaseException, path: str | os.PathLike[str], instead_of: str | os.PathLike[str] | None = None
) -> None:
    """Let an error of writing say which file it was: one to an open file only has a number, one to a file that is still
    to be renamed the name before."""
    if not isinstance(error, OSError):
        return
    if error.filename is None or (instead_of is not None and str(error.filename) == str(instead_of)):
        error.filename = os.fspath(path)
        if error.filename2 is not None:
            del error.filename2  # None would be printed


def map_file(path: str | os.PathLike[str]) -> npt.NDArray[np.uint8]:
    """The bytes of a file, mapped read-only: processes that map one file share its memory.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:  # which cannot be mapped
            return np.empty(0, np.uint8)
        return np.asarray(np.memmap(file, np.uint8, mode="r"))


def printable(name: str) -> str:
    """The name of a file, which may be of any bytes, as text that can be encoded."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def partial_name(target: Path) -> Path:
    """A name beside ``target`` for what is not finished."""
    return target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
