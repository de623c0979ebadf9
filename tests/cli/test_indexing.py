"""index build, info, verify, search, convert."""

from __future__ import annotations

import json

import faiss
import numpy as np
import pytest

import hashkernels as hk
from hashkernels.index import formats, native_file


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)


def test_an_index_is_built_told_of_verified_and_searched(run, tmp_path, codes):
    np.save(tmp_path / "a.npy", codes)
    np.save(tmp_path / "ids.npy", np.arange(50) * 7)
    index = tmp_path / "a.hki"
    status, out, _ = run("index", "build", tmp_path / "a.npy", index, "--ids", tmp_path / "ids.npy", "--json")
    assert (status, json.loads(out)) == (0, {"output": str(index), "bits": 32, "codes": 50, "added": 50})
    status, out, _ = run("index", "info", index, "--json")
    told = json.loads(out)
    assert (status, told["codes"], told["bits"], told["ids"], told["segments"]) == (0, 50, 32, "int64", 1)
    assert told["bytes"] == index.stat().st_size
    assert run("index", "verify", index)[:2] == (0, f"{index}: 50 codes, all as written\n")
    status, out, _ = run("index", "search", index, tmp_path / "a.npy", "--k", 2, "--json")
    expected = hk.topk(codes, codes, 2)
    found = json.loads(out)["results"]
    assert [row["indices"] for row in found] == (expected.indices * 7).tolist()
    assert [row["distances"] for row in found] == expected.distances.tolist()
    status, _, _ = run("index", "search", index, tmp_path / "a.npy", "--radius", 9, "--output", tmp_path / "near.npz")
    within = hk.range_search(codes, codes, 9)
    with np.load(tmp_path / "near.npz") as near:
        np.testing.assert_array_equal(near["indices"], within.indices * 7)


@pytest.mark.parametrize(("ids", "name"), [(None, "index"), (np.int64, "id"), (np.uint64, "id")])
def test_what_is_found_stands_under_a_heading_that_says_what_names_it(run, tmp_path, codes, ids, name):
    np.save(tmp_path / "a.npy", codes)
    keys = np.arange(50) if ids is None else np.arange(50, dtype=ids) * ids(7)
    np.save(tmp_path / "ids.npy", keys)
    index, table = tmp_path / "a.hki", tmp_path / "near.csv"
    given = () if ids is None else ("--ids", tmp_path / "ids.npy")
    assert run("index", "build", tmp_path / "a.npy", index, *given)[0] == 0
    lines = run("index", "search", index, tmp_path / "a.npy", "--k", 1)[1].splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["query", "rank", "distance", name],
        ["0", "1", "0", "0"],
        ["1", "1", "0", str(keys[1])],
    ]
    assert run("index", "search", index, tmp_path / "a.npy", "--k", 1, "--output", table)[0] == 0
    assert table.read_text().splitlines()[:3] == [f"query,rank,distance,{name}", "0,1,0,0", f"1,1,0,{keys[1]}"]
    for more in ((), ("--output", table, "--force")):
        told = run("index", "search", index, tmp_path / "a.npy", "--radius", 0, "--json", *more)[1]
        assert json.loads(told)["named_by"] == name


def test_errors_name_the_flags_of_the_command_that_runs(run, tmp_path, codes):
    narrow, index = tmp_path / "narrow.npy", tmp_path / "a.hki"
    np.save(tmp_path / "a.npy", codes)
    np.save(narrow, np.random.default_rng(1).normal(size=(3, 30)))
    np.save(tmp_path / "ids.npy", np.zeros(50, int))
    assert run("index", "build", tmp_path / "a.npy", index)[0] == 0
    for arguments, message in (
        (("search", index, tmp_path / "a.npy", "--k", 51), "--k must be in 1..50, got 51"),
        (("search", index, tmp_path / "a.npy", "--radius", 33), "--radius must be in 0..32, got 33"),
        (("search", index, narrow), f"{narrow} must hold codes of 32 bits, got embeddings of 30 columns"),
        (("build", narrow, tmp_path / "b.hki", "--bits", 29), f"{narrow} must hold codes of 29 bits, got embeddings"),
        (("build", tmp_path / "a.npy", tmp_path / "b.hki", "--ids", tmp_path / "ids.npy"), "--ids must be unique"),
        (
            ("build", tmp_path / "a.npy", tmp_path / "b.hki", "--bits", 30),
            "CODES must have zero pad bits beyond bit 30",
        ),
    ):
        status, out, error = run("index", *arguments)
        assert (status, out) == (2, "")
        assert error.startswith(f"hashkernels: error: {message}")
        assert error.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.hki", "a.npy", "ids.npy", "narrow.npy"]


