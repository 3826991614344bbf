"""Five days in order, in another order, and with a rerun and a backfill: the same rows in every table.

By the Dags' own task functions, one by one and without a scheduler, so that three corpora are made in minutes. The
first run freezes the codebooks and how images see sentences; the others start from an empty bucket and these.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from realsyn_ops.cli.demo import prepare_models, upload
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.flow.five_days import DAYS, five_days
from tests.flow.harness import demo_home

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

FROZEN = ("corpus/codebooks", "corpus/sights/")
TABLES = (
    "documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects", "image_scores", "image_embeddings",
    "image_links", "curated_images", "sentence_measures", "sentence_scores", "sentence_embeddings", "sentence_links",
    "sentence_clusters", "pairs",
)  # fmt: skip
"""All but `answers`: what a rewriter was asked on the way is kept, also for texts that later days have displaced."""
ORDERS = {
    "in-order": (0, 1, 2, 3, 4),
    "another-order": (3, 0, 4, 1, 2),
    "rerun-and-backfill": (0, 2, 4, 3, 2, 1),
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of which only the object store runs."""
    stack = Stack(demo_home(tmp_path_factory.mktemp("five-days")))
    prepare_models(stack.home / "models")
    stack.up_store()
    yield stack
    stack.down()


def run_order(stack: Stack, name: str, frozen: Bucket | None) -> Bucket:
    """The days in this order, in a bucket of their own."""
    bucket = replace(stack.bucket, name=f"realsyn-{name}")
    bucket.create()
    upload(bucket, five_days(stack.home / f"input-{name}", stack.home / "cache"))
    for prefix in FROZEN if frozen else ():
        for item in frozen.list(prefix):  # type: ignore[union-attr]
            bucket.put(item.key, frozen.get(item.key))  # type: ignore[union-attr]
    env = {**stack.airflow_env(), "REALSYN_BUCKET": bucket.name}
    days = ",".join(DAYS[i] for i in ORDERS[name])
    command = [sys.executable, "-m", "tests.flow.run_tasks", days, "{}"]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return bucket


def test_whatever_the_order_of_the_days_the_tables_are_the_same(stack: Stack) -> None:
    frozen = run_order(stack, "in-order", None)
    wanted = {table: Corpus(frozen).digest(table) for table in TABLES}
    assert all(wanted.values())
    assert Corpus(frozen).read("image_links", ["key"]).num_rows > 0
    for name in ("another-order", "rerun-and-backfill"):
        corpus = Corpus(run_order(stack, name, frozen))
        assert {table: corpus.digest(table) for table in TABLES} == wanted, name
