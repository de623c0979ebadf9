"""Readers of the image formats: IDX (MNIST's), CIFAR-10's binary version, .npy and .npz.

No reader unpickles. A file that is truncated, unreadable or of another format raises one ``ValueError`` that names it.
"""

from __future__ import annotations

import errno
import gzip
import io
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

_IDX_UINT8 = 0x08
_CHUNK = 1 << 20
_CIFAR_RECORD = 1 + 3 * 32 * 32

NPZ_KEYS = ("x_train", "y_train", "x_test", "y_test")


def read_idx(path: str | os.PathLike[str], ndim: int) -> NDArray[np.uint8]:
    """Read an IDX file of bytes with ``ndim`` dimensions; a name that ends in .gz is decompressed on the way.

    Args:
        path: an ``idx3-ubyte`` file of images (``ndim=3``) or an ``idx1-ubyte`` file of labels (``ndim=1``).

    Returns:
        uint8 array of the shape in the file's header.

    Raises:
        ValueError: the magic number, the number of dimensions or the length of the file is wrong.
        OSError: the file cannot be opened.
    """
    with unreadable(path), _open(path) as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != _IDX_UINT8:
            raise ValueError(f"not an IDX file of bytes, expected a magic number 0x000008.., got 0x{magic.hex()}")
        if magic[3] != ndim:
            raise ValueError(f"expected {ndim} dimensions in the IDX header, got {magic[3]}")
        header = file.read(4 * ndim)
        if len(header) < 4 * ndim:
            raise ValueError("truncated in the IDX header")
        shape = struct.unpack(f">{ndim}I", header)
        size = int(np.prod(shape, dtype=object))
        body = _read_exactly(file, size)
        return np.frombuffer(body, dtype=np.uint8).reshape(shape).copy()


def read_cifar10_batch(path: str | os.PathLike[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one batch of CIFAR-10's binary version: records of a label byte and 3,072 bytes of a 3 x 32 x 32 image.

    Returns:
        uint8 images [N, 3, 32, 32] and int64 labels [N].

    Raises:
        ValueError: the length is no multiple of a record, or a label is above 9.
    """
    with unreadable(path):
        raw = Path(path).read_bytes()
        if not raw or len(raw) % _CIFAR_RECORD:
            raise ValueError(f"expected records of {_CIFAR_RECORD} bytes, got {len(raw)} bytes (truncated?)")
        records = np.frombuffer(raw, dtype=np.uint8).reshape(-1, _CIFAR_RECORD)
        labels = records[:, 0].astype(np.int64)
        if labels.max() > 9:
            raise ValueError(f"expected labels 0..9, got {labels.max()}: not CIFAR-10's binary version")
        return records[:, 1:].reshape(-1, 3, 32, 32).copy(), labels


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one array from .npy; an object array (which would have to be unpickled) raises ``ValueError``."""
    with unreadable(path), open(path, "rb") as file:
        begin = file.read(2)
        if begin == b"PK":
            raise ValueError("expected one array (.npy), got an archive (.npz)")
        if begin != b"\x93N":
            raise ValueError(
                "not an .npy file" + (": hashkernels index reads it" if Path(path).suffix == ".hki" else "")
            )
        whole: BinaryIO = file
        if file.seekable():
            file.seek(0)
        else:  # a pipe gives its bytes once
            whole = io.BytesIO(begin + file.read())
        return cast(NDArray[Any], np.load(whole, allow_pickle=False))


def read_npz(path: str | os.PathLike[str], keys: Sequence[str] = NPZ_KEYS) -> dict[str, NDArray[Any]]:
    """Read the arrays named ``keys`` from .npz.

    Raises:
        ValueError: no .npz, truncated, a key is missing, or an array would have to be unpickled.
    """
    with unreadable(path), open_npz(path) as archive:
        missing = [key for key in keys if key not in archive.files]
        if missing:
            raise ValueError(f"expected arrays {', '.join(keys)}, missing {', '.join(missing)}")
        return {key: archive[key] for key in keys}


@contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[Any]:
    """The arrays of an .npz, by name; whatever a decoder raises is for `unreadable`."""
    with open(path, "rb") as probe:
        if probe.read(2) != b"PK":
            raise ValueError("not an .npz archive")
    with np.load(path, allow_pickle=False) as archive:
        yield archive


def find_file(root: str | os.PathLike[str], *names: str) -> Path:
    """The first of ``names`` that is a file in ``root``, or ``FileNotFoundError`` that lists them."""
    folder = Path(root)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"no {' or '.join(names)} in {folder}")


@contextmanager
def unreadable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn whatever a decoder raises on bad bytes into one ValueError that names the file."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder, expected a file")
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist") from None
    except OSError as error:
        # Decoders give no number, and a step to where a damaged header points is an invalid argument.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ValueError(f"{path}: damaged or truncated ({error})") from None
    except (ValueError, MemoryError, OverflowError, NotImplementedError) as error:
        reason = str(error) or "damaged header"
        if "Object arrays" in reason:  # NumPy names an option of its own
            reason = "holds Python objects, expected numbers"
        raise ValueError(f"{path}: {reason}") from None
    except Exception as error:  # what decompressors and parsers of headers raise has no kind in common
        raise ValueError(f"{path}: damaged or truncated ({error})") from None


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    if str(path).endswith(".gz"):
        with gzip.open(path, "rb") as packed:
            yield cast(BinaryIO, packed)
    else:
        with open(path, "rb") as plain:
            yield plain


def _read_exactly(file: BinaryIO, size: int) -> bytes:
    # In chunks: a damaged header that promises terabytes must not be believed before the bytes are there.
    body = io.BytesIO()
    while (left := size - body.tell()) > 0:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise ValueError(f"truncated: the header promises {size} bytes, got {body.tell()}")
        body.write(chunk)
    if file.read(1):
        raise ValueError(f"longer than the {size} bytes that its header promises")
    return body.getvalue()
