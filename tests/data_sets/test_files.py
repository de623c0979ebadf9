"""Files appear whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hashkernels import pack_codes
from hashkernels._files import atomic_write
from hashkernels.data.codes import found_rows, load_codes, save_found
from hashkernels.data.files import check_ending, check_output_files, check_output_folder, save_npz, staged_folder
from hashkernels.index import range_search, topk


def entries(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == b"old"
    assert entries(tmp_path) == ["a.bin"]
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    umask = os.umask(0)
    os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_errors_of_writing_name_the_file_that_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path, kind in [(tmp_path / "missing" / "a", FileNotFoundError), (folder, IsADirectoryError)]:
        with pytest.raises(kind) as caught, atomic_write(path) as file:
            file.write(b"content")
        assert caught.value.filename == str(path)
        assert "partial" not in str(caught.value)
    assert entries(tmp_path) == ["folder"]


def test_staged_folder_appears_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "out"

    def fail() -> None:
        with staged_folder(target) as staging:
            (staging / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert entries(tmp_path / "deep") == []
    with staged_folder(target) as staging:
        (staging / "a").write_text("whole")
        assert not target.exists()
    assert (target / "a").read_text() == "whole"


def test_staged_folder_overwrites_only_with_force_and_only_its_own_files(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "a").write_text("old")
    (target / "mine").write_text("kept")
    with pytest.raises(FileExistsError, match="--force"), staged_folder(target):
        pass
    with staged_folder(target, force=True) as staging:
        (staging / "a").write_text("new")
    assert {name: (target / name).read_text() for name in entries(target)} == {"a": "new", "mine": "kept"}
    assert entries(tmp_path) == ["out"]
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(FileExistsError, match="file exists and is not a folder"):
            check_output_folder(path, force=True)


def test_results_appear_in_the_folder_one_is_in_behind_a_link_and_on_another_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere, link = tmp_path / "here", tmp_path / "elsewhere", tmp_path / "link"
    for folder in (here, elsewhere):
        folder.mkdir()
    link.symlink_to(elsewhere)
    monkeypatch.chdir(here)
    before = entries(tmp_path)
    for path, folder in ((Path("."), here), (link, elsewhere)):
        with staged_folder(path) as staging:
            (staging / "a").write_text("whole")
            assert entries(tmp_path) == before  # nothing beside the folder, which may be another file system
            assert staging.resolve().parent == folder
        assert entries(folder) == ["a"]
    link.unlink()
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(FileExistsError, match="link exists and is not a folder"):
        check_output_folder(link)


def test_check_output_files(tmp_path: Path) -> None:
    taken = tmp_path / "taken.npy"
    taken.write_bytes(b"")
    check_output_files([tmp_path / "new.npy"])
    check_output_files([taken], force=True)
    with pytest.raises(FileExistsError, match="--force"):
        check_output_files([tmp_path / "new.npy", taken])
    with pytest.raises(IsADirectoryError):
        check_output_files([tmp_path], force=True)
    with pytest.raises(FileNotFoundError, match="create it first"):
        check_output_files([tmp_path / "absent" / "a.npy"])
    assert entries(tmp_path) == ["taken.npy"]


def test_outputs_in_a_folder_that_takes_no_files_are_refused_by_name() -> None:
    # /proc has the permissions of a folder to write to, and takes no file of anybody's.
    for check in (lambda path: check_output_files([path]), check_output_folder):
        with pytest.raises(OSError, match="/proc/a") as caught:
            check(Path("/proc/a"))
        assert caught.value.filename == "/proc/a"


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="pipe is a device or a pipe"), atomic_write(tmp_path / "pipe"):
        pass
    with pytest.raises(OSError, match="pipe is a device or a pipe"):
        check_output_files([tmp_path / "pipe"], force=True)
    assert (tmp_path / "pipe").is_fifo()
    assert entries(tmp_path) == ["pipe"]


def test_endings_of_other_formats_are_refused() -> None:
    for path in ("a.hki", "a.HKI", "a", "a.index", "a.b.hki", ".npy"):
        check_ending("index", path, ".hki")
    for path in ("a.npy", "a.hki.NPZ", "dir/a.pt"):
        with pytest.raises(ValueError, match=r"index must not end in \.(npy|npz|pt), as what is written is \.hki"):
            check_ending("index", path, ".hki")


def test_load_codes_packs_embeddings_by_sign_and_passes_codes_on(tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((6, 20))
    packed = np.packbits(x > 0, axis=1)
    for name, array in (
        ("u", x),
        ("signs", np.where(x > 0, 1, -1).astype(np.int8)),
        ("bool", x > 0),
        ("codes", packed),
    ):
        np.save(tmp_path / f"{name}.npy", array)
        for bits in (None, 20):
            found = load_codes(tmp_path / f"{name}.npy", bits)
            np.testing.assert_array_equal(found.codes, packed)
            assert found.bits == (bits if name == "codes" else 20)
    little = np.packbits(x > 0, axis=1, bitorder="little")
    np.testing.assert_array_equal(load_codes(tmp_path / "u.npy", bitorder="little").codes, little)
    np.testing.assert_array_equal(load_codes(tmp_path / "codes.npy", bitorder="little").codes, packed)
    np.save(tmp_path / "little.npy", little)
    np.testing.assert_array_equal(load_codes(tmp_path / "little.npy", 20, packed_in="little").codes, packed)
    np.testing.assert_array_equal(load_codes(tmp_path / "u.npy", 20, packed_in="little").codes, packed)
    with pytest.raises(ValueError, match=r"bool\.npy must hold codes of 24 bits, got embeddings of 20 columns"):
        load_codes(tmp_path / "bool.npy", 24)
    np.save(tmp_path / "long.npy", np.zeros((1, 5000)))
    with pytest.raises(ValueError, match=r"columns of .*long\.npy must be in 1\.\.4096, got 5000"):
        load_codes(tmp_path / "long.npy")
    np.save(tmp_path / "integers.npy", np.arange(3))
    assert load_codes(tmp_path / "integers.npy").bits == 64
    with pytest.raises(ValueError, match=r"integers\.npy must hold codes of 48 bits, got 64-bit integers"):
        load_codes(tmp_path / "integers.npy", 48)
    np.save(tmp_path / "flat.npy", packed[0])
    with pytest.raises(ValueError, match=r"flat\.npy must hold codes"):
        load_codes(tmp_path / "flat.npy")
    np.save(tmp_path / "wide.npy", packed.astype(np.uint16))
    np.save(tmp_path / "extended.npy", x.astype(np.longdouble))
    for name, dtype in (("wide", "uint16"), ("extended", np.dtype(np.longdouble).name)):
        with pytest.raises(TypeError, match=rf"{name}\.npy must hold uint8 codes, .*, got {dtype}"):
            load_codes(tmp_path / f"{name}.npy")
    np.save(tmp_path / "big.npy", x.astype(">f4"))
    np.testing.assert_array_equal(load_codes(tmp_path / "big.npy").codes, packed)


def test_save_found_round_trips(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    queries, database = (pack_codes(rng.standard_normal((count, 16))) for count in (3, 40))
    nearest, near = topk(queries, database, 4), range_search(queries, database, 5)
    save_found(tmp_path / "k.npz", nearest)
    with np.load(tmp_path / "k.npz") as arrays:
        np.testing.assert_array_equal(arrays["indices"], nearest.indices)
        np.testing.assert_array_equal(arrays["distances"], nearest.distances)
    save_found(tmp_path / "r.csv", near)
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0] == "query,rank,distance,index"
    rows = [tuple(int(value) for value in line.split(",")) for line in lines[1:]]
    assert [(distance, index) for _, _, distance, index in rows] == list(
        zip(near.distances.tolist(), near.indices.tolist(), strict=True)
    )
    assert [row[0] for row in rows] == np.repeat(np.arange(3), np.diff(near.offsets)).tolist()
    assert [len(row) for row in found_rows(near)] == np.diff(near.offsets).tolist()
    with pytest.raises(ValueError, match=r"end in \.npz or \.csv"):
        save_found(tmp_path / "r.txt", near)
    save_npz(tmp_path / "empty.npz")
    assert entries(tmp_path) == ["empty.npz", "k.npz", "r.csv"]
