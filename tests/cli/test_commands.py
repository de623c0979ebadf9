"""The commands through their application: results against the library, and formats that round trip."""

from __future__ import annotations

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch
from typer.testing import CliRunner, Result

import hashkernels as hk
from hashkernels.centers import bounds
from hashkernels.cli.app import app
from hashkernels.train import HashHead, embed, load_checkpoint, method_names, save_checkpoint


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def run_json(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    numbers = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert isinstance(numbers, dict)
    return numbers


@pytest.fixture
def retrieval(tmp_path: Path) -> dict[str, Path]:
    """Codes and labels as .npy files."""
    rng = np.random.default_rng(0)
    arrays = {
        "q": hk.pack_codes(rng.standard_normal((7, 16))),
        "db": hk.pack_codes(rng.standard_normal((50, 16))),
        "ql": rng.integers(0, 3, 7),
        "dbl": rng.integers(0, 3, 50),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    return {name: tmp_path / f"{name}.npy" for name in arrays}


@pytest.fixture
def points(tmp_path: Path) -> dict[str, Path]:
    """Embeddings of three classes with labels, as .npy and as .npz."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(90) % 3
    items = 0.3 * torch.randn(90, 6, generator=generator) + 3 * torch.eye(6)[labels]
    x, y = items.numpy(), labels.numpy()
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.savez(tmp_path / "xy.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])
    return {"x": tmp_path / "x.npy", "y": tmp_path / "y.npy", "npz": tmp_path / "xy.npz"}


@pytest.mark.parametrize(
    "command", ["demo", "train", "encode", "evaluate", "compare", "search", "bench", "centers", "info"]
)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"hashkernels {command}" in result.output
    assert command in run("--help").output
    assert run(command, "-h").output == result.output


def test_the_list_of_methods_has_papers_settings_presets_and_schedules() -> None:
    methods = run_json("train", "--list")["methods"]
    assert list(methods) == [name for name in method_names() if not name.endswith("_d")]
    assert methods["greedyhash"] == {
        "title": "GreedyHash",
        "loss": "GreedyHashLoss",
        "paper": "Su, Zhang, Han and Tian, NeurIPS 2018",
        "settings": {"quantization_weight": 0.1, "estimator": "identity"},
        "presets": {"cifar10": {"quantization_weight": 0.1}, "imagenet100": {"quantization_weight": 1.0}},
        "training": {},
    }
    text = run("train", "--list").output
    for line in ("ecm_plotkin (ecm_plotkin_d", "margin plotkin", "preset coco:", "schedule: batch_size 128"):
        assert line in text


def test_no_arguments_print_help_and_version_prints_the_version() -> None:
    assert "Commands" in run().output
    assert run("--version").output.strip() == hk.__version__


def test_info_prints_what_the_library_says() -> None:
    numbers = run_json("info")
    assert numbers == hk.info().to_dict()
    assert numbers["version"] in run("info").output


def test_centers_prints_bounds_and_writes_the_best(tmp_path: Path) -> None:
    path = tmp_path / "centers.npy"
    numbers = run_json("centers", 10, 32, "--output", path)
    assert numbers["bounds"]["plotkin"] == bounds.plotkin_distance(bits=32, num_classes=10) == 17
    assert numbers["bounds"]["hamming"] == 24
    assert numbers["ecm_margin"] == -18
    words = np.load(path)
    assert words.shape == (10, 32)
    assert words.dtype == np.int8
    assert set(np.unique(words)) == {-1, 1}
    distances = (words[:, None] != words[None]).sum(axis=2)[np.triu_indices(10, 1)]
    best = max(entry["min_distance"] for entry in numbers["constructions"].values())
    assert distances.min() == best == numbers["constructions"][numbers["chosen"]]["min_distance"] == 17
    assert numbers["constructions"]["hadamard"]["min_distance"] == 16
    assert numbers["margins"] == pytest.approx(
        {"ecm": -18, "hamming": 32 - 2 * 24, "plotkin": -32 / 9, "tightest": 32 - 2 * 17, "gv": 32 - 2 * 12}
    )
    text = run("centers", 10, 32).output
    assert re.search(r"^plotkin +-3\.556$", text, re.MULTILINE)
    assert re.search(r"^tightest +-2$", text, re.MULTILINE)
    assert "Levenshtein" in text
    numbers = run_json("centers", 100, 16, "--construction", "bch")
    assert list(numbers["constructions"]) == ["bch"]
    # 100 words of 18 bits are more than a Hadamard matrix has, and the table says so.
    assert "hadamard" in run_json("centers", 100, 18, "--time-limit", 0)["unavailable"]


def test_evaluate_gives_the_report_of_the_library(retrieval: dict[str, Path]) -> None:
    files = [retrieval[name] for name in ("q", "db", "ql", "dbl")]
    arrays = [np.load(path) for path in files]
    assert run_json("evaluate", *files) == hk.evaluate(*arrays).to_dict()
    options = ("--k", 5, "--k", 20, "--ties", "index", "--denominator", "min", "--zero-hit", "skip", "--bits", 16)
    expected = hk.evaluate(*arrays, k=(5, 20), ties="index", denominator="min", zero_hit="skip", bits=16)
    assert run_json("evaluate", *files, *options) == expected.to_dict()
    assert run_json("evaluate", *files, "--per-query")["per_query"]["relevant"] == [
        int((arrays[3] == label).sum()) for label in arrays[2]
    ]
    assert hk.evaluate(*arrays).protocol in run("evaluate", *files).output


def test_search_gives_the_results_of_the_library(retrieval: dict[str, Path], tmp_path: Path) -> None:
    q, db = retrieval["q"], retrieval["db"]
    nearest = hk.topk(np.load(q), np.load(db), 4)
    numbers = run_json("search", q, db, "--k", 4)
    assert [row["indices"] for row in numbers["results"]] == nearest.indices.tolist()
    assert [row["distances"] for row in numbers["results"]] == nearest.distances.tolist()
    near = hk.range_search(np.load(q), np.load(db), 5)
    numbers = run_json("search", q, db, "--radius", 5, "--output", tmp_path / "near.npz")
    assert numbers["found"] == len(near.indices)
    with np.load(tmp_path / "near.npz") as arrays:
        for name, array in near._asdict().items():
            np.testing.assert_array_equal(arrays[name], array)
    table = run("search", q, db).output.splitlines()
    assert table[0].split() == ["query", "rank", "distance", "index"]
    assert len(table) == 1 + 7 * 10


def test_evaluate_writes_a_page_and_runs_that_compare_takes(retrieval: dict[str, Path], tmp_path: Path) -> None:
    files = [retrieval[name] for name in ("q", "db", "ql", "dbl")]
    arrays = [np.load(path) for path in files]
    np.save(tmp_path / "qi.npy", np.zeros((7, 4, 4), np.uint8))
    np.save(tmp_path / "dbi.npy", np.zeros((50, 4, 4), np.uint8))
    page, first, second = (tmp_path / name for name in ("run.html", "first.json", "second.json"))
    options = ("--query-images", tmp_path / "qi.npy", "--database-images", tmp_path / "dbi.npy", "--title", "a run")
    done = run("evaluate", *files, "-o", page, "-o", first, "--k", 5, *options, "--compat", "--per-class")
    assert done.exit_code == 0, done.output
    report = hk.evaluate(*arrays, k=5, index_order=True, statistics=True)
    assert report.quote() in done.output
    assert report.compat_table() in done.output
    assert f"{report.per_class().macro:.6f}" in done.output
    assert "a run" in page.read_text()
    assert "data:image/png" in page.read_text()
    saved = json.loads(first.read_text())
    assert saved["title"] == "a run"
    assert saved["map"] == report.map
    assert (
        run_json("evaluate", *files, "--k", 5, "--title", "a run")
        == {"title": "a run"} | hk.evaluate(*arrays, k=5).to_dict()
    )
    run_json("evaluate", *files, "-o", second, "--k", 5, "--ties", "pessimistic")
    numbers = run_json("compare", first, second, "-o", tmp_path / "both.html")
    assert [entry["title"] for entry in numbers["runs"]] == ["a run", "second"]
    for name in ("map_at", "precision_at", "recall_at", "settings"):
        assert numbers["runs"][0][name] == saved[name]
    assert numbers["differences"] == ["ties: expected, pessimistic"]
    assert numbers["runs"][1]["to_the_first"]["mean"] < 0
    assert "a run" in (tmp_path / "both.html").read_text()
    text = run("compare", first, second).output
    assert "ties: expected, pessimistic" in text
    assert "exists" in run("evaluate", *files, "-o", page).stderr


@pytest.mark.filterwarnings("always::hashkernels.HashkernelsWarning")
def test_compare_averages_runs_of_one_title_and_writes_tables(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    reports, files = [], [tmp_path / f"{number}.json" for number in range(5)]
    for path, name in zip(files, ("ours", "theirs", "ours", "theirs", "theirs"), strict=True):
        codes = hk.pack_codes(rng.standard_normal((60, 16)))
        reports.append(hk.evaluate(codes[:10], codes[10:], labels[:10], labels[10:], k=(5, 20)))
        reports[-1].save(path, title=name)
    tables = [tmp_path / f"table{ending}" for ending in (".html", ".md", ".tex", ".csv")]
    outputs = [part for path in tables for part in ("-o", path)]
    numbers = run_json("compare", *files, "--by-title", *outputs)
    assert numbers["outputs"] == [str(path) for path in tables]
    assert [(entry["title"], entry["num_runs"]) for entry in numbers["runs"]] == [("ours", 2), ("theirs", 3)]
    for entry, found in zip(numbers["runs"], (reports[:3:2], [reports[1], *reports[3:]]), strict=True):
        values = [report.map for report in found]
        assert (entry["map"], entry["deviations"]["map"]) == (statistics.mean(values), statistics.stdev(values))
        values = [report.recall_at[5] for report in found]
        assert entry["recall_at"]["5"] == statistics.mean(values)
        assert entry["deviations"]["recall_at"]["5"] == statistics.stdev(values)
        cells = [f"{entry['map']:.4f}", f"{entry['deviations']['map']:.4f}"]
        assert "&#8239;&plusmn;&#8239;".join(cells) in tables[0].read_text()
        assert " ± ".join(cells) in tables[1].read_text()
        assert r" $\pm$ ".join(cells) in tables[2].read_text()
        assert str(entry["map"]) in tables[3].read_text()
        assert " ± ".join(cells) in run("compare", *files, "--by-title").output
    gain = numbers["runs"][1]["to_the_first"]["mean"]
    assert gain == pytest.approx(numbers["runs"][1]["map"] - numbers["runs"][0]["map"], abs=1e-15)
    (alone,) = run_json("compare", files[0], "--by-title")["runs"]
    assert (alone["num_runs"], alone["deviations"], alone["map"]) == (1, None, reports[0].map)
    unlike = "no two runs have a title and code length in common: --title of evaluate and train gives them one"
    assert unlike in run("compare", *files[:2], "--by-title").stderr
    assert run("compare", *files[:3], "--by-title").stderr == ""
    plain = run_json("compare", *files, "-o", tmp_path / "plain.csv")
    assert [entry["title"] for entry in plain["runs"]] == ["ours", "theirs", "ours (2)", "theirs (2)", "theirs (3)"]
    assert not {"num_runs", "deviations"} & plain["runs"][0].keys()
    assert plain["outputs"] == [str(tmp_path / "plain.csv")]
    before = [path.read_bytes() for path in tables]
    assert "table.html exists: pass --force" in run("compare", files[0], *outputs).stderr
    hk.evaluate(codes[:10], codes[10:], labels[:10], labels[10:], k=5).save(files[4], title="theirs")
    done = run("compare", *files, "--by-title", *outputs, "--force")
    assert done.exit_code == 2
    assert f"{files[1]} and {files[4]}, both titled theirs, differ in k: 20, 5\n" in done.stderr
    assert [path.read_bytes() for path in tables] == before
    assert run("compare", *files, *outputs, "--force").exit_code == 0
    assert "theirs (3)" in tables[1].read_text()


def test_evaluate_takes_every_option_of_the_library(retrieval: dict[str, Path], tmp_path: Path) -> None:
    files = [retrieval[name] for name in ("db", "db", "dbl", "dbl")]
    arrays = [np.load(path) for path in files]
    expected = hk.evaluate(*arrays, protocol="cifar10-1", exclude_self=True, statistics=True)
    numbers = run_json("evaluate", *files, "--protocol", "cifar10-1", "--exclude-self", "--statistics")
    assert numbers == expected.to_dict()
    np.save(tmp_path / "exclude.npy", np.arange(50))
    left_out = run_json("evaluate", *files, "--exclude", tmp_path / "exclude.npy", "--bootstrap", 50)
    assert left_out["map"] == expected.map
    assert left_out["bootstrap"] == expected.bootstrap(num_resamples=50)._asdict()


def test_evaluate_takes_judgments_in_place_of_labels(retrieval: dict[str, Path], tmp_path: Path) -> None:
    files = retrieval["q"], retrieval["db"]
    codes = [np.load(path) for path in files]
    gains = {0: {3: 2.0, 8: 1.0}, 4: {11: 1.0}, 6: {49: 3.0, 0: 0.0}}
    expected = hk.evaluate(*codes, relevance=gains, k=20, exclude={0: [5], 1: [2, 3]})
    (tmp_path / "qrels.txt").write_text("".join(f"{q} 0 {i} {g:g}\n" for q in gains for i, g in gains[q].items()))
    (tmp_path / "out.txt").write_text("0 0 5 1\n1 0 2 1\n\n1 0 3 1\n")
    judged = "--relevance", tmp_path / "qrels.txt", "--exclude", tmp_path / "out.txt", "--k", 20
    assert run_json("evaluate", *files, *judged) == expected.to_dict()
    named = {f"q{q}": {f"item-{i}": g for i, g in judged.items()} for q, judged in gains.items()}
    lines = [f"{q} Q0 {i} {g:g}\n" for q in named for i, g in named[q].items()] + ["q9 0 item-1 1\n", "q0 0 gone 1\n"]
    (tmp_path / "names.txt").write_text("".join(lines))
    (tmp_path / "q.txt").write_text("\n".join(f"q{q}" for q in range(7)))
    (tmp_path / "db.txt").write_text("\n".join(f"item-{i}" for i in range(50)) + "\n")
    ids = "--query-ids", tmp_path / "q.txt", "--database-ids", tmp_path / "db.txt"
    names = "--relevance", tmp_path / "names.txt", *ids
    assert run_json("evaluate", *files, *names, "--k", 20) == hk.evaluate(*codes, relevance=gains, k=20).to_dict()
    matrix = scipy.sparse.lil_matrix((7, 50))
    for q, judged_items in gains.items():
        matrix[q, list(judged_items)] = list(judged_items.values())
    scipy.sparse.save_npz(tmp_path / "gains.npz", matrix.tocsr())
    page = tmp_path / "page.html"
    done = run("evaluate", *files, "--relevance", tmp_path / "gains.npz", "-o", page)
    assert hk.evaluate(*codes, relevance=gains, index_order=True, statistics=True).quote() in done.output
    assert "7 queries, 50 database items" in page.read_text()


def test_search_shows_queries_without_hits(tmp_path: Path) -> None:
    np.save(tmp_path / "q.npy", np.array([[0], [255]], np.uint8))
    np.save(tmp_path / "db.npy", np.array([[1], [3]], np.uint8))
    table = run("search", tmp_path / "q.npy", tmp_path / "db.npy", "--radius", 1).output.splitlines()
    assert [line.split() for line in table[1:]] == [["0", "1", "1", "0"], ["1", "-", "-", "-"]]


def test_search_of_few_codes_shows_them_all(tmp_path: Path) -> None:
    np.save(tmp_path / "db.npy", np.array([[1], [3]], np.uint8))
    numbers = run_json("search", tmp_path / "db.npy", tmp_path / "db.npy")
    assert [row["indices"] for row in numbers["results"]] == [[0, 1], [1, 0]]


def test_search_packs_embeddings_by_sign(tmp_path: Path) -> None:
    x = np.random.default_rng(3).standard_normal((20, 12)).astype(np.float32)
    np.save(tmp_path / "u.npy", x)
    numbers = run_json("search", tmp_path / "u.npy", tmp_path / "u.npy", "--k", 1, "--bits", 12)
    packed = np.packbits(x > 0, axis=1)
    assert [row["indices"] for row in numbers["results"]] == hk.topk(packed, packed, 1).indices.tolist()


def test_train_encode_evaluate_on_own_files(points: dict[str, Path], tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    numbers = run_json(
        "train", "--data", points["npz"], "--output", model, "--method", "csq_d", "--bits", 16, "--epochs", 6,
        "--queries", 10, "--learning-rate", 0.01, "--hidden", 12, "--threads", 1,
    )  # fmt: skip
    assert numbers["queries"] == 10
    assert numbers["database"] == 80
    assert numbers["map"] > 0.95
    assert numbers["training"]["learning_rate"] == 0.01
    for part, prefix in (("queries", "q"), ("database", "db")):
        encoded = run_json(
            "encode", model, "--data", points["npz"], "--part", part, "--queries", 10,
            "--output", tmp_path / f"{prefix}.npy", "--labels-output", tmp_path / f"{prefix}l.npy",
        )  # fmt: skip
        assert encoded["bits"] == 16
    evaluated = run_json("evaluate", *(tmp_path / f"{name}.npy" for name in ("q", "db", "ql", "dbl")))
    assert evaluated["map"] == numbers["map"]
    run_json("encode", model, "--data", points["x"], "--output", tmp_path / "all.npy")
    loaded = load_checkpoint(model)
    assert loaded.settings["method"] == "csq_d"
    expected = hk.pack_codes(embed(loaded.model, np.load(points["x"])))
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), expected)


@pytest.mark.parametrize(("bits", "reminder"), [(16, ""), (12, "Read them with --bits 12\n")])
def test_encode_says_how_to_read_codes_that_fill_no_byte(tmp_path: Path, bits: int, reminder: str) -> None:
    save_checkpoint(tmp_path / "m.safetensors", HashHead(6, bits), settings={})
    np.save(tmp_path / "x.npy", np.eye(6, dtype=np.float32))
    output = tmp_path / "codes.npy"
    done = run("encode", tmp_path / "m.safetensors", "--data", tmp_path / "x.npy", "--output", output)
    assert done.stdout == f"6 codes of {bits} bits: {output}\n{reminder}"


def test_train_on_an_npy_with_labels_and_on_images(points: dict[str, Path], tmp_path: Path) -> None:
    numbers = run_json(
        "train", "--data", points["x"], "--labels", points["y"], "--output", tmp_path / "a", "--epochs", 1, "--bits", 8
    )
    assert (numbers["queries"], numbers["database"]) == (9, 81)
    assert (numbers["training"]["batch_size"], numbers["training"]["learning_rate"]) == (64, 1e-3)
    own_schedule = run_json(
        "train", "--data", points["x"], "--labels", points["y"], "--output", tmp_path / "c", "--epochs", 1, "--bits", 8,
        "--method", "mihash", "--preset", "imagenet100", "--learning-rate", 0.01,
    )["training"]  # fmt: skip
    assert (own_schedule["batch_size"], own_schedule["learning_rate"]) == (128, 0.01)
    assert load_checkpoint(tmp_path / "c").settings["preset"] == "imagenet100"
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", np.arange(40) % 2)
    numbers = run_json(
        "train", "--data", tmp_path / "images.npy", "--labels", tmp_path / "labels.npy", "--output", tmp_path / "b",
        "--epochs", 1, "--bits", 8, "--queries", 5,
    )  # fmt: skip
    assert numbers["database"] == 35


def test_demo_writes_a_folder_and_repeats(tmp_path: Path) -> None:
    options = ("--method", "csq", "--method", "ecm_plotkin", "--bits", 16, "--epochs", 1, "--threads", 1)
    first = run_json("demo", *options, "--output", tmp_path / "a")
    assert list(first) == ["csq", "ecm_plotkin"]
    assert all(0 < entry["map"] < 1 for entry in first.values())
    assert run_json("demo", *options, "--output", tmp_path / "b") == first
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert {
        "report.html",
        "results.json",
        "csq.safetensors",
        "ecm_plotkin_query_codes.npy",
        "query_labels.npy",
    } <= names
    # The files say what the numbers say.
    arrays = [
        np.load(tmp_path / "a" / f"{name}.npy")
        for name in ("csq_query_codes", "csq_database_codes", "query_labels", "database_labels")
    ]
    assert hk.evaluate(*arrays).map == first["csq"]["map"]
    assert len(arrays[0]) == 300
    result = run("demo", *options, "--output", tmp_path / "a", "--seed", 1, "--force")
    assert result.exit_code == 0
    assert "ECM, Plotkin margin" in result.stdout
    assert "report.html" in result.stdout
    assert json.loads((tmp_path / "a" / "results.json").read_text())["methods"]["csq"]["map"] != first["csq"]["map"]


BAD_INPUT = [
    (("demo", "--bits", 0), "bits must be in 1..4096, got 0"),
    (("demo", "--method", "nope"), "method must be one of ecm"),
    (("demo", "--epochs", 0), "epochs must be at least 1, got 0"),
    (("demo", "--threads", 0), "threads must be in 1..4096, got 0"),
    (("demo", "--queries", 5000), "--queries must be in 1..1795, got 5000"),
    (("demo", "--bits", "many"), "--bits"),
    (("demo", "--nope",), "No such option"),
    (("nope",), "No such command"),
    (("train", "--data", "mnist", "--root", "absent"), "absent is neither a folder nor an .npz"),
    (("train", "--data", "absent.npz"), "absent.npz does not exist"),
    (("train",), "--data"),
    (("train", "--data", "digits", "--seed", -1), "seed"),
    (("encode", "absent.safetensors", "--data", "digits"), "absent.safetensors does not exist"),
    (("evaluate", "a.npy", "b.npy", "c.npy", "d.npy"), "a.npy does not exist"),
    (("search", "a.npy", "b.npy"), "a.npy does not exist"),
    (("search", "a.npy", "b.npy", "--k", 1, "--radius", 1), "exclude each other"),
    (("search", "a.npy", "b.npy", "--output", "c.txt"), "end in .npz or .csv"),
    (("demo", "--method", "csq", "--method", "ecm", "--bits", 6), "alpha"),
    (("centers", 1, 32), "NUM_CLASSES must be at least 2, got 1"),
    (("centers", 10, 32, "--construction", "nope"), "--construction must be one of best, levenshtein"),
    (("centers", 100, 18, "--construction", "hadamard"), "hadamard"),
    (("centers", 100, 4), "NUM_CLASSES must be at most 2^bits = 16, the number of codes of 4 bits, got 100"),
    (("centers", 10, 0), "BITS must be in 1..4096, got 0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"), BAD_INPUT, ids=[" ".join(map(str, arguments)) for arguments, _ in BAD_INPUT]
)
def test_bad_input_is_one_line_and_status_2(
    arguments: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for extra in ((), ("--json",)):
        result = run(*arguments, *extra)
        assert result.exit_code == 2
        assert result.stdout == ""
        lines = result.stderr.strip().splitlines()
        assert lines[-1].startswith("hashkernels: error: ")
        assert message in lines[-1]
        assert "Traceback" not in result.stderr
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [
        ("matplotlib", "demo", "report"),
        ("jinja2", "demo", "report"),
        ("safetensors", "train", "train"),
        ("sklearn.datasets", "train", "train"),
    ],
)
def test_a_missing_package_is_one_line_that_names_the_extra(
    module: str, command: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    result = run(command, "--data", "digits")
    assert result.exit_code == 2
    package = module.partition(".")[0]
    assert result.stderr == f"hashkernels: error: {package} is missing: pip install 'hashkernels[{extra}]'\n"
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_named(points: dict[str, Path], tmp_path: Path) -> None:
    for name, command in (
        ("bad.npz", ("train", "--data", tmp_path / "bad.npz")),
        ("bad.npy", ("search", tmp_path / "bad.npy", points["x"])),
        ("bad.safetensors", ("encode", tmp_path / "bad.safetensors", "--data", points["x"])),
    ):
        (tmp_path / name).write_bytes(points["npz"].read_bytes()[:300])
        result = run(*command)
        assert result.exit_code == 2
        assert name in result.stderr
        assert result.stderr.count("\n") == 1


def test_interrupted_and_failing_runs_leave_nothing(
    points: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(tmp_path.iterdir())

    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    demo = ("demo", "--method", "csq", "--epochs", 1, "--bits", 8, "--output", tmp_path / "out")
    train = ("train", "--data", points["npz"], "--epochs", 1, "--bits", 8, "--output", tmp_path / "model")
    with monkeypatch.context() as patch:
        patch.setattr("hashkernels.report.folder.save_checkpoint", interrupt)
        assert run(*demo).exit_code == 130
    with monkeypatch.context() as patch:
        patch.setattr("hashkernels.data.files.os.fsync", full)
        for command in (demo, train):
            result = run(*command)
            assert result.exit_code == 2
            assert "No space left on device" in result.stderr.splitlines()[-1]
    assert set(tmp_path.iterdir()) == before
