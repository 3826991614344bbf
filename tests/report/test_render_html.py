import copy
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import Any

import pytest
from report_example import example_gallery, example_report, jpeg_uri, map_texts
from selectolax.lexbor import LexborHTMLParser as Tree

from realsyn_ops.report.gallery import raster_uri
from realsyn_ops.report.render_html import render_html

VOID = {"meta", "wbr", "img", "br", "link", "input", "hr"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</title><svg onload=alert(1)>",
    "<!-- <details open>",
    "{{ 7 * 7 }}{% for x in y %}",
    "javascript:alert(1)",
    "https://evil.example/x.png",
    "&lt;script&gt;&#60;b&#62;",
]


class Nesting(HTMLParser):
    """Raises on an end tag that does not close what is open: what browsers repair in silence."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_page(html: str) -> Tree:
    """The page's tree, after proof that it nests, loads nothing, runs nothing and labels what it shows."""
    nesting = Nesting()
    nesting.feed(html)
    assert nesting.open == []
    tree = Tree(html)
    nodes = tree.css("*")
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "foreignObject"} & {
        node.tag for node in nodes
    }
    ids = [node.attributes["id"] for node in nodes if "id" in node.attributes]
    assert len(ids) == len(set(ids))
    for node in nodes:
        for name, value in node.attributes.items():
            assert not name.startswith("on"), (node.tag, name)
            if name in {"src", "href", "srcset", "action", "poster", "data", "background", "xlink:href"}:
                assert raster_uri(value) or (value.startswith("#") and value[1:] in ids), (node.tag, name, value[:60])
            if name == "style":
                assert re.fullmatch(r"top:[\d.]+%", value)
    css = "".join(node.text() for node in tree.css("style"))
    assert "url(" not in css and "@import" not in css
    assert all(image.attributes.get("alt") for image in tree.css("img"))
    assert "default-src 'none'" in tree.css_first("meta[http-equiv=Content-Security-Policy]").attributes["content"]
    return tree


def shape(tree: Tree) -> list[str]:
    return [node.tag for node in tree.css("*")]


def words(node: Any) -> str:
    return " ".join(node.text(separator=" ").split())


@pytest.fixture(scope="module")
def page() -> Tree:
    return check_page(render_html(example_report(), example_gallery()))


@pytest.mark.parametrize(
    ("selector", "shown"),
    [
        ("title", "RealSyn release 2025-02-19-ab12cd34"),
        ("h1", "312 pairs"),
        (".head", "Out of 412 documents came 1,240 images and 18,322 sentences."),
        (".head", "2025-02-18, 2025-02-19"),
        (".head", "1 of 2 passed"),
        (".head", "/data/releases/2025-02-19-ab12cd34"),
        (".stream.images", "1,302 found extract 1,240 −4.8% quality 1,011 −18.5% paper 285M −15.2%"),
        (".stream.sentences", "quality 13,870 −24.3% paper 1.82B −14.6%"),
        (".documents", "418 read, 412 kept (−1.4%), empty document 6"),
        ("#pairs", "8 of the 312 pairs."),
        ("#pair-2", "Text number 1 about a duck. 0.30 dictionary Birds of the water https://example.org/birds"),
        ("#pair-2", "Synthetic text rewriter Synthetic duck 1 on a lake. similarity to the image 0.31"),
        ("#pair-1 .tags", "drake lakeside"),
        ("#pair-1 .caption", "A photo of duck 0."),
        ("#pair-1 .by-template", "template"),
        (".refused.images", "image too small shorter side below the limit 200 48 48 x 60 px"),
        (".refused.sentences", "no action no verb 4,450 A blue door. 0"),
        (".refused.images", "image aspect too wide or too tall 29"),
        (".clusters", "cap 22 before: 440 images, largest cluster 61 after: 312 images, largest 22"),
        ("#balance .facts", "0.113 to 0.403"),
        (".scales", "312 pairs 22 3"),
        (".what-if", "0.05 to 0.95 0.105 to 0.412 396"),
        (".hosts", "images.example 900 720, 80.0% 81 MB fetch not found 150, fetch robots 30"),
        (".stages", "embed curate_ images 8 1 min 30 s 45.0 s 1.45 GB"),
        (".stages tfoot", "all stages 12 1 min 39 s 49.5 s 1.45 GB"),
        (".gates .passed", "images passed 9 expectations, 2025-02-18"),
        (".gates .failed", "unique key: 2 of 440 s3://realsyn/staging/docs/pairs/index.html"),
        ("#run", "by the rewriter 80 25.6% by the template 232 74.4%"),
        ("#run", "ungrounded 231"),
        ("#run", "encoder lite0 with minilm"),
        ("#run", "largest cluster 900"),
        ("#run", "recall at 3 0.82"),
    ],
)
def test_the_page_shows_the_numbers(page: Tree, selector: str, shown: str) -> None:
    found = " ".join(words(node) for node in page.css(selector))
    assert shown in found


