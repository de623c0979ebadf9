"""Codes in either bit order in files, and between files: the distances are those of the bits."""

from __future__ import annotations

import json

import numpy as np
import pytest

import hashkernels as hk
from hashkernels.index import formats

ORDERS = ("big", "little")


@pytest.fixture(params=[48, 44])  # 44: with pad bits, which the orders have at different ends
def bits(request) -> int:
    return request.param


@pytest.fixture
def embeddings(tmp_path, bits) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(40, bits)).astype(np.float32)
    np.save(tmp_path / "emb.npy", x)
    return x


def packed(x: np.ndarray, order: str) -> np.ndarray:
    return np.packbits(x > 0, axis=1, bitorder=order)


def saved(path, x: np.ndarray, order: str, **options) -> hk.BinaryIndex:
    index = hk.BinaryIndex(x.shape[1], bitorder=order, **options)
    index.add(packed(x, order))
    index.prepare()
    index.save(path)
    return index


def assert_holds(path, x: np.ndarray, order: str) -> None:
    index = hk.BinaryIndex.load(path, verify="full")
    assert (index.bits, index.bitorder) == (x.shape[1], order)
    np.testing.assert_array_equal(index.reconstruct(np.arange(len(x))), packed(x, order))


@pytest.mark.parametrize("order", ORDERS)
def test_embeddings_are_searched_for_in_the_order_of_the_index(run, tmp_path, embeddings, order):
    index = tmp_path / "a.hki"
    saved(index, embeddings, order)
    np.save(tmp_path / "codes.npy", packed(embeddings[:9], order))
    np.save(tmp_path / "q.npy", embeddings[:9])
    signs = embeddings > 0
    distances = np.sort((signs[:9, None] != signs[None]).sum(2), axis=1)[:, :3]
    for queries in ("q.npy", "codes.npy"):
        status, out, error = run("index", "search", index, tmp_path / queries, "--k", 3, "--json")
        assert (status, error) == (0, "")
        assert [row["distances"] for row in json.loads(out)["results"]] == distances.tolist()


@pytest.mark.parametrize("order", ORDERS)
def test_what_is_appended_is_brought_into_the_order_of_the_index(run, tmp_path, embeddings, order):
    other = ORDERS[order == "big"]
    saved(tmp_path / "other.hki", embeddings, other)
    np.save(tmp_path / "codes.npy", packed(embeddings, order))
    for source in ("emb.npy", "other.hki", "codes.npy"):
        index = tmp_path / "a.hki"
        saved(index, embeddings, order)
        assert run("index", "build", tmp_path / source, index, "--append")[::2] == (0, "")
        assert_holds(index, np.concatenate([embeddings, embeddings]), order)
    refused = run("index", "build", tmp_path / "emb.npy", index, "--append", "--bitorder", other)
    assert refused == (2, "", f"hashkernels: error: --bitorder must be {order} like that of {index}, got '{other}'\n")


def test_integers_are_searched_for_in_the_order_of_the_index(run, tmp_path):
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 30)
    signs = np.array([[word >> place & 1 for place in range(63, -1, -1)] for word in hashes.tolist()])
    np.save(tmp_path / "hashes.npy", hashes)
    saved(tmp_path / "a.hki", signs, "little")
    out = run("index", "search", tmp_path / "a.hki", tmp_path / "hashes.npy", "--k", 1, "--json")[1]
    assert [row["distances"] for row in json.loads(out)["results"]] == [[0]] * 30
    assert run("index", "build", tmp_path / "hashes.npy", tmp_path / "b.hki", "--bitorder", "little")[0] == 0
    assert_holds(tmp_path / "b.hki", signs, "little")