def test_the_group_by_itself_prints_its_help(run):
    status, out, error = run("index")
    assert (status, error) == (0, "")
    assert "\nCommands:\n  build " in out


def test_codes_are_appended(run, tmp_path, codes):
    formats.write_u8bin(tmp_path / "a.u8bin", codes[:20])
    formats.write_hex(tmp_path / "b.hex", codes[20:])
    assert run("index", "build", tmp_path / "a.u8bin", tmp_path / "a.hki")[0] == 0
    assert run("index", "build", tmp_path / "b.hex", tmp_path / "a.hki", "--append")[0] == 0
    np.testing.assert_array_equal(hk.BinaryIndex.load(tmp_path / "a.hki").reconstruct(np.arange(50)), codes)


def test_tables_are_stored(run, tmp_path, codes):
    np.save(tmp_path / "a.npy", codes)
    assert run("index", "build", tmp_path / "a.npy", tmp_path / "a.hki", "--tables")[0] == 0
    told = json.loads(run("index", "info", tmp_path / "a.hki", "--json")[1])
    assert (told["codes"], told["segments"]) == (50, 1)
    assert told["bytes"] > told["tables"] > 50 * 8
    index = hk.BinaryIndex.load(tmp_path / "a.hki", verify="full")
    for got, expected in zip(index.range_search(codes, 9), hk.range_search(codes, codes, 9), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert 0 < index.structure_bytes <= told["tables"]


@pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
def test_tables_that_appended_codes_leave_behind_are_told_of(run, tmp_path, codes):
    index = tmp_path / "a.hki"
    np.save(tmp_path / "a.npy", codes[:30])
    np.save(tmp_path / "b.npy", codes[30:])

    def hashed() -> int:
        return json.loads(run("index", "info", index, "--json")[1])["hashed"]

    assert run("index", "build", tmp_path / "a.npy", index, "--tables")[2] == ""
    assert hashed() == 30
    status, out, warned = run("index", "build", tmp_path / "b.npy", index, "--append", "--json")
    assert (status, json.loads(out)["codes"]) == (0, 50)
    rebuild = ("index", "build", index, index, "--tables", "--force")
    assert warned == (
        f"hashkernels: warning: {index}: its tables are of the first 30 codes of 50, so searches do without until it "
        f"is built anew: hashkernels {' '.join(map(str, rebuild))}\n"
    )
    assert hashed() == 30
    found = json.loads(run("index", "search", index, tmp_path / "b.npy", "--k", 1, "--json")[1])["results"]
    assert [row["distances"] for row in found] == [[0]] * 20
    assert run(*rebuild)[::2] == (0, "")
    assert hashed() == 50
    np.testing.assert_array_equal(hk.BinaryIndex.load(index).reconstruct(np.arange(50)), codes)


@pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
def test_an_index_of_nothing_is_built_with_a_warning_and_can_be_added_to(run, tmp_path, codes):
    np.save(tmp_path / "none.npy", codes[:0])
    np.save(tmp_path / "a.npy", codes)
    index = tmp_path / "a.hki"
    status, out, warned = run("index", "build", tmp_path / "none.npy", index)
    assert (status, out) == (0, f"0 codes of 32 bits added, 0 in {index}\n")
    assert warned == f"hashkernels: warning: {tmp_path / 'none.npy'} holds no codes\n"
    refused = (2, "", "hashkernels: error: the index must hold at least one code to be searched, got none\n")
    assert run("index", "search", index, tmp_path / "a.npy") == refused
    assert run("index", "build", tmp_path / "a.npy", index, "--append")[1:] == (
        f"50 codes of 32 bits added, 50 in {index}\n",
        "",
    )


def test_one_code_of_one_bit_is_told_of_in_the_singular(run, tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 1), bool))
    index, near = tmp_path / "a.hki", tmp_path / "near.npz"
    assert run("index", "build", tmp_path / "a.npy", index)[1] == f"1 code of 1 bit added, 1 in {index}\n"
    assert run("index", "verify", index)[1] == f"{index}: 1 code, all as written\n"
    found = run("index", "search", index, tmp_path / "a.npy", "--output", near)[1]
    assert found == f"1 result of 1 query: {near}\n"
    assert "1 code of 1 bit: " in run("index", "convert", index, tmp_path / "a.u8bin")[1]


