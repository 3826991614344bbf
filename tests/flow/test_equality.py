"""Five days on real Airflow by the clock, in another order with a backfill of two and late documents, and all at once:
the same corpus and the same release, and no task tried twice without a cause. At the end a document is taken down.

The first order catches up on a schedule with an empty day at its end, and is released by the clock, too. It freezes the
codebooks and how images see sentences; the others start from an empty home and these, and with what the rewriter
answered: a rebuild replays answers, it does not pay for them again.
"""

import hashlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from rich.console import Console

from realsyn_ops.cli.airflow_api import AirflowApi, Run
from realsyn_ops.cli.chain import CHAIN, RELEASE, Chain
from realsyn_ops.cli.demo import RawInput, prepare_models, upload
from realsyn_ops.cli.services import Stack
from realsyn_ops.cli.takedown import Asked, run_takedown
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import find_row, scan_rows
from realsyn_ops.io.releases import versions
from realsyn_ops.io.storage import Bucket
from tests.flow.five_days import DAYS, five_days
from tests.flow.harness import demo_home
from tests.flow.served_elsewhere import objects_that_hold, serving_document, texts_of_images

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

EMPTY_DAY = "2025-03-06"
CLOCK = {
    "REALSYN_START_DATE": "2025-03-02", "REALSYN_END_DATE": "2025-03-07", "REALSYN_CATCHUP": "true",
    "REALSYN_RELEASE_SCHEDULE": "* * * * *",
}  # fmt: skip
"""Runs are a day after their partitions."""
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

    def wait_for_days(self, *numbers: int) -> None:
        """Until the whole chain has run for these days, whoever started it."""
        wanted = {(dag, DAYS[number]) for dag in CHAIN for number in numbers}
        wait_until(lambda: wanted <= {(run.dag, run.partition_key) for run in self.finished(*CHAIN)})

    def finished(self, *dags: str) -> list[Run]:
        runs = [run for dag in dags for run in self.api.runs(dag)]
        assert not [run for run in runs if run.state == "failed"]
        return [run for run in runs if run.is_over]

    def check_retries(self) -> None:
        """Nothing was tried twice but where another day's commit to the same table came first."""
        for run in self.finished(*CHAIN, RELEASE):
            for task in self.api.tasks(run):
                if task.try_number > 1:
                    said = self.api.log_end(run, replace(task, try_number=1), n_lines=200)
                    assert "another writer committed first" in said, (run, task, said)

    def skipped(self, run: Run) -> bool:
        return any(task.state == "skipped" for task in self.api.tasks(run))

    def backfill(self, first: int, last: int) -> None:
        """What a person types for these days, two at once."""
        command = [
            str(Path(sys.executable).parent / "airflow"), "backfill", "create", "--dag-id", CHAIN[0],
            "--from-date", DAYS[first], "--to-date", f"{DAYS[last]}T23:59", "--max-active-runs", "2",
        ]  # fmt: skip
        done = subprocess.run(command, env=self.stack.airflow_env(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def wait_until(is_so: Callable[[], bool], *, timeout_s: float = 900) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(2)


def by_the_clock(home: Home) -> None:
    """Every day since the start date, and one without documents; then one look of the release takes them all, and the
    next finds nothing new."""
    home.api.pause(RELEASE)
    home.wait_for_days(*range(5))
    wait_until(lambda: EMPTY_DAY in {run.partition_key for run in home.finished(CHAIN[0])})
    runs = home.finished(*CHAIN)
    assert {(run.dag, home.skipped(run)) for run in runs if run.partition_key == EMPTY_DAY} == {(CHAIN[0], True)}
    assert len(runs) == len(CHAIN) * len(DAYS) + 1, "each day once, each Dag once a day"
    assert {run.run_id.split("__")[0] for run in runs if run.dag == CHAIN[0]} == {"scheduled"}
    home.api.resume(RELEASE)
    made: list[bool] = []
    while made[-2:] != [True, False]:
        seen = len(home.finished(RELEASE))
        wait_until(lambda: len(home.finished(RELEASE)) > seen, timeout_s=300)  # noqa: B023
        made = [not home.skipped(run) for run in reversed(home.finished(RELEASE))]
    home.api.pause(RELEASE)


def by_a_backfill_before_late_documents(home: Home) -> None:
    """In another order: two days at once, of which the second holds a page of another day in place of its own. That one
    comes late, the day runs again, and the oldest day comes last."""
    first, third = (f"raw/{DAYS[number]}/alike/page.html" for number in (0, 2))
    home.stack.bucket.copy(first, third)
    home.backfill(1, 2)
    home.wait_for_days(1, 2)
    home.run_days(4, 3)
    upload(home.stack.bucket, home.raw)
    home.run_days(2, 0)


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
def made_by(order: Callable[[Home], None], folder: Path, frozen: Mapping[str, bytes] = {}) -> Iterator[Home]:
    """A home in which the days were run in this order and released, and no task was tried twice without a cause."""
    stack = Stack(demo_home(folder), clock=CLOCK if order is by_the_clock else None)
    raw = five_days(stack.home / "input", stack.home / "cache")
    try:
        stack.up_store()
        upload(stack.bucket, raw)
        for key, data in frozen.items():
            stack.bucket.put(key, data)
        stack.up()
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags([*CHAIN, RELEASE])
        home = Home(stack, raw, api, Chain(api, lambda progress: None))
        order(home)
        assert versions(stack.bucket) or home.chain.run_release()
        home.check_retries()
        yield home
    finally:
        stack.down()


def published(bucket: Bucket) -> dict[str, str]:
    """A digest of the rows of every table, and the sha256 of every file of the release."""
    files = {o.key: hashlib.sha256(bucket.get(o.key)).hexdigest() for o in bucket.list("releases/")}
    return {table: Corpus(bucket).digest(table) for table in TABLES} | files


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, bytes]]:
    """What five days by the clock publish, and what they froze on the way."""
    folder = tmp_path_factory.mktemp("by-the-clock")
    prepare_models(demo_home(folder) / "models")
    with made_by(by_the_clock, folder / "home") as home:
        bucket = home.stack.bucket
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


