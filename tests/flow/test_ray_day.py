"""A day on real Airflow whose shards a Ray cluster makes: the rows of mapped tasks, whoever dies on the way."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from realsyn_ops.cli.airflow_api import AirflowApi, Run
from realsyn_ops.cli.chain import CHAIN, Chain
from realsyn_ops.cli.demo import prepare_input, prepare_models, upload
from realsyn_ops.cli.processes import Service
from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from tests.flow.harness import demo_home
from tests.ray.cluster import Cluster, wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]

DAY = DAYS[0]
DOCUMENTS = 8
MEMORY_BYTES = 2**15 // 3
"""So little that a day of a few documents is laid into clusters and linked in several shards."""
PARAMS = {
    "curate_images": {"shard_images": 3},
    "cluster_sentences": {"shard_sentences": 50, "sentences_per_cluster": 20},
    "pair_texts": {"search_images": 4},
}
INGESTED = ("documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects")
MADE = (
    "image_scores", "image_embeddings", "image_links", "curated_images", "sentence_measures", "sentence_scores",
    "sentence_embeddings", "sentence_links", "sentence_clusters", "pairs", "answers",
)  # fmt: skip


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder by which the test holds the workers that judge images."""
    folder = tmp_path / "held"
    folder.mkdir()
    monkeypatch.setenv("HELD_FOLDER", str(folder))
    monkeypatch.setenv("REALSYN_IMAGE_POLICIES", "tests.flow.held_policy:factory")
    return folder


@pytest.fixture
def stack(tmp_path: Path, held: Path) -> Iterator[Stack]:
    """An object store with the raw documents of a day; Airflow does not run yet."""
    stack = Stack(demo_home(tmp_path / "home"))
    raw = prepare_input(stack.home, None, DOCUMENTS)
    prepare_models(stack.home / "models")
    stack.use_bucket("realsyn-ray")
    try:
        stack.up_store()
        assert upload(stack.bucket, replace(raw, days=(DAY,))) > 0
        yield stack
    finally:
        stack.down()


