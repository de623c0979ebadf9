"""Train methods on Fashion-MNIST: every method, constructions of centers, margins and the weight of quantization.

The first 1,000 test images are queries; the other test images and the training images are searched; training is on the
training images. Every run starts the same small network from scratch:

    python benchmarks/train_fashion_mnist.py --data fashion-mnist.npz --experiment methods --bits 32

The data is an .npz with x_train, y_train, x_test, y_test, or a folder with the published IDX files. A finished run is a
line of ``benchmarks/results/training_runs.jsonl``, and is not run again: a queue that was cut short goes on where it
stopped, seed by seed. ``fashion_mnist_tables.py`` turns the lines into tables and curves.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from hashkernels import centers
from hashkernels.centers.bounds import tightest_distance
from hashkernels.data import RetrievalSplit, load_dataset
from hashkernels.losses import CSQLoss, ECMLoss, HashLoss
from hashkernels.metrics import evaluate
from hashkernels.report import versions
from hashkernels.report.experiment import center_distance
from hashkernels.train import SmallConvNet, build_loss, encode, fit, method_names, method_recipe

RUNS = Path(__file__).parent / "results" / "training_runs.jsonl"
NETWORK = {"width": 8, "features": 64}
TRAINING = {"epochs": 12, "batch_size": 64, "learning_rate": 1e-3}
WITH_POSTERIOR = ("hashnet", "dbdh", "dsdh", "dch", "greedyhash", "csq", "ecm_plotkin")
CONSTRUCTIONS = {
    "hadamard": centers.hadamard_centers,
    "bch": centers.bch_centers,
    "reed_solomon": centers.reed_solomon_centers,
    "random": centers.random_centers,
    "best": centers.best_centers,
}
MARGINS: tuple[str | float, ...] = ("ecm", "hamming", "plotkin", "tightest", 0.0)
WEIGHTS = (0.0, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
HELD_OUT = 1000


class Run(NamedTuple):
    """One training run; two equal ones are the same run."""

    experiment: str
    setting: str | float  # the method, construction, margin or weight
    bits: int
    classes: int
    seed: int

    def training(self) -> dict[str, Any]:
        """Options of `fit`; some recipes have a schedule of their own, chosen with --held-out."""
        return TRAINING | (dict(method_recipe(str(self.setting)).training) if self.experiment == "methods" else {})

    def options(self) -> dict[str, Any]:
        """Of the loss, where a recipe sets them."""
        return dict(method_recipe(str(self.setting)).options) if self.experiment == "methods" else {}

    def loss(self, num_train: int) -> HashLoss:
        if self.experiment == "methods":
            return build_loss(str(self.setting), self.bits, self.classes, num_train=num_train, seed=self.seed)
        if self.experiment == "centers":
            book = CONSTRUCTIONS[str(self.setting)](self.classes, self.bits, seed=self.seed)
            return CSQLoss(self.bits, self.classes, centers=book, seed=self.seed)
        if self.experiment == "margins":
            # Clamped: the same as the paper's divisor but where alpha is nearly 0, which it would divide by.
            return ECMLoss(self.bits, self.classes, margin=self.setting, normalizer="alpha_clamped")
        return ECMLoss(self.bits, self.classes, margin="plotkin", quantization_weight=float(self.setting))


def experiments() -> dict[str, list[tuple[str | float, int, int]]]:
    """Settings, bits and classes of each experiment, in the order in which they are run."""
    plain = [name for name in method_names() if not name.endswith("_d")]
    methods = plain + [name + "_d" for name in WITH_POSTERIOR]
    return {
        "methods": [(name, bits, 10) for bits in (32, 16, 64) for name in methods],
        "centers": [(name, bits, 10) for bits in (16, 32, 48) for name in CONSTRUCTIONS],
        "margins": [(margin, bits, classes) for classes in (10, 5) for bits in (16, 32, 64) for margin in MARGINS],
        "weights": [(weight, 32, 10) for weight in WEIGHTS],
    }


def plan(chosen: list[str], seeds: list[int]) -> Iterator[Run]:
    """Seed by seed, so that a queue that is cut short has all experiments of the seeds it reached."""
    known = experiments()
    for seed, experiment in itertools.product(seeds, chosen):
        for setting, bits, classes in known[experiment]:
            yield Run(experiment, setting, bits, classes, seed)


def main() -> None:
    names = tuple(experiments())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an .npz, or a folder with IDX files")
    parser.add_argument("--experiment", action="append", choices=names, help="repeatable; default: all")
    parser.add_argument("--setting", action="append", help="only these methods, constructions, ...; repeatable")
    parser.add_argument("--bits", type=int, nargs="+", help="only these code lengths")
    parser.add_argument("--classes", type=int, nargs="+", help="only these numbers of classes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, help="of all runs, to choose a schedule with --held-out")
    parser.add_argument("--epochs", type=int, help="of all runs, to choose a schedule with --held-out")
    parser.add_argument("--held-out", action="store_true", help=f"ask the last {HELD_OUT} training images instead")
    parser.add_argument("--output", type=Path, default=RUNS, help="the lines of finished runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    whole = load_dataset("fashion-mnist", options.data)
    if options.held_out:
        whole = held_out(whole)
    changes = {"learning_rate": options.learning_rate, "epochs": options.epochs}
    changes = {name: value for name, value in changes.items() if value is not None}
    done = {key(record) for record in read_runs(options.output)}
    for run in plan(options.experiment or list(names), options.seeds):
        wanted = ((options.setting, str(run.setting)), (options.bits, run.bits), (options.classes, run.classes))
        if any(chosen and value not in chosen for chosen, value in wanted):
            continue
        training = run.training() | changes
        settings = {**run._asdict(), "options": run.options(), "training": training, "held_out": options.held_out}
        if key(settings) in done:
            continue
        split = first_classes(whole, run.classes)
        start = time.perf_counter()
        record = settings | train(split, run, training)
        record["seconds"] = round(time.perf_counter() - start, 1)
        with options.output.open("a") as lines:
            lines.write(json.dumps(record) + "\n")
        print(f"{run}: mAP {record['map']:.4f} in {record['seconds']} s", flush=True)


def train(split: RetrievalSplit, run: Run, training: dict[str, Any]) -> dict[str, Any]:
    """Train from scratch, encode, and evaluate exactly."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(run.seed)
        model = SmallConvNet(split.item_shape, run.bits, **NETWORK)
    loss = run.loss(len(split.train_items))
    history = fit(model, loss, (split.train_items, split.train_labels), seed=run.seed, **training)
    queries, database = encode(model, split.query_items.numpy()), encode(model, split.database_items.numpy())
    labels = split.database_labels.numpy()
    report = evaluate(queries, database, split.query_labels.numpy(), labels, bits=run.bits, k=[len(database)])
    targets = getattr(loss, "centers", None)
    return {
        "loss": repr(loss),
        "map": report.map,
        "map_bounds": list(report.map_bounds),
        "precision_within_2": float(report.precision_within[2]),
        "min_center_distance": center_distance(database, labels, run.bits, run.classes).least,
        "target_distance": centers.minimum_distance(targets) if isinstance(targets, torch.Tensor) else None,
        "distance_bound": tightest_distance(bits=run.bits, num_classes=run.classes),
        "distinct_codes": len(np.unique(database, axis=0)),
        "losses": [round(value, 6) for value in history.series("loss")],
        "network": NETWORK,
        "protocol": split.protocol,
        "sizes": [len(split.train_items), len(queries), len(database)],
        "evaluation": report.protocol,
        "versions": versions(),
    }


