"""Shards on a Ray cluster of two nodes: they are made once, by both, whoever dies."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.ray_shards import RayShards
from realsyn_ops.operators.ray_trigger import JobTrigger
from realsyn_ops.operators.run import Work
from realsyn_ops.plans import ReleasePlan, code_digest
from realsyn_ops.settings import settings
from tests.ray.cluster import Cluster, wait_until
from tests.ray.steps import SECRET, squares

pytestmark = pytest.mark.timeout(180)

HELD = ["held-00", "held-01"]
"""One for each node's only worker: when both are being tried, both nodes are at work."""
SHARDS = [*HELD, *(f"quick-{i:02}" for i in range(2, 10))]


def works_of(bucket: Bucket, shards: Sequence[str], *, seed: int) -> list[Work]:
    plan = ReleasePlan(inputs="i", code=code_digest(), seed=seed)
    staging = Staging.create(bucket, "release_dataset", "2026-11-10", plan)
    return [{"staging": staging.prefix, "shard": shard} for shard in shards]


def hand_over(works: list[Work], owner: str = "one") -> JobTrigger:
    """The task up to the point where it gives up its slot, and the trigger as it comes out of the database."""
    task = RayShards(task_id="squares", step="tests.ray.steps:squares", works=works)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute({"ti": SimpleNamespace(id=owner)})
    path, kwargs = deferred.value.trigger.serialize()
    assert path == "realsyn_ops.operators.ray_trigger.JobTrigger"
    return JobTrigger(**kwargs | {"poll_s": 0.3, "settle_s": 0.0})


def wait(trigger: JobTrigger) -> dict[str, Any]:
    """What the triggerer fires."""

    async def first() -> dict[str, Any]:
        async for event in trigger.run():
            return event.payload
        raise AssertionError("no event")

    return asyncio.run(first())


def finish(works: list[Work], event: dict[str, Any]) -> list[Work]:
    return RayShards(task_id="squares", step="tests.ray.steps:squares", works=works).finish({}, event)


def tries(staging: Staging) -> dict[str, int]:
    prefix = f"{staging.prefix}/tries/"
    return dict(Counter(item.key.removeprefix(prefix).split("/")[0] for item in staging.bucket.list(prefix)))


def wait_for_both_nodes(staging: Staging) -> None:
    wait_until(lambda: set(tries(staging)) >= set(HELD), timeout_s=60)


def progress(trigger: JobTrigger, bucket: Bucket) -> dict[str, Any]:
    return json.loads(bucket.get(f"{trigger.prefix}/jobs/{trigger.name}.json"))