def test_embeddings_are_packed_by_sign(run, tmp_path):
    embeddings = np.random.default_rng(0).normal(size=(9, 13))
    np.save(tmp_path / "a.npy", embeddings)
    assert run("index", "build", tmp_path / "a.npy", tmp_path / "a.hki")[0] == 0
    index = hk.BinaryIndex.load(tmp_path / "a.hki")
    assert index.bits == 13
    np.testing.assert_array_equal(index.reconstruct(np.arange(9)), np.packbits(embeddings > 0, axis=1))


@pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
def test_codes_of_a_byte_a_bit_are_warned_of_where_nothing_says_their_length(run, tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (9, 16), dtype=np.uint8)
    np.save(tmp_path / "a.npy", bits)
    np.save(tmp_path / "packed.npy", np.packbits(bits, axis=1))
    np.save(tmp_path / "bool.npy", bits > 0)
    index = tmp_path / "a.hki"
    assert run("index", "build", tmp_path / "a.npy", index)[2] == (
        f"hashkernels: warning: codes of {tmp_path / 'a.npy'} hold only 0 and 1, taken as packed codes of 128 bits: "
        "if they are of 16 bits, give them to pack_codes first\n"
    )
    for arguments in (
        ("build", tmp_path / "a.npy", index, "--append"),
        ("build", tmp_path / "a.npy", index, "--force", "--bits", 128),
        ("build", tmp_path / "packed.npy", index, "--force"),
        ("convert", tmp_path / "bool.npy", tmp_path / "b.hex"),
    ):
        status, _, warned = run("index", *arguments)
        assert (status, warned) == (0, "")


def test_integers_of_64_bits_are_perceptual_hashes(run, tmp_path):
    hashes = np.array([-1, 1, -(2**63), 2**40 + 5])
    np.save(tmp_path / "a.npy", hashes)
    assert run("index", "build", tmp_path / "a.npy", tmp_path / "a.hki")[0] == 0
    index = hk.BinaryIndex.load(tmp_path / "a.hki")
    assert index.bits == 64
    np.testing.assert_array_equal(index.reconstruct(np.arange(4)), hashes.astype(">i8").view(np.uint8).reshape(4, 8))
    status, out, _ = run("index", "search", tmp_path / "a.hki", tmp_path / "a.npy", "--k", "1", "--json")
    assert status == 0
    assert "error" not in out


