"""Runs of one title as a row: means and deviations by hand and by the standard library; every format of a table."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import statistics
from collections.abc import Callable
from html import unescape
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

import hashkernels as hk
from hashkernels.metrics import RetrievalReport, bootstrap_mean
from hashkernels.metrics.pages.comparison import compare_csv, compare_latex, compare_markdown, compare_text
from hashkernels.metrics.pages.groups import average_by_title
from hashkernels.metrics.pages.page import render_runs
from hashkernels.metrics.pages.runs import Run, differences, gains
from hashkernels.metrics.pages.save import numbers_of

SCALARS = ("map", "map_expected", "map_index")
TITLES = (r"a|b & 50% \| <c>", "*ours*_1 [new] $x$", "-3 ~ ^2 {#}", "C\\")


@pytest.fixture(scope="module")
def trained(problem) -> Callable[..., RetrievalReport]:
    """An evaluation of codes of a seed, always of the same items."""

    def report(seed: int, bits: int = 16, **options: Any) -> RetrievalReport:
        case, items = problem(bits, 20, 90, seed=seed), problem(bits, 20, 90, seed=99)
        codes = case.query_codes, case.database_codes
        labels = options.pop("labels", (items.query_labels, items.database_labels))
        return hk.evaluate(*codes, *labels, bits=bits, **{"k": (10, 60), "index_order": True} | options)

    return report


@pytest.fixture(scope="module")
def reports(trained) -> list[RetrievalReport]:
    return [trained(seed, statistics=True) for seed in range(5)]


@pytest.fixture(scope="module")
def rows(reports) -> list[Run]:
    """Three runs of ours, two of theirs, in turn."""
    titles = ("ours", "theirs", "ours", "theirs", "ours")
    return average_by_title(
        Run(title, numbers_of(report), f"{place}.json")
        for place, (title, report) in enumerate(zip(titles, reports, strict=True))
    )


def test_means_and_deviations_worked_by_hand(trained):
    numbers = trained(0).to_dict()
    values = (0.5, 0.6, 0.8)
    runs = [Run("a", numbers | {"map": value, "precision_at": {"10": value, "60": value / 2}}) for value in values]
    (row,) = average_by_title(runs)
    # The mean is 19/30, the squares of what is left are 16/900, 1/900 and 25/900, and half of their sum is 7/300.
    assert row.spread("map") == pytest.approx((19 / 30, (7 / 300) ** 0.5), rel=1e-15)
    assert row.spread("precision_at", "60") == pytest.approx((19 / 60, (7 / 1200) ** 0.5), rel=1e-15)
    assert row.spread("recall_at", "60") == (numbers["recall_at"]["60"], 0.0)
    assert "0.6333 ± 0.1528" in compare_text([row])
    assert "0.3167 ± 0.0764" in compare_text([row])


def test_every_number_is_the_mean_over_the_runs(rows, reports):
    assert [(row.title, len(row.runs)) for row in rows] == [("ours", 3), ("theirs", 2)]
    for row, found in zip(rows, (reports[::2], reports[1::2]), strict=True):
        for name in SCALARS:
            values = [getattr(report, name) for report in found]
            assert row.spread(name) == (statistics.mean(values), statistics.stdev(values))
        for name in ("map_at", "precision_at", "recall_at"):
            for k in (10, 60):
                values = [getattr(report, name)[k] for report in found]
                assert row.spread(name, str(k)) == (statistics.mean(values), statistics.stdev(values))
        within = np.array([report.precision_within for report in found])
        np.testing.assert_allclose(row.numbers["precision_within"], within.mean(0), rtol=1e-14)
        np.testing.assert_allclose(row.deviations["precision_within"], within.std(0, ddof=1), atol=1e-15)
        ranks = [report.rank_curve() for report in found]
        assert row.numbers["rank_curve"]["ranks"] == ranks[0].ranks.tolist()
        least = np.mean([curve.recall.least for curve in ranks], axis=0)
        np.testing.assert_allclose(row.numbers["rank_curve"]["recall"]["least"], least, rtol=1e-14)
        pairs = np.mean([report.distance_histogram.relevant for report in found], axis=0)
        np.testing.assert_allclose(row.numbers["distance_histogram"]["relevant"], pairs, rtol=1e-14)
        assert row.numbers["settings"] == reports[0].to_dict()["settings"]


def test_the_difference_is_paired_over_each_query_s_mean(rows, reports):
    values = np.array([report.per_query.average_precision for report in reports])
    change = values[1::2].mean(0) - values[::2].mean(0)
    first, gain = gains(rows)
    assert first is None
    assert gain.mean == pytest.approx(rows[1].numbers["map"] - rows[0].numbers["map"], abs=1e-15)
    np.testing.assert_allclose(gain[:4], bootstrap_mean(change)[:4], atol=1e-15)
    interval = rows[0].numbers["bootstrap"]
    np.testing.assert_allclose([interval["lo"], interval["hi"]], bootstrap_mean(values[::2].mean(0))[:2], atol=1e-15)


def test_one_run_is_itself_without_a_deviation(trained):
    runs = [Run("a", numbers_of(trained(0))), Run("b", numbers_of(trained(1))), Run("b", numbers_of(trained(2)))]
    rows = average_by_title(runs)
    assert rows[0].numbers is runs[0].numbers
    assert rows[0].spread("map") == (runs[0].numbers["map"], None)
    lines = compare_text(rows).splitlines()
    assert lines[0].split()[:2] == ["title", "runs"]
    assert [line.split()[:2] for line in lines[1:]] == [["a", "1"], ["b", "2"]]
    assert [line.count("±") for line in lines[1:]] == [0, 4]
    (alone,) = average_by_title(runs[1:2])
    assert "±" not in compare_text([alone])


def test_equal_runs_are_their_mean(trained):
    numbers = numbers_of(trained(3))
    (row,) = average_by_title([Run("a", numbers)] * 7)
    for name in SCALARS:
        assert row.spread(name) == (numbers[name], 0.0)
    assert row.numbers["per_query"]["average_precision"] == numbers["per_query"]["average_precision"]


def test_code_lengths_have_rows_of_their_own(trained):
    runs = [Run("a", trained(seed, bits).to_dict()) for seed in range(2) for bits in (9, 16)]
    rows = average_by_title([*runs, Run("b", trained(5).to_dict())])
    assert [(row.title, row.bits, len(row.runs)) for row in rows] == [
        ("a, 9 bits", 9, 2), ("a, 16 bits", 16, 2), ("b", 16, 1)
    ]  # fmt: skip
    assert [part.title for row in rows for part in row.runs] == [
        "a, 9 bits (1)", "a, 9 bits (2)", "a, 16 bits (1)", "a, 16 bits (2)", "b"
    ]  # fmt: skip
    assert [part.title for row in average_by_title(runs[:2]) for part in row.runs] == ["a, 9 bits", "a, 16 bits"]
    assert differences(rows) == ["bits: 9, 16, 16"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ties": "index"}, "ties: expected, index"),
        ({"k": 50}, "k: 60, 50"),
        ({"denominator": "min"}, "denominator: hits, min"),
        ({"zero_hit": "skip"}, "zero_hit: zero, skip"),
        ({"exclude": np.arange(20)}, "ranks of their curves: 33 up to 90, 33 up to 89"),
    ],
    ids=str,
)
def test_runs_of_other_settings_are_not_averaged(trained, options, told):
    runs = [Run("a", trained(seed, **given).to_dict(), f"{seed}.json") for seed, given in enumerate(({}, {}, options))]
    with pytest.raises(ValueError, match="must be evaluated alike to be averaged") as error:
        average_by_title(runs)
    assert str(error.value).endswith(f": 0.json and 2.json, both titled a, differ in {told}")


def test_other_cutoffs_below_the_last_leave_those_that_all_have(trained):
    runs = [Run("a", trained(seed, k=cutoffs).to_dict()) for seed, cutoffs in enumerate(((5, 10, 60), (10, 20, 60)))]
    (row,) = average_by_title(runs)
    assert row.numbers["settings"]["k"] == [10, 60]
    assert row.numbers["map_at"].keys() == {"10", "60"}
    assert row.spread("map_at", "60") == row.spread("map")


def test_seeds_that_draw_other_queries_are_averaged_and_told_of(trained, problem):
    labels = [problem(16, 20, 90, seed=seed)[-2:] for seed in (0, 1)]
    pairs = sorted(int((queries[:, None] == database).sum()) for queries, database in labels)
    reports = [trained(seed, labels=labels[seed]) for seed in (0, 1)]
    runs = [Run(title, numbers_of(report)) for title in ("a", "b") for report in reports]
    rows = average_by_title(runs)
    spread = f"{pairs[0]} .. {pairs[1]}"
    assert differences(rows) == [f"relevant pairs: {spread}, {spread} (other labels, or other items)"]
    assert gains(rows) == [None, None]
    assert rows[0].spread("map")[0] == statistics.mean(report.map for report in reports)
    assert rows[0].numbers.get("bootstrap") is None
    assert len(render_runs(rows, title="both")) > 0


def test_queries_count_that_count_in_every_run(trained):
    reports = [trained(seed, k=1, zero_hit="skip") for seed in range(4)]
    rows = average_by_title(Run("ab"[seed // 2], numbers_of(report)) for seed, report in enumerate(reports))
    counted = np.all([report.per_query.counted for report in reports], axis=0)
    assert 0 < counted.sum() < min(report.num_counted for report in reports)
    values = np.array([report.per_query.average_precision for report in reports])
    expected = (values[2:].mean(0) - values[:2].mean(0))[counted].mean()
    assert gains(rows)[1].mean == pytest.approx(expected, abs=1e-15)
    for report in reports[:2]:
        assert report.protocol.partition(", ")[2] in rows[0].numbers["quote"]


def test_what_not_every_run_holds_is_left_out(trained):
    full, plain = numbers_of(trained(0)), trained(1, index_order=False).to_dict()
    rows = average_by_title([Run("a", full), Run("a", plain), Run("b", full)])
    assert rows[0].spread("map_index") == (None, None)
    assert gains(rows) == [None, None]
    assert "in index order" not in rows[0].numbers["quote"]
    page = unescape(render_runs(rows, title="both"))
    assert f"<td>\N{EN DASH}</td><td>{trained(0).compat()[0].map:.6f}</td>" in page


def test_the_page_shows_rows_of_titles_and_keeps_every_run(rows, reports):
    page = render_runs(rows, title="both")
    text = unescape(page)
    for row in rows:
        for name in ("map_expected", "map_index"):
            mean, deviation = row.spread(name)
            assert f"{mean:.4f}\N{NARROW NO-BREAK SPACE}±\N{NARROW NO-BREAK SPACE}{deviation:.4f}" in text
        assert row.numbers["quote"] in text
        assert f"mean ± sample standard deviation of {len(row.runs)} runs; 16 bits, 20 queries" in text
    assert page.count('role="img"') == 6 + 2
    saved = re.findall(r'href="data:[^,]*;base64,([^"]*)" download="([^"]*\.json)"', page)
    names = ["ours-1.json", "ours-2.json", "ours-3.json", "theirs-1.json", "theirs-2.json"]
    assert [unescape(name) for _, name in saved] == names
    found = [json.loads(base64.b64decode(body))["map"] for body, _ in saved]
    assert found == [report.map for report in (*reports[::2], *reports[1::2])]
    classes = [report.per_class() for report in reports]
    for place, name in enumerate(classes[0].classes.tolist()):
        cells = [np.mean([c.average_precision[place] for c in classes[start::2]]) for start in (0, 1)]
        count = classes[0].num_queries[place]
        assert re.search(rf'row">{name}</th><td>{count}</td><td>{cells[0]:.4f}<.*<td>{cells[1]:.4f}<', page)
    usual = [np.mean([report.compat()[0].map for report in reports[start::2]]) for start in (0, 1)]
    assert f"<td>{usual[0]:.6f}</td><td>{usual[1]:.6f}</td>" in page


@pytest.mark.parametrize("averaged", [False, True])
def test_tables_in_files_hold_the_table_of_the_terminal(trained, averaged):
    runs = [Run(title, numbers_of(trained(seed))) for title in TITLES for seed in ((0, 1) if averaged else (0,))]
    runs = average_by_title(runs) if averaged else runs
    lines = [re.split(" {2,}", line) for line in compare_text(runs).splitlines()]
    rendered = MarkdownIt("commonmark").enable("table").render(compare_markdown(runs))
    cells = [re.findall("<t[hd][^>]*>(.*)</t[hd]>", row) for row in rendered.split("</tr>")]
    assert [[unescape(cell) for cell in row] for row in cells if row] == lines
    latex = compare_latex(runs).splitlines()
    assert latex[1:4] == [rf"\begin{{tabular}}{{l{'r' * (len(lines[0]) - 1)}}}", r"\toprule", latex[3]]
    assert latex[4] == r"\midrule"
    assert latex[-2:] == [r"\bottomrule", r"\end{tabular}"]
    titles = [
        r"a\textbar{}b \& 50\% \textbackslash{}\textbar{} \textless{}c\textgreater{}",
        r"{*}ours{*}\_1 {[}new] \$x\$",
        r"-3 \textasciitilde{} \textasciicircum{}2 \{\#\}",
        r"C\textbackslash{}",
    ]
    assert [line.split(" & ")[0] for line in latex[5:-2]] == [title.split(" & ")[0] for title in titles]
    for line, title, cells in zip(latex[5:-2], titles, lines[1:], strict=True):
        numbers = [cell.replace("±", r"$\pm$").replace(" .. ", r"\,--\,") for cell in cells[1:]]
        numbers = [re.sub(r"(?<!\w)([+-])(\d)", r"$\1$\2", "--" if cell == "-" else cell) for cell in numbers]
        assert line == " & ".join([title, *numbers]) + r" \\"


def test_csv_holds_every_digit(rows, trained):
    found = list(csv.DictReader(io.StringIO(compare_csv([*rows, *average_by_title([Run("c", trained(7).to_dict())])]))))
    assert [(row["title"], row["runs"], row["bits"], row["k"]) for row in found] == [
        ("ours", "3", "16", "60"), ("theirs", "2", "16", "60"), ("c", "1", "16", "60")
    ]  # fmt: skip
    gain = gains(rows)[1]
    for row, kept in zip(rows, found, strict=False):
        for name in SCALARS:
            assert (float(kept[name]), float(kept[f"{name}_deviation"])) == row.spread(name)
        for name in ("precision_at", "recall_at"):
            assert (float(kept[name]), float(kept[f"{name}_deviation"])) == row.spread(name, "60")
        assert [float(kept[name]) for name in ("map_least", "map_greatest")] == row.numbers["map_bounds"]
    parts = [found[1][name] for name in ("to_the_first", "to_the_first_lo", "to_the_first_hi")]
    assert [float(part) for part in parts] == [gain.mean, gain.lo, gain.hi]
    assert found[0]["to_the_first"] == found[2]["map_deviation"] == ""
    (plain,) = csv.DictReader(io.StringIO(compare_csv([Run('a, "b"', trained(0).to_dict())])))
    assert plain["title"] == 'a, "b"'
    assert not any(name == "runs" or name.endswith("_deviation") for name in plain)


def test_files_of_tables_say_in_which_settings_runs_differ(trained):
    runs = [Run("a", trained(0).to_dict()), Run("b", trained(0, zero_hit="skip").to_dict())]
    assert compare_markdown(runs).endswith("compare with care:\n\n- zero\\_hit: zero, skip\n")
    assert "% zero_hit: zero, skip\n\\begin{tabular}" in compare_latex(runs)
    for table in (compare_text, compare_markdown, compare_latex, compare_csv):
        with pytest.raises(ValueError, match="runs must hold at least one run"):
            table([])
