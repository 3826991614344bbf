"""Rejects as they are browsed, from tables on a real object store: counts add up, values and limits are right."""

import base64
import io
import json
import re
from dataclasses import replace

import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console

from realsyn_ops.errors import BadPlanError, PermanentError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.releases import publish_release
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import ReleasePlan
from realsyn_ops.report.rejects import Count, Query, Rejected, count_rejects, list_rejects
from realsyn_ops.report.render_rejects import counts_json, print_counts, print_rejects, rejects_json, render_rejects
from tests.report.small_corpus import FIRST, HOSTILE, SECOND, publish, sentence, write_corpus


@pytest.fixture(scope="module")
def corpus(store: object) -> Corpus:
    bucket: Bucket = replace(store.bucket, name="test-rejects")  # type: ignore[attr-defined]
    bucket.create()
    return write_corpus(bucket)


def counted(corpus: Corpus, **query: str) -> dict[tuple[str, str, str], Count]:
    return {(c.step.stage, c.step.of, c.step.part): c for c in count_rejects(corpus, Query(**query))}


def listed(corpus: Corpus, limit: int = 50, **query: str) -> list[Rejected]:
    asked = Query(**query)
    return list(list_rejects(corpus, count_rejects(corpus, asked), asked, limit=limit))


def one(corpus: Corpus, **query: str) -> Rejected:
    (row,) = listed(corpus, **query)
    return row


def test_every_step_is_counted_and_adds_up(corpus: Corpus) -> None:
    counts = counted(corpus)
    assert {step: (c.n_in, c.n_kept, c.rejects) for step, c in counts.items()} == {
        ("fetch", "URLs", ""): (2, 1, {"fetch_not_found": 1}),
        ("extract", "documents", ""): (4, 3, {"too_many_nodes": 1}),
        ("extract", "images", ""): (9, 7, {"fetch_not_found": 1, "image_missing": 1}),
        ("curate", "images", "quality"): (7, 3, {"image_too_small": 3, "image_aspect": 1}),
        ("curate", "images", "redundancy"): (
            5, 1, {"identical": 2, "perceptual_duplicate": 1, "semantic_duplicate": 1},
        ),
        ("cluster", "sentences", "quality"): (
            11, 3, {"boilerplate": 3, "too_many_words": 2, "low_perplexity": 1, "no_action": 1, "url": 1},
        ),
        ("cluster", "sentences", "redundancy"): (3, 1, {"perceptual_duplicate": 1, "semantic_duplicate": 1}),
        ("pair", "images", ""): (1, 0, {"too_few_texts": 1}),
    }  # fmt: skip
    for count in counts.values():
        assert count.n_in == (count.n_kept or 0) + sum(count.rejects.values())


def test_counts_of_a_day_a_stage_and_a_source(corpus: Corpus) -> None:
    assert counted(corpus, day=SECOND)["curate", "images", "quality"].rejects == {"image_too_small": 2}
    assert {stage for stage, _, _ in counted(corpus, stage="cluster")} == {"cluster"}
    of_source = counted(corpus, source="o'wiki")
    assert {step: c.rejects for step, c in of_source.items()} == {
        ("curate", "images", "quality"): {"image_aspect": 1},
        ("cluster", "sentences", "quality"): {"low_perplexity": 1},
    }
    assert {(c.n_in, c.n_kept) for c in of_source.values()} == {(None, None)}
    assert counted(corpus, source="manuals")["cluster", "sentences", "quality"].rejects["boilerplate"] == 3


