"""What the views show of a real corpus whose every text is an attack: the tables' numbers, and nothing that runs."""

import json
import re
from io import BytesIO

import pytest
from PIL import Image

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.quarantine import lift, quarantine
from realsyn_ops.io.shards import Staging
from realsyn_ops.page.rendering import VIEWS
from tests.operators.takedown_corpus import DAYS
from tests.page.conftest import Page
from tests.page.hostile_corpus import ATTACKS

_TAG = re.compile(r"<(?!!doctype)/?([a-z][a-z0-9]*)|\son[a-z]+\s*=|javascript:", re.IGNORECASE)


def get(page: Page, path: str, user: str = "admin") -> str:
    answer = page.clients[user].get(path)
    assert answer.status_code == 200, (path, answer.status_code, answer.text[:300])
    return answer.text


@pytest.fixture(scope="module")
def pairs(page: Page) -> list[dict]:
    """All pairs of the gallery, page by page."""
    found = json.loads(get(page, "/pairs"))
    cards = found["pairs"]
    while found["after"] is not None:
        found = json.loads(get(page, f"/pairs?after={found['after']}"))
        cards += found["pairs"]
    return cards


def test_the_gallery_holds_every_pair_in_force_once(page: Page, pairs: list[dict]) -> None:
    rows = Corpus(page.bucket).read("pairs", ["key", "texts", "similarities", "cluster"], where="reason IS NULL")
    assert [card["key"] for card in pairs] == rows["key"].to_pylist() != []
    for card, row in zip(pairs, rows.to_pylist(), strict=True):
        assert [text["text"] for text in card["texts"]] == row["texts"]
        assert [text["similarity"] for text in card["texts"]] == pytest.approx(row["similarities"], abs=1e-4)
        assert card["cluster"] == row["cluster"]
        assert {card["origin"]["source"], *(text["origin"]["source"] for text in card["texts"])} == {"site"}
        assert all(text["origin"]["url"].startswith("https://example.org/?q=") for text in card["texts"])


