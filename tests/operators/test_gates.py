"""Every gate of every Dag: a planted fault turns the audit red, publishes nothing and is listed; mended it is green.

A day goes through the Dags' own tasks; faults are planted in what is staged before the audit, or in the raw objects.
"""

import json
import urllib.parse
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import GateError, PermanentError
from realsyn_ops.gates.audit import SUITES
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.quarantine import accept, acceptances_in_force, entries
from realsyn_ops.io.releases import versions
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import clustering, curation, extraction, pairing, sampling
from realsyn_ops.operators.fetched import FETCH
from realsyn_ops.operators.linked import GROUP
from realsyn_ops.operators.sentence_filter import SCORE
from realsyn_ops.settings import settings
from tests.operators import takedown_corpus as made
from tests.planted import all_rows, first_row, forget_manifests, long_vectors, planted

FIRST, DAY = made.DAYS
MODULES = {
    "ingest_documents": extraction, "curate_images": curation, "cluster_sentences": clustering, "pair_texts": pairing,
    "release_dataset": sampling,
}  # fmt: skip
Fault = Callable[[Bucket, dict[str, str]], AbstractContextManager[Any]]


@dataclass
class Run:
    """A day whose Dags are staged up to their audits, one after the other."""

    bucket: Bucket
    staged: dict[str, Any] = field(default_factory=dict)

    def works(self, dag: str) -> Any:
        """What the audit is given; the Dags before are published."""
        for name in list(MODULES)[: list(MODULES).index(dag)]:
            if name not in self.staged:
                self.publish(name, self.works(name))
        if dag not in self.staged:
            self.staged[dag] = self._stage(dag)
        return self.staged[dag]

    def audit(self, dag: str, works: Any) -> dict[str, str]:
        return MODULES[dag].audit.function(works)

    def publish(self, dag: str, works: Any) -> dict[str, Any]:
        """Audit and publish; what the asset event says."""
        events: dict[Any, Any] = defaultdict(SimpleNamespace)
        MODULES[dag].publish.function(self.audit(dag, works), outlet_events=events)
        return next(iter(events.values())).extra

    def _stage(self, dag: str) -> Any:
        strict = {"history": "stop"}
        match dag:
            case "ingest_documents":
                return made.stage_ingested(DAY, fetch_images=True, **strict)
            case "curate_images":
                return made.stage_curated(self.bucket, DAY, **strict)
            case "cluster_sentences":
                return made.stage_clustered(self.bucket, DAY, **strict)
            case "pair_texts":
                return made.stage_paired(self.bucket, DAY, max_fallback_share=0.5, **strict)[0]
        return made.stage_release()


@pytest.fixture(scope="module")
def run(store: Stack) -> Iterator[Run]:
    """The first day is published, the second one raw."""
    bucket = replace(store.bucket, name="test-gates")
    bucket.create()
    with pytest.MonkeyPatch.context() as patch:
        extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
        patch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
        patch.setenv("REALSYN_BUCKET", bucket.name)
        settings.cache_clear()
        for number in range(len(made.DAYS)):
            made.put_raw(bucket, number)
        bucket.put(
            f"raw/{DAY}/site/far.html", b"<p>The far picture hangs there.</p><img src='http://127.0.0.1:9/a.png'>"
        )
        made.run_day(bucket, FIRST)
        yield Run(bucket)
    settings.cache_clear()


def staged(stage: str, name: str, change: Any) -> Fault:
    return lambda bucket, work: planted(bucket, work["staging"], stage, name, change)


def replaced(name: str, **values: Any) -> Fault:
    """A small staged file says something else."""

    @contextmanager
    def plant(bucket: Bucket, work: dict[str, str]) -> Iterator[None]:
        key = f"{work['staging']}/{name.format_map(work)}"
        before = bucket.get(key)
        bucket.put(key, json.dumps(json.loads(before) | values).encode())
        forget_manifests(bucket, work["staging"])
        try:
            yield
        finally:
            bucket.put(key, before)

    return plant


def usual(dag: str, **kinds: Any) -> Fault:
    """Earlier days that were far larger."""

    @contextmanager
    def plant(bucket: Bucket, work: dict[str, str]) -> Iterator[None]:
        keys = [f"corpus/figures/{dag}/2024-01-0{i}.json" for i in range(1, 4)]
        for key in keys:
            bucket.put(key, json.dumps({"counts": kinds}).encode())
        try:
            yield
        finally:
            for key in keys:
                bucket.delete(key)

    return plant


