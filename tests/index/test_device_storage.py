"""Storage on a device, which here is the CPU, against storage on the CPU; tests/cuda has the real thing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import hashkernels as hk
from hashkernels.index.device_storage import empty_device_storage
from hashkernels.index.storage import Storage, new_storage

CPU = torch.device("cpu")


def random_codes(count: int, seed: int) -> Tensor:
    return torch.randint(0, 256, (count, 2), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_answers_are_those_of_other_storages() -> None:
    storage: Storage
    expected: Storage
    storage, expected = empty_device_storage(2, CPU), new_storage(2, CPU)
    for size in (3, 0, 1, 90, 400):
        codes = random_codes(size, size)
        storage, expected = storage.added(codes), expected.added(codes)
        codes.zero_()  # what was added is a copy
    queries, allowed = random_codes(5, 1), torch.arange(494) % 3 == 0
    for mask in (None, allowed):
        answers = [
            (
                *s.topk(queries, 7, mask, None),
                *s.range_search(queries, 4, mask, 3, None),
                s.range_count(queries, 4, mask, None),
            )
            for s in (storage, expected)
        ]
        assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))
    assert torch.equal(storage.planes()[:, :, :7], expected.planes()[:, :, :7])  # whole words of the 494 codes
    positions = torch.tensor([493, 0, 3])
    assert torch.equal(storage.gather(positions), expected.gather(positions))


def test_codes_that_do_not_fit_leave_the_index_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = empty_device_storage(2, CPU).added(random_codes(4, 1))
    before = storage.topk(random_codes(2, 2), 4, None, None)

    def out_of_memory(*_: object, **__: object) -> Tensor:
        raise torch.OutOfMemoryError("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "empty", out_of_memory)
        with pytest.raises(torch.OutOfMemoryError):
            storage.added(random_codes(100, 3))
    assert storage.count == 4
    assert all(torch.equal(a, b) for a, b in zip(storage.topk(random_codes(2, 2), 4, None, None), before, strict=True))


@pytest.mark.parametrize("device", ["nowhere", "meta", "cuda:99", 2.5])
def test_devices_that_are_not_there_are_refused(device: object) -> None:
    with pytest.raises(ValueError, match="device must be cpu"):
        hk.BinaryIndex(8, device=device)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "cpu, as torch sees no CUDA device"), (2, "cpu or one of 2 CUDA devices")]
)
def test_the_error_says_which_devices_there_are(count: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(ValueError, match=f"device must be {expected}, got 'cuda:2'"):
        hk.BinaryIndex(8, device="cuda:2")
