"""The tasks of `mine_tags` on a real bucket with the demo's models: the list, its version, its gate, a second run."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realsyn_ops.errors import CorruptShardError, GateError, PermanentError
from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.quarantine import entries
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.tag_lists import TagList, publish_tag_list, read_tag_list, tag_list_versions
from realsyn_ops.models.load import load_encoder
from realsyn_ops.operators import assets, mining, shard_steps
from realsyn_ops.operators.params import MINE
from realsyn_ops.operators.publishing import split_days
from realsyn_ops.settings import settings
from tests.planted import all_rows, planted

FIRST, SECOND = "2025-02-18", "2025-02-19"
SENTENCES = [
    "A rosella flew over the wheelbarrow.", "The rosella is a bird.", "Two rosellas eat seeds.",
    "A wheelbarrow stands there.", "He painted the wheelbarrow.", "The opinion of the majority counts.",
    "Her opinion was no secret.", "An opinion is cheap.", "A hen lays an egg.", "The hen slept.", "Every hen sleeps.",
]  # fmt: skip
SHOWN = ["rosella", "parrot", "wheelbarrow", "cart", "egg", "hen"]
BASE = ("hen", "cock", "goldfish", "broccoli", "oboe", "volcano", "tractor", "teapot", "jersey", "espresso")


@pytest.fixture(autouse=True)
def base_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "base.txt").write_text("\n".join(BASE))
    monkeypatch.setenv("REALSYN_TAGGER", f"clip-zero-shot:{tmp_path / 'base.txt'}")
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="module")
def embedded() -> dict[str, np.ndarray]:
    """Pictures stand in as the encoder's vectors of what they show."""
    encoder = load_encoder("demo", device="cpu", threads=settings().threads, models_path=settings().models_path)
    vectors = encoder.encode_texts([f"{word} {i}" for word in SHOWN for i in range(3)])
    return {f"i{i:03d}": vector.astype(np.float16) for i, vector in enumerate(vectors)}


def put(bucket: Bucket, name: str, schema: pa.Schema, rows: list[dict[str, Any]], days: list[str]) -> None:
    tables = split_days(pa.Table.from_pylist(sorted(rows, key=lambda row: row["key"]), schema=schema))
    for day in days:
        Corpus(bucket).publish(name, schema, {day: tables[day]})


