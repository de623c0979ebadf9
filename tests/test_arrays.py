from __future__ import annotations

import gc
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import hashkernels as hk
from hashkernels._arrays import like, to_tensor, to_tensors


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("writable", [True, False])
def test_tensors_lie_over_the_memory_of_the_array(writable: bool) -> None:
    array = np.arange(60, dtype=np.int32).reshape(6, 10)
    array.flags.writeable = writable
    for view in (array, array[::2], array[:, 1:4], array.T, array[2:3]):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tensor = to_tensor("x", view)
        assert tensor.data_ptr() == address(view)
        assert [step * 4 for step in tensor.stride()] == list(view.strides)
        np.testing.assert_array_equal(tensor.numpy(), view)
    assert array.flags.writeable == writable


def test_a_tensor_that_is_to_be_read_negated_is(isa: str) -> None:
    made = torch.randn(9, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    u, labels = made.conj().imag, torch.arange(9) % 3
    assert u.is_neg()
    plain = u.clone()
    assert torch.equal(hk.pack_codes(u), hk.pack_codes(plain))
    loss = hk.losses.ECMLoss(64, num_classes=3)
    assert torch.equal(loss(u, labels), loss(plain, labels))
    codes = hk.pack_codes(plain)
    index = hk.BinaryIndex(64)
    index.add(codes)
    negated = torch._neg_view(codes)
    for search in (
        lambda q: hk.topk(q, codes, 4),
        lambda q: index.search(q, 4),
        lambda q: hk.range_search(q, codes, 30),
    ):
        for found, expected in zip(search(negated), search(negated.resolve_neg()), strict=True):
            assert torch.equal(found, expected)


def test_what_a_mask_hides_is_not_read() -> None:
    codes = np.arange(8, dtype=np.uint8).reshape(8, 1)
    hidden = np.ma.masked_array(codes, mask=codes > 3)
    index = hk.BinaryIndex(8)
    index.add(codes)
    for search in (lambda: index.add(hidden), lambda: index.search(hidden, 1), lambda: hk.topk(hidden, codes, 1)):
        with pytest.raises(TypeError, match=r"must be a numpy\.ndarray without a mask, got a MaskedArray"):
            search()


def test_sparse_tensors_are_named() -> None:
    codes, labels = torch.zeros((3, 1), dtype=torch.uint8), torch.eye(3).to_sparse()
    for name, call in (
        ("query_labels", lambda: hk.evaluate(codes, codes, labels, labels)),
        ("query labels", lambda: hk.RetrievalEvaluator(8).update(codes, labels, "query")),
        ("database", lambda: hk.topk(codes, codes.to_sparse(), 1)),
        ("codes", lambda: hk.BinaryIndex(8).add(codes.to_sparse())),
    ):
        with pytest.raises(TypeError, match=rf"^{name} must be dense, got torch\.sparse_coo$"):
            call()


def test_the_tensor_keeps_a_memory_map_open(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(5000))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    tensor = to_tensor("x", mapped)
    assert tensor.data_ptr() == address(mapped)
    del mapped
    gc.collect()
    assert torch.equal(tensor, torch.arange(5000))


def test_tensors_pass_through() -> None:
    tensor = torch.zeros(3)
    assert to_tensor("x", tensor) is tensor


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0)[::-1],
        np.arange(6, dtype=">i4"),
        np.frombuffer(bytes(range(1, 10)), np.uint8)[1:].view(np.int16),
        np.array([(0, 1.5), (1, 2.5)], dtype=[("a", np.int8), ("b", np.float32)])["b"],
        np.zeros((0, 3)),
        np.array(3),
    ],
    ids=["negative stride", "foreign byte order", "unaligned", "field of a record", "empty", "scalar"],
)
def test_what_torch_cannot_describe_is_copied_with_its_values(array: np.ndarray) -> None:
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(to_tensor("x", array).numpy(), array)


def test_like_gives_back_the_kind_that_came_in() -> None:
    result = torch.arange(3)
    assert like(torch.zeros(1), result) is result
    assert isinstance(like(np.zeros(1), result), np.ndarray)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([object()]), np.zeros(1, "datetime64[s]")])
def test_other_dtypes_are_refused(array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="x must have a numeric dtype that torch knows, got"):
        to_tensor("x", array)


def test_kinds_are_not_mixed() -> None:
    with pytest.raises(TypeError, match=r"b must be a numpy.ndarray like a, got Tensor"):
        to_tensors(a=np.zeros(1), b=torch.zeros(1))
    with pytest.raises(TypeError, match=r"a must be a torch.Tensor or a numpy.ndarray, got float"):
        to_tensors(a=1.0, b=torch.zeros(1))


CODES, SIGNS, IDS = np.zeros((3, 2), np.uint8), np.zeros((3, 2)), np.arange(3)


def index() -> hk.BinaryIndex:
    made = hk.BinaryIndex(16)
    made.add(CODES)
    return made


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hk.topk(SIGNS, CODES, 1), "queries must be uint8 packed codes, got float64"),
        (lambda: hk.topk(CODES, CODES.astype(np.uint16), 1), "database must be uint8 packed codes, got uint16"),
        (lambda: hk.topk(CODES, CODES, 1, filter=np.zeros(3)), "filter must be integers, got float64"),
        (lambda: hk.range_search(CODES.astype(np.int32), CODES, 1), "queries must be uint8 packed codes, got int32"),
        (lambda: hk.unpack_codes(SIGNS, 16), "codes must be uint8 packed codes, got float64"),
        (lambda: hk.pack_codes(SIGNS + 0j), "x must be floats of 16 bits or more, .* got complex128"),
        (lambda: index().search(SIGNS, 1), "queries must be uint8 packed codes, got float64"),
        (lambda: index().reconstruct(np.zeros(1)), "positions must be integers, got float64"),
        (lambda: index().add_with_ids(CODES, np.zeros(3)), "ids must be integers, got float64"),
        (lambda: index().search(CODES, 1, rescore=IDS[:, None]), "rescore must be floating point of .* got int64"),
        (
            lambda: index().search(CODES, 1, rescore=SIGNS, vectors=SIGNS),
            "vectors must be float32 or int8, got float64",
        ),
        (lambda: hk.evaluate(SIGNS + 0j, CODES, IDS, IDS), "real -1/\\+1, got complex128"),
        (lambda: hk.evaluate(CODES, CODES, IDS, IDS * 1.0), "database_labels given as class ids .*, got float64"),
    ],
)
def test_dtypes_of_arrays_have_the_names_that_numpy_has_for_them(call, message) -> None:
    with pytest.raises(TypeError, match=message):
        call()
