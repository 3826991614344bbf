"""Tasks of `ingest_documents`: a day's raw objects become images and sentences, with where each came from."""

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.publishing import event_extra, publish_days, run_gate
from realsyn_ops.operators.run import Work, by_reason, digest, measured, open_bucket, open_staging
from realsyn_ops.plans import IngestPlan, check_day, code_digest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.corpus import Rows
    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

STAGE = "extract"
DATA_SETS = ("documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects")


@task
def plan(**context: Any) -> list[Work]:
    """Decide the day, its raw objects and their shards. A day without raw objects is skipped."""
    from realsyn_ops.io.documents import list_shards
    from realsyn_ops.io.shards import Staging

    day = check_day(context.get("partition_key"))
    bucket = open_bucket()
    raw = list(bucket.list(f"raw/{day}/"))
    if not raw:
        raise AirflowSkipException(f"no raw objects under {bucket.uri(f'raw/{day}/')}: nothing to ingest for {day}")
    inputs = digest([(o.key, o.n_bytes, o.etag) for o in raw])
    chosen = IngestPlan(day=day, inputs=inputs, code=code_digest(), **context["params"])
    staging = Staging.create(bucket, "ingest_documents", day, chosen)
    shards: dict[str, dict[str, Any]] = {}
    for item in raw:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / Path(item.key).name
            bucket.download(item.key, path)
            for shard in list_shards(path, item.key, max_documents=chosen.max_shard_documents):
                shards[f"{len(shards):05d}"] = asdict(shard)
    staging.put("shards.json", json.dumps(shards, sort_keys=True).encode())
    return [{"staging": staging.prefix, "shard": name} for name in shards]


@task
def extract(work: Work) -> Work:
    """Read a shard's documents and write its images, sentences and rejects."""
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.documents import Limits, Shard, read_documents
    from realsyn_ops.stages.extract import extract as extract_documents

    staging = open_staging(work)
    if staging.is_done(STAGE, work["shard"]):
        return work
    chosen = IngestPlan.from_json(staging.plan_json())
    shard = Shard(**json.loads(staging.get("shards.json"))[work["shard"]])
    limits = Limits(
        max_nodes=chosen.max_nodes,
        max_document_bytes=chosen.max_document_bytes,
        max_image_bytes=chosen.max_image_bytes,
    )
    with measured(staging, STAGE, work["shard"]), tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / Path(shard.file).name
        staging.bucket.download(shard.file, path)
        documents = read_documents(path, shard, source=shard.file.split("/")[2], limits=limits)
        extraction = extract_documents(documents, day=chosen.day, max_pixels=chosen.max_image_pixels)
        tables = {
            name: pa.Table.from_pylist(extraction.tables[name], schema=getattr(schemas, name.upper()))
            for name in DATA_SETS
        }
        counts = _counts(extraction.counts, extraction.tables["rejects"])
        staging.write(STAGE, work["shard"], tables, counts)
    log.info("shard %s of %s: %s", work["shard"], shard.file, counts)
    return work


@task
def audit(shards: list[Work]) -> Work:
    """Close the run's manifest, then check what is about to be published. Red: nothing is published."""
    work: Work = {"staging": next(iter(shards))["staging"], "shard": "all"}
    staging = open_staging(work)
    with measured(staging, "audit"):
        staging.finish({STAGE: staging.shards(STAGE)})
        run_gate(staging, _frames(staging))
    return work


@task(outlets=[assets.IMAGES, assets.SENTENCES])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Replace the day in the corpus tables `documents`, `images`, `sentences` and where they stand."""
    from realsyn_ops.io import schemas

    staging = open_staging(work)
    with measured(staging, "publish"):
        day = staging.partition
        tables = {name: (getattr(schemas, name.upper()), {day: _rows(staging, name)}) for name in DATA_SETS}
        changed = publish_days(staging, tables)
    for asset in (assets.IMAGES, assets.SENTENCES):
        outlet_events[asset].extra = event_extra(staging, changed, 0)


def _counts(seen: dict[str, int], rejects: list[dict[str, Any]]) -> dict[str, int]:
    """The shard's counts: a reject with a node is an image's, one without its document's."""
    of_documents = Counter(row["reason"] for row in rejects if row["node"] < 0)
    of_images = Counter(row["reason"] for row in rejects if row["node"] >= 0)
    return {
        **by_reason("documents", seen["documents_in"], seen["documents_kept"], of_documents),
        **by_reason("images", seen["image_nodes_in"], seen["image_nodes_kept"], of_images),
        "sentences": seen["sentence_nodes"],
    }