def key(record: dict[str, Any]) -> str:
    """What makes a run the same run."""
    kept = (*Run._fields, "options", "training", "held_out")
    return json.dumps([record[name] for name in kept], sort_keys=True)


def read_runs(path: Path) -> list[dict[str, Any]]:
    """The finished runs of a file, none where it does not exist."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def first_classes(split: RetrievalSplit, count: int) -> RetrievalSplit:
    """The items of the first ``count`` classes."""
    if count == split.num_classes:
        return split
    parts = {}
    for part in ("train", "query", "database"):
        labels = getattr(split, f"{part}_labels")
        kept = labels < count
        parts |= {f"{part}_items": getattr(split, f"{part}_items")[kept], f"{part}_labels": labels[kept]}
    return dataclasses.replace(
        split,
        protocol=f"{split.protocol}; only the first {count} classes",
        num_classes=count,
        class_names=split.class_names[:count],
        **parts,
    )


def held_out(split: RetrievalSplit) -> RetrievalSplit:
    """The last training images as queries, the others to train on and to search."""
    items, labels = split.train_items[:-HELD_OUT], split.train_labels[:-HELD_OUT]
    return dataclasses.replace(
        split,
        protocol=f"the last {HELD_OUT} training images ask the others, which are trained on",
        train_items=items,
        train_labels=labels,
        query_items=split.train_items[-HELD_OUT:],
        query_labels=split.train_labels[-HELD_OUT:],
        database_items=items,
        database_labels=labels,
    )


if __name__ == "__main__":
    main()