@pytest.mark.parametrize("kind", ["hki", "faiss", "npy", "u8bin", "bvecs", "hex"])
def test_any_format_becomes_any_other(run, tmp_path, codes, kind):
    np.save(tmp_path / "a.npy", codes)
    middle = tmp_path / f"b.{kind}"
    assert run("index", "convert", tmp_path / "a.npy", middle)[0] == 0
    assert run("index", "convert", middle, tmp_path / "c.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), codes)
    assert run("index", "convert", middle, tmp_path / "rows", "--to", "pgvector")[0] == 0
    first = "".join(f"{byte:08b}" for byte in codes[0])
    assert (tmp_path / "rows").read_text().startswith(f"0\t{first}\n1\t")


def test_ids_go_along_with_faiss(run, tmp_path, codes):
    theirs = faiss.IndexBinaryIDMap2(faiss.IndexBinaryFlat(32))
    theirs.add_with_ids(codes, np.arange(50) + 100)
    faiss.write_index_binary(theirs, str(tmp_path / "a.faiss"))
    assert run("index", "convert", tmp_path / "a.faiss", tmp_path / "a.hki")[0] == 0
    index = hk.BinaryIndex.load(tmp_path / "a.hki")
    for got, expected in zip(index.search(codes, 5), theirs.search(codes, 5), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert run("index", "convert", tmp_path / "a.hki", tmp_path / "b.faiss")[0] == 0
    assert (tmp_path / "b.faiss").read_bytes() == (tmp_path / "a.faiss").read_bytes()
    status, _, error = run("index", "convert", tmp_path / "a.hki", tmp_path / "b.npy")
    assert (status, error) == (
        2,
        f"hashkernels: error: {tmp_path}/b.npy: .npy has no place for ids; hki, faiss and pgvector have\n",
    )


def test_bad_input_is_one_line_and_leaves_what_was_there(run, tmp_path, codes):
    np.save(tmp_path / "a.npy", codes)
    index = tmp_path / "a.hki"
    assert run("index", "build", tmp_path / "a.npy", index)[0] == 0
    before = index.read_bytes()
    np.save(tmp_path / "narrow.npy", codes[:, :2])
    np.save(tmp_path / "twice.npy", np.zeros(50, np.int64))
    (tmp_path / "broken.hki").write_bytes(before[:-1])
    damaged = bytearray(before)
    damaged[1700] ^= 1
    (tmp_path / "damaged.hki").write_bytes(damaged)
    planes = np.zeros(native_file.planes_size(2, 1), np.uint8)
    native_file.write_file(tmp_path / "twice.hki", native_file.Settings(8, "big", "int64"), planes, 2, np.array([5, 5]))
    cases = [
        (("build", tmp_path / "a.npy", index), "exists: pass --force"),
        (("build", tmp_path / "narrow.npy", index, "--append"), "holds codes of 32 bits"),
        (("build", tmp_path / "a.npy", index, "--append", "--tables"), "--tables and --append exclude each other"),
        (("build", tmp_path / "a.npy", tmp_path / "b.hki", "--ids", tmp_path / "twice.npy"), "ids must be unique"),
        (("build", tmp_path / "a.npy", tmp_path / "b.hki", "--bits", 31), "pad bits"),
        (("build", tmp_path / "a.xyz", tmp_path / "b.hki"), "must end in one of .hki"),
        (("build", tmp_path / "missing.npy", tmp_path / "b.hki"), "missing.npy"),
        (("info", tmp_path / "broken.hki"), "truncated?"),
        (("verify", tmp_path / "damaged.hki"), "checksum of the codes"),
        (("verify", tmp_path / "twice.hki"), "its ids must be unique, got 5 twice"),
        (("verify", tmp_path / "a.npy"), "not an index file of hashkernels"),
        (("search", index, tmp_path / "narrow.npy"), "QUERIES must have 4 bytes a code"),
        (("search", index, tmp_path / "a.npy", "--k", 1, "--radius", 1), "exclude each other"),
        (("convert", index, tmp_path / "b.xyz"), "must end in one of"),
        (("convert", index, tmp_path / "b.npy", "--to", "xyz"), "--to must be one of"),
        (("convert", index, tmp_path / "b.npy", "--from", "xyz"), "--from must be one of"),
        (("convert", index, tmp_path / "b.npy", "--bits", 30), "bits must be in 32..32"),
    ]
    for arguments, message in cases:
        status, out, error = run("index", *arguments)
        assert (status, out) == (2, "")
        assert error.startswith("hashkernels: error: ")
        assert message in error
        assert error.count("\n") == 1
    assert index.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.hki",
        "a.npy",
        "broken.hki",
        "damaged.hki",
        "narrow.npy",
        "twice.hki",
        "twice.npy",
    ]


def test_appending_with_and_without_ids_is_refused_in_flags(run, tmp_path, codes):
    np.save(tmp_path / "a.npy", codes)
    np.save(tmp_path / "ids.npy", np.arange(50) + 100)
    source, ids = tmp_path / "a.npy", tmp_path / "ids.npy"
    bare, named = tmp_path / "bare.hki", tmp_path / "named.hki"
    assert run("index", "build", source, bare)[0] == 0
    assert run("index", "build", source, named, "--ids", ids)[0] == 0
    before = bare.read_bytes(), named.read_bytes()
    for arguments, message in (
        ((source, named), f"the codes in {named} have ids: give --ids with those of {source}"),
        ((source, bare, "--ids", ids), f"the codes in {bare} have no ids, those of {source} have: leave --ids out"),
        ((named, bare), f"the codes in {bare} have no ids, those of {named} have: build {bare} anew with ids"),
    ):
        assert run("index", "build", *arguments, "--append") == (2, "", f"hashkernels: error: {message}\n")
    assert (bare.read_bytes(), named.read_bytes()) == before


@pytest.mark.parametrize("other", ["a.hki", "a.npy"])
def test_codes_of_a_length_that_is_known_are_not_taken_for_shorter_ones(run, tmp_path, other):
    index = tmp_path / "short.hki"
    hk.BinaryIndex(12).save(index)
    np.save(tmp_path / "a.npy", -np.ones((3, 16)))
    assert run("index", "build", tmp_path / "a.npy", tmp_path / "a.hki")[0] == 0
    refused = f"hashkernels: error: {index} holds codes of 12 bits, {tmp_path / other} of 16\n"
    assert run("index", "build", tmp_path / other, index, "--append") == (2, "", refused)