def _rows(staging: "Staging", name: str) -> "Rows":
    """A day's rows of a staged data set, as if one shard had held all: a document that a later shard repeats is a
    reject there, with its nodes; an image or sentence that several shards hold is one row."""
    if name in {"images", "sentences"}:
        return lambda columns: _unique_rows(staging, name, columns)
    return lambda columns: _first_rows(staging, name, columns)


def _first_rows(staging: "Staging", name: str, columns: list[str]) -> "Iterator[pa.Table]":
    import pyarrow as pa
    import pyarrow.compute as pc

    repeats = _repeated_documents(staging)
    own = "key" if name == "documents" else "document_key"
    for shard in staging.shards(STAGE):
        repeated = repeats[shard]
        if not repeated:
            yield staging.read_shard(STAGE, shard, name, columns=columns)
            continue
        table = staging.read_shard(STAGE, shard, name)
        table = table.filter(pc.invert(pc.is_in(table[own], pa.array(sorted(repeated)))))
        if name == "rejects":
            table = pa.concat_tables([table, _repeat_rejects(staging, shard, repeated)]).sort_by("key")
        yield table.select(columns)


def _repeated_documents(staging: "Staging") -> dict[str, set[str]]:
    """Per shard the documents that an earlier shard holds already."""
    seen: set[str] = set()
    repeats = {}
    for shard in staging.shards(STAGE):
        keys = set(staging.read_shard(STAGE, shard, "documents", columns=["key"])["key"].to_pylist())
        repeats[shard] = keys & seen
        seen |= keys
    return repeats


def _repeat_rejects(staging: "Staging", shard: str, repeated: set[str]) -> "pa.Table":
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.records import Reason

    documents = staging.read_shard(STAGE, shard, "documents").to_pylist()
    rows = [
        {name: row[name] for name in ("day", "source", "file", "record")}
        | {"key": f"r{digest([row['file'], row['record'], row['key']])}", "document_key": row["key"], "node": -1}
        | {"stage": STAGE, "reason": Reason.IDENTICAL, "detail": "same document as one of an earlier shard"}
        for row in documents
        if row["key"] in repeated
    ]
    return pa.Table.from_pylist(rows, schema=schemas.REJECTS)


def _unique_rows(staging: "Staging", name: str, columns: list[str]) -> "Iterator[pa.Table]":
    """Each key once, in the first shard that holds it, with the number of its places in all shards."""
    import pyarrow as pa

    n_nodes: Counter[str] = Counter()
    for table in _first_rows(staging, f"{name[:-1]}_nodes", ["key"]):
        n_nodes.update(table["key"].to_pylist())
    seen: set[str] = set()
    for table in staging.read(STAGE, name, columns=list(dict.fromkeys(["key", *columns]))):
        keys = table["key"].to_pylist()
        first = [i for i, key in enumerate(keys) if key not in seen]
        seen.update(keys)
        table = table.take(pa.array(first, pa.int64()))
        if "n_nodes" in columns:
            places = pa.array([n_nodes[keys[i]] for i in first], pa.int32())
            table = table.set_column(table.column_names.index("n_nodes"), "n_nodes", places)
        yield table.select(columns)


def _frames(staging: "Staging") -> "dict[str, pd.DataFrame]":
    import pandas as pd
    import pyarrow as pa

    light = {
        "documents": ["key", "day", "source", "file", "n_images", "n_sentences"],
        "images": ["key", "day", "format", "width", "height", "n_nodes"],
        "sentences": ["key", "day", "text", "n_nodes"],
        "image_nodes": ["key", "document_key", "node"],
        "sentence_nodes": ["key", "document_key", "node", "position"],
    }
    frames = {name: pa.concat_tables(_rows(staging, name)(columns)).to_pandas() for name, columns in light.items()}
    for name in ("images", "sentences"):
        nodes = frames[f"{name[:-1]}_nodes"]
        nodes["is_known_document"] = nodes["document_key"].isin(frames["documents"]["key"])
        nodes["is_known_key"] = nodes["key"].isin(frames[name]["key"])
    counts = staging.counts(STAGE)
    shares = {
        thing: [sum(n for k, n in counts.items() if k.startswith(f"{thing}.rejected.")) / max(1, counts[f"{thing}.in"])]
        for thing in ("documents", "images")
    }
    return {**frames, "extract_shares": pd.DataFrame(shares)}
