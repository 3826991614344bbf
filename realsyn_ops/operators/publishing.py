"""Write, audit, publish: the last two steps of every Dag that makes a day.

`audit` turns the task red when staged data breaks an expectation, keeps the Data Docs page and the verdict under
``gates/``, lists the day in quarantine, and publishes nothing. `publish_days` commits what passed, a table at a time,
then records the plan that it was made by, and describes the asset event.
"""

import json
import logging
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
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

_VERDICTS = "gates.json"


def run_gate(staging: "Staging", frames: Mapping[str, "pd.DataFrame"], *, only_warn: Collection[str] = ()) -> None:
    """Audit staged frames by the suites of their names; those that are to ``only_warn`` stop nothing.

    What stops is listed in quarantine and raises GateError with the page's address, unless a person has accepted it for
    this plan.
    """
    from realsyn_ops.gates.audit import CRITICAL, audit
    from realsyn_ops.io.quarantine import find_acceptance, quarantine, unaccepted

    folder = staging.prefix.replace("staging/", "gates/", 1)
    with tempfile.TemporaryDirectory() as scratch:
        docs = Path(scratch)
        results = audit(frames, docs, only_warn=only_warn)
        for path in sorted(p for p in docs.rglob("*") if p.is_file()):
            staging.bucket.put(f"{folder}/docs/{path.relative_to(docs)}", path.read_bytes())
    docs_uri = staging.bucket.uri(f"{folder}/docs/index.html")
    said = find_acceptance(staging)
    stopping = {
        r.gate: unaccepted([asdict(one) | {"text": str(one)} for one in r.broken if one.severity == CRITICAL], said)
        for r in results
    }
    verdicts = {}
    for result in results:
        is_accepted = not result.passed and not stopping[result.gate]
        verdict = {
            "gate": result.gate,
            "dag": staging.dag,
            "day": staging.partition,
            "passed": result.passed,
            "n_rows": result.n_rows,
            "n_expectations": result.n_expectations,
            "failures": list(result.failures),
            "warnings": list(result.warnings),
            "docs_uri": docs_uri,
            **({"accepted": {name: said[name] for name in ("by", "why", "at")}} if said and is_accepted else {}),
        }
        staging.bucket.put(f"{folder}/{result.gate}.json", json.dumps(verdict, sort_keys=True, indent=1).encode())
        word = "FAILED" if stopping[result.gate] else "accepted" if is_accepted else "passed"
        verdicts[result.gate] = "warned" if word == "passed" and result.warnings else word
        log.info("gate %s: %d rows, %d expectations, %s", result.gate, result.n_rows, result.n_expectations, word)
        for warning in result.warnings:
            log.warning("gate %s: %s", result.gate, warning)
    staging.put(_VERDICTS, json.dumps({"gates": verdicts, "docs": docs_uri}, sort_keys=True).encode())
    if open_ones := [one for parts in stopping.values() for one in parts]:
        quarantine(staging, open_ones, docs_uri)
        gates = "/".join(gate for gate, parts in stopping.items() if parts)
        raise GateError(gates, [f"{one['gate']}: {one['text']}" for one in open_ones], docs_uri)
    log.info("Data Docs: %s", docs_uri)


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
    from realsyn_ops.io.day_figures import keep_figures
    from realsyn_ops.io.quarantine import lift
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
    keep_figures(staging)
    lift(staging.bucket, staging.dag, staging.partition)
    return changed


def event_extra(staging: "Staging", changed: Mapping[str, list[str]], n_rows: int) -> dict[str, Any]:
    """What an asset event says of a publication. For people: no task takes its work from it."""
    told = {"day": staging.partition, "rows": n_rows, "changed": {k: v for k, v in changed.items() if v}}
    return told | gate_extra(staging)


def gate_extra(staging: "Staging") -> dict[str, Any]:
    """What an asset event says of the gates: each one's verdict, and where its Data Docs are."""
    return json.loads(staging.get(_VERDICTS))


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