def test_both_nodes_make_the_shards_that_mapped_tasks_make(
    deployed: Bucket, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REALSYN_RAY_ADDRESS", cluster.client_address)
    settings.cache_clear()
    works = works_of(deployed, ["flaky-11", *SHARDS], seed=0)
    staging = Staging(deployed, works[0]["staging"])
    trigger = hand_over(works)
    wait_for_both_nodes(staging)
    staging.put("let-go", b"")
    event = wait(trigger)
    assert finish(works, event) == works
    said = progress(trigger, deployed)
    assert len(said["nodes"]) == 2
    assert said["n_done"] == sum(said["nodes"].values()) == len(works)
    assert tries(staging) == {**dict.fromkeys(SHARDS, 1), "flaky-11": 2}
    assert "1 tried again" in event["line"]
    costs = [json.loads(deployed.get(item.key)) for item in deployed.list("runs/")]
    assert {(c["stage"], c["shard"]) for c in costs} == {("squares", w["shard"]) for w in works}
    assert all(c["peak_rss_bytes"] > 2**20 and c["tries"] for c in costs)

    mapped = [work | {"shard": work["shard"].replace("flaky", "quick")} for work in works_of(deployed, SHARDS, seed=1)]
    other = Staging(deployed, mapped[0]["staging"])
    other.put("let-go", b"")
    assert [squares.function(work) for work in mapped] == mapped
    for shard in SHARDS:
        assert other.read_shard("squares", shard, "squares").equals(staging.read_shard("squares", shard, "squares"))


def test_no_secret_is_in_a_file_of_the_cluster_or_of_the_bucket(deployed: Bucket, cluster: Cluster) -> None:
    secrets = [deployed.secret_key or "", SECRET, cluster.env["RAY_AUTH_TOKEN"]]
    files = [path for folder in (cluster.temporary, cluster.folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 10
    leaks = [path.name for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]
    assert leaks == []
    works = works_of(deployed, SHARDS[-2:], seed=9)
    finish(works, wait(hand_over(works)))
    told = [item.key for item in deployed.list("staging/")]
    assert any("/jobs/" in key for key in told)
    assert not any(secret.encode() in deployed.get(key) for key in told for secret in secrets)


def test_a_bad_shard_ends_the_job_at_once_with_its_reason(deployed: Bucket) -> None:
    works = works_of(deployed, [HELD[0], "corrupt-02", *SHARDS], seed=2)
    event = wait(hand_over(works))
    with pytest.raises(PermanentError, match=r"^shard corrupt-02: some/key: sha256 is that, its manifest says this"):
        finish(works, event)
    assert "CorruptShardError" in event["error"]["traceback"]
    assert tries(Staging(deployed, works[0]["staging"]))["corrupt-02"] == 1


def test_a_cancelled_job_stops_unless_it_was_taken_over(deployed: Bucket) -> None:
    quick = SHARDS[-2:]
    works = works_of(deployed, [*quick, *SHARDS[:-2]], seed=3)
    staging = Staging(deployed, works[0]["staging"])
    trigger = hand_over(works, "one")
    wait_for_both_nodes(staging)
    taken_over = hand_over(works, "two")
    assert taken_over.run_id == trigger.run_id
    asyncio.run(trigger.on_kill())
    beat = progress(trigger, deployed)["beat"]
    wait_until(lambda: progress(trigger, deployed)["beat"] > beat + 2, timeout_s=30)
    assert progress(trigger, deployed)["state"] == "running"
    asyncio.run(taken_over.on_kill())
    event = wait(taken_over)
    assert event["state"] == "cancelled"
    with pytest.raises(TransientError, match="cancelled"):
        finish(works, event)
    staging.put("let-go", b"")
    event = wait(hand_over(works, "three"))
    assert event["state"] == "done"
    assert "2 of them finished before" in event["line"]
    assert tries(staging) == {**dict.fromkeys(SHARDS, 1), **dict.fromkeys(HELD, 2)}


def test_a_job_that_falls_silent_is_lost(deployed: Bucket) -> None:
    works = works_of(deployed, SHARDS, seed=4)
    silent = JobTrigger(prefix=works[0]["staging"], name="none", run="r", owner="o", poll_s=0.1, silent_s=0.3)
    event = wait(silent)
    assert event["state"] == "lost"
    with pytest.raises(TransientError, match="lost"):
        finish(works, event)


def test_a_cluster_that_is_not_there_is_said_at_once(deployed: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALSYN_RAY_ADDRESS", f"ray://127.0.0.1:{free_ports(1)[0]}")
    settings.cache_clear()
    task = RayShards(task_id="squares", step="tests.ray.steps:squares", works=works_of(deployed, SHARDS, seed=4))
    with pytest.raises(TransientError, match=r"REALSYN_RAY_ADDRESS=ray://127\.0\.0\.1:\d+ does not answer"):
        task.execute({"ti": SimpleNamespace(id="one")})


@pytest.mark.parametrize(("n_dead", "is_served"), [(2, True), (3, False)])
def test_a_client_whose_server_dies_at_its_start_asks_for_another(
    deployed: Bucket, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, n_dead: int, is_served: bool
) -> None:
    import ray  # not before the cluster's token is in the environment: Ray reads it once
    from ray.util.client.worker import Worker

    from realsyn_ops.ray.client import connected

    dead: list[Worker] = []
    start = Worker._server_init

    def server_init(worker: Worker, *args: Any) -> None:
        if len(dead) < n_dead:
            dead.append(worker)
            raise ConnectionAbortedError("Initialization failure from server: it is a zombie")
        start(worker, *args)

    monkeypatch.setattr(Worker, "_server_init", server_init)
    ends = nullcontext() if is_served else pytest.raises(TransientError, match="it is a zombie")
    with ends, connected(cluster.client_address):
        assert ray.is_initialized()
    assert len(dead) == n_dead
    with connected(cluster.address):
        assert ray.get(ray.remote(lambda: "made").options(num_cpus=0).remote()) == "made"


def test_nothing_is_made_twice_when_the_waiting_process_and_a_whole_node_are_killed(
    deployed: Bucket, cluster: Cluster
) -> None:
    works = works_of(deployed, [SHARDS[-1], *SHARDS[:-1]], seed=5)
    staging = Staging(deployed, works[0]["staging"])
    code = "import sys, json; from tests.ray.test_jobs import hand_over, wait; wait(hand_over(json.loads(sys.argv[1])))"
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    waiting = subprocess.Popen([sys.executable, "-c", code, json.dumps(works)], cwd=PROJECT, env=env)
    wait_for_both_nodes(staging)
    assert waiting.poll() is None
    waiting.send_signal(signal.SIGKILL)
    waiting.wait()
    trigger = hand_over(works, "two")
    cluster.kill("second")
    staging.put("let-go", b"")
    event = wait(trigger)
    assert finish(works, event) == works
    said = progress(trigger, deployed)
    assert said["n_found"] == 0
    assert said["n_lost"] == 1
    assert said["n_done"] == sum(said["nodes"].values()) == len(works)
    assert sorted(tries(staging).values()) == [1] * (len(works) - 1) + [2]