@pytest.mark.parametrize(
    ("query", "key", "value", "limit", "threshold"),
    [
        ({"reason": "image_too_small", "day": FIRST}, "i-small", 60.0, "min_side_px", 100),
        ({"reason": "image_aspect"}, "i-wide", 4.0, "max_aspect", 3.0),
        ({"reason": "perceptual_duplicate", "stage": "curate"}, "i-twin", 2.0, "max_hash_distance", 4),
        ({"reason": "semantic_duplicate", "stage": "curate"}, "i-like", 0.85, "min_visual_similarity", 0.8),
        ({"reason": "too_many_words", "day": FIRST}, "s-long", 90.0, "max_words", 81),
        ({"reason": "too_many_words", "day": SECOND}, "s-wordy", 50.0, "max_words", 40),
        ({"reason": "low_perplexity"}, "s-dull", 20.0, "min_perplexity", 30.0),
        ({"reason": "no_action"}, "s-bare", 0.0, "min_actions", 1),
        ({"reason": "boilerplate"}, "s-menu", 0.5, "max_site_share", 0.1),
        ({"reason": "url"}, "s-web", 1.0, None, None),
        ({"reason": "perceptual_duplicate", "stage": "cluster"}, "s-same", None, "min_jaccard", 0.8),
        ({"reason": "semantic_duplicate", "stage": "cluster"}, "s-near", 0.82, "min_similarity", 0.8),
        ({"reason": "too_few_texts"}, "i-good", 1.0, "n_texts", 3),
        ({"reason": "too_many_nodes"}, "r-1", None, "max_nodes", 100),
        ({"reason": "image_missing"}, "r-2", None, None, None),
    ],
)
def test_a_reject_has_its_value_and_the_limit_it_was_held_against(
    corpus: Corpus, query: dict[str, str], key: str, value: float | None, limit: str | None, threshold: float | None
) -> None:
    row = one(corpus, **query)
    assert (row.key, row.value, row.limit, row.threshold) == (key, value, limit, threshold)


