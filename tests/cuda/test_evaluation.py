"""Evaluation on a GPU: alone, as the only rank of an NCCL group, and with codes that lie in two memories."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed

import hashkernels as hk
from hashkernels._ops import streaming
from hashkernels.metrics import _inputs

CODES = torch.randint(0, 256, (6000, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
IDS = torch.arange(6000) * 7919 % 11
HOT = (torch.arange(6000)[:, None] * torch.tensor([3, 5, 7]) % 4 == 0).to(torch.uint8)
RELEVANCE = {query: {item: float(1 + item % 3) for item in range(query, 6000, 70)} for query in range(90)}

CASES: dict[str, dict[str, Any]] = {
    "class ids": {"labels": IDS, "k": (1, 100, 6000), "index_order": True, "statistics": True},
    "multi-hot": {"labels": HOT, "k": 500, "ties": "index"},
    "near cutoff": {"labels": IDS, "k": 20, "ties": "index", "denominator": "min"},
    "protocol": {"labels": IDS, "protocol": "coco", "exclude": np.arange(90)},
    "relevance": {"labels": None, "relevance": RELEVANCE, "exclude": np.arange(90) * 2, "index_order": True},
}


def evaluated(case: str, queries: Tensor, database: Tensor, **more: Any) -> dict[str, Any]:
    options = dict(CASES[case])
    labels = options.pop("labels")
    labelled = () if labels is None else (labels[:90].to(queries.device), labels.to(database.device))
    return hk.evaluate(queries, database, *labelled, **options, **more).to_dict(per_query=True)


@pytest.fixture(scope="module")
def nccl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A group of this process alone."""
    meet = tmp_path_factory.mktemp("nccl") / "meet"
    distributed.init_process_group("nccl", init_method=f"file://{meet}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.parametrize("case", CASES)
def test_the_gpu_finds_the_bits_of_the_cpu_wherever_codes_lie(device: torch.device, case: str) -> None:
    expected = evaluated(case, CODES[:90], CODES)
    on_gpu = CODES.to(device)
    for queries, database in ((on_gpu, on_gpu), (CODES, on_gpu), (on_gpu, CODES)):
        assert evaluated(case, queries[:90], database) == expected


@pytest.mark.parametrize("case", CASES)
def test_a_database_without_room_on_the_gpu_streams(
    device: torch.device, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    expected = evaluated(case, CODES[:90], CODES)
    monkeypatch.setattr(_inputs, "_fits", lambda database, where: False)
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 10_000)
    assert evaluated(case, CODES[:90].to(device), CODES) == expected


@pytest.mark.usefixtures("nccl")
@pytest.mark.parametrize("case", CASES)
def test_a_rank_of_nccl_finds_the_bits_of_the_cpu(device: torch.device, case: str) -> None:
    expected = evaluated(case, CODES[:90], CODES)
    for where in (device, torch.device("cpu")):
        codes = CODES.to(where)
        assert evaluated(case, codes[:90], codes, distributed=True) == expected


@pytest.mark.usefixtures("nccl")
def test_a_stream_over_nccl_finds_the_bits_of_the_cpu(device: torch.device) -> None:
    expected = hk.evaluate(CODES[:90], CODES, IDS[:90], IDS, k=(10, 700), index_order=True)
    evaluator = hk.RetrievalEvaluator(48, k=(10, 700), index_order=True, distributed=True)
    evaluator.update(CODES[:40].to(device), IDS[:40], "query")
    evaluator.update(CODES[40:90], IDS[40:90].to(device), "query")
    for start in range(0, 6000, 1100):
        evaluator.update(CODES[start : start + 1100], IDS[start : start + 1100], "database")
    assert evaluator.compute().to_dict(per_query=True) == expected.to_dict(per_query=True)


@pytest.mark.usefixtures("nccl")
def test_counts_add_up_over_nccl() -> None:
    counts = hk.metrics.retrieval_counts(CODES[:90], CODES, IDS[:90], IDS)
    summed = counts.all_reduce()
    assert np.array_equal(summed.total, counts.total)
    assert np.array_equal(summed.relevant, counts.relevant)


@pytest.mark.usefixtures("nccl")
def test_an_error_over_nccl_is_the_error_of_the_rank(device: torch.device, tmp_path: Path) -> None:
    codes, labels = CODES.to(device), IDS.to(device)
    with pytest.raises(ValueError, match=r"k must be in 1\.\.6000, got 6001"):
        hk.evaluate(codes[:90], codes, labels[:90], labels, k=6001, distributed=True)
    np.save(tmp_path / "short.npy", CODES.numpy())
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"database_codes must name a whole \.npy file"):
        hk.evaluate(codes[:90], tmp_path / "short.npy", labels[:90], labels, distributed=True)
