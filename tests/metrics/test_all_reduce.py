"""Counts of a database whose parts live in different processes."""

from __future__ import annotations

import json

import numpy as np
import torch
import torch.distributed

from hashkernels.metrics import evaluate_counts, retrieval_counts


def codes_and_labels():
    words = (np.arange(1, 301, dtype=np.uint64) * np.uint64(2654435761)) >> np.uint64(8)
    return words.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :2], (words % np.uint64(5)).astype(np.int64)


def count_one_part(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    codes, labels = codes_and_labels()
    part = slice(0, 100) if rank == 0 else slice(100, 300)
    counts = retrieval_counts(codes[:20], codes[part], labels[:20], labels[part]).all_reduce()
    (folder / f"{rank}.json").write_text(json.dumps(evaluate_counts(counts, k=(10, 300)).to_dict(per_query=True)))
    torch.distributed.destroy_process_group()


def test_every_rank_finds_the_value_of_the_whole_database(tmp_path, start_ranks):
    start_ranks(count_one_part, tmp_path, 2)
    codes, labels = codes_and_labels()
    whole = evaluate_counts(retrieval_counts(codes[:20], codes, labels[:20], labels), k=(10, 300))
    for rank in range(2):
        assert (tmp_path / f"{rank}.json").read_text() == json.dumps(whole.to_dict(per_query=True))
