"""docs/migration.md says what it says: every pair of calls runs, and agrees."""

from __future__ import annotations

import re
from pathlib import Path

import faiss
import numpy as np
import pytest
import torch
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torchmetrics.retrieval import RetrievalMAP

import hashkernels as hk
from hashkernels.metrics import HammingNeighbours

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


def calc_top_map(database_signs, query_signs, database_labels, query_labels, topk):
    """The usual evaluator by its formula, with a stable sort: order by distance, cut, mean of count over rank."""
    total = 0.0
    for signs, labels in zip(query_signs, query_labels, strict=True):
        distances = (signs.size - database_signs @ signs) / 2
        hits = ((database_labels @ labels) > 0)[np.argsort(distances, kind="stable")][0:topk]
        ranks = np.flatnonzero(hits) + 1
        if ranks.size:
            total += np.mean(np.arange(1, ranks.size + 1) / ranks)
    return total / len(query_signs)


@pytest.fixture
def names(problem):
    case = problem(16, 25, 300, num_classes=40, seed=4)
    onehot = np.eye(40, dtype=np.uint8)
    return {
        "hk": hk,
        "np": np,
        "torch": torch,
        "faiss": faiss,
        "AccuracyCalculator": AccuracyCalculator,
        "RetrievalMAP": RetrievalMAP,
        "CalcTopMap": calc_top_map,
        "bits": 16,
        "query_signs": case.query_bits * 2.0 - 1.0,
        "database_signs": case.database_bits * 2.0 - 1.0,
        "query_labels": case.query_labels,
        "database_labels": case.database_labels,
        "query_onehot": onehot[case.query_labels],
        "database_onehot": onehot[case.database_labels],
    }


def test_every_pair_on_the_page_agrees(names):
    agreed = 0
    for block in BLOCKS:
        exec(compile(block, "docs/migration.md", "exec"), names)
        theirs, ours = names.pop("theirs"), names.pop("ours")
        if isinstance(ours, hk.RetrievalReport):
            lo, hi = ours.map_bounds
            assert lo - 1e-6 <= theirs <= hi + 1e-6
            assert lo < hi
        elif isinstance(ours, tuple):
            for left, right in zip(theirs, ours, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))
        else:
            assert theirs == pytest.approx(ours, abs=1e-6 if "metric_learning" in block else 1e-12)
        agreed += 1
    assert agreed == len(BLOCKS) == 8


def test_traps_of_the_page_are_real(names):
    database_first = (names["database_signs"], names["query_signs"], names["database_onehot"], names["query_onehot"])
    swapped = (names["query_signs"], names["database_signs"], names["query_onehot"], names["database_onehot"])
    assert calc_top_map(*swapped, 100) != calc_top_map(*database_first, 100)
    perfect = np.ones((1, 8)), np.ones((1, 8)), np.ones((1, 1)), np.ones((1, 1))
    assert (calc_top_map(*perfect, 1), calc_top_map(*perfect, -1)) == (1.0, 0.0)
    scores = torch.tensor([-0.0, -1.0])
    assert RetrievalMAP()(scores, torch.tensor([True, False]), torch.zeros(2, dtype=torch.int64)).item() == 0.0


def test_neighbours_of_a_set_in_itself_leave_out_the_query(problem):
    case = problem(8, 1, 120, num_classes=6)
    embeddings = torch.from_numpy(case.database_bits * 2.0 - 1.0)
    labels = torch.from_numpy(case.database_labels)
    distances, indices = HammingNeighbours()(embeddings, 30, embeddings, ref_includes_query=True)
    exact = (case.database_bits[:, None] != case.database_bits[None]).sum(-1)
    for query, row in enumerate(exact):
        others = np.delete(np.arange(120), query)
        nearest = others[np.argsort(row[others], kind="stable")][:30]
        assert indices[query].tolist() == nearest.tolist()
        assert distances[query].tolist() == row[nearest].tolist()
    calculator = AccuracyCalculator(
        include=("mean_average_precision",), k=119, knn_func=HammingNeighbours(), device=torch.device("cpu")
    )
    theirs = calculator.get_accuracy(embeddings, labels)["mean_average_precision"]
    codes = case.database_codes
    ours = hk.evaluate(codes, codes, labels.numpy(), labels.numpy(), exclude_self=True, ties="index", zero_hit="skip")
    assert theirs == pytest.approx(ours.map, abs=1e-6)


def test_neighbours_check_their_arguments():
    neighbours, u = HammingNeighbours(), torch.ones(3, 8)
    with pytest.raises(ValueError, match="reference must have 8 columns like query, got 4"):
        neighbours(u, 1, torch.ones(3, 4))
    with pytest.raises(ValueError, match=r"k must be in 1\.\.2, got 3"):
        neighbours(u, 3, u, ref_includes_query=True)
    with pytest.raises(ValueError, match=r"reference must include each query .* got 2 items for 3 queries"):
        neighbours(u, 1, u[:2], ref_includes_query=True)
    with pytest.raises(ValueError, match="reference must not contain NaN"):
        neighbours(u, 1, u * torch.nan)
    with pytest.raises(ValueError, match=r"threads must be in 1\.\.4096, got 0"):
        HammingNeighbours(threads=0)
    with pytest.raises(TypeError, match="query must be a torch"):
        neighbours(u.numpy(), 1, u)
