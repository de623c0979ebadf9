"""Three published rankings with the values that trec_eval prints for them, to four decimals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hashkernels.metrics import RetrievalCounts, evaluate_counts, f_score, hit_rate, ndcg, r_precision

QUERIES = json.loads((Path(__file__).parents[1] / "data" / "trec_eval.json").read_text())
CUTOFFS = (5, 10, 15, 20, 30, 100, 200, 500)


def counts_of(query):
    """One item at each distance in the order of the ranking; relevant items that it lacks stand at the greatest."""
    positives = np.zeros(query["retrieved"], dtype=np.int64)
    positives[np.array(query["hit_ranks"]) - 1] = 1
    missing = query["relevant"] - len(query["hit_ranks"])
    total = np.append(np.ones_like(positives), missing)
    return RetrievalCounts(total[None], np.append(positives, missing)[None])


@pytest.mark.parametrize("name", QUERIES)
def test_values_equal_those_of_trec_eval(name):
    query, published = QUERIES[name], QUERIES[name]["trec_eval"]
    counts = counts_of(query)
    report = evaluate_counts(counts, k=CUTOFFS, denominator="relevant")
    found = {"num_rel": report.per_query.relevant[0], "map": report.map, "Rprec": r_precision(counts).mean}
    found["set_F"] = f_score(counts, query["retrieved"]).mean
    for k in CUTOFFS:
        found[f"P_{k}"] = report.precision_at[k]
        found[f"recall_{k}"] = report.recall_at[k]
        found[f"map_cut_{k}"] = report.map_at[k]
        found[f"ndcg_cut_{k}"] = ndcg(counts, k).mean
    for k in (1, 5, 10):
        found[f"success_{k}"] = hit_rate(counts, k).mean
    assert found.keys() == published.keys()
    for metric, value in found.items():
        assert value == pytest.approx(published[metric], abs=5.1e-5), metric
