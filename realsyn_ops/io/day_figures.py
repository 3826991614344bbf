"""What a published day was like, beside the tables: ``corpus/figures/DAG/DAY.json``."""

import json
from collections.abc import Mapping
from typing import Any

from realsyn_ops.io.shards import Staging

_STAGED = "figures.json"


def stage_figures(staging: Staging, figures: Mapping[str, Any]) -> None:
    staging.put(_STAGED, json.dumps(dict(figures), sort_keys=True).encode())


def keep_figures(staging: Staging) -> None:
    """The figures that the gate staged become those of the day, which is published."""
    if figures := staging.bucket.find(f"{staging.prefix}/{_STAGED}"):
        staging.bucket.put(f"{_prefix(staging)}{staging.partition}.json", figures)


def earlier_figures(staging: Staging, n_days: int) -> list[dict[str, Any]]:
    """Figures of the Dag's last ``n_days`` published days before the run's own, the latest first."""
    keys = [item.key for item in staging.bucket.list(_prefix(staging))]
    before = [key for key in keys if key.rsplit("/", 1)[1].removesuffix(".json") < staging.partition]
    return [json.loads(staging.bucket.get(key)) for key in sorted(before, reverse=True)[:n_days]]


def _prefix(staging: Staging) -> str:
    return f"corpus/figures/{staging.dag}/"
