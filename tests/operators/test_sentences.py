"""The tasks of `cluster_sentences` on a real bucket with the demo models: reasons, measures kept, and replays."""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamsDict

from realsyn_ops.io import schemas
from realsyn_ops.io.codebook import Codebook, current_version, publish_codebook, read_codebook, read_history
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import assets, clustering, sentence_filter, shard_steps
from realsyn_ops.operators.params import CLUSTER
from realsyn_ops.operators.publishing import one_table
from realsyn_ops.records import sentence_key

DAY = "2025-02-18"
BOILERPLATE = "Please subscribe to our letter to hear about new birds every week."
COMMON = "When spring comes, the birds of the northern lake build their nests in the reeds."
SENTENCES = {
    "emoji": "A small bird sings 😀 in the garden.",
    "email": "Write to jane@example.org about the bird that you saw.",
    "phone": "Call +49 30 901820 when you see the bird.",
    "ip_address": "The camera of the nest sends pictures to 203.0.113.7 every hour.",
    "language": "Der kleine Vogel baut im Frühling sein Nest in der Hecke am See.",
    "low_complexity": "Slowly and quietly.",
    "no_action": "A bird of prey with large wings.",
}
PLAIN = [
    f"The {size} {bird} {does} near the {place} when the sun goes down."
    for size, bird, does, place in zip(
        ["small", "grey", "old", "young", "wild", "tame", "shy", "loud"] * 3,
        ["owl", "heron", "duck", "goose", "crow", "swan"] * 4,
        ["hunts", "sleeps", "swims", "calls", "waits", "eats", "flies", "rests"] * 3,
        ["river", "old barn", "wooden bridge", "reeds", "harbour", "mill"] * 4,
        strict=True,
    )
]


def publish_day(bucket: Bucket, day: str = DAY) -> None:
    """Forty pages of one site, with a line on all of them and a sentence on three, and one page of a source."""
    places: dict[str, list[str]] = {BOILERPLATE: [f"d{i:02d}" for i in range(40)], COMMON: ["d00", "d01", "d02"]}
    for number, text in enumerate([*SENTENCES.values(), *PLAIN]):
        places[text] = [f"d{number:02d}"]
    places[PLAIN[0]] = [*places[PLAIN[0]], "e00"]
    documents = [(f"d{i:02d}", f"https://www.Birds.example/{i}") for i in range(40)] + [("e00", "")]
    tables = {
        "documents": (
            schemas.DOCUMENTS,
            [{"key": key, "day": day, "source": "books", "url": url} for key, url in documents],
        ),
        "sentences": (
            schemas.SENTENCES,
            [{"key": sentence_key(t), "day": day, "text": t, "n_nodes": len(p)} for t, p in places.items()],
        ),
        "sentence_nodes": (
            schemas.SENTENCE_NODES,
            [
                {"key": sentence_key(t), "day": day, "document_key": d, "node": 0, "position": n}
                for n, (t, p) in enumerate(places.items())
                for d in p
            ],
        ),
    }
    for name, (schema, rows) in tables.items():
        table = schemas.pa.Table.from_pylist(sorted(rows, key=lambda r: r["key"]), schema=schema)
        Corpus(bucket).publish(name, schema, {day: one_table(table)})


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(bucket: Bucket, *, audited: bool = False, **params: Any) -> Staging:
        for module in (clustering, shard_steps):
            monkeypatch.setattr(module, "open_staging", lambda work: Staging(bucket, work["staging"]))
        monkeypatch.setattr(clustering, "open_bucket", lambda: bucket)
        form = ParamsDict({**CLUSTER, "preset": "demo", "shard_sentences": 20, **params})
        context = {"partition_key": DAY, "params": form}
        works = clustering.plan.function(**context)
        for work in works:
            sentence_filter.filter_shard.function(work)
        works = clustering.count_words.function(works)
        for work in works:
            sentence_filter.score.function(work)
        assigned = [clustering.assign.function(work) for work in clustering.fit.function(works)]
        linked = [clustering.link.function(work) for work in clustering.arrange.function(assigned)]
        work = clustering.deduplicate.function(linked)
        if audited:
            clustering.audit.function(work)
        else:
            Staging(bucket, work["staging"]).put("gates.json", b"{}")
        events = {assets.SENTENCE_CLUSTERS: SimpleNamespace(extra=None)}
        clustering.publish.function(work, outlet_events=events)
        return Staging(bucket, work["staging"])

    return run


def costs(staging: Staging, stage: str) -> Counter[str]:
    prefix = staging.prefix.replace("staging/", "runs/", 1)
    total: Counter[str] = Counter()
    for item in staging.bucket.list(f"{prefix}/{stage}-"):
        total.update({k: v for k, v in json.loads(staging.bucket.get(item.key)).items() if k in {"measured", "cached"}})
    return total


def scores(bucket: Bucket) -> dict[str, dict[str, Any]]:
    corpus = Corpus(bucket)
    texts = {row["key"]: row["text"] for row in corpus.read("sentences", ["key", "text"]).to_pylist()}
    return {texts[r["key"]]: r for r in corpus.read("sentence_scores", schemas.SENTENCE_SCORES.names).to_pylist()}


