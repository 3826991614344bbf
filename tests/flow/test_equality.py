"""Five days on real Airflow in order, in another order, with a rerun and a backfill, and all at once: the same corpus
and the same release.

The first order freezes the codebooks and how images see sentences; the others start from an empty home and these, and
with what the rewriter answered: a rebuild replays answers, it does not pay for them again.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from realsyn_ops.cli.airflow_api import AirflowApi, Run
from realsyn_ops.cli.chain import CHAIN, RELEASE, Chain
from realsyn_ops.cli.demo import RawInput, prepare_models, upload
from realsyn_ops.cli.services import Stack
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.flow.five_days import DAYS, five_days
from tests.flow.harness import demo_home

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

FROZEN = ("corpus/codebooks", "corpus/sights/", "corpus/answers")
TABLES = (
    "documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects", "image_scores", "image_embeddings",
    "image_links", "curated_images", "sentence_measures", "sentence_scores", "sentence_embeddings", "sentence_links",
    "sentence_clusters", "pairs",
)  # fmt: skip
"""All but `answers`: what a rewriter was asked on the way is kept, also for texts that later days have displaced."""


@dataclass
class Home:
    """Services of its own, which hold the five days as raw input."""

    stack: Stack
    raw: RawInput
    api: AirflowApi
    chain: Chain

    def run_days(self, *numbers: int) -> None:
        """From raw documents to pairs, a day after the other."""
        for number in numbers:
            self.chain.run_day(DAYS[number])

    def trigger(self, dag: str, *numbers: int) -> list[Run]:
        return [self.api.trigger(dag, partition_key=DAYS[number]) for number in numbers]

    def wait(self, runs: list[Run]) -> None:
        self.chain.wait("runs", runs)

    def wait_for_every_day(self) -> None:
        deadline = time.monotonic() + 900
        while True:
            runs = [run for dag in CHAIN for run in self.api.runs(dag)]
            assert not [run for run in runs if run.state == "failed"]
            if len({(run.dag, run.partition_key) for run in runs if run.is_over}) == len(CHAIN) * len(DAYS):
                return
            assert time.monotonic() < deadline, runs
            time.sleep(2)


def in_order(home: Home) -> None:
    home.run_days(0, 1, 2, 3, 4)


def in_another_order(home: Home) -> None:
    """A day is ingested when the one before is; what follows overlaps."""
    for number in (3, 0, 4, 1, 2):
        home.wait(home.trigger("ingest_documents", number))
    home.wait_for_every_day()


def with_rerun_and_backfill(home: Home) -> None:
    """The third day holds a page of the second until it runs again, and that one comes last: in between it is gone."""
    second, third = (f"raw/{DAYS[number]}/alike/page.html" for number in (1, 2))
    home.stack.bucket.copy(second, third)
    home.run_days(0, 2, 4, 3)
    upload(home.stack.bucket, home.raw)
    home.run_days(2, 1)


def all_at_once(home: Home) -> None:
    """All days are ingested before anything else is done, and one run pairs them all."""
    for dag in CHAIN[1:]:
        home.api.pause(dag)
    home.wait(home.trigger("ingest_documents", *range(5)))
    for dags, numbers in ((CHAIN[1:3], range(5)), (CHAIN[3:], [4])):
        for dag in dags:
            home.api.resume(dag)
        home.wait([run for dag in dags for run in home.trigger(dag, *numbers)])


@contextmanager
def made_by(order: Callable[[Home], None], folder: Path, frozen: Mapping[str, bytes] = {}) -> Iterator[Bucket]:
    """A bucket in which the days were run in this order and released."""
    stack = Stack(demo_home(folder))
    raw = five_days(stack.home / "input", stack.home / "cache")
    try:
        stack.up()
        upload(stack.bucket, raw)
        for key, data in frozen.items():
            stack.bucket.put(key, data)
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags([*CHAIN, RELEASE])
        home = Home(stack, raw, api, Chain(api, lambda progress: None))
        order(home)
        assert home.chain.run_release()
        yield stack.bucket
    finally:
        stack.down()


def published(bucket: Bucket) -> dict[str, str]:
    """A digest of the rows of every table, and the sha256 of every file of the release."""
    files = {o.key: hashlib.sha256(bucket.get(o.key)).hexdigest() for o in bucket.list("releases/")}
    return {table: Corpus(bucket).digest(table) for table in TABLES} | files


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, bytes]]:
    """What five days in order publish, and what they froze on the way."""
    folder = tmp_path_factory.mktemp("in-order")
    prepare_models(demo_home(folder) / "models")
    with made_by(in_order, folder / "home") as bucket:
        found = published(bucket)
        assert all(found.values())
        assert {Path(name).name for name in set(found) - set(TABLES)} == {
            "manifest.json", "README.md", "croissant.json", "SHA256SUMS", "selection.parquet",
            "00000.parquet", "00000.tar",
        }  # fmt: skip
        corpus = Corpus(bucket)
        survivors = corpus.read("curated_images", ["day"], where="reason IS NULL")["day"].to_pylist()
        assert set(survivors) == {*DAYS}
        for links in ("image_links", "sentence_links"):
            assert set(corpus.read(links, ["day"])["day"].to_pylist()) > {DAYS[3]}, "days are not alike"
        return found, {o.key: bucket.get(o.key) for prefix in FROZEN for o in bucket.list(prefix)}


@pytest.mark.parametrize("order", [in_another_order, with_rerun_and_backfill, all_at_once])
def test_whatever_the_order_of_the_days_tables_and_release_are_the_same(
    first: tuple[dict[str, str], dict[str, bytes]], order: Callable[[Home], None], tmp_path: Path
) -> None:
    wanted, frozen = first
    with made_by(order, tmp_path / "home", frozen) as bucket:
        assert published(bucket) == wanted
