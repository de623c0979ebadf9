"""The page of an evaluation: complete, self-contained, with its numbers as files; figures; runs read back from JSON."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from html import unescape

import numpy as np
import pytest
from matplotlib import pyplot, rc_context
from matplotlib.figure import Figure

import hashkernels as hk
from hashkernels._page.figures import legend, new_axes, style
from hashkernels.metrics import query_grid
from hashkernels.metrics.pages.comparison import compare_text
from hashkernels.metrics.pages.page import render_runs
from hashkernels.metrics.pages.runs import Run, differences, distinct, gains, load_runs


@pytest.fixture(scope="module")
def cases(problem):
    """Codes of two lengths of the same items."""
    first, second = (problem(bits, 20, 90, seed=bits) for bits in (16, 9))
    return [first, second._replace(query_labels=first.query_labels, database_labels=first.database_labels)]


def evaluated(case, **options):
    return hk.evaluate(*case.arguments(), bits=case.bits, **options)


@pytest.fixture(scope="module")
def reports(cases):
    return [evaluated(case, k=(10, 90), index_order=True, statistics=True) for case in cases]


@pytest.fixture(scope="module")
def page(reports, cases, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "run.html"
    images = np.arange(90 * 16, dtype=np.uint8).reshape(90, 4, 4)
    grid = query_grid(reports[0], *cases[0].arguments(), images[:20], images)
    reports[0].save(path, title="first <run>", grid=grid, command="hashkernels evaluate 'a & b'")
    return path.read_text()


def test_the_page_loads_nothing_and_runs_nothing(page):
    assert not re.search(r"<(script|link|iframe|object|embed|base)\b", page)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src 'none'" in page
    for target in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert target.startswith(("#", "data:image/png;base64,", "data:text/csv", "data:application/json")), target[:40]
    ids = re.findall(r'\sid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([^")]*)', page)) <= set(ids)


def test_the_page_shows_the_numbers_and_the_line_to_quote(page, reports):
    report = reports[0]
    for number in (report.map, report.map_index, *report.map_bounds, *report.map_at.values()):
        assert f"{number:.4f}" in page
    assert report.quote() in unescape(page)
    for row in report.compat():
        assert f"{row.map:.6f}" in page
    assert "first &lt;run&gt;" in page
    assert "a &amp; b" in page
    assert page.count('role="img"') == 6 + 1
    assert 'alt="query: ' in page


def test_every_number_can_be_saved_from_the_page(page, reports):
    report = reports[0]
    links = re.findall(r'href="data:[^,]*;base64,([^"]*)" download="([^"]*)"', page)
    files = {unescape(name): base64.b64decode(body).decode() for body, name in links}
    numbers = json.loads(files["first-run.json"])
    assert numbers.items() >= report.to_dict(per_query=True).items()
    tables = {name: list(csv.DictReader(io.StringIO(text))) for name, text in files.items() if name.endswith(".csv")}
    assert {name.removeprefix("first-run-") for name in tables} == {
        "cutoffs.csv", "ranks.csv", "radii.csv", "per_class.csv", "per_query.csv", "evaluators.csv"
    }  # fmt: skip
    found = [float(row["average_precision"]) for row in tables["first-run-per_query.csv"]]
    assert found == report.per_query.average_precision.tolist()
    radii = tables["first-run-radii.csv"]
    assert [float(row["precision_within"]) for row in radii] == report.precision_within.tolist()
    assert [int(row["other_pairs"]) for row in radii] == report.distance_histogram.irrelevant.tolist()


def test_saved_runs_are_compared(reports, cases, tmp_path):
    for name, report in zip("ab", reports, strict=True):
        report.save(tmp_path / f"{name}.json")
    runs = distinct(load_runs([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "a.json"]))
    assert [run.title for run in runs] == ["a", "b", "a (2)"]
    text = compare_text(runs)
    assert "bits: 16, 9, 16" in text
    lines = text.splitlines()
    assert f"{reports[1].map:.4f}" in lines[2]
    change = reports[1].per_query.average_precision - reports[0].per_query.average_precision
    assert f"{change.mean():+.4f} (" in lines[2]
    assert "+0.0000 (+0.0000 .. +0.0000)" in lines[3]
    shifted = np.roll(cases[0].query_labels, 1)
    evaluated(cases[0]._replace(query_labels=shifted), k=90).save(tmp_path / "other queries.json")
    assert gains(load_runs([tmp_path / "a.json", tmp_path / "other queries.json"])) == [None, None]
    page = render_runs(runs, title="both")
    assert page.count('role="img"') == 6 + 3
    assert all(run.numbers["quote"] in unescape(page) for run in runs)


def test_the_style_of_the_caller_does_not_get_onto_the_page(reports):
    runs = [Run("run", reports[0].to_dict())]
    expected = render_runs(runs, title="one")
    with rc_context({"text.usetex": True, "axes.grid": False, "legend.fontsize": 30, "axes.linewidth": 9}):
        assert render_runs(runs, title="one") == expected


def test_titles_are_shown_letter_by_letter(reports):
    titles = [r"$\alpha_{$ of \data", "_hidden", "\N{CJK UNIFIED IDEOGRAPH-96EA}"]
    page = unescape(render_runs([Run(title, reports[0].to_dict()) for title in titles], title="both"))
    for title in titles:
        assert f'aria-label="{title}: distances of relevant pairs and of other pairs"' in page
        assert len(re.findall(f">\N{ZERO WIDTH SPACE}?{re.escape(title)}</text>", page)) == 6


@pytest.mark.parametrize("titles", [[f"run {number}" for number in range(36)], ["a title of many words " * 4] * 3])
def test_a_legend_leaves_the_axes_their_room_and_tells_all_lines_apart(titles):
    figure, axes = new_axes("x", "y")
    looks = [style(number, title, markers=True) for number, title in enumerate(titles)]
    for look in looks:
        axes.plot([0, 1], **look)
    legend(figure)
    figure.draw_without_rendering()
    assert axes.get_window_extent().height > 1.8 * figure.dpi
    (box,) = (drawn.get_window_extent() for drawn in figure.legends)
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    shown = [" ".join(text.get_text().split()) for text in figure.legends[0].get_texts()]
    assert shown == [title.strip() for title in titles]
    assert len({(look["color"], look["marker"], look["linestyle"]) for look in looks}) == len(titles)


def test_a_plain_dict_is_enough_to_be_compared(cases, tmp_path):
    report = evaluated(cases[0])
    (tmp_path / "plain.json").write_text(json.dumps(report.to_dict()))
    demo = {"methods": {"m": {"title": "Method", "evaluation": report.to_dict()}}}
    (tmp_path / "results.json").write_text(json.dumps(demo))
    runs = load_runs([tmp_path / "plain.json", tmp_path / "results.json"])
    assert [run.title for run in runs] == ["plain", "Method"]
    for title, shown in ((None, "plain"), (" two\n lines ", "two lines"), (5, "5")):
        (tmp_path / "plain.json").write_text(json.dumps(report.to_dict() | {"title": title}))
        assert load_runs([tmp_path / "plain.json"])[0].title == shown
    assert "Other evaluators" not in render_runs(runs, title="plain")
    assert compare_text(runs).count("\n") == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda n: n.pop("format"), "format"),
        (lambda n: n.pop("rank_curve"), "no rank_curve"),
        (lambda n: n.pop("map_index"), "no map_index"),
        (lambda n: n.update(map_index="0.5"), "map_index must hold 1 numbers"),
        (lambda n: n["precision_within"].pop(), "precision_within must hold 17 numbers"),
        (lambda n: n["map_at"].clear(), "no 90"),
        (lambda n: n.update(quote=3), "quote must be text"),
        (lambda n: n["distance_histogram"].update(relevant=["x"] * 17), "distance_histogram must hold 17 numbers"),
        (lambda n: n.update(map=None), "map must hold 4 numbers"),
        (lambda n: n.update(bootstrap={"lo": 0.1}), "no hi"),
        (lambda n: n.update(query_statistics={"distinct_codes": 3}), "no num_codes"),
        (lambda n: n["database_statistics"]["bit_entropy"].pop(), "database_statistics must hold 16 numbers"),
    ],
)
def test_other_json_is_named_and_refused(cases, tmp_path, change, told):
    numbers = evaluated(cases[0], statistics=True).to_dict()
    change(numbers)
    (tmp_path / "odd.json").write_text(json.dumps(numbers))
    with pytest.raises(ValueError, match=r"odd\.json must hold what hashkernels evaluate --json prints") as error:
        load_runs([tmp_path / "odd.json"])
    assert told in str(error.value)


def test_what_is_no_json_is_refused(reports, tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json must be JSON"):
        load_runs([tmp_path / "a.json"])
    with pytest.raises(ValueError, match=r"path must end in \.html or \.json, got run\.txt"):
        reports[0].save("run.txt")
    with pytest.raises(ValueError, match="runs must hold at least one run"):
        render_runs([], title="none")


def test_figures_draw_what_the_report_holds(reports):
    figure = Figure()
    axes = figure.subplots(2, 3).ravel()
    for report in reports:
        report.plot_pr(axes[0], label="run")
        report.plot_precision_at(axes[1])
        report.plot_recall_at(axes[2])
        report.plot_precision_within(axes[3])
        report.plot_map_within(axes[4])
    reports[0].plot_per_class(axes[5])
    shown = reports[0].recall_within > 0
    first, second = axes[0].lines
    np.testing.assert_array_equal(first.get_xdata(), reports[0].recall_within[shown])
    np.testing.assert_array_equal(first.get_ydata(), reports[0].precision_within[shown])
    # readable without colour
    assert first.get_linestyle() != second.get_linestyle()
    assert first.get_marker() != second.get_marker()
    np.testing.assert_array_equal(axes[1].lines[0].get_ydata(), reports[0].rank_curve().precision.expected)
    np.testing.assert_array_equal(axes[3].lines[1].get_ydata(), reports[1].precision_within)
    widths = sorted(bar.get_width() for bar in axes[5].patches)
    assert widths == sorted(reports[0].per_class().average_precision)
    new = reports[0].plot_pr(color="red"), reports[0].plot_distances()
    np.testing.assert_array_equal(new[0].lines[0].get_ydata(), reports[0].precision_within[shown])
    assert new[0].figure is not new[1].figure
    for made in new:
        pyplot.close(made.figure)
    bars = Figure().subplots()
    reports[0].plot_distances(bars)
    assert sum(bar.get_height() for bar in bars.patches) == pytest.approx(2)


def test_grid_arguments_are_checked(reports, cases):
    images = np.zeros((90, 4, 4, 3), np.uint8)
    arguments = reports[0], *cases[0].arguments()
    assert len(query_grid(*arguments, images[:20], images).worst) == 4
    with pytest.raises(ValueError, match="query_images must have one image for each of 20 codes, got 90"):
        query_grid(*arguments, images, images)
    with pytest.raises(ValueError, match="database_images must have 1, 3 or 4 channels"):
        query_grid(*arguments, images[:20], np.zeros((90, 5, 5, 5), np.uint8))
    with pytest.raises(TypeError, match="query_images must be uint8 or floating point"):
        query_grid(*arguments, images[:20].astype(np.int32), images)
    case = cases[0]
    few = case.query_codes[:5], case.database_codes, case.query_labels[:5], case.database_labels
    with pytest.raises(ValueError, match="query_codes must be the 20 queries of the report, got 5"):
        query_grid(reports[0], *few, images[:5], images)


def test_classes_without_a_name_are_called_by_their_number():
    codes, images = np.zeros((3, 1), np.uint8), np.zeros((3, 4, 4), np.uint8)
    queries, database = np.array([0, 2]), np.array([-1, 0, 2])
    report = hk.evaluate(codes[:2], codes, queries, database)
    grid = query_grid(report, codes[:2], codes, queries, database, images[:2], images, class_names=["cat", "dog"])
    assert [row.query.label for row in grid.by_class] == ["cat", "2"]
    assert [tile.label for tile in grid.by_class[0].neighbours] == ["-1", "cat", "2"]


def test_a_folder_that_is_not_there_is_named(reports, tmp_path):
    with pytest.raises(FileNotFoundError) as told:
        reports[0].save(tmp_path / "no" / "run.json")
    assert str(told.value) == f"[Errno 2] No such file or directory: '{tmp_path / 'no' / 'run.json'}'"


def test_runs_differ_by_what_is_compared(problem):
    case = problem(16, 20, 90)
    queries, database, query_labels, database_labels = case.arguments()

    def found(labels, **options):
        return Run("a run", hk.evaluate(queries, database, query_labels, labels, **options).to_dict())

    assert differences([found(database_labels, k=(5, 50)), found(database_labels, k=50)]) == []
    assert differences([found(database_labels, k=(5, 50)), found(database_labels, k=5)]) == ["k: 50, 5"]
    others = np.zeros_like(database_labels)
    relevant = [int((query_labels[:, None] == labels).sum()) for labels in (database_labels, others)]
    runs = [found(database_labels), found(others)]
    assert differences(runs) == [f"relevant pairs: {relevant[0]}, {relevant[1]} (other labels, or other items)"]