TABLES = ("sentence_scores", "sentence_embeddings", "sentence_links", "sentence_clusters")
WIDE = {"min_perplexity": 0, "max_perplexity": 1e9}


def test_every_rule_rejects_its_sentence_and_says_what_it_saw(bucket: Bucket, run: Any) -> None:
    publish_day(bucket)
    run(bucket, audited=True, **WIDE)
    found = scores(bucket)
    assert {reason: found[text]["reason"] for reason, text in SENTENCES.items()} == {r: r for r in SENTENCES}
    assert (found[BOILERPLATE]["reason"], found[BOILERPLATE]["value"]) == ("boilerplate", 1.0)
    assert (found[COMMON]["reason"], found[COMMON]["site_share"]) == (None, 3 / 40)
    assert found[PLAIN[0]]["site_share"] == 1 / 40
    assert found[PLAIN[1]]["site_share"] is None
    german = found[SENTENCES["language"]]
    assert (german["language"], german["value"]) == ("de", german["language_score"])
    assert all(found[text]["language"] == "en" and found[text]["language_score"] > 0.3 for text in PLAIN)
    measured = found[COMMON]
    assert measured["n_relations"] > 0 < measured["n_actions"]
    assert measured["entropy"] > 0 < measured["perplexity"]
    refused = found[SENTENCES["email"]]
    assert refused["language"] is None is refused["n_relations"] is refused["perplexity"]


def test_every_rule_can_be_switched_off(bucket: Bucket, run: Any) -> None:
    publish_day(bucket)
    off = {"drop_personal_data": False, "language": "", "max_site_share": 1.0, "min_relations": 0, "min_actions": 0}
    run(bucket, **WIDE, **off)
    assert {text for text, row in scores(bucket).items() if row["reason"]} == {SENTENCES["emoji"]}


def test_other_limits_measure_nothing_again_and_give_what_a_rerun_without_measures_gives(
    bucket: Bucket, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_day(bucket)
    first = run(bucket, **WIDE, min_actions=0)
    assert costs(first, "filter")["measured"] > costs(first, "score")["measured"] >= len(PLAIN)
    assert costs(first, "filter")["cached"] == costs(first, "score")["cached"] == 0
    whole = Corpus(bucket).digest("sentence_measures")

    narrow = {"min_actions": 1, "min_perplexity": 40, "max_perplexity": 400, "max_site_share": 0.05}
    with monkeypatch.context() as patched:
        for loader in ("load_parser", "load_language_model"):
            patched.setattr(f"realsyn_ops.models.load.{loader}", None)
        second = run(bucket, **narrow)
    assert costs(second, "filter")["measured"] == costs(second, "score")["measured"] == 0
    assert costs(second, "score")["cached"] > 0
    assert Corpus(bucket).digest("sentence_measures") == whole

    other = replace(bucket, name=f"{bucket.name}-again")
    other.create()
    publish_day(other)
    words = read_codebook(bucket, current_version(bucket))
    publish_codebook(other, Codebook(words.words, words.centroids))
    rerun = run(other, **narrow)
    assert costs(rerun, "filter")["cached"] == costs(rerun, "score")["cached"] == 0
    assert {t: Corpus(other).digest(t) for t in TABLES} == {t: Corpus(bucket).digest(t) for t in TABLES}
    reasons = Counter(row["reason"] for row in scores(other).values())
    assert reasons["boilerplate"] == 2
    assert reasons["no_action"] == 1


def test_measures_of_another_model_are_not_taken(bucket: Bucket, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_day(bucket)
    first = run(bucket)
    monkeypatch.setattr(
        "realsyn_ops.models.identity.measured_by", lambda kind, spec: "other" if kind == "parser" else "other too"
    )
    second = run(bucket)
    for stage in ("filter", "score"):
        assert costs(second, stage)["measured"] == costs(first, stage)["measured"] > 0
    made = Corpus(bucket).read("sentence_measures", ["parsed_by", "scored_by"]).to_pydict()
    assert set(made["parsed_by"]) == {"other", None}
    assert set(made["scored_by"]) == {"other too", None}


def test_the_shards_do_not_matter(bucket: Bucket, run: Any) -> None:
    publish_day(bucket)
    run(bucket, **WIDE)
    verdicts = {text: (row["reason"], row["value"], row["perplexity"]) for text, row in scores(bucket).items()}
    run(bucket, **WIDE, shard_sentences=7)
    assert {text: (r["reason"], r["value"], r["perplexity"]) for text, r in scores(bucket).items()} == verdicts


def test_a_new_codebook_is_fitted_on_request_and_lays_every_sentence_anew(bucket: Bucket, run: Any) -> None:
    publish_day(bucket)
    run(bucket, **WIDE)
    first = current_version(bucket)
    run(bucket, audited=True, **WIDE, refit=True, sentences_per_cluster=5)
    assert [entry["version"] for entry in read_history(bucket)] == [first, current_version(bucket)]
    refitted = read_codebook(bucket, current_version(bucket))
    assert refitted.words == read_codebook(bucket, first).words
    clusters = Corpus(bucket).read("sentence_clusters", ["key", "cluster"], where="reason IS NULL")
    assert len(refitted.centroids) > len(read_codebook(bucket, first).centroids)
    assert len(set(clusters["cluster"].to_pylist())) > 1
