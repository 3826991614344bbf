"""The main job end to end, as a user gets it: `./realsyn demo` with few documents, and what it leaves."""

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import webdataset

from realsyn_ops.cli.chain import CHAIN, RELEASE, Chain
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.releases import versions
from realsyn_ops.stages.dedup import near_duplicates
from tests.flow.harness import Demo, run_command, train_a_batch_with_open_clip

TABLES = (
    "documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects", "image_scores",
    "image_embeddings", "image_links", "curated_images", "sentence_scores", "sentence_embeddings", "sentence_links",
    "sentence_clusters", "pairs", "answers", "sentence_measures",
)  # fmt: skip

ELSEWHERE = {"fetches", "tag_list", "tag_mining", "history"}
"""Gates of what the demo does not do: it fetches nothing, and no list of tags is mined."""

pytestmark = pytest.mark.timeout(1500)


def test_the_funnel_adds_up_at_every_step(demo: Demo) -> None:
    steps = {(thing, step["step"]): step for thing, all_ in demo.report["funnel"].items() for step in all_}
    wanted = {
        *(("images", s) for s in ("extract", "quality", "redundancy", "pair", "similarity bounds", "balance")),
        *(("sentences", s) for s in ("extract", "quality", "semantic", "redundancy")),
        ("documents", "extract"),
    }
    assert set(steps) == wanted
    for step in steps.values():
        assert step["n_in"] == step["n_kept"] + sum(step["rejects"].values())
    for thing in ("images", "sentences"):
        chain = demo.report["funnel"][thing]
        assert [s["n_in"] for s in chain[1:]] == [s["n_kept"] for s in chain[:-1]]
        assert chain[0]["n_kept"] > chain[-1]["n_kept"] > 0
    assert steps["images", "balance"]["n_kept"] == demo.report["release"]["n_pairs"]


def test_every_stage_reports_its_cost_and_every_gate_its_verdict(demo: Demo) -> None:
    stages = {(s["dag"], s["stage"], s["day"]) for s in demo.report["stages"]}
    wanted = {
        ("ingest_documents", "extract"),
        ("curate_images", "embed"),
        *(("curate_images", stage) for stage in ("fit", "assign", "arrange", "link", "deduplicate")),
        *(("cluster_sentences", stage) for stage in ("fit", "assign", "arrange", "link", "deduplicate")),
        ("cluster_sentences", "filter"),
        ("cluster_sentences", "score"),
        ("pair_texts", "retrieve"),
        ("pair_texts", "synthesize"),
    }
    assert {(*stage, day) for stage in wanted for day in DAYS} <= stages
    assert all(s["seconds"] > 0 and 10**7 < s["peak_rss_bytes"] < 4 * 2**30 for s in demo.report["stages"])
    gates = {(g["gate"], g["day"]) for g in demo.report["gates"]}
    suites = {path.stem for path in Path("realsyn_ops/gates/suites").glob("*.yaml")}
    assert {gate for gate, _ in gates} == suites - ELSEWHERE
    assert all(g["passed"] and g["n_expectations"] > 0 for g in demo.report["gates"])
    assert demo.report["retrieval"]["recall_interval"][1] >= 0.95
    assert demo.stack.bucket.exists(demo.report["gates"][0]["docs_uri"].removeprefix(demo.stack.bucket.uri("")))


def test_no_task_failed_or_was_retried(demo: Demo) -> None:
    tasks = [t for dag in (*CHAIN, RELEASE) for run in demo.api.runs(dag) for t in demo.api.tasks(run)]
    assert len(tasks) > 40
    assert {(t.state, t.try_number) for t in tasks} == {("success", 1)}


