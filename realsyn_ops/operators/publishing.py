"""Write, audit, publish: the last two steps of every Dag that makes a day.

`audit` turns the task red when staged data breaks an expectation, keeps the Data Docs page and the verdict under
``gates/``, and publishes nothing. `publish_days` commits what passed, a table at a time, then records the plan that it
was made by, and describes the asset event.
"""

import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realsyn_ops.errors import GateError
from realsyn_ops.operators.lineage import tell_tables

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.corpus import Rows
    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)


def run_gate(staging: "Staging", frames: Mapping[str, "pd.DataFrame"]) -> None:
    """Audit staged frames by the suites of their names; raises GateError, with the page's address, when one fails."""
    from realsyn_ops.gates.audit import audit

    folder = staging.prefix.replace("staging/", "gates/", 1)
    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch)
        results = audit(frames, docs)
        for path in sorted(p for p in docs.rglob("*") if p.is_file()):
            staging.bucket.put(f"{folder}/docs/{path.relative_to(docs)}", path.read_bytes())
    docs_uri = staging.bucket.uri(f"{folder}/docs/index.html")
    for result in results:
        verdict = {
            "gate": result.gate,
            "dag": staging.dag,
            "day": staging.partition,
            "passed": result.passed,
            "n_rows": result.n_rows,
            "n_expectations": result.n_expectations,
            "failures": list(result.failures),
            "docs_uri": docs_uri,
        }
        staging.bucket.put(f"{folder}/{result.gate}.json", json.dumps(verdict, sort_keys=True, indent=1).encode())
        verdict_text = "passed" if result.passed else "FAILED"
        log.info(
            "gate %s: %d rows, %d expectations, %s", result.gate, result.n_rows, result.n_expectations, verdict_text
        )
    if failures := [f"{r.gate}: {f}" for r in results for f in r.failures]:
        raise GateError("/".join(r.gate for r in results if not r.passed), failures, docs_uri)


def publish_days(
    staging: "Staging",
    tables: Mapping[str, tuple["pa.Schema", Mapping[str, "Rows"]]],
    *,
    also: Sequence[str] = (),
) -> dict[str, list[str]]:
    """Commit each table's days; returns the days that changed, by table. Tables come in order of dependency.

    ``also``: tables that the run has written before, for the lineage.
    """
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.recorded_plans import record_plan
    from realsyn_ops.io.takedown_lock import check_no_takedown

    check_no_takedown(staging.bucket)
    corpus = Corpus(staging.bucket)
    changed = {}
    for name, (schema, days) in tables.items():
        changed[name] = corpus.publish(name, schema, days, message=json.dumps({"staging": staging.prefix}))
        log.info("published %s: %s", name, ", ".join(changed[name]) or "nothing new")
    record_plan(staging)
    tell_tables(staging, [*tables, *also])
    return changed


def event_extra(staging: "Staging", changed: Mapping[str, list[str]], n_rows: int) -> dict[str, Any]:
    """What an asset event says of a publication. For people: no task takes its work from it."""
    return {"day": staging.partition, "rows": n_rows, "changed": {k: v for k, v in changed.items() if v}}


def one_table(table: "pa.Table") -> "Rows":
    """Rows of a day that is small enough to be one table."""
    return lambda columns: [table.select(columns)]


def split_days(table: "pa.Table") -> dict[str, "Rows"]:
    """A table over many days as rows by day."""
    import pyarrow.compute as pc

    days = sorted(pc.unique(table["day"]).to_pylist())
    return {day: one_table(table.filter(pc.equal(table["day"], day))) for day in days}


def vector_checks(table: "pa.Table", norms: Mapping[str, str]) -> "pd.DataFrame":
    """Key and day of embeddings with what a gate asks of each vector column: its norm, and whether it is finite."""
    import numpy as np

    frame = table.select(["key", "day"]).to_pandas()
    frame["is_finite"] = True
    for column, name in norms.items():
        width = table.schema.field(column).type.list_size
        values = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = values.reshape(-1, width).astype(np.float32)
        frame[name] = np.linalg.norm(vectors, axis=1)
        frame["is_finite"] &= np.isfinite(vectors).all(axis=1)
    return frame