@pytest.mark.parametrize("order", ORDERS)
def test_an_index_made_from_another_keeps_its_order(run, tmp_path, embeddings, order):
    index = tmp_path / "a.hki"
    saved(index, embeddings, order)
    assert run("index", "convert", index, tmp_path / "b.hki")[0] == 0
    assert_holds(tmp_path / "b.hki", embeddings, order)
    other = ORDERS[order == "big"]
    for command in ("build", "convert"):
        made = tmp_path / f"{command}.hki"
        assert run("index", command, index, made, "--bitorder", other)[0] == 0
        assert_holds(made, embeddings, other)
    assert run("index", "build", index, index, "--tables", "--force")[::2] == (0, "")
    assert_holds(index, embeddings, order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("source", ["emb.npy", "codes.npy", "codes.hex"])
def test_the_order_of_a_new_index_can_be_given(run, tmp_path, embeddings, bits, order, source):
    codes = packed(embeddings, order)
    np.save(tmp_path / "codes.npy", codes)
    formats.write_hex(tmp_path / "codes.hex", codes)
    index = tmp_path / "a.hki"
    assert run("index", "build", tmp_path / source, index, "--bits", bits, "--bitorder", order)[0] == 0
    assert_holds(index, embeddings, order)


@pytest.mark.parametrize("order", ORDERS)
def test_embeddings_and_packed_codes_of_either_order_are_compared(run, tmp_path, embeddings, bits, order):
    codes, queries = tmp_path / "codes.npy", tmp_path / "emb.npy"
    np.save(codes, packed(embeddings, order))
    np.save(tmp_path / "labels.npy", np.arange(40))
    given = ("--bits", bits, "--bitorder", order, "--json")
    rows = json.loads(run("search", queries, codes, "--k", 1, *given)[1])["results"]
    assert [(row["distances"], row["indices"]) for row in rows] == [([0], [i]) for i in range(40)]
    labels = (tmp_path / "labels.npy", tmp_path / "labels.npy")
    assert json.loads(run("evaluate", queries, codes, *labels, *given)[1])["map"] == 1


def test_codes_of_the_other_order_are_refused_with_the_flag_to_give(run, tmp_path):
    codes, index = tmp_path / "codes.npy", tmp_path / "a.hki"
    np.save(codes, np.array([[0xFF, 0x0F]], np.uint8))
    refused = (2, "", "hashkernels: error: {} must have zero pad bits beyond bit 12 of each code, as they are {}\n")
    for arguments, name, remedy in (
        (("index", "build", codes, index, "--bits", 12), "CODES", "by --bitorder little"),
        (("search", codes, codes, "--bits", 12), "QUERIES", "by --bitorder little"),
    ):
        assert run(*arguments) == (*refused[:2], refused[2].format(name, remedy))
    saved(index, np.ones((1, 12)), "big")
    assert run("index", "search", index, codes) == (*refused[:2], refused[2].format("QUERIES", "in little order"))


@pytest.mark.parametrize("order", ORDERS)
def test_pgvector_gets_the_first_bit_first_and_others_the_bytes(run, tmp_path, embeddings, order):
    index = tmp_path / "a.hki"
    saved(index, embeddings, order)
    assert run("index", "convert", index, tmp_path / "rows.tsv", "--to", "pgvector")[0] == 0
    lines = [f"{i}\t{''.join(map(str, row))}\n" for i, row in enumerate((embeddings > 0).astype(int).tolist())]
    assert (tmp_path / "rows.tsv").read_text() == "".join(lines)
    for kind in ("npy", "faiss", "u8bin", "bvecs", "hex"):
        target = tmp_path / f"b.{kind}"
        assert run("index", "convert", index, target)[0] == 0
        np.testing.assert_array_equal(formats.read_codes(target).codes, packed(embeddings, order))


@pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
def test_tables_that_are_not_taken_over_are_told_of(run, tmp_path, embeddings):
    index = tmp_path / "a.hki"
    saved(index, embeddings, "little", structure="hash")
    told = (
        f"hashkernels: warning: the tables of {index} are left out: hashkernels index build --tables makes new ones\n"
    )
    for command in ("build", "convert"):
        made = tmp_path / f"{command}.hki"
        assert run("index", command, index, made)[::2] == (0, told)
        assert json.loads(run("index", "info", made, "--json")[1])["hashed"] == 0
    assert run("index", "build", index, made, "--tables", "--force")[::2] == (0, "")
    assert json.loads(run("index", "info", made, "--json")[1])["hashed"] == 40
    assert run("index", "convert", index, tmp_path / "b.npy")[::2] == (0, "")
