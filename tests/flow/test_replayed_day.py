"""A replay on real Airflow equals a run from raw documents with the same limits, and nothing is lost on the way."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.chain import CHAIN, Chain
from realsyn_ops.cli.demo import prepare_input, prepare_models, upload
from realsyn_ops.cli.replay import changed_plans
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import check_counts
from realsyn_ops.io.storage import Bucket
from realsyn_ops.report.rejects import Query, count_rejects
from realsyn_ops.report.what_if import WhatIf, what_if
from realsyn_ops.thresholds import CLUSTER, CURATE
from tests.flow.harness import DOCUMENTS, demo_home, run_command

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

DAY = DAYS[0]
LIMITS = {CURATE: {"min_side_px": 150}, CLUSTER: {"max_words": 14, "max_perplexity": 400.0}}
TABLES = (
    "documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects", "image_scores", "image_embeddings",
    "image_links", "curated_images", "sentence_scores", "sentence_embeddings", "sentence_links", "sentence_clusters",
    "pairs",
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A day of the demo's documents, from raw to pairs with the Dags' own params."""
    stack = Stack(demo_home(tmp_path_factory.mktemp("replay")))
    raw = prepare_input(stack.home, None, DOCUMENTS)
    prepare_models(stack.home / "models")
    stack.use_bucket("realsyn-replay")
    try:
        stack.up()
        assert upload(stack.bucket, replace(raw, days=(DAY,))) > 0
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags(list(CHAIN))
        Chain(api, lambda progress: None).run_day(DAY)
        yield stack
    finally:
        stack.down()


def check_every_shard(bucket: Bucket) -> int:
    """Asserts in = kept + rejected for every shard of every stage that counts; returns how many there were."""
    n = 0
    for item in bucket.list("staging/"):
        name = item.key.split("/")
        if len(name) == 6 and name[5].endswith(".json"):
            counts = json.loads(bucket.get(item.key))["counts"]
            check_counts(counts, item.key)
            n += any(key.endswith(".in") for key in counts)
    return n


def check_every_reason(corpus: Corpus) -> dict[tuple[str, str, str], dict[str, int]]:
    """Asserts in = kept + rejected for every step of the day, and that each step takes in what the one before kept."""
    counts = {(c.step.stage, c.step.of, c.step.part): c for c in count_rejects(corpus, Query(day=DAY))}
    for count in counts.values():
        assert count.n_in == (count.n_kept or 0) + sum(count.rejects.values())
    images, sentences = ("curate", "images"), ("cluster", "sentences")
    assert counts[*images, "quality"].n_in == counts["extract", "images", ""].n_kept
    for thing in (images, sentences):
        assert counts[*thing, "redundancy"].n_in == counts[*thing, "quality"].n_kept
    assert counts["pair", "images", ""].n_in == counts[*images, "redundancy"].n_kept
    return {step: count.rejects for step, count in counts.items()}


def verdicts(corpus: Corpus, table: str) -> dict[str, str | None]:
    rows = corpus.read(table, ["key", "reason"], day=DAY)
    return dict(zip(rows["key"].to_pylist(), rows["reason"].to_pylist(), strict=True))


def check_prediction(told: WhatIf, before: dict[str, str | None], after: dict[str, str | None]) -> None:
    """Asserts that what was told of stored values came true; what was unknown may have gone either way."""
    freed = Counter(reason for key, reason in before.items() if reason and after[key] is None)
    refused = Counter(after[key] for key, reason in before.items() if reason is None and after[key])
    assert refused == told.refused
    assert freed - told.unknown - told.freed == Counter()
    assert told.freed - freed == Counter()


def run_from_raw(stack: Stack) -> Bucket:
    """The day in an empty bucket, from the same raw objects and codebook, with the other limits from the start."""
    fresh = replace(stack.bucket, name="realsyn-from-raw")
    fresh.create()
    for prefix in (f"raw/{DAY}/", "corpus/codebooks", "corpus/sights/"):
        for item in stack.bucket.list(prefix):
            fresh.put(item.key, stack.bucket.get(item.key))
    env = {**stack.airflow_env(), "REALSYN_BUCKET": fresh.name}
    command = [sys.executable, "-m", "tests.flow.run_tasks", DAY, json.dumps(LIMITS)]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return fresh


def test_a_replay_equals_a_run_from_raw_and_every_count_adds_up(stack: Stack, tmp_path: Path) -> None:
    corpus = Corpus(stack.bucket)
    n_shards = check_every_shard(stack.bucket)
    assert n_shards >= 6
    rejects = check_every_reason(corpus)
    judged = {CURATE: "image_scores", CLUSTER: "sentence_scores"}
    before = {dag: verdicts(corpus, table) for dag, table in judged.items()}
    told = {c.dag: what_if(corpus, c.dag, c.before, c.after) for c in changed_plans(stack.bucket, DAY, LIMITS)}
    for item in list(stack.bucket.list("raw/")):
        stack.bucket.delete(item.key)

    wanted = [f"{name}={value}" for limits in LIMITS.values() for name, value in limits.items()]
    done = run_command(stack.home, "replay", DAY, *wanted, "--wait")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    assert check_every_shard(stack.bucket) > n_shards
    replayed = check_every_reason(corpus)
    assert replayed != rejects
    for dag, table in judged.items():
        assert told[dag].refused.total() > 0
        check_prediction(told[dag], before[dag], verdicts(corpus, table))
    assert told[CLUSTER].freed.total() > 0

    prepared = prepare_input(stack.home, None, DOCUMENTS)
    upload(stack.bucket, replace(prepared, days=(DAY,)))
    fresh = Corpus(run_from_raw(stack))
    assert {table: corpus.digest(table) for table in TABLES} == {table: fresh.digest(table) for table in TABLES}
    assert check_every_reason(fresh) == replayed

    stack.airflow.stop()
    page = tmp_path / "rejects.html"
    shown = run_command(stack.home, "rejects", "--json", "--reason", "image_too_small")
    assert {row["threshold"] for row in json.loads(shown.stdout)} == {150}
    assert run_command(stack.home, "rejects", "--html", str(page)).returncode == 0
    assert "data:image/jpeg;base64," in page.read_text()