def publish(bucket: Bucket, embedded: dict[str, np.ndarray], days: list[str]) -> None:
    """What the Dags before would have published; some sentence is a near-duplicate's, and no survivor."""
    images = [{"key": k, "day": (FIRST, SECOND)[i % 2], "n_nodes": 1} for i, k in enumerate(embedded)]
    texts = [
        {"key": f"s{i:03d}", "day": (FIRST, SECOND)[i % 2], "n_nodes": 1, "text": text, "cluster": 0}
        for i, text in enumerate(SENTENCES)
    ]
    lost = {"key": "s900", "day": FIRST, "text": "The gargoyle, the gargoyle.", "reason": "semantic_duplicate"}
    vectors = [
        row | {"n_pixels": 1, "phash": 1, "embedding": embedded[row["key"]], "visual": embedded[row["key"]]}
        for row in images
    ]
    put(bucket, "image_embeddings", schemas.image_embeddings(384, 384), vectors, days)
    put(bucket, "curated_images", schemas.CURATED_IMAGES, images, days)
    put(bucket, "sentence_clusters", schemas.SENTENCE_CLUSTERS, [*texts, lost], days)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the Dag's tasks; returns what the asset event says and the run's staging."""

    def mine(bucket: Bucket, **params: Any) -> tuple[dict[str, Any], Staging]:
        for module in (mining, shard_steps):
            monkeypatch.setattr(module, "open_staging", lambda work: Staging(bucket, work["staging"]))
        monkeypatch.setattr(mining, "open_bucket", lambda: bucket)
        form = {name: param.value for name, param in MINE.items()} | {"preset": "demo", "min_sentences": 2} | params
        counted = [mining.count.function(work) for work in mining.plan.function(params=form)]
        embedded = [mining.embed.function(work) for work in mining.merge.function(counted)]
        work = mining.audit.function(mining.rank.function(embedded))
        events = {assets.TAG_LISTS: SimpleNamespace(extra=None)}
        mining.publish.function(work, outlet_events=events)
        return events[assets.TAG_LISTS].extra, Staging(bucket, work["staging"])

    return mine


@pytest.fixture
def corpus(bucket: Bucket, embedded: dict[str, np.ndarray]) -> Bucket:
    publish(bucket, embedded, [FIRST, SECOND])
    return bucket


def test_what_sentences_say_and_images_show_extends_the_base_list(corpus: Bucket, mine: Any) -> None:
    event, staging = mine(corpus)
    found = read_tag_list(corpus, event["version"])
    assert found.names[: len(BASE)] == BASE
    mined = {row["tag"]: row["n_sentences"] for row in found.tags[len(BASE) :]}
    assert mined == {"rosella": 3, "wheelbarrow": 3}
    rejects = staging.read_shard(mining.RANK, "all", "rejects").to_pylist()
    assert {row["phrase"]: row["reason"] for row in rejects} == {"hen": "known_word", "opinion": "not_concrete"}
    counts = found.counts
    assert counts["sentences"] == len(SENTENCES)
    assert counts["phrases.in"] == counts["phrases.kept"] + counts["phrases.rejected.too_rare"]
    assert (counts["candidates.in"], counts["candidates.kept"]) == (counts["phrases.kept"], 2)
    assert (found.made_with["encoder"], found.made_with["size"]) == ("demo", 8_000)
    assert event["gates"] == {"tag_list": "passed", "tag_mining": "passed"}
    assert (event["version"], event["tags"], event["is_new"]) == (found.version, len(BASE) + 2, True)


def test_days_in_any_order_and_shards_of_any_size_give_the_same_version(
    corpus: Bucket, embedded: dict[str, np.ndarray], mine: Any
) -> None:
    event, _ = mine(corpus, shard_sentences=2, shard_phrases=5)
    other = Bucket(f"{corpus.name}-other", corpus.endpoint_url, corpus.access_key, corpus.secret_key)
    other.create()
    publish(other, embedded, [SECOND, FIRST])
    assert mine(other)[0]["version"] == event["version"]


def test_a_second_run_finds_its_list_and_changes_nothing(corpus: Bucket, mine: Any) -> None:
    first, _ = mine(corpus)
    content = corpus.get(f"corpus/tag_lists/{first['version']}.json")
    second, _ = mine(corpus)
    assert second == first | {"is_new": False}
    assert tag_list_versions(corpus) == [first["version"]]
    assert corpus.get(f"corpus/tag_lists/{first['version']}.json") == content


def test_a_size_below_the_corpus_keeps_the_best_and_another_list_is_another_version(corpus: Bucket, mine: Any) -> None:
    all_of_it, _ = mine(corpus)
    one_more, _ = mine(corpus, size=len(BASE) + 1)
    assert one_more["tags"] == all_of_it["tags"] - 1
    assert tag_list_versions(corpus) == sorted([all_of_it["version"], one_more["version"]])


def test_a_mined_list_can_be_extended_again(corpus: Bucket, mine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    short, _ = mine(corpus, size=len(BASE) + 1)
    monkeypatch.setenv("REALSYN_TAGGER", f"mined:{short['version']}")
    settings.cache_clear()
    longer, _ = mine(corpus)
    found = read_tag_list(corpus, longer["version"])
    assert found.names[: short["tags"]] == read_tag_list(corpus, short["version"]).names
    assert len(found.names) == short["tags"] + 1


def test_a_corpus_with_nothing_to_mine_turns_the_gate_red_and_publishes_nothing(corpus: Bucket, mine: Any) -> None:
    with pytest.raises(GateError, match=r"tag_mining.*n_mined"):
        mine(corpus, min_sentences=50)
    assert tag_list_versions(corpus) == []
    [verdict] = [o.key for o in corpus.list("gates/mine_tags/") if o.key.endswith("tag_mining.json")]
    assert json.loads(corpus.get(verdict))["passed"] is False
    (entry,) = entries(corpus)
    assert (entry["dag"], entry["broken"][0]["gate"]) == ("mine_tags", "tag_mining")
    mine(corpus)
    assert entries(corpus) == []


def test_a_tag_that_stands_twice_turns_the_gate_red_until_it_is_mended(corpus: Bucket, mine: Any) -> None:
    event, staging = mine(corpus)
    corpus.delete(f"corpus/tag_lists/{event['version']}.json")
    with (
        planted(corpus, staging.prefix, mining.RANK, "tags", all_rows(phrase="hen")),
        pytest.raises(GateError, match=r"tag_list.*unique of tag"),
    ):
        mining.audit.function({"staging": staging.prefix, "shard": "all"})
    assert tag_list_versions(corpus) == []
    assert [entry["broken"][0]["gate"] for entry in entries(corpus)] == ["tag_list"]
    assert mine(corpus)[0]["version"] == event["version"]
    assert entries(corpus) == []


def test_a_list_that_is_not_there_or_was_changed_is_refused(bucket: Bucket) -> None:
    found = TagList([{"tag": "oak", "concreteness": 0.5, "n_sentences": None}], {"size": 2}, {"sentences": 1})
    assert publish_tag_list(bucket, found) and not publish_tag_list(bucket, found)
    assert read_tag_list(bucket, found.version) == found
    with pytest.raises(PermanentError, match=f"no tag list '0123456789abcdef'.*{found.version}"):
        read_tag_list(bucket, "0123456789abcdef")
    bucket.put(f"corpus/tag_lists/{found.version}.json", b"{}")
    with pytest.raises(CorruptShardError):
        read_tag_list(bucket, found.version)