def broken_markers(bucket: Bucket, work: dict[str, str]) -> AbstractContextManager[Any]:
    """Shards that refused nearly all documents, as a raw day of broken pages has them."""
    return _counts(bucket, work, {"documents.in": 40, "documents.kept": 7, "documents.rejected.empty_document": 33})


@contextmanager
def _counts(bucket: Bucket, work: dict[str, str], counts: dict[str, int]) -> Iterator[None]:
    keys = [o.key for o in bucket.list(f"{work['staging']}/{extraction.STAGE}/") if o.key.endswith(".json")]
    before = {key: bucket.get(key) for key in keys}
    for key, data in before.items():
        marker = json.loads(data)
        bucket.put(key, json.dumps(marker | {"counts": marker["counts"] | counts}).encode())
    forget_manifests(bucket, work["staging"])
    try:
        yield
    finally:
        for key, data in before.items():
            bucket.put(key, data)
        forget_manifests(bucket, work["staging"])


NOWHERE = "d" + "0" * 32
COMPONENTS = f"{GROUP}-{{shard}}-components.json"
FAULTS: list[tuple[str, str, Fault]] = [
    ("ingest_documents", "documents", staged("extract", "documents", first_row(source=None))),
    ("ingest_documents", "images", staged("extract", "images", all_rows(format="BMP"))),
    ("ingest_documents", "image_nodes", staged("extract", "image_nodes", first_row(document_key=NOWHERE))),
    ("ingest_documents", "sentences", staged("extract", "sentences", first_row(text=""))),
    ("ingest_documents", "sentence_nodes", staged("extract", "sentence_nodes", first_row(document_key=NOWHERE))),
    ("ingest_documents", "fetches", staged(FETCH, "fetches", all_rows(reason=None, image_key=None))),
    ("ingest_documents", "extract_shares", broken_markers),
    ("ingest_documents", "history", usual("ingest_documents", documents=9_000)),
    ("curate_images", "quality_shares", staged("embed", "scores", all_rows(reason="image_too_small"))),
    ("curate_images", "image_scores", staged("embed", "scores", first_row(reason="unheard of"))),
    ("curate_images", "image_embeddings", staged("embed", "embeddings", long_vectors)),
    ("curate_images", "curated_images", staged(GROUP, "groups", first_row(survivor="i-unknown"))),
    ("curate_images", "duplicate_groups", replaced(COMPONENTS, largest=90, n=100)),
    ("curate_images", "history", usual("curate_images", images=9_000)),
    ("cluster_sentences", "quality_shares", staged(SCORE, "scores", all_rows(reason="too_few_words"))),
    ("cluster_sentences", "sentence_scores", staged(SCORE, "scores", first_row(reason="unheard of"))),
    ("cluster_sentences", "sentence_measures", staged(SCORE, "scores", first_row(n_actions=-1))),
    ("cluster_sentences", "sentence_embeddings", staged(SCORE, "embeddings", long_vectors)),
    ("cluster_sentences", "sentence_clusters", staged(GROUP, "groups", first_row(cluster=10_000))),
    ("cluster_sentences", "duplicate_groups", replaced(COMPONENTS, largest=90, n=100)),
    ("cluster_sentences", "history", usual("cluster_sentences", sentences=9_000)),
    ("pair_texts", "pairs", staged("synthesize", "pairs", first_row(syn_text=""))),
    ("pair_texts", "retrieval", replaced("retrieval-{retrieved}.json", recall=0.1, recall_interval=[0.0, 0.2])),
    ("pair_texts", "synthesis", staged("synthesize", "pairs", all_rows(syn_origin="template", syn_reason="invented"))),
    ("pair_texts", "history", usual("pair_texts", pairs=9_000)),
]
ELSEWHERE = {"tag_list", "tag_mining"}
"""Gates of `mine_tags`, tripped in test_mining.py."""


def test_no_gate_is_left_out() -> None:
    assert {gate for _, gate, _ in FAULTS} | ELSEWHERE | {"release"} == {path.stem for path in SUITES.glob("*.yaml")}


