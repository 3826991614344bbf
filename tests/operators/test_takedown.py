"""Takedown on a real bucket: what is removed is gone to the byte, stays removed, and nothing else is touched."""

import json
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import BadPlanError, PermanentError, TransientError
from realsyn_ops.gates import audit as gates
from realsyn_ops.io.codebook import current_version
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import find_row, scan_rows
from realsyn_ops.io.releases import revoke
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import takedown
from realsyn_ops.operators.takedown_params import TAKEDOWN
from realsyn_ops.plans import IngestPlan
from realsyn_ops.records import image_key, sentence_key
from realsyn_ops.settings import settings
from realsyn_ops.stages import takedown as stage
from realsyn_ops.stages.embed import picture_hash
from realsyn_ops.takedown import remove
from realsyn_ops.takedown.request import Request
from tests.operators import takedown_corpus as made
from tests.operators.release_corpus import picture

PAGE = 2
GONE_TEXTS = made.sentences_of(0, PAGE)
GONE_IMAGE = image_key(picture(PAGE))
Context = dict[str, Any]


class Worker:
    """The environment of an Airflow worker, for one bucket after the other."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch

    def use(self, bucket: Bucket) -> None:
        extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
        self.patch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
        self.patch.setenv("REALSYN_BUCKET", bucket.name)
        settings.cache_clear()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Great Expectations, which takes longest and is tested elsewhere, is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "audit", lambda frames, docs, **how: [])
        yield Worker(patch)
    settings.cache_clear()


@pytest.fixture(scope="module")
def published(store: Stack, worker: Worker) -> Bucket:
    """Two days, from raw documents to a release."""
    bucket = replace(store.bucket, name="takedown-published")
    bucket.create()
    worker.use(bucket)
    for number, day in enumerate(made.DAYS):
        made.put_raw(bucket, number)
        made.run_day(bucket, day)
    made.make_release()
    return bucket


def copied(worker: Worker, source: Bucket, target: Bucket, *, roots: tuple[str, ...] = ("",)) -> Bucket:
    """A bucket with the same objects, in which the worker is at home from now on."""
    keys = [item.key for root in roots for item in source.list(root)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: target.put(key, source.get(key)), keys))  # its `copy` is within a bucket
    worker.use(target)
    return target


@pytest.fixture
def corpus(published: Bucket, bucket: Bucket, worker: Worker) -> Corpus:
    """A copy for this test."""
    return Corpus(copied(worker, published, bucket))


def asked(active: int = 0, **values: Any) -> Context:
    """What Airflow hands a task: the form's values, and how many runs of other Dags are active."""
    form = {name: param.value for name, param in TAKEDOWN.items()} | {"dry_run": False, "why": "asked by its author"}
    return {"params": form | values, "ti": SimpleNamespace(get_dr_count=lambda **about: active)}


def take_down(context: Context) -> str:
    """The Dag's tasks one by one."""
    found = takedown.find.function(**context)
    takedown.prove.function(takedown.clean.function(takedown.remove.function(found, **context), **context), **context)
    return found


def document_key(corpus: Corpus, page: str) -> str:
    return corpus.read("documents", ["key"], where=f"record = '{page}'")["key"][0].as_py()


def objects(bucket: Bucket) -> dict[str, str]:
    return {item.key: item.etag for item in bucket.list("")}  # of the content


def texts_by_image(corpus: Corpus) -> dict[str, list[str]]:
    rows = corpus.read("pairs", ["key", "text_keys"])
    return dict(zip(rows["key"].to_pylist(), rows["text_keys"].to_pylist(), strict=True))


def best(corpus: Corpus, image: str) -> list[str]:
    """By hand: the three best of all sentences that are kept."""
    rows = corpus.read("sentence_clusters", ["key", "text"], where="reason IS NULL").to_pylist()
    vector = made.unit(image).astype(float)
    scored = sorted(rows, key=lambda row: -float(made.unit(row["text"]).astype(float) @ vector))
    return [row["key"] for row in scored[:3]]


