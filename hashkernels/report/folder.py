"""A folder with everything that a comparison of methods leaves: report, numbers, codes, labels, checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from hashkernels.data import RetrievalSplit
from hashkernels.data.files import save_npy, save_text, staged_folder
from hashkernels.report.experiment import MethodResult, versions
from hashkernels.report.page import render_page
from hashkernels.train import save_checkpoint


def save_results(
    folder: str | os.PathLike[str],
    split: RetrievalSplit,
    results: Sequence[MethodResult],
    *,
    command: str | None = None,
    force: bool = False,
) -> None:
    """Write the results; the files appear in ``folder`` only when all of them are complete.

    ``report.html``; ``results.json`` (numbers, histories, versions); ``query_labels.npy``, ``database_labels.npy``; of
    each method ``NAME.safetensors``, ``NAME_query_codes.npy`` and ``NAME_database_codes.npy`` (packed, uint8).

    Raises:
        FileExistsError: ``folder`` is not empty and ``force`` is false.
        ValueError: no results, two of one method, or results of different numbers of bits.
        ImportError: without matplotlib, jinja2 or safetensors.
    """
    names = [result.name for result in results]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"results must be of one method each, got {names.count(name)} of {name}")
    with staged_folder(folder, force=force) as staging:
        save_text(staging / "report.html", render_page(split, results, command=command))
        numbers = {
            "data": {"name": split.name, "protocol": split.protocol, "classes": list(split.class_names)},
            "versions": versions(),
            "methods": {
                result.name: result.summary()
                | {"evaluation": result.report.to_dict(), "history": result.history.to_dict()}
                for result in results
            },
        }
        save_text(staging / "results.json", json.dumps(numbers, indent=1) + "\n")
        save_npy(staging / "query_labels.npy", split.query_labels.numpy())
        save_npy(staging / "database_labels.npy", split.database_labels.numpy())
        for result in results:
            save_npy(staging / f"{result.name}_query_codes.npy", result.query_codes)
            save_npy(staging / f"{result.name}_database_codes.npy", result.database_codes)
            save_checkpoint(
                staging / f"{result.name}.safetensors",
                result.model,
                settings=result.settings(split),
                loss=result.loss,
            )
