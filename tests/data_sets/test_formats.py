"""Readers against bytes that are written here by hand, and against every way that a file can be broken."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.data import formats
from hashkernels.data.judgments import read_judgments


def idx_bytes(array: np.ndarray) -> bytes:
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


def test_read_idx_plain_and_gz_give_the_array(tmp_path: Path, images: np.ndarray) -> None:
    plain, packed = tmp_path / "images-idx3-ubyte", tmp_path / "images-idx3-ubyte.gz"
    plain.write_bytes(idx_bytes(images))
    packed.write_bytes(gzip.compress(idx_bytes(images)))
    np.testing.assert_array_equal(formats.read_idx(plain, 3), images)
    np.testing.assert_array_equal(formats.read_idx(packed, 3), images)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda raw: raw[:-1], "truncated"),
        (lambda raw: raw + b"\0", "longer than"),
        (lambda raw: b"\x89PNG" + raw[4:], "magic number"),
        (lambda raw: b"", "magic number"),
        (lambda raw: raw[:2] + b"\x0d" + raw[3:], "magic number"),
        (lambda raw: raw[:3] + b"\x01" + raw[4:], "3 dimensions in the IDX header, got 1"),
        (lambda raw: raw[:9], "truncated in the IDX header"),
        (lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "truncated"),
    ],
    ids=["short", "long", "magic", "empty", "dtype", "ndim", "header", "huge"],
)
def test_read_idx_refuses_broken_files_by_name(
    tmp_path: Path, images: np.ndarray, break_it: Callable[[bytes], bytes], message: str
) -> None:
    path = tmp_path / "broken-idx3-ubyte"
    path.write_bytes(break_it(idx_bytes(images)))
    with pytest.raises(ValueError, match=message) as caught:
        formats.read_idx(path, 3)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("cut", [3, 15, 40, -4])
def test_read_idx_refuses_broken_gzip_by_name(tmp_path: Path, images: np.ndarray, cut: int) -> None:
    path = tmp_path / "broken-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx_bytes(images))[:cut])
    with pytest.raises(ValueError, match=r"damaged or truncated|magic") as caught:
        formats.read_idx(path, 3)
    assert str(path) in str(caught.value)


def test_read_idx_refuses_a_gz_that_is_none_and_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "plain.gz"
    path.write_bytes(b"no gzip at all")
    with pytest.raises(ValueError, match=r"plain\.gz"):
        formats.read_idx(path, 3)
    with pytest.raises(IsADirectoryError):
        formats.read_idx(tmp_path, 3)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        formats.read_idx(tmp_path / "absent", 3)


def test_read_cifar10_batch_gives_channels_first_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels, pixels = rng.integers(0, 10, 4, dtype=np.uint8), rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, pixels, strict=True)))
    read_images, read_labels = formats.read_cifar10_batch(path)
    np.testing.assert_array_equal(read_images, pixels)
    np.testing.assert_array_equal(read_labels, labels)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"data_batch_1\.bin.*3073"):
        formats.read_cifar10_batch(path)
    path.write_bytes(b"\x0b" + b"\0" * 3072)
    with pytest.raises(ValueError, match="got 11"):
        formats.read_cifar10_batch(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="got 0 bytes"):
        formats.read_cifar10_batch(path)


class Evil:
    """Unpickling this would call the function."""

    called = False

    def __reduce__(self) -> tuple[Any, ...]:
        return (setattr, (Evil, "called", True))


def test_npy_and_npz_never_unpickle(tmp_path: Path) -> None:
    objects = np.array([Evil(), Evil()], dtype=object)
    np.save(tmp_path / "evil.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "evil.npz", x_train=objects, y_train=objects, x_test=objects, y_test=objects)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(Evil()))
    for name, read in (
        ("evil.npy", formats.read_npy),
        ("pickle.npy", formats.read_npy),
        ("evil.npz", formats.read_npz),
    ):
        with pytest.raises(ValueError, match=name) as caught:
            read(tmp_path / name)
        if "evil" in name:
            assert str(caught.value) == f"{tmp_path / name}: holds Python objects, expected numbers"
    assert not Evil.called


def test_npz_names_what_is_missing_and_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros(3))
    with pytest.raises(ValueError, match=r"data\.npz.*missing y_train, x_test, y_test"):
        formats.read_npz(path)
    whole = io.BytesIO()
    np.savez_compressed(whole, **{key: np.arange(1000) for key in formats.NPZ_KEYS})
    raw = whole.getvalue()
    path.write_bytes(raw)
    np.testing.assert_array_equal(formats.read_npz(path)["y_test"], np.arange(1000))
    flipped = bytearray(raw)
    flipped[len(raw) // 3] ^= 0xFF
    for broken in (raw[: len(raw) // 2], bytes(flipped), b"", b"PK", b"text"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"data\.npz"):
            formats.read_npz(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_npz_names_what_is_damaged_however_it_is_compressed(tmp_path: Path, method: int) -> None:
    path = tmp_path / "data.npz"
    member, whole = io.BytesIO(), io.BytesIO()
    np.save(member, np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8))
    with zipfile.ZipFile(whole, "w", method) as archive:
        for key in formats.NPZ_KEYS:
            archive.writestr(f"{key}.npy", member.getvalue())
    raw = whole.getvalue()
    path.write_bytes(raw)
    assert formats.read_npz(path)["y_test"].shape == (400,)
    directory = raw.index(b"PK\x01\x02")
    changes = {
        200: raw[200] ^ 0xFF,  # in the data of an array
        directory + 8: raw[directory + 8] | 1,  # marked as encrypted
        len(raw) - 3: 0xFF,  # the length of the directory's comment, or where it begins
        len(raw) - 4: 0xFF,
        len(raw) - 6: 0,
    }
    for place, byte in changes.items():
        broken = bytearray(raw)
        broken[place] = byte
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"data\.npz"):
            formats.read_npz(path)


def test_an_npz_of_judgments_that_is_none_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"a\.npz: not an \.npz archive"):
        read_judgments(tmp_path / "a.npz")


def test_npy_names_what_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(100))
    raw = path.read_bytes()
    # Of damaged headers, those that NumPy has other errors for: one that does not end, and keys of two types.
    headers = [raw.replace(b"}", b" "), raw.replace(b"'shape'", b" b'hape'")]
    for broken in (raw[:-8], raw[:40], raw[:4], b"", b"text that is no array", *headers):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"a\.npy"):
            formats.read_npy(path)
        with pytest.raises(ValueError, match=r"query_codes must name a whole \.npy file: .*a\.npy"):
            hk.evaluate(path, path, path, path)
    np.savez(tmp_path / "b.npz", a=np.zeros(1))
    with pytest.raises(ValueError, match="got an archive"):
        formats.read_npy(tmp_path / "b.npz")


def test_npy_is_read_from_a_pipe(tmp_path: Path) -> None:
    pipe, plain = tmp_path / "pipe", tmp_path / "plain.npy"
    os.mkfifo(pipe)
    written = np.arange(300_000).reshape(-1, 3)
    np.save(plain, written)
    writer = threading.Thread(target=pipe.write_bytes, args=[plain.read_bytes()])
    writer.start()
    np.testing.assert_array_equal(formats.read_npy(pipe), written)
    writer.join()