def bytes_anywhere(bucket: Bucket, needle: bytes, *, but: tuple[str, ...] = ()) -> list[str]:
    """Objects that hold these bytes as they are stored. For tables and parquet files that is not all: see `values`."""
    keys = [item.key for item in bucket.list("") if not item.key.startswith(but)]
    return [key for key in keys if needle in bucket.get(key)]


def values(corpus: Corpus) -> str:
    """Everything that any version of any table says, keys too, image bytes as their key."""
    import lance

    said = []
    for name in corpus.tables():
        uri, options = corpus._uri(name), corpus.bucket.lance_options
        for version in lance.dataset(uri, storage_options=options).versions():
            table = lance.dataset(uri, version=version["version"], storage_options=options).to_table()
            for column in table.column_names:
                cells = table[column].to_pylist()
                said.append(repr([image_key(cell) if isinstance(cell, bytes) else cell for cell in cells]))
    return "\n".join(said)


def test_a_dry_run_changes_nothing_and_what_is_not_there_is_an_answer(corpus: Corpus) -> None:
    bucket, key = corpus.bucket, document_key(corpus, made.page_name(0, PAGE))
    before = objects(bucket)
    with pytest.raises(AirflowSkipException, match="1 documents, 1 images, 2 sentences would go"):
        take_down(asked(documents=[key], dry_run=True, active=1))
    assert objects(bucket) == before
    found = take_down(asked(domains=["nowhere.example"]))
    report = json.loads(bucket.get(f"takedowns/{found}/report.json"))
    assert (report["is_gone"], report["documents"], report["looked_for"]) == (True, 0, {})
    after = objects(bucket)
    assert {k: after.get(k) for k in before if ".lance/" not in k and "/rules/" not in k} == {
        k: v for k, v in before.items() if ".lance/" not in k and "/rules/" not in k
    }
    assert set(after) - set(before) == {f"corpus/tombstones/{found}.json"} | {
        f"takedowns/{found}/{name}.json" for name in ("report", "work")
    }
    with pytest.raises(TransientError, match="runs of ingest_documents, curate_images"):
        takedown.find.function(**asked(documents=[key], active=1))
    takedown.find.function(**asked(documents=[key]))
    with pytest.raises(TransientError, match="is under way: wait for its run"):
        takedown.find.function(**asked(images=[GONE_IMAGE]))
    with pytest.raises(TransientError, match="is under way: wait for its run"):
        made.ingest(made.DAYS[0])