def test_the_images_are_there_with_alt_texts(page: Tree) -> None:
    first = page.css_first("#pair-1 img").attributes
    assert (first["src"], first["alt"]) == (jpeg_uri((0, 90, 60)), "A photo of duck 0.")
    assert page.css_first(".thumbnails img").attributes["alt"] == "rejected: image too small, 48 x 60 px"
    assert len(page.css(".sheet img")) == 8


def test_reasons_with_examples_open_and_others_do_not(page: Tree) -> None:
    assert [words(node) for node in page.css("details .reason b")] == ["image too small", "no action"]
    assert "cluster cap" in [words(node) for node in page.css(".plain .reason b")]


@pytest.mark.parametrize("payload", HOSTILE)
@pytest.mark.parametrize("where", ["report", "gallery"])
def test_a_text_never_becomes_markup(page: Tree, payload: str, where: str) -> None:
    report, gallery = example_report(), example_gallery()
    if where == "report":
        report = map_texts(report, lambda text: text + payload)
    else:
        gallery = map_texts(gallery, lambda text: text if text.startswith("data:") else text + payload)
    tree = check_page(render_html(report, gallery))
    assert shape(tree) == shape(page)
    assert payload in tree.css_first("title" if where == "report" else "#pair-1 .quote").text()


@pytest.mark.parametrize("payload", HOSTILE)
def test_a_name_never_becomes_markup(payload: str) -> None:
    report, gallery = example_report(), example_gallery()
    report["models"] = report["codebook"] = {payload: payload}
    report["retrieval"] = {payload: 0.5}
    report["synthesis"] = {payload: 3, "fallbacks": {payload: 2}}
    for stream in ("documents", "images", "sentences"):
        report["funnel"][stream][0].update(step=payload, n_in=9, n_kept=2, rejects={payload: 7})
        gallery["rejects"][stream] = {payload: [{"text": payload, "value": payload, "detail": payload, "image": None}]}
    tree = check_page(render_html(report, gallery))
    assert tree.css_first(".refused .reason b").text() == payload.replace("_", " ")


@pytest.mark.parametrize(
    ("value", "is_shown"),
    [
        (jpeg_uri(), True),
        ("https://evil.example/x.jpg", False),
        ("//evil.example/x.jpg", False),
        ("data:image/svg+xml;base64,PHN2Zz4=", False),
        ("data:text/html;base64,PHN2Zz4=", False),
        ('data:image/jpeg;base64,AAAA" onerror="alert(1)', False),
        ("data:image/jpeg;base64,AAAA\n", False),
        (None, False),
        ("", False),
    ],
)
def test_only_raster_data_uris_become_images(value: str | None, is_shown: bool) -> None:
    gallery = {
        "pairs": [{"image": value}],
        "rejects": {"images": {"image_too_small": [{"image": value, "value": None}]}},
    }
    tree = check_page(render_html(example_report(), gallery))
    assert bool(tree.css(".pair img")) is is_shown
    assert bool(tree.css("details img")) is is_shown


