"""Files written by hand, as their formats are published."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from hashkernels.index import formats

CODES = np.arange(6, dtype=np.uint8).reshape(3, 2)


def test_u8bin_is_two_counts_and_the_rows(tmp_path):
    formats.write_u8bin(tmp_path / "a.u8bin", CODES)
    assert (tmp_path / "a.u8bin").read_bytes() == struct.pack("<II6B", 3, 2, *range(6))
    np.testing.assert_array_equal(formats.read_u8bin(tmp_path / "a.u8bin"), CODES)


def test_bvecs_repeat_the_width(tmp_path):
    formats.write_bvecs(tmp_path / "a.bvecs", torch.from_numpy(CODES))
    assert (tmp_path / "a.bvecs").read_bytes() == struct.pack("<i2Bi2Bi2B", 2, 0, 1, 2, 2, 3, 2, 4, 5)
    np.testing.assert_array_equal(formats.read_bvecs(tmp_path / "a.bvecs"), CODES)


def test_ivecs_hold_ground_truth(tmp_path):
    nearest = np.array([[7, -1, 2**31 - 1], [0, 5, 6]])
    formats.write_ivecs(tmp_path / "a.ivecs", nearest)
    assert (tmp_path / "a.ivecs").read_bytes() == struct.pack("<8i", 3, 7, -1, 2**31 - 1, 3, 0, 5, 6)
    found = formats.read_ivecs(tmp_path / "a.ivecs")
    np.testing.assert_array_equal(found, nearest)
    assert found.dtype == np.int32


def test_npy_is_numpys(tmp_path):
    np.save(tmp_path / "a.npy", CODES)
    found = formats.read_npy(tmp_path / "a.npy")
    np.testing.assert_array_equal(found, CODES)
    assert not found.flags.writeable
    formats.write_npy(tmp_path / "b.npy", found)
    np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), CODES)


def test_npy_of_objects_is_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[object]]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"not a \.npy file"):
        formats.read_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [CODES.astype(np.int8), CODES[0], np.zeros((2, 0), np.uint8)])
def test_npy_of_no_codes_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match="codes must be uint8"):
        formats.read_npy(tmp_path / "a.npy")


def test_writers_refuse_what_the_format_cannot_say(tmp_path):
    with pytest.raises(ValueError, match="no empty arrays"):
        formats.write_bvecs(tmp_path / "x", CODES[:0])
    with pytest.raises(ValueError, match=r"values must be in -2147483648\.\.2147483647"):
        formats.write_ivecs(tmp_path / "x", np.array([[2**31]]))
    with pytest.raises(TypeError, match="values must be integers"):
        formats.write_ivecs(tmp_path / "x", np.array([[1.0]]))


@pytest.mark.parametrize("name", ["faiss", "u8bin", "bvecs", "ivecs", "npy", "hex"])
def test_what_is_not_there_is_an_error_of_the_file_system(tmp_path, name):
    with pytest.raises(FileNotFoundError):
        getattr(formats, f"read_{name}")(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        getattr(formats, f"read_{name}")(tmp_path)
