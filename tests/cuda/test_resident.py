"""Codes that stay on the GPU, and databases that stream to it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import hashkernels as hk
from hashkernels import _ops
from hashkernels._ops import streaming


def random_codes(count: int, width: int, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, width), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_an_index_in_gpu_memory_answers_as_one_in_host_memory(device: torch.device) -> None:
    resident, host = hk.BinaryIndex(64, device=device), hk.BinaryIndex(64)
    for seed in range(3):
        part = random_codes(3000, 8, seed)
        resident.add(part if seed else part.to(device))
        host.add(part)
    queries = random_codes(9, 8, 7)
    for where in (torch.device("cpu"), device):
        found = resident.search(queries.to(where), 50)
        assert found.indices.device == where
        assert torch.equal(found.indices.cpu(), host.search(queries, 50).indices)
        within = resident.range_search(queries.to(where), 20)
        assert torch.equal(within.indices.cpu(), host.range_search(queries, 20).indices)
    assert (resident.search(queries.numpy(), 3).indices == host.search(queries.numpy(), 3).indices).all()
    assert torch.equal(resident.reconstruct(torch.tensor([5, 8999])), host.reconstruct(torch.tensor([5, 8999])))
    assert resident.search(queries, 3, explain=True) == "cuda"


@pytest.mark.parametrize("pinned", [False, True])
def test_a_database_in_host_memory_streams(device: torch.device, monkeypatch: pytest.MonkeyPatch, pinned: bool) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 8 * 1000)
    queries, database = random_codes(40, 8, 1), random_codes(10_001, 8, 2)
    database = database.pin_memory() if pinned else database
    labels = torch.arange(10_001) % 5
    on_gpu = queries.to(device)
    expected, kept = hk.topk(queries, database, 300), database.clone()
    found = hk.topk(on_gpu, database, 300)
    database.zero_()  # its owner may change it once the call is over
    assert found.indices.device == device
    assert torch.equal(found.indices.cpu(), expected.indices)
    assert torch.equal(found.distances.cpu(), expected.distances)
    database.copy_(kept)
    for left, right in zip(hk.range_search(on_gpu, database, 22), hk.range_search(queries, database, 22), strict=True):
        assert torch.equal(left.cpu(), right)
    counted = _ops.retrieval_counts(on_gpu, database, labels[:40].to(device), labels)
    for left, right in zip(counted, _ops.retrieval_counts(queries, database, labels[:40], labels), strict=True):
        assert torch.equal(left.cpu(), right)
    ordered = _ops.index_order_precision(on_gpu, database, labels[:40].to(device), labels, [10, 10_001])
    expected_order = _ops.index_order_precision(queries, database, labels[:40], labels, [10, 10_001])
    for left, right in zip(ordered, expected_order, strict=True):
        assert torch.equal(left.cpu(), right)