def test_a_document_goes_for_good_and_those_it_served_get_their_next_best_text(
    corpus: Corpus, published: Bucket, worker: Worker, store: Stack
) -> None:
    bucket = corpus.bucket
    gone = [sentence_key(text) for text in GONE_TEXTS]
    before = texts_by_image(corpus)
    served = {image for image, texts in before.items() if not set(gone).isdisjoint(texts)} - {GONE_IMAGE}
    assert served, "the document's sentences serve other images"
    (release,) = {item.key.split("/")[1] for item in bucket.list("releases/")}
    revoke(bucket, release, "one document had to go")

    found = take_down(asked(documents=[document_key(corpus, made.page_name(0, PAGE))]))
    report = json.loads(bucket.get(f"takedowns/{found}/report.json"))
    assert (report["is_gone"], report["documents"], report["images"], report["sentences"]) == (True, 1, 1, 2)
    assert report["rows"]["images"] == {"before": 12, "after": 11}
    assert report["looked_for"] == {"image": 1, "key": 3, "text": 2, "vector": 3}
    assert [(one["version"], one["is_revoked"]) for one in report["releases"]] == [(release, True)]
    (raw,) = report["raw"]
    assert (raw["file"], raw["whole"]) == (f"raw/{made.DAYS[0]}/site/pages.zip", [made.page_name(0, PAGE)])
    held = corpus.read("sentences", ["text"], where=f"key = '{sentence_key(made.SHARED)}'")
    assert held["text"].to_pylist() == [made.SHARED], "what stands elsewhere stays"

    assert made.run_day(bucket, made.DAYS[-1], ingested=False) == len(served)
    after = texts_by_image(corpus)
    assert after == {image: best(corpus, image) for image in before if image != GONE_IMAGE}
    assert {image for image in after if after[image] != before[image]} == served

    said = values(corpus)
    for key, text in zip(gone, GONE_TEXTS, strict=True):
        assert text not in said
        assert key not in said
        assert bytes_anywhere(bucket, text.encode(), but=("raw/", "releases/")) == []
    assert GONE_IMAGE not in said
    assert bytes_anywhere(bucket, picture(PAGE)[600:664], but=("raw/",)) == []

    version = made.make_release()
    assert version != release
    assert find_row(bucket, version, GONE_IMAGE) is None
    keys = [key for _, rows in scan_rows(bucket, version, ["text1_key", "text2_key", "text3_key"]) for row in
            rows.to_pylist() for key in row.values()]  # fmt: skip
    assert set(gone).isdisjoint(keys)

    tables = {name: corpus.digest(name) for name in corpus.tables() if name != "answers"}
    made.run_day(bucket, made.DAYS[0])
    assert {name: corpus.digest(name) for name in tables} == tables, "the same raw day does not bring it back"
    counts = Staging(bucket, newest_staging(bucket, made.DAYS[0])).counts("extract")
    assert counts["documents.rejected.taken_down"] == 1

    rebuilt = replace(store.bucket, name="takedown-rebuilt")
    rebuilt.create()
    roots = ("raw/", "corpus/tombstones/", "corpus/codebooks/", "corpus/sights/")
    copied(worker, bucket, rebuilt, roots=roots)
    assert current_version(rebuilt) == current_version(published)
    for day in made.DAYS:
        made.run_day(rebuilt, day)
    fresh = Corpus(rebuilt)
    assert {name: fresh.digest(name) for name in tables} == tables, "nor does a full rebuild"


def newest_staging(bucket: Bucket, day: str) -> str:
    """The folder of the day's last ingestion."""
    plans = [item for item in bucket.list(f"staging/ingest_documents/{day}/") if item.key.endswith("/plan.json")]
    newest = max(plans, key=lambda item: item.modified)
    assert IngestPlan.from_json(bucket.get(newest.key)).taken_down
    return newest.key.removesuffix("/plan.json")


