from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hashkernels as hk

BITS = [1, 7, 8, 9, 63, 64, 65, 127, 128, 129, 1023, 4096]
NUMPY_DTYPES = ["float32", "float64", "float16", "int8", "uint8", "bool", "int16", "int32", "int64"]
BIT_ORDERS = ["big", "little"]


def random_array(rows: int, bits: int, dtype: str, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(-2, 3, (rows, bits))
    return np.abs(values).astype(dtype) if dtype in ("uint8", "bool") else values.astype(dtype)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("bitorder", BIT_ORDERS)
def test_pack_codes_is_packbits_of_the_sign(isa: str, bits: int, bitorder: str, threads: int) -> None:
    for rows in (1, 2, 37):
        x = random_array(rows, bits, "float32", seed=bits)
        expected = np.packbits(x > 0, axis=1, bitorder=bitorder)
        codes = hk.pack_codes(x, bitorder=bitorder, threads=threads)
        assert codes.dtype == np.uint8
        np.testing.assert_array_equal(codes, expected)
        signs = hk.unpack_codes(codes, bits, bitorder=bitorder, threads=threads)
        assert signs.dtype == np.int8
        np.testing.assert_array_equal(signs, np.where(x > 0, 1, -1))


@pytest.mark.parametrize("dtype", NUMPY_DTYPES)
def test_pack_codes_takes_every_dtype(isa: str, dtype: str) -> None:
    for bits in (5, 64, 200):
        x = random_array(33, bits, dtype)
        expected = np.packbits(x > 0, axis=1)
        np.testing.assert_array_equal(hk.pack_codes(x), expected)
        np.testing.assert_array_equal(hk.pack_codes(torch.from_numpy(x)).numpy(), expected)


def test_pack_codes_takes_bfloat16(isa: str) -> None:
    x = torch.from_numpy(random_array(33, 77, "float32")).bfloat16()
    np.testing.assert_array_equal(hk.pack_codes(x).numpy(), np.packbits((x > 0).numpy(), axis=1))


@given(
    x=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.float16]),
        st.tuples(st.integers(0, 5), st.integers(1, 70)),
        elements={"allow_nan": False},
    ),
    bitorder=st.sampled_from(BIT_ORDERS),
)
def test_pack_codes_of_any_float(isa: str, x: np.ndarray, bitorder: str) -> None:
    before = x.copy()
    codes = hk.pack_codes(x, bitorder=bitorder)
    np.testing.assert_array_equal(codes, np.packbits(x > 0, axis=1, bitorder=bitorder))
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(hk.unpack_codes(codes, x.shape[1], bitorder=bitorder), np.where(x > 0, 1, -1))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_zero_is_minus_one_and_the_least_positive_number_plus_one(isa: str, dtype: str) -> None:
    kind = getattr(torch, dtype)
    tiny = torch.finfo(kind).smallest_normal
    x = torch.tensor([[0.0, -0.0, tiny, -tiny, float("inf"), -float("inf")] * 12], dtype=kind)
    assert hk.unpack_codes(hk.pack_codes(x), 72).tolist() == [[-1, -1, 1, -1, 1, -1] * 12]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bits", [1, 9, 64, 130])
