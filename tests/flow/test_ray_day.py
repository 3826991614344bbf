"""A day on real Airflow whose shards a Ray cluster makes: the rows of mapped tasks, whoever dies on the way."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
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
FEW = 8
SIZES = {"curate_images": {"shard_images": 4}, "cluster_sentences": {"shard_sentences": 50}}
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
    raw = prepare_input(stack.home, None, FEW)
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
    command = [sys.executable, "-m", "tests.flow.run_tasks", DAY, json.dumps(SIZES)]
    done = subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return bucket


def jobs(bucket: Bucket, stage: str) -> list[dict[str, Any]]:
    """What the jobs of a stage say."""
    keys = [item.key for item in bucket.list("staging/") if f"/jobs/{stage}-" in item.key and ".json" in item.key]
    return [json.loads(bucket.get(key)) for key in keys]


def wait_for_workers(held: Path, n: int) -> None:
    wait_until(lambda: len(list(held.glob("waiting-*"))) >= n, timeout_s=120)


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
    stack: Stack, held: Path, cluster: Cluster, tmp_path: Path
) -> None:
    (held / "let-go").touch()
    mapped = mapped_day(stack)
    (held / "let-go").unlink()
    for table in INGESTED:
        for item in mapped.list(f"corpus/{table}.lance/"):
            stack.bucket.put(item.key, mapped.get(item.key))
    another = Service("triggerer", tmp_path / "run")
    try:
        stack.up()
        api = AirflowApi(stack.airflow_url, "admin", stack.endpoints.admin_password)
        api.wait_for_dags(list(CHAIN))
        chain = Chain(api, lambda progress: None)
        curated = api.trigger("curate_images", partition_key=DAY, conf=SIZES["curate_images"])

        wait_for_workers(held, 2)
        first = waiting_try(api, curated, after=0)
        for path in held.glob("waiting-*"):
            path.unlink()
        api.clear(curated)
        second = waiting_try(api, curated, after=first)
        wait_for_workers(held, 2)
        (job,) = jobs(stack.bucket, "embed")
        assert (job["state"], job["n_done"]) == ("running", 0)
        kill_the_triggerer(stack)
        cluster.kill("second")
        another.start(
            [str(Path(sys.executable).parent / "airflow"), "triggerer"], env=stack.airflow_env(), cwd=tmp_path
        )
        (held / "let-go").touch()
        chain.wait("images", [curated])
        assert state(api, curated, "embed") == ("success", second), "a kill cost a try"
        (job,) = jobs(stack.bucket, "embed")
        assert job["n_done"] == job["n_shards"] > 3
        assert job["n_lost"] == 1

        cluster.add("third", f"--address={cluster.address}")
        clustered = api.trigger("cluster_sentences", partition_key=DAY, conf=SIZES["cluster_sentences"])
        chain.wait("sentences", [clustered])
        paired = chain.wait_for_follower("pair_texts", DAY, [curated, clustered], known=set())
        assert paired is not None
        chain.wait("pairs", [paired])
    finally:
        another.stop()

    for stage in ("filter", "score"):
        (job,) = jobs(stack.bucket, stage)
        assert len(job["nodes"]) == 2
        assert sum(job["nodes"].values()) == job["n_shards"] > 3
    (job,) = jobs(stack.bucket, "synthesize")
    assert job["state"] == "done"
    made, wanted = Corpus(stack.bucket), Corpus(mapped)
    assert {table: made.digest(table) for table in MADE} == {table: wanted.digest(table) for table in MADE}
    assert made.digest("pairs")
