"""Metrics: what goes over the wire, the log's line a shard, and that the dashboard draws what is emitted."""

import json
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics.base_stats_logger import NoStatsLogger
from airflow.sdk._shared.observability.metrics.metrics_registry import MetricsRegistry
from airflow.sdk._shared.observability.metrics.statsd_logger import get_statsd_logger
from airflow.sdk.observability import stats
from statsd import StatsClient

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import metrics
from realsyn_ops.operators.run import by_reason, measured

OURS = {value for name, value in vars(metrics).items() if name.isupper()}
DASHBOARD = json.loads((PROJECT / "docker" / "grafana" / "realsyn.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}


@pytest.fixture
def packets() -> Iterator[socket.socket]:
    """A UDP socket that this process's metrics go to, with their tags in the names as compose sets it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(5)
        port = listening.getsockname()[1]

        def client() -> Any:
            return get_statsd_logger(
                stats_class=StatsClient, host="127.0.0.1", port=port, prefix="airflow", influxdb_tags_enabled=True,
                statsd_influxdb_enabled=True,
            )  # fmt: skip

        stats.initialize(factory=client, export_legacy_names=False)
        yield listening
        stats.initialize(factory=NoStatsLogger, export_legacy_names=True)


def received(packets: socket.socket, n: int) -> list[str]:
    return sorted(packets.recv(65_536).decode() for _ in range(n))


def test_a_shard_tells_its_seconds_and_its_rows_by_reason_and_logs_one_line(
    bucket: Bucket, packets: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    staging = Staging(bucket, "staging/curate_images/2026-11-10/plan")
    caplog.set_level(logging.INFO, "realsyn_ops.operators.run")
    with measured(staging, "embed", "00003"):
        staging.write("embed", "00003", {}, by_reason("images", 9, 7, {"image_too_small": 2}))
    tags = "dag_id=curate_images,stage=embed"
    seconds, *rows = sorted(received(packets, 4), key=lambda packet: "seconds" not in packet)
    assert re.fullmatch(rf"airflow\.realsyn\.task\.seconds,{tags}:[\d.]+\|ms", seconds)
    assert sorted(rows) == [
        f"airflow.realsyn.rows.in,{tags},thing=images:9|c",
        f"airflow.realsyn.rows.kept,{tags},thing=images:7|c",
        f"airflow.realsyn.rows.rejected,{tags},thing=images,reason=image_too_small:2|c",
    ]
    [line] = caplog.messages
    assert line.startswith(
        "curate_images 2026-11-10, shard embed/00003: 9 images.in, 7 images.kept, 2 images.rejected.image_too_small; "
    )
    cost = json.loads(bucket.get("runs/curate_images/2026-11-10/plan/embed-00003.json"))
    assert cost["n_bytes"] == 0


def test_a_day_tells_its_costs(packets: socket.socket) -> None:
    metrics.tell_day({"day": "2026-11-10", "n_pairs": 500, "cpu_seconds": 40.5, "n_tokens": 1000, "n_bytes": 3000})
    assert received(packets, 4) == [
        "airflow.realsyn.day.bytes_per_1000_pairs:6000.0|g",
        "airflow.realsyn.day.cpu_seconds_per_1000_pairs:81.0|g",
        "airflow.realsyn.day.pairs:500|g",
        "airflow.realsyn.day.tokens_per_1000_pairs:2000.0|g",
    ]


@pytest.mark.parametrize("title", PANELS)
def test_a_panel_draws_metrics_that_airflow_or_this_project_emits(title: str) -> None:
    known = {name.replace(".", "_") for name in {*OURS, *MetricsRegistry()._metrics}}
    timers = {metrics.SECONDS.replace(".", "_") + end for end in ("_sum", "_count")}
    drawn = {name for target in PANELS[title]["targets"] for name in re.findall(r"airflow_(\w+)", target["expr"])}
    assert drawn
    assert drawn <= known | timers


def test_the_dashboard_draws_all_that_this_project_emits() -> None:
    drawn = json.dumps([panel["targets"] for panel in DASHBOARD["panels"]])
    for name in OURS:
        assert f"airflow_{name.replace('.', '_')}" in drawn, name


def test_a_step_without_a_shard_of_its_own_tells_its_seconds_alone(bucket: Bucket, packets: socket.socket) -> None:
    with measured(Staging(bucket, "staging/pair_texts/2026-11-10/plan"), "publish"):
        pass
    assert "realsyn.task.seconds,dag_id=pair_texts,stage=publish:" in received(packets, 1)[0]
    packets.settimeout(0.1)
    with pytest.raises(TimeoutError):
        packets.recv(1)