def test_a_release_row_has_three_distinct_sentences_of_the_corpus_in_order(demo: Demo) -> None:
    rows = [
        row for path in sorted((demo.release / "pairs").glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]
    assert len(rows) == demo.report["release"]["n_pairs"] > 5
    sentences = Corpus(demo.stack.bucket).read("sentences", ["key", "text"])
    text_of = dict(zip(sentences["key"].to_pylist(), sentences["text"].to_pylist(), strict=True))
    assert list(rows[0])[:5] == ["raw_image_url", "text1", "text2", "text3", "syn_text"]
    for row in rows:
        texts = [row[f"text{i}"] for i in (1, 2, 3)]
        assert len(set(texts)) == 3
        assert [text_of[row[f"text{i}_key"]] for i in (1, 2, 3)] == texts
        similarities = [row[f"text{i}_similarity"] for i in (1, 2, 3)]
        assert similarities == sorted(similarities, reverse=True)
        assert row["syn_text"]
        assert row["raw_image_url"]


def test_the_tars_load_with_webdataset_and_with_open_clip(demo: Demo) -> None:
    tars = sorted(str(path) for path in (demo.release / "tars").glob("*.tar"))
    n_pairs = demo.report["release"]["n_pairs"]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil").to_tuple("jpg", "txt", "json"))
    assert len(samples) == n_pairs
    image, text, fields = samples[0]
    assert image.mode == "RGB"
    assert min(image.size) <= 224
    assert text
    assert {"text2", "text3", "syn_text"} <= set(fields)
    done = train_a_batch_with_open_clip(tars[0], n_pairs)
    assert "(4, 3, 64, 64)" in done.stdout, done.stderr[-2000:]


def test_no_image_of_the_release_is_a_near_duplicate_of_another(demo: Demo) -> None:
    import numpy as np

    keys = [row["key"] for p in (demo.release / "pairs").glob("*.parquet") for row in pq.read_table(p).to_pylist()]
    table = Corpus(demo.stack.bucket).read("image_embeddings", ["key", "visual", "phash"])
    chosen = {row["key"]: row for row in table.to_pylist() if row["key"] in set(keys)}
    vectors = np.array([row["visual"] for row in chosen.values()], np.float32)
    groups = near_duplicates(
        vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rank=np.arange(len(vectors)), min_similarity=0.9,
        identities=np.array([row["phash"] for row in chosen.values()], np.uint64), max_hash_distance=4,
    )  # fmt: skip
    assert groups.reason == [None] * len(keys)


def test_release_files_are_those_of_the_manifest_and_the_images_open(demo: Demo) -> None:
    manifest = json.loads((demo.release / "manifest.json").read_text())
    for file in manifest["files"]:
        assert hashlib.sha256((demo.release / file["path"]).read_bytes()).hexdigest() == file["sha256"]
    card = (demo.release / "README.md").read_text()
    assert manifest["version"] in card
    assert "SmolLM2" in card or "demo" in card


def test_the_reports_page_shows_the_pairs(demo: Demo) -> None:
    page = (demo.stack.home / "reports" / demo.report["version"] / "report.html").read_text()
    assert demo.output.rstrip().endswith("report.html")
    assert "data:image/jpeg;base64," in page
    assert demo.report["version"] in page


def test_the_second_day_joined_the_first(demo: Demo) -> None:
    corpus = Corpus(demo.stack.bucket)
    for table in ("documents", "images", "sentences", "curated_images", "sentence_clusters", "pairs"):
        assert corpus.days(table) == list(DAYS), table
    later = set(corpus.read("sentence_clusters", ["key"], day=DAYS[1])["key"].to_pylist())
    first_images = corpus.read("pairs", ["text_keys"], day=DAYS[0])["text_keys"].to_pylist()
    assert any(later & set(texts) for texts in first_images), "no image of the first day found a text of the second"


def test_images_whose_texts_did_not_change_cost_no_call(demo: Demo) -> None:
    bucket, corpus = demo.stack.bucket, Corpus(demo.stack.bucket)
    runs = [json.loads(bucket.get(o.key)) for o in bucket.list("runs/pair_texts/") if "/synthesize-" in o.key]
    paid = {day: sum(some["n_answers"] for run in runs if run["day"] == day for some in run["spent"]) for day in DAYS}
    before, after = (
        {row["key"]: row["text_keys"] for row in corpus.read("pairs", ["key", "text_keys"], version=v).to_pylist()}
        for v in (corpus.version("pairs") - 1, corpus.version("pairs"))
    )
    unchanged = {key for key, texts in before.items() if after.get(key) == texts}
    assert unchanged, "no image of the first day has kept its texts"
    made = [o for o in bucket.list(f"staging/pair_texts/{DAYS[1]}/") if "/synthesize/" in o.key]
    shards = [json.loads(bucket.get(o.key))["counts"] for o in made if o.key.endswith(".json")]
    assert sum(shard["images"] for shard in shards) == len(after) - len(unchanged)
    assert sum(shard["calls"] for shard in shards) == paid[DAYS[1]] <= 2 * (len(after) - len(unchanged))
    assert paid[DAYS[0]] > 0
    [model] = demo.report["synthesis"]["models"]
    assert model["n_answers"] == sum(paid.values()) == corpus.read("answers", ["key"]).num_rows
    assert [o.key for o in bucket.list("answered/")] == []


def test_triggering_every_dag_again_publishes_nothing_new(demo: Demo) -> None:
    corpus = Corpus(demo.stack.bucket)
    before = {table: corpus.version(table) for table in TABLES}
    releases = versions(demo.stack.bucket)
    chain = Chain(demo.api, lambda progress: None)
    chain.run_day(DAYS[0])
    assert chain.run_release() is False
    assert {table: corpus.version(table) for table in TABLES} == before
    assert versions(demo.stack.bucket) == releases
    assert chain.n_retried == 0


def test_status_says_what_runs(demo: Demo) -> None:
    status = run_command(demo.stack.home, "status")
    assert (status.returncode, status.stdout) == (0, "seaweedfs: running\nairflow: running\n")