def test_words_and_filters_choose_the_pairs_that_have_them(page: Page, pairs: list[dict]) -> None:
    def keys(query: str) -> list[str]:
        return [card["key"] for card in json.loads(get(page, f"/pairs?{query}"))["pairs"]]

    def having(word: str) -> list[str]:
        return [c["key"] for c in pairs if any(word in t["text"].lower() for t in c["texts"])][:12]

    cluster = pairs[0]["cluster"]
    best = sorted(max(text["similarity"] for text in card["texts"]) for card in pairs)
    bound = best[len(best) // 2] + 0.0011
    assert keys("words=heron") == having("heron") != []
    assert keys("words=HERON%20photographed") == [k for k in having("heron") if k in having("photographed")]
    assert keys("words=nowherefound") == []
    assert keys(f"cluster={cluster}") == [c["key"] for c in pairs if c["cluster"] == cluster]
    assert keys("source=site") == [c["key"] for c in pairs][:12]
    assert keys("source=other") == []
    assert keys(f"min_similarity={bound}") == [
        c["key"] for c in pairs if round(1000 * max(t["similarity"] for t in c["texts"])) >= round(1000 * bound)
    ]
    assert keys(f"words=heron&cluster={cluster}&source=site") == [
        c["key"] for c in pairs if c["cluster"] == cluster and c["key"] in having("heron")
    ]


@pytest.mark.parametrize("path", [f"/{view}" for view in VIEWS])
def test_no_view_has_a_tag_or_handler_that_is_not_ours(page: Page, pairs: list[dict], path: str) -> None:
    text = get(page, path)
    ours = {
        "html", "head", "meta", "title", "script", "link", "body", "a", "header", "nav", "main", "h1", "h2", "h3", "p",
        "form", "label", "select", "option", "input", "button", "output", "div", "span", "section", "article", "figure",
        "figcaption", "svg", "path", "rect", "img", "ol", "ul", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tr",
        "th", "td", "code", "strong", "b", "cite", "details", "summary",
    }  # fmt: skip
    scripts = re.findall(r"<script[^>]*>", text)
    assert scripts == ['<script src="/realsyn/page.js">']
    found = [(match[0], match[1]) for match in _TAG.finditer(re.sub(r"&[a-z]+;|&#\d+;", "", text)) if match[1]]
    assert {tag for _, tag in found if tag} <= ours
    assert not re.search(r"<[^>]*\son[a-z]+\s*=", text)
    assert not re.search(r"(href|src)=[\"']?\s*javascript:", text, re.IGNORECASE)


def test_attacks_are_shown_as_the_texts_they_are(page: Page, pairs: list[dict]) -> None:
    stored = {text["text"] for card in pairs for text in card["texts"]}
    assert any(ATTACKS[0] in text for text in stored)
    assert "&lt;script&gt;window.hacked = 1&lt;/script&gt;" in get(page, "/gallery")


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_asked_for_comes_back_escaped(page: Page, pairs: list[dict], attack: str) -> None:
    for path, name in (("/gallery", "words"), ("/gallery", "source"), ("/takedowns", "value"), ("/gates", "day")):
        answer = page.clients["admin"].get(path, params={name: attack})
        assert attack not in answer.text or not set(attack) & set("<>\"'"), path


def test_an_image_is_a_jpeg_of_our_own_making(page: Page, pairs: list[dict]) -> None:
    answer = page.clients["viewer"].get(f"/images/{pairs[0]['key']}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).format == "JPEG"
    stored = Corpus(page.bucket).read("images", ["data"], where=f"key = '{pairs[0]['key']}'")["data"][0].as_py()
    assert answer.content != stored
    assert page.clients["viewer"].get("/images/i" + 32 * "0").status_code == 404


def test_pairs_that_look_alike_begin_with_the_pair_itself(page: Page, pairs: list[dict]) -> None:
    text = get(page, f"/pairs/{pairs[0]['key']}/alike")
    assert re.findall(r'aria-label="Pair (i\w+)"', text)[0] == pairs[0]["key"]


def test_days_are_done_and_releases_and_rejects_are_those_of_the_bucket(page: Page) -> None:
    days = get(page, "/days")
    assert [days.count(f'/rejects?day={day}"') for day in DAYS] == [1, 1]
    assert days.count('class="done"') == 4 * len(DAYS)
    assert page.release in get(page, "/releases")
    assert page.release in get(page, "/")
    assert "What if" in get(page, f"/rejects?day={DAYS[0]}")
    assert "What if" not in get(page, f"/rejects?day={DAYS[0]}", user="viewer")


def test_a_day_in_quarantine_says_so_until_it_is_published(page: Page) -> None:
    folder = f"staging/ingest_documents/{DAYS[1]}/"
    plan = next(item.key for item in page.bucket.list(folder) if item.key.endswith("/plan.json"))
    staging = Staging(page.bucket, plan.removesuffix("/plan.json"))
    quarantine(staging, [], "s3://docs")
    try:
        days = get(page, "/days")
        assert days.count('class="quarantined"') == 1
        assert days.count('class="done"') == 4 * len(DAYS) - 1
    finally:
        lift(page.bucket, staging.dag, DAYS[1])
    assert 'class="quarantined"' not in get(page, "/days")


def test_what_if_counts_the_days_records_anew(page: Page) -> None:
    asked = f"/what-if?day={DAYS[0]}&dag=cluster_sentences&limit=max_words&value="
    assert sum(json.loads(get(page, asked + "4"))["refused"].values()) > 0
    assert page.clients["admin"].get(asked + "-1").status_code == 422


def test_a_dry_run_of_a_takedown_is_offered_to_who_may(page: Page) -> None:
    assert "Dry run</button>" in get(page, "/takedowns", user="operator")
    assert "<button" not in get(page, "/takedowns", user="viewer")
