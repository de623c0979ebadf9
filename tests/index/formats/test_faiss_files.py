"""FAISS' own writer and reader are the judges of ours."""

from __future__ import annotations

import faiss
import numpy as np
import pytest

from hashkernels.index import formats


def make(count: int, bits: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (count, bits // 8), dtype=np.uint8)
    return codes, rng.permutation(10 * count + 1)[:count].astype(np.int64) - 3


@pytest.mark.parametrize("bits", [8, 64, 72, 4096])
@pytest.mark.parametrize("count", [0, 1, 513])
def test_reads_what_faiss_writes(tmp_path, bits, count):
    codes, _ = make(count, bits)
    flat = faiss.IndexBinaryFlat(bits)
    flat.add(codes)
    faiss.write_index_binary(flat, str(tmp_path / "flat"))
    found = formats.read_faiss(tmp_path / "flat")
    np.testing.assert_array_equal(found.codes, codes)
    assert (found.bits, found.ids) == (bits, None)


@pytest.mark.parametrize("kind", [faiss.IndexBinaryIDMap, faiss.IndexBinaryIDMap2])
def test_reads_the_ids_of_faiss(tmp_path, kind):
    codes, ids = make(77, 64)
    index = kind(faiss.IndexBinaryFlat(64))
    index.add_with_ids(codes, ids)
    faiss.write_index_binary(index, str(tmp_path / "mapped"))
    found = formats.read_faiss(tmp_path / "mapped")
    np.testing.assert_array_equal(found.codes, codes)
    np.testing.assert_array_equal(found.ids, ids)
    assert found.ids.dtype == np.int64


@pytest.mark.parametrize("bits", [8, 64, 72])
@pytest.mark.parametrize("id_map", [None, "IBM2", "IBMp"])
def test_faiss_reads_and_finds_what_we_write(tmp_path, bits, id_map):
    codes, ids = make(300, bits)
    direct = faiss.IndexBinaryFlat(bits)
    if id_map is None:
        formats.write_faiss(tmp_path / "ours", codes)
        direct.add(codes)
    else:
        formats.write_faiss(tmp_path / "ours", codes, ids, id_map=id_map)
        flat = direct  # which the map does not keep alive
        direct = {"IBM2": faiss.IndexBinaryIDMap2, "IBMp": faiss.IndexBinaryIDMap}[id_map](flat)
        direct.add_with_ids(codes, ids)
    theirs = faiss.read_index_binary(str(tmp_path / "ours"))
    assert type(theirs) is type(direct)
    for got, expected in zip(theirs.search(codes[:20], 9), direct.search(codes[:20], 9), strict=True):
        np.testing.assert_array_equal(got, expected)
    faiss.write_index_binary(direct, str(tmp_path / "theirs"))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_an_unknown_map_is_refused(tmp_path):
    with pytest.raises(ValueError, match="id_map must be one of IBM2, IBMp, got 'IBM3'"):
        formats.write_faiss(tmp_path / "ours", *make(3, 8), id_map="IBM3")
    assert not (tmp_path / "ours").exists()


def test_other_indexes_are_refused(tmp_path):
    faiss.write_index_binary(faiss.index_binary_factory(64, "BHNSW8"), str(tmp_path / "hnsw"))
    with pytest.raises(ValueError, match="must begin with IBxF, IBMp or IBM2, got b'IBHf'"):
        formats.read_faiss(tmp_path / "hnsw")
    nested = faiss.IndexBinaryIDMap(faiss.index_binary_factory(64, "BHNSW8"))
    faiss.write_index_binary(nested, str(tmp_path / "nested"))
    with pytest.raises(ValueError, match="an id map must hold IBxF, got b'IBHf'"):
        formats.read_faiss(tmp_path / "nested")


def test_bad_arguments(tmp_path):
    codes, ids = make(3, 8)
    with pytest.raises(TypeError, match="codes must be uint8"):
        formats.write_faiss(tmp_path / "x", codes.astype(np.int32))
    with pytest.raises(TypeError, match="ids must be integers, got float64"):
        formats.write_faiss(tmp_path / "x", codes, ids.astype(float))
    with pytest.raises(ValueError, match="one id for each of 3 codes, got 2"):
        formats.write_faiss(tmp_path / "x", codes, ids[:2])
    large = np.array([1, 2**63 - 1, 2**63], np.uint64)
    for write in (formats.write_faiss, lambda path, *given: formats.write_pgvector(path, given[0], 8, given[1])):
        with pytest.raises(ValueError, match=r"ids must be below 2\^63, got 9223372036854775808"):
            write(tmp_path / "x", codes, large)
    assert not list(tmp_path.iterdir())
    formats.write_faiss(tmp_path / "x", codes[:2], large[:2])
    assert formats.read_faiss(tmp_path / "x").ids.tolist() == [1, 2**63 - 1]
