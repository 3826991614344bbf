"""Our own figures among Airflow's metrics, by the client that Airflow is configured with (StatsD or OpenTelemetry).

What is emitted is said here in full, and `docker/grafana/realsyn.json` draws it. Without a client nothing is sent;
shards on a Ray cluster have none.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk.observability import stats

SECONDS = "realsyn.task.seconds"
"""Timer, by dag_id and stage: how long a shard or a step took."""
ROWS_IN, ROWS_KEPT, ROWS_REJECTED = "realsyn.rows.in", "realsyn.rows.kept", "realsyn.rows.rejected"
"""Counters, by dag_id, stage and thing (images, sentences, ...); rejected rows by reason besides."""
DAY_PAIRS = "realsyn.day.pairs"
"""Gauge: accepted pairs of the newest day that has any, when a release was published."""
DAY_CPU = "realsyn.day.cpu_seconds_per_1000_pairs"
DAY_TOKENS = "realsyn.day.tokens_per_1000_pairs"
DAY_BYTES = "realsyn.day.bytes_per_1000_pairs"
"""Gauges: what that day cost."""


def tell_shard(dag: str, stage: str, seconds: float, counts: Mapping[str, int]) -> None:
    """A shard is made: its ``counts`` are those of its marker."""
    tags = {"dag_id": dag, "stage": stage}
    stats.timing(SECONDS, timedelta(seconds=seconds), tags=tags)
    for name, n in counts.items():
        thing, _, what = name.partition(".")
        outcome, _, reason = what.partition(".")
        about = {**tags, "thing": thing}
        if outcome == "in":
            stats.incr(ROWS_IN, n, tags=about)
        elif outcome == "kept":
            stats.incr(ROWS_KEPT, n, tags=about)
        elif outcome == "rejected":
            stats.incr(ROWS_REJECTED, n, tags={**about, "reason": reason})


def tell_day(day: Mapping[str, Any]) -> None:
    """A day's costs, as `day_costs` has them."""
    stats.gauge(DAY_PAIRS, day["n_pairs"])
    for name, cost in ((DAY_CPU, "cpu_seconds"), (DAY_TOKENS, "n_tokens"), (DAY_BYTES, "n_bytes")):
        stats.gauge(name, 1000 * day[cost] / day["n_pairs"])