def test_half_surrogates_and_control_characters_can_be_written() -> None:
    report = map_texts(example_report(), lambda text: text + "\ud800\x00\x1b")
    html = render_html(report, {})
    assert b"\x00" not in html.encode() and b"\x1b" not in html.encode()


@pytest.mark.parametrize(
    ("report", "gallery", "shown"),
    [
        (
            {},
            {},
            ["0 pairs", "Nothing has been extracted yet", "No images yet.", "No sentences yet.", "No pairs to show."],
        ),
        ({}, {}, ["Nothing was rejected.", "No clusters of images yet.", "No stage was measured.", "No gate has run."]),
        ({"funnel": {"images": [{"step": "extract", "n_in": 0, "n_kept": 0}]}}, {}, ["0 found", "extract 0 –"]),
        ({"release": {"n_pairs": 1}}, {"pairs": [{}]}, ["1 pair", "no image", "No realistic text."]),
        ({"selection": {"cluster_sizes_before": [3]}}, {}, ["largest cluster 3", "largest 0"]),
        ({"selection": {"lower": 0.1, "upper": None, "cap": None}}, {}, ["No clusters of images yet."]),
        ({"synthesis": {"rewriter": 0, "template": 0, "fallbacks": {}}}, {}, ["None were made."]),
        ({"stages": [{"dag": "a", "stage": "b"}]}, {}, ["b a 0 0.0 s 0.0 s –"]),
        ({"days": [f"2025-02-{day:02d}" for day in range(1, 9)]}, {}, ["2025-02-01 to 2025-02-08 (8)"]),
        ({}, {"pairs": [{"texts": [{"text": "A duck.", "similarity": None, "origin": "Birds"}]}]}, ["A duck. – Birds"]),
        (
            {},
            {"pairs": [{"texts": [{"text": "A duck.", "similarity": -0.2, "document_key": "d7"}]}]},
            ["A duck. -0.20 d7"],
        ),
    ],
)
def test_missing_parts_are_named_not_broken(report: dict, gallery: dict, shown: list[str]) -> None:
    text = words(check_page(render_html(report, gallery)).body)
    for part in shown:
        assert part in text


@pytest.mark.parametrize("part", [None, {}, []])
@pytest.mark.parametrize("name", sorted(example_report()))
def test_any_part_of_the_report_may_be_empty(name: str, part: object) -> None:
    check_page(render_html(example_report() | {name: part}, example_gallery()))


def test_records_without_a_reason_are_named() -> None:
    report = example_report()
    report["funnel"]["images"][1]["rejects"]["image_aspect"] = 20
    assert words(Tree(render_html(report, {})).css_first(".alarm")) == "9 of these have no reason."


def test_a_hundred_thousand_clusters_make_few_bars() -> None:
    report = example_report()
    report["selection"].update(cluster_sizes_before=[9] * 100_000, cluster_sizes_after=[5] * 100_000, cap=5)
    html = render_html(report, {})
    assert len(html) < 100_000
    assert "mean of 715 clusters" in html


def test_the_same_input_makes_the_same_bytes_in_another_process_and_stays_unchanged() -> None:
    report, gallery = example_report(), example_gallery()
    before = copy.deepcopy((report, gallery))
    html = render_html(report, gallery)
    assert (report, gallery) == before
    code = (
        "import sys; from report_example import *; from realsyn_ops.report.render_html import render_html;"
        "sys.stdout.buffer.write(render_html(example_report(), example_gallery()).encode())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True, timeout=60)
    assert other.stdout.decode() == html


def test_the_page_follows_the_readers_colours_and_width() -> None:
    html = render_html({}, {})
    for rule in ("prefers-color-scheme: dark", "max-width: 44rem", "prefers-reduced-motion", ":focus-visible"):
        assert rule in html
    assert 'name="viewport"' in html