def test_killed_on_the_way_and_asked_again_it_ends_the_same(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    context = asked(documents=[document_key(corpus, made.page_name(0, PAGE))])
    for last in (2, 6, 11):
        with monkeypatch.context() as patch:
            patch.setattr(Corpus, "rewrite", die_after(Corpus.rewrite, n=last))
            with pytest.raises(KeyboardInterrupt):
                takedown.remove.function(takedown.find.function(**context), **context)
    takedown.clean.function(takedown.remove.function(takedown.find.function(**context), **context), **context)
    found = take_down(context)
    report = json.loads(corpus.bucket.get(f"takedowns/{found}/report.json"))
    assert (report["is_gone"], report["rows"]["images"]) == (True, {"before": 12, "after": 11})
    assert report["looked_for"] == {"image": 1, "key": 3, "text": 2, "vector": 3}
    assert corpus.read("documents", ["key"], where=f"key = '{report['keys']['documents'][0]}'").num_rows == 0
    n_nodes = corpus.read("sentences", ["n_nodes"], where=f"key = '{sentence_key(made.SHARED)}'")["n_nodes"]
    assert n_nodes.to_pylist() == [made.N_PAGES - 1], "what stands elsewhere is counted once less, not twice"
    rejects = corpus.read("rejects", ["reason", "detail"]).to_pylist()
    assert rejects == [{"reason": "taken_down", "detail": found}]
    assert not corpus.bucket.exists(f"takedowns/{found}/needles.parquet")
    assert not corpus.bucket.exists("takedowns/RUNNING")


def die_after(whole: Any, *, n: int) -> Any:
    """The call, so many times; then what a killed process does."""
    left = [n]

    def call(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(*arguments, **named)

    return call


def test_a_table_or_a_version_that_is_forgotten_turns_the_proof_red(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = asked(documents=[document_key(corpus, made.page_name(0, PAGE))])
    forgotten = {"image_scores", "sentence_links", "image_embeddings", "sentence_clusters", "pairs"}
    edits = stage.Removal.edits
    with monkeypatch.context() as patch:
        patch.setattr(remove, "forget_versions", lambda *arguments: None)
        with pytest.raises(PermanentError, match=r"traces are left, in corpus/answers\.lance/data/"):
            take_down(context)
    (found,) = {item.key.split("/")[1] for item in corpus.bucket.list("takedowns/t")}
    take_down(context)
    second = asked(documents=[document_key(corpus, made.page_name(1, PAGE))])
    with monkeypatch.context() as patch:
        patch.setattr(stage.Removal, "edits", lambda self: {k: v for k, v in edits(self).items() if k not in forgotten})
        with pytest.raises(PermanentError, match="traces are left"):
            take_down(second)
    (other,) = {item.key.split("/")[1] for item in corpus.bucket.list("takedowns/t")} - {found}
    report = json.loads(corpus.bucket.get(f"takedowns/{other}/report.json"))
    places = {trace["place"] for trace in report["traces"]}
    assert {f"corpus/{name}.lance/" for name in forgotten - {"sentence_links"}} <= places
    take_down(second)
    assert json.loads(corpus.bucket.get(f"takedowns/{other}/report.json"))["is_gone"]


def test_a_picture_goes_with_its_like_a_sentence_by_a_pattern_and_raw_files_when_all_of_them_goes(
    corpus: Corpus,
) -> None:
    phash = f"{picture_hash(picture(PAGE)) ^ 0b101:016x}"
    found = take_down(asked(phashes=[phash]))
    report = json.loads(corpus.bucket.get(f"takedowns/{found}/report.json"))
    assert (report["keys"]["images"], report["documents"], report["sentences"]) == ([GONE_IMAGE], 0, 0)
    raw = [item.key for item in corpus.bucket.list("raw/")]
    one = take_down(asked(patterns=[r"(?i)visitors NUMBER (2|3) "], delete_raw=True))
    assert [item.key for item in corpus.bucket.list("raw/")] == raw, "these files hold other documents"
    report = json.loads(corpus.bucket.get(f"takedowns/{one}/report.json"))
    wanted = sorted(sentence_key(made.sentences_of(0, page)[1]) for page in (2, 3))
    assert (report["is_gone"], report["keys"]["sentences"], report["documents"]) == (True, wanted, 0)
    made.ingest(made.DAYS[0])
    assert GONE_IMAGE not in corpus.read("images", ["key"])["key"].to_pylist()
    pages = corpus.read("documents", ["n_images"], where=f"record = '{made.page_name(0, PAGE)}'")
    assert pages["n_images"].to_pylist() == [0]
    assert set(wanted).isdisjoint(corpus.read("sentences", ["key"])["key"].to_pylist())
    keys = corpus.read("documents", ["key"], day=made.DAYS[0])["key"].to_pylist()
    take_down(asked(documents=keys, delete_raw=True))
    assert list(corpus.bucket.list(f"raw/{made.DAYS[0]}/")) == []
    assert corpus.days("images") == list(made.DAYS[1:])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "something to take down"),
        ({"images": ["i12"]}, "a whole key"),
        ({"domains": ["https://example.org/"]}, "a domain as in example.org"),
        ({"patterns": [".*"]}, "not every text matches"),
        ({"patterns": ["(?<=a)b"]}, "RE2"),
        ({"patterns": ["a" * 201]}, "at most 200 characters"),
        ({"phashes": ["xyz"]}, "16 hex digits"),
        ({"images": [GONE_IMAGE], "max_hash_distance": 40}, "from 0 to 16 bits"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_by_name(values: Any, message: str) -> None:
    with pytest.raises(BadPlanError, match=message):
        Request(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