@pytest.fixture
def cluster(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    ours = ("REALSYN_MODELS_PATH", "REALSYN_IMAGE_POLICIES", "HELD_FOLDER")
    cluster = Cluster(tmp_path / "ray", {name: stack.airflow_env()[name] for name in ours})
    cluster.folder.mkdir()
    for name, value in {**cluster.credentials, "REALSYN_RAY_ADDRESS": cluster.client_address}.items():
        monkeypatch.setenv(name, value)
    try:
        yield cluster.start()
    finally:
        cluster.stop()


def mapped_day(stack: Stack) -> Bucket:
    """The day from raw documents to pairs by the mapped tasks' own functions, in a bucket of its own."""
    bucket = replace(stack.bucket, name="realsyn-mapped")
    bucket.create()
    for item in stack.bucket.list("raw/"):
        bucket.put(item.key, stack.bucket.get(item.key))
    env = {**stack.airflow_env(), "REALSYN_BUCKET": bucket.name, "REALSYN_RAY_ADDRESS": ""}
    command = [sys.executable, "-m", "tests.flow.run_tasks", DAY, json.dumps(PARAMS)]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return bucket


def job(bucket: Bucket, dag: str, stage: str) -> dict[str, Any]:
    """What the only job of a Dag's stage says of itself; empty before it has said anything."""
    keys = [o.key for o in bucket.list(f"staging/{dag}/") if f"/jobs/{stage}-" in o.key and o.key.endswith(".json")]
    assert len(keys) <= 1
    return json.loads(bucket.get(keys[0])) if keys else {}


def made_by_both(job: dict[str, Any]) -> bool:
    return job["state"] == "done" and len(job["nodes"]) == 2 and sum(job["nodes"].values()) == job["n_shards"] > 1


def hold_until_both_work(cluster: Cluster, nodes: tuple[str, str]) -> None:
    """Stops the worker of the node that is first at a shard until the other's is at one too: small shards are quick."""
    stopped: dict[str, psutil.Process] = {}

    def both_are_stopped() -> bool:
        for node in set(nodes) - set(stopped):
            for process in cluster.processes(node):
                with suppress(psutil.Error):
                    if "ray::Worker.make" in " ".join(process.cmdline()):
                        process.suspend()
                        stopped[node] = process
                        break
        return len(stopped) == len(nodes)

    try:
        wait_until(both_are_stopped, timeout_s=120, pause_s=0.02)
    finally:
        for process in stopped.values():
            process.resume()


def wait_for(held: Path, sign: str, *, n: int) -> None:
    wait_until(lambda: len(list(held.glob(f"{sign}-*"))) >= n, timeout_s=120)


def state(api: AirflowApi, run: Run, task: str) -> tuple[str | None, int]:
    return next((t.state, t.try_number) for t in api.tasks(run) if t.task == task)


def waiting_try(api: AirflowApi, run: Run, *, after: int) -> int:
    """The number of the try of `embed` that waits for its job, once there is one."""

    def waits() -> bool:
        found, number = state(api, run, "embed")
        return found == "deferred" and number > after

    wait_until(waits, timeout_s=180)
    return state(api, run, "embed")[1]


def kill_the_triggerer(stack: Stack) -> None:
    """SIGKILL to it and to what it started."""
    parent = psutil.Process(stack.airflow.pid())
    triggerers = [p for p in parent.children(recursive=True) if "triggerer" in " ".join(p.cmdline())]
    assert triggerers
    for process in {p for t in triggerers for p in (t, *t.children(recursive=True))}:
        process.send_signal(signal.SIGKILL)


def test_a_day_made_by_ray_has_the_rows_of_mapped_tasks_whoever_dies(
    stack: Stack, held: Path, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (held / "first").touch()
    (held / "let-go").touch()
    mapped = mapped_day(stack)
    for path in held.iterdir():
        path.unlink()
    for table in INGESTED:
        for item in mapped.list(f"corpus/{table}.lance/"):
            stack.bucket.put(item.key, mapped.get(item.key))
    monkeypatch.setenv("REALSYN_MEMORY_BYTES", str(MEMORY_BYTES))
    another = Service("triggerer", tmp_path / "run")
    try:
        stack.up()
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags(list(CHAIN))
        api.pause("pair_texts")  # it would follow with params of its own
        chain = Chain(api, lambda progress: None)
        curated = api.trigger("curate_images", partition_key=DAY, conf=PARAMS["curate_images"])

        wait_for(held, "first", n=2)
        first = waiting_try(api, curated, after=0)
        (held / "first").touch()
        wait_for(held, "waiting", n=2)
        for path in held.glob("waiting-*"):
            path.unlink()
        api.clear(curated)
        second = waiting_try(api, curated, after=first)
        wait_for(held, "waiting", n=2)
        before = job(stack.bucket, "curate_images", "embed")
        assert (before["state"], len(before["nodes"])) == ("running", 2)
        kill_the_triggerer(stack)
        cluster.kill("second")
        another.start(
            [str(Path(sys.executable).parent / "airflow"), "triggerer"], env=stack.airflow_env(), cwd=tmp_path
        )
        (held / "let-go").touch()
        chain.wait("images", [curated])
        assert state(api, curated, "embed") == ("success", second), "a kill cost a try"
        embedded = job(stack.bucket, "curate_images", "embed")
        assert made_by_both(embedded)
        assert embedded["n_lost"] == 1

        cluster.add("third", f"--address={cluster.address}")
        clustered = api.trigger("cluster_sentences", partition_key=DAY, conf=PARAMS["cluster_sentences"])
        for stage in ("filter", "score", "assign", "link"):
            wait_until(lambda stage=stage: job(stack.bucket, "cluster_sentences", stage), timeout_s=120)
            hold_until_both_work(cluster, ("first", "third"))
        chain.wait("sentences", [clustered])
        api.resume("pair_texts")
        paired = api.trigger("pair_texts", partition_key=DAY, conf=PARAMS["pair_texts"])
        wait_until(lambda: job(stack.bucket, "pair_texts", "retrieve"), timeout_s=120)
        hold_until_both_work(cluster, ("first", "third"))
        chain.wait("pairs", [paired])
    finally:
        another.stop()

    for stage in ("filter", "score", "assign", "link"):
        assert made_by_both(job(stack.bucket, "cluster_sentences", stage)), stage
    assert made_by_both(job(stack.bucket, "pair_texts", "retrieve"))
    for dag, stage in (("curate_images", "assign"), ("curate_images", "link"), ("pair_texts", "synthesize")):
        assert job(stack.bucket, dag, stage)["state"] == "done"
    made, wanted = Corpus(stack.bucket), Corpus(mapped)
    assert {table: made.digest(table) for table in MADE} == {table: wanted.digest(table) for table in MADE}
    assert made.digest("pairs")
