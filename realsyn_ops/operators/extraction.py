"""Tasks of `ingest_documents`: a day's raw objects become images and sentences, with where each came from."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.extracted import STAGE, day_rows
from realsyn_ops.operators.fetched import FETCH, fetch_rows, with_fetched
from realsyn_ops.operators.fetching import opt_out_digest
from realsyn_ops.operators.history import judge_day, mean
from realsyn_ops.operators.publishing import event_extra, publish_days
from realsyn_ops.operators.raw import list_raw, shard_documents, shard_file, write_shards
from realsyn_ops.operators.run import SHARD_TIMEOUT, Work, by_reason, digest, measured, open_bucket, open_staging
from realsyn_ops.plans import IngestPlan, check_day, code_digest

if TYPE_CHECKING:
    import pandas as pd

    from realsyn_ops.io.shards import Staging

DATA_SETS = ("documents", "images", "image_nodes", "sentences", "sentence_nodes", "rejects")


@task
def plan(**context: Any) -> list[Work]:
    """Decide the day, its raw objects and their shards. A day without raw objects is skipped."""
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.takedowns import tombstones_digest

    day = check_day(context.get("partition_key"))
    bucket = open_bucket()
    raw = list_raw(bucket, day)
    if not raw:
        raise AirflowSkipException(f"no raw objects under {bucket.uri(f'raw/{day}/')}: nothing to ingest for {day}")
    params = dict(context["params"])
    chosen = IngestPlan(
        day=day,
        inputs=digest([(o.key, o.n_bytes, o.etag) for o in raw]),
        code=code_digest(),
        opt_out=opt_out_digest(bucket) if params.get("fetch_images") else "",
        taken_down=tombstones_digest(bucket),
        **params,
    )
    staging = Staging.create(bucket, "ingest_documents", day, chosen)
    return [{"staging": staging.prefix, "shard": name} for name in write_shards(staging, raw, chosen)]


@task(execution_timeout=SHARD_TIMEOUT)
def extract(work: Work) -> Work:
    """Read a shard's documents and write its images, sentences and rejects."""
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.takedowns import read_tombstones
    from realsyn_ops.stages.embed import picture_hash
    from realsyn_ops.stages.extract import extract as extract_documents

    staging = open_staging(work)
    if staging.is_done(STAGE, work["shard"]):
        return work
    chosen = IngestPlan.from_json(staging.plan_json())
    with measured(staging, STAGE, work["shard"]) as cost:
        cost["file"] = shard_file(staging, work["shard"])
        documents = with_fetched(
            shard_documents(staging, work["shard"], chosen),
            staging,
            work["shard"],
            max_document_bytes=chosen.max_document_bytes,
        )
        extraction = extract_documents(
            documents,
            day=chosen.day,
            max_pixels=chosen.max_image_pixels,
            down=read_tombstones(staging.bucket),
            phash=picture_hash,
        )
        tables = {
            name: pa.Table.from_pylist(extraction.tables[name], schema=getattr(schemas, name.upper()))
            for name in DATA_SETS
        }
        counts = _counts(extraction.counts, extraction.tables["rejects"])
        staging.write(STAGE, work["shard"], tables, counts)
    return work


@task
def audit(shards: list[Work]) -> Work:
    """Close the run's manifest, then check what is about to be published. Red: nothing is published."""
    work: Work = {"staging": next(iter(shards))["staging"], "shard": "all"}
    staging = open_staging(work)
    with measured(staging, "audit"):
        staging.finish({stage: staging.shards(stage) for stage in (STAGE, FETCH)})
        frames = _frames(staging)
        judge_day(staging, IngestPlan.from_json(staging.plan_json()), frames, _figures(frames))
    return work


@task(outlets=[assets.IMAGES, assets.SENTENCES])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Replace the day in the corpus tables `documents`, `images`, `sentences` and where they stand."""
    from realsyn_ops.io import schemas

    staging = open_staging(work)
    with measured(staging, "publish"):
        day = staging.partition
        tables = {name: (getattr(schemas, name.upper()), {day: day_rows(staging, name)}) for name in DATA_SETS}
        if staging.shards(FETCH):
            tables["fetches"] = (schemas.FETCHES, {day: lambda columns: fetch_rows(staging, columns)})
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
        "sentences_taken_down": seen["sentence_nodes_taken_down"],
    }


def _frames(staging: "Staging") -> "dict[str, pd.DataFrame]":
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io import schemas

    light = {
        "documents": ["key", "day", "source", "file", "n_images", "n_sentences"],
        "images": ["key", "day", "format", "width", "height", "n_nodes"],
        "sentences": ["key", "day", "text", "n_nodes"],
        "image_nodes": ["key", "document_key", "node"],
        "sentence_nodes": ["key", "document_key", "node", "position"],
    }
    frames = {name: pa.concat_tables(day_rows(staging, name)(columns)).to_pandas() for name, columns in light.items()}
    for name in ("images", "sentences"):
        nodes = frames[f"{name[:-1]}_nodes"]
        nodes["is_known_document"] = nodes["document_key"].isin(frames["documents"]["key"])
        nodes["is_known_key"] = nodes["key"].isin(frames[name]["key"])
    counts = staging.counts(STAGE)
    shares = {
        thing: [sum(n for k, n in counts.items() if k.startswith(f"{thing}.rejected.")) / max(1, counts[f"{thing}.in"])]
        for thing in ("documents", "images")
    }
    if staging.shards(FETCH):
        fetches = pa.concat_tables(fetch_rows(staging, schemas.FETCHES.names)).to_pandas()
        fetches["has_one_of_both"] = fetches["reason"].isna() != fetches["image_key"].isna()
        frames["fetches"] = fetches
    return {**frames, "extract_shares": pd.DataFrame(shares)}


def _figures(frames: "dict[str, pd.DataFrame]") -> dict[str, Any]:
    shares = frames["extract_shares"].iloc[0]
    return {
        "counts": {name: len(frames[name]) for name in ("documents", "images", "sentences")},
        "shares": {f"rejected {thing}": float(shares[thing]) for thing in ("documents", "images")},
        "lengths": mean(frames["sentences"]["text"].str.len().rename("letters")) | mean(frames["images"]["height"]),
    }
