"""Provenance from tables and releases on a real object store: places, scores beside limits, groups, texts, releases."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from realsyn_ops.errors import PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.releases import revoke
from realsyn_ops.io.storage import Bucket
from realsyn_ops.models.prompt import VERSION
from realsyn_ops.plans import PairPlan, code_digest
from realsyn_ops.records import sentence_key, url_key
from realsyn_ops.report.render_trace import print_trace
from realsyn_ops.report.trace import Facts, trace
from tests.io.small_release import pair
from tests.io.small_release import publish as publish_release
from tests.report.small_corpus import FIRST, SECOND, publish, record, write_corpus

TEXTS = ["A bird sings.", "A bird flies.", "A bird eats."]
URL = "https://pics.example/bird.jpg"


@pytest.fixture(scope="module")
def corpus(store: object) -> Corpus:
    """The small corpus, and two releases of which the first is revoked."""
    bucket: Bucket = replace(store.bucket, name="test-trace")  # type: ignore[attr-defined]
    bucket.create()
    corpus = write_corpus(bucket)
    publish_release(bucket, "v1", [pair("i-good"), pair("i-gone"), pair("i-wide")])
    publish_release(bucket, "v2", [pair("i-good", texts=["Other text.", *pair("i-good")["texts"][:2]])])
    revoke(bucket, "v1", "a complaint")
    return corpus


@pytest.fixture(scope="module")
def paired(store: object) -> Corpus:
    """One fetched image with its pair, whose synthetic text a rewriter wrote."""
    bucket: Bucket = replace(store.bucket, name="test-trace-pair")  # type: ignore[attr-defined]
    bucket.create()
    corpus = Corpus(bucket)
    publish(corpus, "documents", [
        {"key": "d-1", "day": FIRST, "source": "web", "file": f"raw/{FIRST}/web/a.warc.gz", "record": "@512",
         "url": "https://pages.example/birds", "title": "Birds"},
    ])  # fmt: skip
    publish(corpus, "images", [{"key": "i-1", "day": FIRST, "data": b"bytes", "format": "JPEG", "width": 9,
                                "height": 8}])  # fmt: skip
    publish(corpus, "image_nodes", [
        {"key": "i-1", "day": FIRST, "document_key": "d-1", "node": n, "src": "bird.jpg", "url": URL, "alt": "a bird"}
        for n in (7, 3)
    ])  # fmt: skip
    publish(corpus, "fetches", [
        {"key": url_key(URL), "day": FIRST, "url": URL, "host": "pics.example", "status": 200, "image_key": "i-1"}
    ])  # fmt: skip
    publish(corpus, "sentences", [{"key": sentence_key(t), "day": FIRST, "text": t, "n_nodes": 1} for t in TEXTS])
    publish(corpus, "sentence_nodes", [
        {"key": sentence_key(t), "day": FIRST, "document_key": "d-1", "node": 4, "position": n}
        for n, t in enumerate(TEXTS)
    ])  # fmt: skip
    publish(corpus, "sentence_measures", [
        {"key": sentence_key(TEXTS[0]), "day": FIRST, "parsed_by": "small-parser", "scored_by": "small-model"}
    ])  # fmt: skip
    publish(corpus, "pairs", [
        {"key": "i-1", "day": FIRST, "cluster": 5, "text_keys": list(map(sentence_key, TEXTS)), "texts": TEXTS,
         "similarities": [0.5, 0.25, 0.125], "caption": "a photo of a bird", "tags": ["bird", "it's"],
         "syn_text": "It's a bird that sings.", "syn_origin": "rewriter", "syn_similarity": 0.5, "made_by": "abc"},
    ])  # fmt: skip
    publish(corpus, "answers", [
        {"key": "p-1", "day": FIRST, "model": "writer", "answer": " It's a bird that sings.\n"},
        {"key": "p-2", "day": FIRST, "model": "writer", "answer": "Another answer."},
    ])  # fmt: skip
    plan = PairPlan(day=FIRST, inputs="in", code=code_digest(), codebook="k1", models=(("rewriter", "writer"),))
    record(bucket, "pair_texts", plan)
    bucket.put("corpus/retrieval.json", json.dumps({"recall": 0.97}).encode())
    return corpus


def steps(found: Facts) -> dict[tuple[str, str], Facts]:
    return {(step["stage"], step["part"]): step for step in found["steps"]}


def scores(step: Facts) -> dict[str, tuple]:
    return {s["score"]: (s["value"], *s["limits"].values()) for s in step["scores"]}


def shown(facts: Facts) -> str:
    out = io.StringIO()
    print_trace(facts, Console(file=out, soft_wrap=True))
    return out.getvalue()


def test_an_image_stands_somewhere_and_has_scores_beside_the_limits_of_its_day(corpus: Corpus) -> None:
    found = trace(corpus, "i-late")
    assert (found["days"], found["n_places"]) == ([SECOND], 1)
    (place,) = found["places"]
    assert (place["document"], place["file"], place["record"], place["node"], place["url"]) == (
        "d-3", f"raw/{SECOND}/manuals/pages.zip", "c.html", 2, "https://example.org/c.html",
    )  # fmt: skip
    (step,) = found["steps"]
    assert scores(step)["shorter_side_px"] == (110, 120)
    assert scores(step)["aspect"] == (1.0, 3.0)
    assert scores(step)["sharpness"] == (None,)
    assert (step["reason"], step["limit"], step["threshold"], step["value"]) == (
        "image_too_small", "min_side_px", 120, 110.0,
    )  # fmt: skip
    assert step["plan"]["day"] == SECOND
    assert len(step["plan"]["digest"]) == 16
    assert (found["pair"], found["releases"]) == (None, [])
    assert "refused: image_too_small 110 (min_side_px 120)" in shown(found)


def test_limits_are_those_of_the_plan_that_judged_the_day(corpus: Corpus) -> None:
    (step,) = trace(corpus, "i-small")["steps"]
    assert (step["threshold"], step["plan"]["day"], scores(step)["shorter_side_px"]) == (100, FIRST, (60, 100))
    assert scores(steps(trace(corpus, "s-long"))["cluster", "quality"])["n_words"] == (90, 3, 81)


def test_a_duplicate_names_its_survivor_how_near_it_is_and_who_else_is_in_the_group(corpus: Corpus) -> None:
    step = steps(trace(corpus, "i-twin"))["curate", "redundancy"]
    assert (step["reason"], step["survivor"], step["value"]) == ("perceptual_duplicate", "i-good", 2.0)
    assert (step["limit"], step["threshold"]) == ("max_hash_distance", 4)
    assert step["plan"]["day"] == SECOND  # the last run decided for all days
    assert scores(step)["similarity to survivor"] == (0.7, 4, 0.8)
    assert [(one["key"], one["reason"]) for one in step["members"]] == [
        ("i-good", None), ("i-like", "semantic_duplicate"), ("i-twin", "perceptual_duplicate"),
    ]  # fmt: skip
    assert "of 3: i-good (survives), i-like (semantic_duplicate)" in shown(trace(corpus, "i-twin"))


@pytest.mark.parametrize(
    ("key", "score", "values", "reason"),
    [
        ("s-dull", "perplexity", (20.0, 30.0, 200.0), "low_perplexity"),
        ("s-good", "perplexity", (80.0, 30.0, 200.0), None),
        ("s-wordy", "n_words", (50, 3, 40), "too_many_words"),
        ("s-wordy", "entropy", (None, 0.3), "too_many_words"),
        ("s-menu", "site_share", (0.5, 0.1), "boilerplate"),
    ],
)
def test_a_sentence_has_its_scores_as_far_as_they_were_measured(
    corpus: Corpus, key: str, score: str, values: tuple, reason: str | None
) -> None:
    step = steps(trace(corpus, key))["cluster", "quality"]
    assert (scores(step)[score], step["reason"]) == (values, reason)


def test_all_places_of_a_sentence_are_told(corpus: Corpus) -> None:
    found = trace(corpus, "s-menu")
    assert (found["n_places"], [place["node"] for place in found["places"]]) == (3, [3, 4, 5])
    assert "not measured" in shown(found)


def test_what_was_never_taken_says_where_and_why(corpus: Corpus) -> None:
    (row,) = trace(corpus, "r-1")["rejects"]
    assert (row["reason"], row["limit"], row["threshold"], row["record"]) == (
        "too_many_nodes", "max_nodes", 100, "a.html",
    )  # fmt: skip
    (row,) = trace(corpus, "r-2")["rejects"]
    assert (row["node"], row["document_key"], row["url"]) == (4, "d-1", "https://example.org/a.html")
    (row,) = trace(corpus, "u-1")["rejects"]
    assert (row["reason"], row["url"]) == ("fetch_not_found", "https://pics.example/gone.jpg")
    (row,) = trace(corpus, "u-2")["rejects"]
    assert (row["reason"], row["image_key"]) == (None, "i-good")
    text = shown(trace(corpus, "r-2"))
    assert "\x1b" not in text
    assert "named in the document, not found" in text


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("i-", "beginning of several keys: i-damaged, i-good, i-late, i-like, i-small, ..."),
        ("i-nosuch", "nothing is known of image i-nosuch: it is in no table and in none of 2 releases"),
        ("x-1", "nothing that can be traced: give a key of an image"),
        ("i-good' OR 1=1", "nothing that can be traced"),
        ("v1", "nothing that can be traced"),
        ("v9/00000.tar/i-good", "release 'v9' is not published; there are: v1, v2"),
        ("v1/00007.tar/i-good", "release v1 has no 00007.tar"),
        ("v1/00000.tar/i-none", "pairs/00000.parquet has no sample i-none"),
        ("v1/README.md", "no sample of a tar"),
    ],
)
def test_what_cannot_be_traced_is_a_clear_error(corpus: Corpus, asked: str, says: str) -> None:
    with pytest.raises(PermanentError) as error:
        trace(corpus, asked)
    assert says in str(error.value)


def test_the_beginning_of_a_key_is_enough_when_it_is_one_keys(corpus: Corpus) -> None:
    assert trace(corpus, "i-sm")["key"] == "i-small"
    assert trace(corpus, "s-goo")["key"] == "s-good"


def test_an_image_names_the_releases_that_have_it_and_which_are_revoked(corpus: Corpus) -> None:
    found = trace(corpus, "i-good")
    assert [(r["sample"], bool(r["revoked"])) for r in found["releases"]] == [
        ("v1/00000.tar/i-good", True), ("v2/00000.tar/i-good", False),
    ]  # fmt: skip
    text = shown(found)
    assert "REVOKED 20" in text
    assert "v2/00000.tar/i-good" in text


def test_a_sentence_names_the_samples_that_have_it(corpus: Corpus, paired: Corpus) -> None:
    key = sentence_key("Text 1 of i-good.")
    found = trace(corpus, key)
    assert (found["days"], found["text"]) == ([], "")
    uses = [(r["version"], r["uses"]) for r in found["releases"]]
    assert uses == [
        ("v1", [{"sample": "v1/00000.tar/i-good", "rank": 1}]), ("v2", [{"sample": "v2/00000.tar/i-good", "rank": 2}]),
    ]  # fmt: skip
    in_force = trace(paired, sentence_key(TEXTS[1]))["pairs"]
    assert in_force == {"n_uses": 1, "uses": [{"key": "i-1", "day": FIRST, "rank": 2, "similarity": 0.25}]}


@pytest.mark.parametrize("asked", ["v1/00001.tar/i-wide", "v1/tars/00001.tar/i-wide.jpg"])
def test_a_sample_has_the_texts_of_its_release_and_what_the_tables_say_now(corpus: Corpus, asked: str) -> None:
    found = trace(corpus, asked)
    assert found["sample"]["name"] == "v1/00001.tar/i-wide"
    assert found["sample"]["revoked"]["reason"] == "a complaint"
    assert found["sample"]["plan"] == {
        "dag": "release_dataset", "day": "", "digest": "v1", "code": "c0de", "inputs": "in", "preset": "demo",
        "seed": 2502,
    }  # fmt: skip
    assert [text["text"] for text in found["texts"]] == [f"Text {n} of i-wide." for n in (1, 2, 3)]
    assert [step["reason"] for step in found["image"]["steps"]] == ["image_aspect"]
    assert "prompt" not in found["synthetic"]  # the pair is not in force
    text = shown(found)
    assert "a complaint" in text
    assert "the pair has been made anew" in text


def test_a_sample_whose_image_is_gone_is_still_a_sample(corpus: Corpus) -> None:
    for asked in ("v1/00000.tar/i-gone", "i-gone"):
        found = trace(corpus, asked)
        assert "not in the corpus any more" in shown(found)
    assert [release["version"] for release in found["releases"]] == ["v1"]


def test_a_pair_tells_both_sides_and_what_its_text_was_made_with(paired: Corpus) -> None:
    found = json.loads(json.dumps(trace(paired, "i-1")))
    assert [place["node"] for place in found["places"]] == [3, 7]
    assert found["places"][0]["fetched"]["url"] == URL
    assert found["places"][0]["fetched"]["status"] == 200
    assert (found["places"][0]["record"], found["image"]["n_bytes"]) == ("@512", 5)
    pair_of = found["pair"]
    assert [(text["rank"], text["text"], text["similarity"]) for text in pair_of["texts"]] == [
        (1, TEXTS[0], 0.5), (2, TEXTS[1], 0.25), (3, TEXTS[2], 0.125),
    ]  # fmt: skip
    assert [text["places"][0]["position"] for text in pair_of["texts"]] == [0, 1, 2]
    assert pair_of["texts"][0]["measured_by"] == {"parsed_by": "small-parser", "scored_by": "small-model"}
    synthetic = pair_of["synthetic"]
    assert (synthetic["model"], synthetic["prompt"]) == ("writer", VERSION)
    assert [answer["key"] for answer in synthetic["answers"]] == ["p-1"]
    step = steps(found)["pair", ""]
    assert (step["cluster"], step["codebook"], step["search"]["recall"]) == (5, "k1", 0.97)
    assert (pair_of["made_by"], step["plan"]["code"]) == ("abc", code_digest())
    text = shown(found)
    for said in (
        URL,
        "pages.example/birds",
        "answer p-1 of writer",
        f"prompt {VERSION}",
        "recall 0.97",
        "#@512 node 3",
    ):
        assert said in text


def test_a_prompt_of_other_sources_is_not_guessed(paired: Corpus) -> None:
    plan = PairPlan(day=SECOND, inputs="in", code="other", models=(("rewriter", "writer"),))
    before = {item.key: paired.bucket.get(item.key) for item in paired.bucket.list("corpus/plans/")}
    try:
        record(paired.bucket, "pair_texts", plan)
        assert trace(paired, "i-1")["pair"]["synthetic"]["prompt"] is None
    finally:
        for key, data in before.items():
            paired.bucket.put(key, data)
