"""Five days on real Airflow, in order, in another order, with a rerun and a backfill, and all at once: the same corpus.

The first run freezes the codebooks and how images are searched; the others start from an empty bucket and these.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from realsyn_ops.cli.airflow_api import AirflowApi
from realsyn_ops.cli.chain import CHAIN, RELEASE, Chain
from realsyn_ops.cli.demo import prepare_models, upload
from realsyn_ops.cli.services import Stack
from realsyn_ops.io import releases
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.flow.five_days import DAYS, five_days
from tests.flow.harness import demo_home

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

FROZEN = ("corpus/codebooks", "corpus/sights/")
CACHES = {"answers"}
"""What a rewriter was asked on the way is kept, also for texts that later days have displaced."""
TABLES = (
    "documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects", "image_scores", "image_embeddings",
    "image_links", "curated_images", "sentence_measures", "sentence_scores", "sentence_embeddings", "sentence_links",
    "sentence_clusters", "pairs",
)  # fmt: skip


def in_turn(*days: str) -> Callable[[AirflowApi], None]:
    def run(api: AirflowApi) -> None:
        chain = Chain(api, lambda progress: None)
        for day in days:
            chain.run_day(day)

    return run


def at_once(api: AirflowApi) -> None:
    for day in DAYS:
        api.trigger("ingest_documents", partition_key=day)
    deadline = time.monotonic() + 1500
    while time.monotonic() < deadline:
        runs = {dag: api.runs(dag) for dag in CHAIN}
        failed = [run for of_dag in runs.values() for run in of_dag if run.state == "failed"]
        assert not failed
        if all({r.partition_key for r in of_dag if r.state == "success"} == {*DAYS} for of_dag in runs.values()):
            return
        time.sleep(2)
    raise TimeoutError(f"not all of {DAYS} were paired: {runs}")


ORDERS = {
    "in-order": in_turn(*DAYS),
    "another-order": in_turn(*(DAYS[i] for i in (3, 0, 4, 1, 2))),
    "rerun-and-backfill": in_turn(*(DAYS[i] for i in (0, 1, 2, 4, 1, 3))),
    "at-once": at_once,
}


def made(stack: Stack) -> dict[str, str]:
    """A digest of every table, and the sha256 of every file of the release."""
    corpus = Corpus(stack.bucket)
    version = releases.newest(stack.bucket)
    prefix = f"releases/{version}/"
    files = {o.key: hashlib.sha256(stack.bucket.get(o.key)).hexdigest() for o in stack.bucket.list(prefix)}
    assert len(files) >= 4
    return {table: corpus.digest(table) for table in TABLES} | files


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = demo_home(tmp_path_factory.mktemp("five-days"))
    prepare_models(home / "models")
    yield home
    Stack(home).down()


def run_order(home: Path, name: str, frozen: Bucket | None) -> tuple[Bucket, dict[str, str]]:
    raw = five_days(home / f"input-{name}", home / "cache")
    stack = Stack(home)
    stack.use_bucket(f"realsyn-{name}")
    stack.up()
    try:
        upload(stack.bucket, raw)
        for prefix in FROZEN if frozen else ():
            for item in frozen.list(prefix):  # type: ignore[union-attr]
                stack.bucket.put(item.key, frozen.get(item.key))  # type: ignore[union-attr]
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags([*CHAIN, RELEASE])
        ORDERS[name](api)
        chain = Chain(api, lambda progress: None)
        assert chain.run_release()
        states = {t.state for dag in CHAIN for run in api.runs(dag) for t in api.tasks(run)}
        assert states == {"success"}
        return stack.bucket, made(stack)
    finally:
        stack.airflow.stop()


def test_whatever_the_order_of_the_days_the_corpus_and_the_release_are_the_same(home: Path) -> None:
    frozen, wanted = run_order(home, "in-order", None)
    for name in ("another-order", "rerun-and-backfill", "at-once"):
        _, found = run_order(home, name, frozen)
        assert found == wanted, name
