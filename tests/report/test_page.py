"""The page: complete, self-contained, and readable without colours or eyes."""

from __future__ import annotations

import base64
import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import rc_context
from PIL import Image

from hashkernels._page import figures as figures_of_pages
from hashkernels._page.pictures import png_uri
from hashkernels.data import RetrievalSplit, hold_out_queries, load_dataset
from hashkernels.report import MethodResult, render_page, run_method
from hashkernels.report.images import neighbour_grid

# Elements that have no end tag in HTML.
VOID = {"meta", "img", "br"}


class Document(HTMLParser):
    """Tags with their attributes in order, and a check that every element is closed where it belongs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def digits() -> RetrievalSplit:
    split = load_dataset("digits")
    return hold_out_queries("digits <8 x 8>", split.database_items[:400], split.database_labels[:400], 40)


@pytest.fixture(scope="module")
def results(digits: RetrievalSplit) -> list[MethodResult]:
    torch.set_num_threads(1)
    return [run_method(digits, method, 16, epochs=2) for method in ("ecm_plotkin", "csq")]


@pytest.fixture(scope="module")
def page(digits: RetrievalSplit, results: list[MethodResult]) -> str:
    return render_page(digits, results, command="hashkernels demo --output 'a & b'")


def test_the_page_fetches_nothing(page: str) -> None:
    assert "http://" not in page
    assert "https://" not in page
    assert "@import" not in page
    document = Document(page)
    for tag in ("link", "script", "iframe", "object", "embed", "base"):
        assert not document.all(tag)
    for _, attributes in document.elements:
        for name in ("src", "href", "srcset", "poster", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/png;base64,"))
    for target in re.findall(r"url\(([^)]*)\)", page):
        assert target.strip("'\"").startswith("#")
    policy = next(item["content"] for item in document.all("meta") if item.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy


def test_ids_are_unique_and_references_lead_somewhere(page: str) -> None:
    document = Document(page)
    ids = [attributes["id"] for _, attributes in document.elements if attributes.get("id")]
    assert len(ids) == len(set(ids))
    references = [attributes["href"] for attributes in (*document.all("a"), *document.all("use"))]
    references += re.findall(r"url\((#[^)]*)\)", page)
    assert {str(reference)[1:] for reference in references} <= {str(name) for name in ids}


def test_the_page_holds_the_numbers_and_escapes_text(page: str, results: list[MethodResult]) -> None:
    for result in results:
        assert f"{result.report.map:.4f}" in page
        assert f"of {result.center_distance.bound}" in page
    assert "digits &lt;8 x 8&gt;" in page
    assert "a &amp; b" in page
    assert results[0].report.protocol in page
    assert torch.__version__ in page


def test_right_and_wrong_differ_by_mark_frame_and_words(
    page: str, digits: RetrievalSplit, results: list[MethodResult]
) -> None:
    document = Document(page)
    pictures = document.all("img")
    assert all(picture.get("alt") for picture in pictures)
    wrong = sum(str(picture["alt"]).endswith("wrong") for picture in pictures)
    tiles = [attributes.get("class") for attributes in document.all("li")]
    assert tiles.count("tile wrong") == wrong > 0
    assert page.count('aria-hidden="true">\u2717') + page.count('aria-hidden="true">&#10007;') == wrong
    assert re.search(r"\.wrong \.frame img.*dashed", page)
    assert re.search(r"\.right \.frame img.*solid", page)
    # Against the labels: the neighbours of the first row are the nearest by (distance, index).
    grid = neighbour_grid(digits, results[0])
    assert grid is not None
    row = grid.by_class[0]
    query = int((digits.query_labels == 0).nonzero()[0])
    q, d = (np.unpackbits(codes, axis=1) for codes in (results[0].query_codes, results[0].database_codes))
    distance = (q[query] != d).sum(axis=1)
    nearest = np.argsort(distance, kind="stable")[:10]
    assert [tile.distance for tile in row.neighbours] == distance[nearest].tolist()
    assert [tile.right for tile in row.neighbours] == (digits.database_labels[nearest] == 0).tolist()


def test_figures_are_named_and_scale(page: str) -> None:
    figures = Document(page).all("svg")
    assert len(figures) == 2 + 2 + 3
    for figure in figures:
        assert figure.get("role") == "img"
        assert figure.get("aria-label")
        assert "width" not in figure
    assert "currentColor" in page
    assert "#a1000" not in page
    assert "prefers-color-scheme: dark" in page


def test_the_same_results_give_the_same_page(digits: RetrievalSplit, results: list[MethodResult], page: str) -> None:
    for style in ({}, {"text.usetex": True, "font.size": 30, "axes.titlecolor": "red", "lines.markersize": 20}):
        with rc_context(style):
            assert render_page(digits, results, command="hashkernels demo --output 'a & b'") == page


def test_embeddings_have_no_picture_grid() -> None:
    items = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    split = hold_out_queries("points", items, torch.arange(80) % 2, 10)
    results = [run_method(split, "csq", 8, epochs=1)]
    document = Document(render_page(split, results))
    assert not document.all("img")
    assert not any(attributes.get("id") == "neighbours" for _, attributes in document.elements)


def test_multi_hot_labels_name_all_classes() -> None:
    images = torch.randint(0, 256, (60, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.nn.functional.one_hot(torch.arange(60) % 3, 4) | torch.nn.functional.one_hot(torch.arange(60) % 2, 4)
    split = hold_out_queries("several", images, labels.to(torch.uint8), 12)
    result = run_method(split, "csq", 8, epochs=1)
    grid = neighbour_grid(split, result)
    assert grid is not None
    assert any("," in row.query.label for row in grid.by_class)
    for row in grid.by_class:
        own = set(row.query.label.split(", "))
        assert all(tile.right == bool(own & set(tile.label.split(", "))) for tile in row.neighbours)
    assert "several" in render_page(split, [result])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_round_trips_through_a_decoder(channels: int) -> None:
    image = torch.randint(0, 256, (channels, 5, 7), dtype=torch.uint8)
    uri = png_uri(image)
    decoded = np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))
    np.testing.assert_array_equal(decoded.reshape(5, 7, channels), image.permute(1, 2, 0).numpy())
    assert png_uri(image / 255) == uri


@pytest.mark.parametrize("titles", [(r"C:\data", "$x_{$"), (r"\1", "_hidden"), (r"\$5", "<b>a</b> & 'c'")])
def test_titles_are_shown_letter_by_letter(
    digits: RetrievalSplit, results: list[MethodResult], titles: tuple[str, str]
) -> None:
    text = render_page(digits, [replace(result, title=title) for result, title in zip(results, titles, strict=True)])
    labels = [attributes["aria-label"] for attributes in Document(text).all("svg")]
    words = [unescape(word) for word in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    for title in titles:
        assert f"{title}: distances of same-class pairs and of different-class pairs" in labels
        # In the legends of all figures but the two of distances.
        assert [word.strip("\N{ZERO WIDTH SPACE}") for word in words].count(title) == 5


def test_names_that_are_no_utf8_do_not_cost_the_page(digits: RetrievalSplit, results: list[MethodResult]) -> None:
    name = os.fsdecode(b"caf\xe9")
    text = render_page(
        digits, [replace(results[0], title=name), results[1]], command=f"hashkernels demo --output {name}"
    )
    assert text.encode().count(rb"caf\udce9") > 5


def test_losses_below_zero_are_in_their_figure(
    digits: RetrievalSplit, results: list[MethodResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutual_information = run_method(digits, "mihash", 16, epochs=2)
    assert max(mutual_information.history.series("loss")) < 0
    figures = []
    draw = figures_of_pages.svg

    def kept(figure: Any, title: str) -> str:
        figures.append(figure)
        return draw(figure, title)

    monkeypatch.setattr("hashkernels.report.plots.svg", kept)
    for shown in ([mutual_information], [mutual_information, *results]):
        figures.clear()
        text = render_page(digits, shown)
        (axes,) = next(figure for figure in figures if figure.axes[0].get_ylabel() == "loss").axes
        low, high = axes.get_ylim()
        values = [value for line in axes.lines for value in line.get_ydata()]
        assert low < min(values) < max(values) < high
        assert text.count("log scale") == 1  # of the distinct codes


def test_training_settings_that_differ_are_told_by_method(digits: RetrievalSplit, results: list[MethodResult]) -> None:
    text = render_page(digits, [results[1], run_method(digits, "mihash", 16, epochs=2)])
    common, differing = text.split("Training, the same for every method")[1].split("Training, method by method")
    assert "<dt>batch size</dt><dd>CSQ 64, MIHash 128</dd>" in differing
    assert "<dt>epochs</dt><dd>2</dd>" in common
    assert "batch size" not in common
    assert "method by method" not in render_page(digits, results)


def test_results_that_make_no_page_are_refused(digits: RetrievalSplit, results: list[MethodResult]) -> None:
    with pytest.raises(ValueError, match="results must not be empty"):
        render_page(digits, [])
    with pytest.raises(ValueError, match="results must all have the same number of bits, got 8, 16"):
        render_page(digits, [results[0], run_method(digits, "csq", 8, epochs=1)])