@pytest.fixture(scope="module")
def at_once(first: tuple[dict[str, str], dict[str, bytes]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """All days at once, with what the first order froze; its services still run."""
    with made_by(all_at_once, tmp_path_factory.mktemp("all-at-once") / "home", first[1]) as home:
        yield home


def test_another_order_with_a_backfill_and_late_documents_ends_in_the_same_tables_and_release(
    first: tuple[dict[str, str], dict[str, bytes]], tmp_path: Path
) -> None:
    wanted, frozen = first
    with made_by(by_a_backfill_before_late_documents, tmp_path / "home", frozen) as home:
        assert published(home.stack.bucket) == wanted


def test_all_at_once_ends_in_the_same_tables_and_release(
    first: tuple[dict[str, str], dict[str, bytes]], at_once: Home
) -> None:
    assert published(at_once.stack.bucket) == first[0]


def test_a_document_that_serves_other_images_is_taken_down_for_good(at_once: Home) -> None:
    stack, bucket, corpus = at_once.stack, at_once.stack.bucket, Corpus(at_once.stack.bucket)
    going, before, known = serving_document(corpus), texts_of_images(corpus), versions(bucket)
    asked = Asked(documents=[going.document])
    assert objects_that_hold(bucket, going.sentences.values())
    run_takedown(
        stack, Console(file=io.StringIO()), asked,
        why="asked by its author", by="anna", delete_raw=False, do_it=True, as_json=False,
    )  # fmt: skip
    (report,) = [json.loads(bucket.get(o.key)) for o in bucket.list("takedowns/") if o.key.endswith("report.json")]
    assert (report["is_gone"], report["documents"], report["sentences"]) == (True, 1, len(going.sentences))
    assert objects_that_hold(bucket, going.sentences.values()) == []
    after = texts_of_images(corpus)
    for image in going.served:
        kept = [key for key in before[image] if key not in going.sentences]
        assert after[image] != before[image]
        assert [key for key in after[image] if key in before[image]] == kept, "what was best of the rest still is"
        assert set(after[image]).isdisjoint(going.sentences)
    assert {image: texts for image, texts in after.items() if image not in going.served}.items() <= before.items()

    assert at_once.chain.run_release()
    (version,) = set(versions(bucket)) - set(known)
    held = [key for _, rows in scan_rows(bucket, version, ["text1_key", "text2_key", "text3_key"]) for row in
            rows.to_pylist() for key in row.values()]  # fmt: skip
    assert held
    assert set(held).isdisjoint(going.sentences)
    assert all(find_row(bucket, version, image) is None for image in report["keys"]["images"])

    tables = {table: corpus.digest(table) for table in TABLES}
    ended = {run.run_id for run in at_once.finished(*CHAIN)}
    at_once.trigger("ingest_documents", DAYS.index(going.day))
    wait_until(lambda: {run.dag for run in at_once.finished(*CHAIN) if run.run_id not in ended} == {*CHAIN})
    assert {table: corpus.digest(table) for table in TABLES} == tables, "the same raw day does not bring it back"
    assert not at_once.chain.run_release(), "and there is nothing new to release"
