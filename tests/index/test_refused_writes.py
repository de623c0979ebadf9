"""Files that the system will not read or write: one error of its own, and the old index as it was."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import hashkernels as hk

_NOBODY = 65534


def codes(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8), dtype=np.uint8)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may become larger than this: what the kernel says then is what it says of a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with an index, of a user whom permissions bind: they do not bind root."""
    is_root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if is_root:
            os.chown(name, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        try:
            index = hk.BinaryIndex(64)
            index.add(codes(600))
            index.save(Path(name) / "a.hki")
            yield Path(name)
            os.chmod(name, 0o700)
        finally:
            if is_root:
                os.seteuid(0)


@pytest.mark.parametrize("room", [0, 100, 5000])
def test_a_write_that_does_not_fit_leaves_the_old_file(tmp_path, room):
    path = tmp_path / "a.hki"
    index = hk.BinaryIndex(64)
    index.add(codes(600))
    index.save(path)
    before = path.read_bytes()
    index.add(codes(5000))
    for write in (index.flush, lambda: index.save(path)):
        with largest_file(len(before) + room), pytest.raises(OSError, match=r"File too large: .*a\.hki"):
            write()
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == ["a.hki"]
    index.flush()
    np.testing.assert_array_equal(
        hk.BinaryIndex.load(path, verify="full").reconstruct(np.arange(5600)), np.concatenate([codes(600), codes(5000)])
    )


def test_the_command_says_in_one_line_what_did_not_fit(tmp_path, python):
    index = hk.BinaryIndex(64)
    index.add(codes(600))
    index.save(tmp_path / "a.hki")
    before = (tmp_path / "a.hki").read_bytes()
    np.save(tmp_path / "codes.npy", codes(5000))
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) + 100}, -1))\n"
        "from hashkernels.cli import main; main()"
    )
    for option in ("--append", "--force"):
        done = python.run(code, "index", "build", "codes.npy", "a.hki", option, folder=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", "hashkernels: error: a.hki: File too large\n")
        assert (tmp_path / "a.hki").read_bytes() == before
        assert sorted(os.listdir(tmp_path)) == ["a.hki", "codes.npy"]


def test_a_file_that_may_not_be_read(folder):
    (folder / "a.hki").chmod(0)
    with pytest.raises(PermissionError, match=r"a\.hki"):
        hk.BinaryIndex.load(folder / "a.hki")


def test_a_file_that_may_only_be_read(folder):
    path = folder / "a.hki"
    path.chmod(0o400)
    before = path.read_bytes()
    index = hk.BinaryIndex.load(path)
    index.add(codes(1))
    with pytest.raises(PermissionError, match=r"a\.hki"):
        index.flush()
    assert path.read_bytes() == before
    assert index.ntotal == 601  # what could not be written is still there


def test_a_folder_that_may_only_be_read(folder):
    before = (folder / "a.hki").read_bytes()
    index = hk.BinaryIndex.load(folder / "a.hki")
    index.add(codes(1))
    folder.chmod(0o500)
    for name in ("a.hki", "b.hki"):
        with pytest.raises(PermissionError):
            index.save(folder / name)
    assert os.listdir(folder) == ["a.hki"]
    assert (folder / "a.hki").read_bytes() == before
    index.flush()  # which needs no new file
    assert hk.BinaryIndex.load(folder / "a.hki", verify="full").ntotal == 601


def test_what_cannot_be_replaced_leaves_no_part_behind(tmp_path):
    (tmp_path / "a.hki").mkdir()
    index = hk.BinaryIndex(64)
    index.add(codes(1))
    with pytest.raises(IsADirectoryError):
        index.save(tmp_path / "a.hki")
    assert os.listdir(tmp_path) == ["a.hki"]