def test_pack_codes_refuses_nan_wherever_it_stands(isa: str, dtype: str, bits: int) -> None:
    for row, column in ((0, 0), (4, bits - 1), (2, bits // 2)):
        for nan in (float("nan"), -float("nan")):
            x = torch.ones((5, bits), dtype=getattr(torch, dtype))
            x[row, column] = nan
            with pytest.raises(ValueError, match=r"^x must not contain NaN$"):
                hk.pack_codes(x)


def test_strided_inputs(isa: str) -> None:
    wide = random_array(40, 300, "float32")
    views = [wide[::3], wide[:, ::2], wide[5:, 7:80], wide.T, wide[::-1], wide[:, ::-1], np.asfortranarray(wide)]
    views += [np.broadcast_to(wide[0], (6, 300)), wide[:1, :13], wide[:, :1]]
    for view in views:
        np.testing.assert_array_equal(hk.pack_codes(view), np.packbits(view > 0, axis=1))
    codes = np.random.default_rng(0).integers(0, 256, (40, 37), dtype=np.uint8)
    for packed in (codes[::2], codes[:, 3:20], codes[:, ::2], codes.T, codes[::-1]):
        bits = packed.shape[1] * 8
        expected = np.unpackbits(packed, axis=1).astype(np.int8) * 2 - 1
        np.testing.assert_array_equal(hk.unpack_codes(packed, bits), expected)
    tensor = torch.from_numpy(wide)[3:, 1:66]
    np.testing.assert_array_equal(hk.pack_codes(tensor).numpy(), np.packbits((tensor > 0).numpy(), axis=1))


def test_foreign_byte_order_and_unaligned_elements(isa: str) -> None:
    x = random_array(9, 70, "float32")
    np.testing.assert_array_equal(hk.pack_codes(x.astype(">f4")), np.packbits(x > 0, axis=1))
    off = np.frombuffer(b"\0" + x.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(x.shape)
    np.testing.assert_array_equal(hk.pack_codes(off), np.packbits(x > 0, axis=1))


def test_read_only_memory_map_is_neither_copied_nor_complained_of(isa: str, tmp_path: Path) -> None:
    x = random_array(50, 96, "float32")
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = hk.pack_codes(mapped)
    np.testing.assert_array_equal(codes, np.packbits(x > 0, axis=1))
    assert not mapped.flags.writeable


def test_no_rows(isa: str) -> None:
    assert hk.pack_codes(np.zeros((0, 9), np.float32)).shape == (0, 2)
    assert hk.unpack_codes(np.zeros((0, 2), np.uint8), 9).shape == (0, 9)


def test_embeddings_that_need_a_gradient_are_packed(isa: str) -> None:
    x = torch.randn(4, 10, requires_grad=True)
    assert not hk.pack_codes(x).requires_grad


def test_result_is_of_the_kind_of_the_input() -> None:
    assert isinstance(hk.pack_codes(np.ones((1, 1))), np.ndarray)
    assert isinstance(hk.pack_codes(torch.ones((1, 1))), torch.Tensor)
    assert hk.pack_codes(torch.ones((3, 20), device="meta")).shape == (3, 3)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros(3), ValueError, r"x must have 2 dimensions, got shape \(3,\)"),
        (np.zeros((2, 0)), ValueError, r"x must have 1\.\.4096 columns, got 0"),
        (np.zeros((2, 4097), np.int8), ValueError, r"x must have 1\.\.4096 columns, got 4097"),
        (np.zeros((2, 3), complex), TypeError, "x must be floats of 16 bits or more, .* got"),
        (np.zeros((2, 3), np.uint16), TypeError, "x must be floats of 16 bits or more, .* got"),
        (torch.zeros(2, 3).to(torch.float8_e4m3fn), TypeError, "x must be floats of 16 bits or more, .* got float8"),
        (np.array([["a"]]), TypeError, "x must have a numeric dtype that torch knows, got <U1"),
        ([[1.0]], TypeError, "x must be a torch.Tensor or a numpy.ndarray, got list"),
    ],
)
def test_pack_codes_names_what_is_wrong(x: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hk.pack_codes(x)


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="bitorder must be one of big, little, got 'middle'"):
        hk.pack_codes(np.zeros((1, 1)), bitorder="middle")
    with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 0"):
        hk.pack_codes(np.zeros((1, 1)), threads=0)
    with pytest.raises(TypeError, match="threads must be an int, got float"):
        hk.pack_codes(np.zeros((1, 1)), threads=1.5)


@pytest.mark.parametrize(
    ("codes", "bits", "error", "message"),
    [
        (np.zeros((1, 2), np.uint8), 17, ValueError, "codes must have 3 bytes a code for 17 bits, got 2"),
        (np.zeros((1, 2), np.uint8), 0, ValueError, r"bits must be in 1\.\.4096, got 0"),
        (np.zeros((1, 2), np.uint8), 4097, ValueError, r"bits must be in 1\.\.4096, got 4097"),
        (np.zeros((1, 2), np.int8), 16, TypeError, "codes must be uint8 packed codes, got int8"),
        (np.zeros(2, np.uint8), 16, ValueError, r"codes must have 2 dimensions, got shape \(2,\)"),
        (np.zeros((1, 2), np.uint8), True, TypeError, "bits must be an int, got bool"),
    ],
)
def test_unpack_codes_names_what_is_wrong(codes: np.ndarray, bits: int, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        hk.unpack_codes(codes, bits)


def test_set_pad_bits_are_refused_in_the_order_they_were_packed_in() -> None:
    low, high = np.array([[0, 0x01]], np.uint8), np.array([[0, 0x80]], np.uint8)
    with pytest.raises(ValueError, match="codes must have zero pad bits beyond bit 12 of each code"):
        hk.unpack_codes(low, 12)
    with pytest.raises(ValueError, match="codes must have zero pad bits beyond bit 12 of each code"):
        hk.unpack_codes(high, 12, bitorder="little")
    assert hk.unpack_codes(low, 12, bitorder="little")[0, 8] == 1
    assert hk.unpack_codes(high, 12)[0, 8] == 1