@pytest.mark.parametrize("dag", list(MODULES)[:4])
def test_a_planted_day_is_red_unpublished_and_listed_by_every_gate_until_it_is_mended(run: Run, dag: str) -> None:
    """All faults of a Dag at once: Great Expectations takes its time. That one is enough, the suites' tests show."""
    faults = {gate: fault for of, gate, fault in FAULTS if of == dag}
    works = run.works(dag)
    work = works if isinstance(works, dict) else works[0]
    before = published(run.bucket)
    with ExitStack() as stack:
        for fault in faults.values():
            stack.enter_context(fault(run.bucket, work))
        with pytest.raises(GateError) as raised:
            run.audit(dag, works)
        assert set(raised.value.gate.split("/")) == set(faults)
        (entry,) = entries(run.bucket)
        assert (entry["dag"], entry["day"], entry["plan"]) == (dag, DAY, work["staging"].split("/")[3])
        assert run.bucket.exists(entry["docs_uri"].removeprefix(run.bucket.uri("")))
        for gate in faults:
            broken = [one for one in entry["broken"] if one["gate"] == gate]
            assert broken and all(one["observed"] and one["severity"] == "critical" for one in broken)
            if (SUITES / f"{gate}.yaml").read_text().count("column: key,"):
                assert any(one["keys"] for one in broken), gate
    assert published(run.bucket) == before
    told = run.publish(dag, works)
    assert set(told["gates"].values()) == {"passed"}
    assert published(run.bucket) != before
    assert entries(run.bucket) == []


def published(bucket: Bucket) -> dict[str, int]:
    corpus = Corpus(bucket)
    return {name: corpus.version(name) for name in corpus.tables() if name != "answers"}


def test_a_release_without_a_text_is_listed_and_a_mended_one_takes_it_off(run: Run) -> None:
    shards = run.works("release_dataset")
    key = f"{shards[0]['staging']}/release/pairs/00000.parquet"
    whole = run.bucket.get(key)
    with planted_file(run.bucket, key), pytest.raises(GateError, match=r"release: .*text2"):
        run.audit("release_dataset", shards)
    assert versions(run.bucket) == []
    (entry,) = entries(run.bucket)
    assert [one["column"] for one in entry["broken"]] == ["text2", "are_distinct_texts"]
    assert run.bucket.get(key) == whole
    run.publish("release_dataset", shards)
    assert entries(run.bucket) == []
    assert len(versions(run.bucket)) == 1


@contextmanager
def planted_file(bucket: Bucket, key: str) -> Iterator[None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from realsyn_ops.io.shards import parquet_bytes

    before = bucket.get(key)
    bucket.put(key, parquet_bytes(all_rows(text2=None)(pq.read_table(pa.BufferReader(before)))))
    try:
        yield
    finally:
        bucket.put(key, before)


def test_what_somebody_accepts_passes_for_that_plan_and_no_further_fault_does(run: Run) -> None:
    dag, works = "curate_images", run.works("curate_images")
    fault = staged("embed", "scores", first_row(reason="unheard of"))
    with fault(run.bucket, works):
        with pytest.raises(GateError):
            run.audit(dag, works)
        for by, why in (("", "a reason"), ("anna", " ")):
            with pytest.raises(PermanentError, match="is empty"):
                accept(run.bucket, dag, DAY, by=by, why=why)
        said = accept(run.bucket, dag, DAY, by="anna", why="the new rule's name is not in the suite yet")
        assert said["accepted"] == ["image_scores: expect_column_values_to_be_in_set reason"]
        with replaced(COMPONENTS, largest=90, n=100)(run.bucket, works), pytest.raises(GateError, match="duplicate_g"):
            run.audit(dag, works)
        assert [one["gate"] for one in entries(run.bucket)[0]["broken"]] == ["duplicate_groups"]
        told = run.publish(dag, works)
        assert told["gates"]["image_scores"] == "accepted"
    assert entries(run.bucket) == []
    assert acceptances_in_force(run.bucket) == [said]
    other = made.stage_curated(run.bucket, DAY, max_group_share=0.3)
    with fault(run.bucket, other), pytest.raises(GateError, match="image_scores"):
        run.audit(dag, other)
    with pytest.raises(PermanentError, match="pair_texts 2025-02-19 is not in quarantine; listed is: curate_images"):
        accept(run.bucket, "pair_texts", DAY, by="anna", why="why not")