def test_a_record_on_two_days_is_counted_and_placed_by_its_day(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    days = (FIRST, "d-1", "manuals"), (SECOND, "d-2", "wiki")
    document = {"file": "f", "record": "r", "url": "", "title": "", "n_images": 1, "n_sentences": 1}
    publish(corpus, "documents", [{"key": key, "day": day, "source": source, **document} for day, key, source in days])
    nodes = [{"key": "s-menu", "day": day, "document_key": key, "node": 1, "position": 0} for day, key, _ in days]
    publish(corpus, "sentence_nodes", nodes)
    scores = [
        sentence("s-menu", day, 5, "boilerplate", share) for (day, _, _), share in zip(days, (0.5, 0.7), strict=True)
    ]
    publish(corpus, "sentence_scores", scores)
    publish(corpus, "sentences", [{"key": "s-menu", "day": day, "text": "t", "n_nodes": 1} for day, _, _ in days])
    found = [(row.day, row.value, row.source, row.n_places) for row in listed(corpus, reason="boilerplate")]
    assert found == [(FIRST, 0.5, "manuals", 1), (SECOND, 0.7, "wiki", 1)]
    assert counted(corpus, source="wiki")["cluster", "sentences", "quality"].rejects == {"boilerplate": 1}
    assert [row.day for row in listed(corpus, reason="boilerplate", source="wiki")] == [SECOND]


def test_a_reject_says_where_it_stood(corpus: Corpus) -> None:
    image = one(corpus, reason="image_aspect")
    assert (image.source, image.file, image.record) == ("o'wiki", f"raw/{FIRST}/o'wiki/pages.zip", "b.html")
    assert (image.url, image.node) == ("https://example.org/b.html", 2)
    sentence = one(corpus, reason="boilerplate")
    assert (sentence.record, sentence.node, sentence.n_places) == ("a.html", 3, 3)
    missing = one(corpus, reason="image_missing")
    assert (missing.url, missing.node, missing.detail) == ("https://example.org/a.html", 4, HOSTILE)
    document = one(corpus, reason="too_many_nodes")
    assert (document.record, document.url, document.node) == ("a.html", "", -1)
    address, place = listed(corpus, reason="fetch_not_found")
    assert (address.stage, address.url) == ("fetch", "https://pics.example/gone.jpg")
    assert (place.stage, place.record, place.node) == ("extract", "a.html", 6)


def test_sentences_have_their_text_and_duplicates_their_survivor(corpus: Corpus) -> None:
    assert one(corpus, reason="low_perplexity").text == "text of s-dull"
    near = one(corpus, reason="semantic_duplicate", stage="cluster")
    assert (near.text, near.survivor, near.similarity) == ("fine", "s-good", 0.82)
    assert one(corpus, reason="perceptual_duplicate", stage="curate").survivor == "i-good"


def test_further_places_of_the_same_record_are_listed_as_one(corpus: Corpus) -> None:
    row = one(corpus, reason="identical")
    assert (row.key, row.n_places, row.survivor) == ("i-good", 3, "")


def test_the_limit_holds_for_each_reason_and_for_a_source(corpus: Corpus) -> None:
    assert len(listed(corpus, limit=2, reason="image_too_small")) == 2
    assert len(listed(corpus, limit=1)) == sum(len(c.rejects) for c in count_rejects(corpus, Query()))
    assert [row.key for row in listed(corpus, limit=1, reason="image_aspect", source="o'wiki")] == ["i-wide"]
    assert listed(corpus, reason="image_aspect", source="manuals") == []


def test_pairs_that_a_release_left_out_have_the_bounds_it_solved(bucket: Bucket) -> None:
    staging = Staging.create(bucket, "release_dataset", "v1", ReleasePlan(inputs="in", code="c0de"))
    rows = [("i-1", 0.1, "similarity_too_low"), ("i-2", 0.5, "similarity_too_high"), ("i-3", 0.3, "cluster_cap"),
            ("i-4", 0.3, None)]  # fmt: skip
    selection = [{"key": k, "day": FIRST, "cluster": 0, "similarity": s, "reason": r} for k, s, r in rows]
    staging.write("select", "all", {"selection": pa.Table.from_pylist(selection)}, {})
    facts = {"selection": {"lower": 0.2, "upper": 0.4, "cap": 1}}
    publish_release(bucket, "v1", f"{staging.prefix}/release", [], {}, facts)
    corpus = Corpus(bucket)
    assert counted(corpus)["release", "pairs", ""].n_kept == 1
    found = {row.reason: (row.value, row.limit, row.threshold) for row in listed(corpus, stage="release")}
    assert found == {
        "similarity_too_low": (0.1, "lower", 0.2),
        "similarity_too_high": (0.5, "upper", 0.4),
        "cluster_cap": (None, "cap", 1),
    }
    assert counted(corpus, day=SECOND) == {}


@pytest.mark.parametrize(
    ("query", "says"),
    [({"stage": "nosuch"}, "fetch, extract, curate"), ({"reason": "nosuch"}, "image_too_small"), ({"day": "x"}, "day")],
)
def test_a_query_for_what_is_not_there_is_refused(query: dict[str, str], says: str) -> None:
    with pytest.raises((PermanentError, BadPlanError), match=says):
        Query(**query)


def test_a_corpus_without_tables_and_one_without_plans_can_be_asked(bucket: Bucket, corpus: Corpus) -> None:
    assert count_rejects(Corpus(bucket), Query()) == []
    for item in list(corpus.bucket.list("corpus/plans/curate_images/")):
        data = corpus.bucket.get(item.key)
        corpus.bucket.delete(item.key)
        row = one(corpus, reason="image_aspect")
        corpus.bucket.put(item.key, data)
        if FIRST in item.key:
            assert (row.value, row.limit) == (4.0, None)


def test_the_page_shows_thumbnails_and_escapes_what_it_is_given(corpus: Corpus) -> None:
    counts = count_rejects(corpus, Query())
    page = render_rejects(counts, list_rejects(corpus, counts, Query(), limit=5), corpus)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert not re.findall(r"(?:src|href)=\"(?!data:image/jpeg;base64,)", page)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    sizes = [Image.open(io.BytesIO(base64.b64decode(picture))).size for picture in pictures]
    assert len(pictures) == 9
    assert all(max(size) <= 160 for size in sizes)
    assert page.count("does not decode") == 1
    assert page.count("its bytes were never kept") == 2


def test_the_terminal_gets_no_control_sequences(corpus: Corpus) -> None:
    out = io.StringIO()
    console = Console(file=out, soft_wrap=True)
    counts = count_rejects(corpus, Query())
    print_counts(counts, console)
    n = print_rejects(list_rejects(corpus, counts, Query(), limit=50), console)
    text = out.getvalue()
    assert n == sum(1 for _ in list_rejects(corpus, counts, Query(), limit=50))
    assert "\x1b" not in text
    assert "shorter side below the limit" in text
    assert "60 (min_side_px 100)" in text
    assert "2 (max_hash_distance 4) (similarity 0.700)" in text
    assert "o'wiki raw/2025-02-18/o'wiki/pages.zip#b.html https://example.org/b.html node 2" in text


def test_json_has_the_same_numbers(corpus: Corpus) -> None:
    counts = count_rejects(corpus, Query(stage="pair"))
    assert json.loads(counts_json(counts)) == [
        {"stage": "pair", "of": "images", "part": "", "in": 1, "kept": 0, "rejects": {"too_few_texts": 1}}
    ]
    (row,) = json.loads(rejects_json(list_rejects(corpus, counts, Query(), limit=5)))
    assert (row["key"], row["value"], row["threshold"]) == ("i-good", 1.0, 3)
