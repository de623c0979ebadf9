"""Codes as databases and embedding models hold them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels.index import formats


def test_hex_of_a_known_hash(tmp_path):
    codes = formats.from_hex(["ffd7918181c9ffff", "00D7918181c9fffe"])
    assert codes[0].tolist() == [0xFF, 0xD7, 0x91, 0x81, 0x81, 0xC9, 0xFF, 0xFF]
    assert hk.hamming_distance(codes[:1], codes[1:]).item() == 9
    formats.write_hex(tmp_path / "a.hex", codes)
    assert (tmp_path / "a.hex").read_text() == "ffd7918181c9ffff\n00d7918181c9fffe\n"
    np.testing.assert_array_equal(formats.read_hex(tmp_path / "a.hex"), codes)
    assert formats.to_hex(torch.from_numpy(codes)) == ["ffd7918181c9ffff", "00d7918181c9fffe"]


@pytest.mark.parametrize(
    ("strings", "error", "message"),
    [
        ([], ValueError, "at least one code"),
        (["0"], ValueError, "even length"),
        (["00", "0000"], ValueError, "got 4 at 2"),
        (["0 0f"], ValueError, "hex digits only"),
        (["0x0f"], ValueError, "hex digits only"),
        (["\u0660\u0660"], ValueError, "hex digits only"),
        ([b"00"], TypeError, "must be str, got bytes"),
        ("00", TypeError, "got one str"),
    ],
)
def test_bad_hex(strings, error, message):
    with pytest.raises(error, match=message):
        formats.from_hex(strings)


def test_signed_integers_are_their_two_complement():
    values = np.array([0, 1, -1, -(2**63), 2**63 - 1, 0x0123456789ABCDEF])
    codes = formats.from_integers(values)
    assert [row.tobytes().hex() for row in codes] == [f"{int(v) & (2**64 - 1):016x}" for v in values]
    np.testing.assert_array_equal(formats.to_integers(codes), values)
    np.testing.assert_array_equal(formats.from_integers(values.view(np.uint64)), codes)
    for i, a in enumerate(values.tolist()):
        expected = [((a ^ b) & (2**64 - 1)).bit_count() for b in values.tolist()]
        assert hk.hamming_distance(codes[i : i + 1], codes)[0].tolist() == expected


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 48, 63])
def test_shorter_integers_are_padded_behind(bits):
    values = np.array([0, 1, (1 << bits) - 1])
    codes = formats.from_integers(values, bits)
    assert codes.shape == (3, (bits + 7) // 8)
    assert formats.to_bit_strings(codes, bits) == [f"{v:0{bits}b}" for v in values.tolist()]
    np.testing.assert_array_equal(formats.to_integers(codes, bits), values)
    with pytest.raises(ValueError, match="values must be in"):
        formats.from_integers(np.array([1 << bits if bits < 63 else -1]), bits)


def test_sentence_transformers_binary_is_ubinary_less_128():
    # quantize_embeddings: ubinary = packbits(x > 0); binary = (ubinary - 128).astype(int8)
    embeddings = np.random.default_rng(0).normal(size=(9, 24))
    ubinary = np.packbits(embeddings > 0, axis=1)
    binary = (ubinary - 128.0).astype(np.int8)
    np.testing.assert_array_equal(formats.from_signed_bytes(binary), ubinary)
    np.testing.assert_array_equal(formats.to_signed_bytes(ubinary), binary)
    np.testing.assert_array_equal(hk.pack_codes(embeddings), ubinary)
    with pytest.raises(TypeError, match="values must be int8, got uint8"):
        formats.from_signed_bytes(ubinary)


def test_pgvector_rows_are_ids_and_bits(tmp_path):
    codes = np.array([[0b10110000], [0b00010000]], np.uint8)
    formats.write_pgvector(tmp_path / "a.tsv", codes, 5, np.array([-7, 2**62]))
    assert (tmp_path / "a.tsv").read_text() == "-7\t10110\n4611686018427387904\t00010\n"
    formats.write_pgvector(tmp_path / "b.tsv", codes, 4)
    assert (tmp_path / "b.tsv").read_text() == "0\t1011\n1\t0001\n"
    with pytest.raises(ValueError, match="zero pad bits"):
        formats.write_pgvector(tmp_path / "c.tsv", codes, 3)


@pytest.mark.parametrize("bits", [5, 16, 44, 63, 64])
def test_integers_and_strings_of_bits_are_the_same_in_either_order(tmp_path, bits):
    signs = np.random.default_rng(2).integers(0, 2, (9, bits))
    big, little = (np.packbits(signs, axis=1, bitorder=order) for order in ("big", "little"))
    strings = ["".join(map(str, row)) for row in signs.tolist()]
    values = formats.to_integers(big, bits)
    assert [f"{value & (2**bits - 1):0{bits}b}" for value in values.tolist()] == strings
    np.testing.assert_array_equal(formats.to_integers(little, bits, bitorder="little"), values)
    np.testing.assert_array_equal(formats.from_integers(values, bits, bitorder="little"), little)
    assert formats.to_bit_strings(little, bits, bitorder="little") == strings
    formats.write_pgvector(tmp_path / "a.tsv", little, bits, bitorder="little")
    assert (tmp_path / "a.tsv").read_text() == "".join(f"{i}\t{text}\n" for i, text in enumerate(strings))
    for function in (formats.from_integers, formats.to_integers, formats.to_bit_strings):
        with pytest.raises(ValueError, match="bitorder must be one of big, little, got 'up'"):
            function(values if function is formats.from_integers else big, bits, bitorder="up")


@pytest.mark.parametrize("bits", [44, 48])
def test_codes_come_with_their_bit_order(tmp_path, bits):
    signs = np.random.default_rng(3).integers(0, 2, (9, bits))
    codes = {order: np.packbits(signs, axis=1, bitorder=order) for order in ("big", "little")}
    formats.write_codes(tmp_path / "a.hki", formats.PackedCodes(codes["little"], bits, None, "little"))
    formats.write_codes(tmp_path / "a.npy", formats.PackedCodes(codes["little"], bits, None, "little"))
    assert formats.read_codes(tmp_path / "a.hki").bitorder == "little"
    assert formats.read_codes(tmp_path / "a.npy").bitorder == "big"  # which the file does not say
    for name, order, held in (
        ("a.hki", None, "little"),
        ("a.hki", "little", "little"),
        ("a.hki", "big", "big"),
        ("a.npy", None, "little"),
        ("a.npy", "little", "little"),
        ("a.npy", "big", "little"),
    ):
        found = formats.read_codes(tmp_path / name, bits=bits, bitorder=order)
        np.testing.assert_array_equal(found.codes, codes[held])
        assert found.bitorder == (order or ("little" if name == "a.hki" else "big"))
    with pytest.raises(ValueError, match="bitorder must be one of big, little, got 'up'"):
        formats.read_codes(tmp_path / "a.hki", bitorder="up")


class Foreign:
    """An array of another library: nothing but DLPack."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_is_searched_like_a_tensor():
    codes = np.arange(32, dtype=np.uint8).reshape(8, 4)
    index = hk.BinaryIndex(32)
    index.add(Foreign(codes))
    found = index.search(Foreign(codes), 3)
    expected = hk.topk(codes, codes, 3)
    assert isinstance(found.indices, torch.Tensor)
    np.testing.assert_array_equal(found.indices.numpy(), expected.indices)
    np.testing.assert_array_equal(formats.from_signed_bytes(Foreign(codes.view(np.int8))), codes ^ 0x80)
