"""Tasks of `release_dataset`: all pairs in force are bounded, balanced, exported and published under a version.

A version names its content: the same pairs with the same plan are the same release, which is then left alone.
"""

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.balance import OVER_CLUSTERS, fit_balance
from realsyn_ops.operators.changes import changelog_files
from realsyn_ops.operators.duplicates import near_survivors
from realsyn_ops.operators.kept_arrays import unit_matrix
from realsyn_ops.operators.lineage import tell_folder
from realsyn_ops.operators.made_with import corpus_limits, image_policies, pair_models
from realsyn_ops.operators.metrics import tell_day
from realsyn_ops.operators.places import whole_corpus
from realsyn_ops.operators.publishing import gate_extra, run_gate
from realsyn_ops.operators.reporting import build_gallery, build_report, funnel
from realsyn_ops.operators.run import (
    SHARD_TIMEOUT,
    Work,
    by_reason,
    digest,
    measured,
    open_bucket,
    open_staging,
    preset_models,
)
from realsyn_ops.operators.selecting import select_pairs
from realsyn_ops.plans import ReleasePlan, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

SELECT = "select"
EXPORT = "export"
SELECTION = "selection.parquet"
"""The release's selection: keys in order, each with its image cluster, similarity and smallest scale."""


@task(**whole_corpus())
def fit(**context: Any) -> str:
    """The image clusters of the balance: their codebook's version. Fitted by the first release, or where a run says."""
    from realsyn_ops.io.corpus import Corpus

    bucket = open_bucket()
    corpus = Corpus(bucket)
    if not corpus.exists("pairs"):
        raise AirflowSkipException("no pairs are published yet: nothing to release")
    if not any(part.num_rows for part in corpus.scan("pairs", ["key"], where="reason IS NULL", limit=1)):
        raise AirflowSkipException("the pairs in force are none: nothing to release")
    params = dict(context["params"])
    return fit_balance(bucket, params) if params["balance"] in OVER_CLUSTERS else ""


@task
def plan(codebook: str, **context: Any) -> Work:
    """Decide on the pairs; skipped when a release already holds them."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.releases import is_published
    from realsyn_ops.io.shards import Staging

    bucket = open_bucket()
    corpus = Corpus(bucket)
    columns = ["key", "day", "text_keys", "syn_text", "syn_similarity", "reason", "made_by"]
    pairs = corpus.read("pairs", columns)
    params = dict(context["params"])
    params.pop("refit")
    chosen = ReleasePlan(
        inputs=digest([pairs.to_pylist(), funnel(corpus)]),
        code=code_digest(),
        preset=settings().preset,
        models=preset_models(settings().preset),
        codebook=codebook,
        **params,
    )
    version = f"{max(pairs['day'].to_pylist())}-{chosen.digest[:8]}"
    if is_published(bucket, version):
        raise AirflowSkipException(f"release {version} holds these pairs already: nothing new")
    return {"staging": Staging.create(bucket, "release_dataset", version, chosen).prefix, "shard": version}


@task(**whole_corpus())
def select(work: Work) -> list[Work]:
    """Bound the similarity, solve the caps of the image clusters for the wanted sizes; returns the release's shards."""
    import pyarrow.compute as pc

    from realsyn_ops.io.shards import parquet_bytes

    staging = open_staging(work)
    chosen = ReleasePlan.from_json(staging.plan_json())
    with measured(staging, SELECT):
        table, figures = select_pairs(staging.bucket, chosen)
        counts = by_reason("pairs", table.num_rows, figures["n_selected"], figures["rejected"])
        staging.write(SELECT, "all", {"selection": table}, counts)
        shards = shard_keys(table, chosen.shard_pairs)
        for scale in figures["scales"]:
            scale["n_shards"] = sum(size <= scale["size"] for size, _ in shards)
        staging.put("selection.json", json.dumps(figures, sort_keys=True).encode())
        taken = table.filter(pc.is_valid(table["scale"])).drop_columns("reason")
        staging.put(f"release/{SELECTION}", parquet_bytes(taken))
    return [{"staging": staging.prefix, "shard": f"{i:05d}"} for i in range(len(shards))]


@task(execution_timeout=SHARD_TIMEOUT)
def export(work: Work) -> Work:
    """Write a shard of the release: parquet in the RealSyn schema and a WebDataset tar."""
    import pyarrow as pa

    from realsyn_ops.image_codec import decode_image
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.schemas import REALSYN, RELEASE
    from realsyn_ops.io.shards import parquet_bytes
    from realsyn_ops.io.webdataset import Sample, write_tar
    from realsyn_ops.operators.provenance import release_provenance
    from realsyn_ops.operators.synthesis import image_bytes
    from realsyn_ops.stages import export as stage

    staging = open_staging(work)
    if staging.is_done(EXPORT, work["shard"]):
        return work
    chosen = ReleasePlan.from_json(staging.plan_json())
    with measured(staging, EXPORT, work["shard"]):
        _, selected = shard_keys(staging.read_shard(SELECT, "all", "selection"), chosen.shard_pairs)[int(work["shard"])]
        corpus = Corpus(staging.bucket)
        listed = ", ".join(f"'{key}'" for key in selected) or "''"
        columns = ["key", "day", "text_keys", "texts", "similarities", "caption", "tags", "syn_text", "syn_origin",
                   "syn_similarity", "made_by"]  # fmt: skip
        pairs = corpus.read("pairs", columns, where=f"key IN ({listed})").to_pylist()
        provenance = release_provenance(corpus, pairs)
        rows = stage.release_rows([pair | origin for pair, origin in zip(pairs, provenance, strict=True)])
        data = image_bytes(staging.bucket, pairs)
        samples = (
            Sample(
                row["key"],
                stage.reencode(
                    decode_image(data[row["key"]], shorter_side=chosen.image_side_px), side_px=chosen.image_side_px
                ),
                row["text1"],
                stage.sample_fields(row),
            )
            for row in rows
        )
        staging.put(f"release/tars/{work['shard']}.tar", write_tar(samples))
        table = pa.Table.from_pylist(rows, schema=RELEASE)
        staging.put(f"release/pairs/{work['shard']}.parquet", parquet_bytes(table))
        staging.put(f"release/realsyn/{work['shard']}.parquet", parquet_bytes(table.select(REALSYN.names)))
        staging.write(EXPORT, work["shard"], {}, {"pairs": len(rows)})
    return work


@task
def audit(shards: list[Work]) -> Work:
    """Check the staged release: size, uniqueness, completeness, no near-duplicates. Red: nothing is published."""
    staging = open_staging(next(iter(shards)))
    with measured(staging, "audit"):
        staging.finish({SELECT: ["all"], EXPORT: staging.shards(EXPORT)})
        run_gate(staging, {"release": _frame(staging)})
    return {"staging": staging.prefix, "shard": staging.partition}


@task(outlets=[assets.RELEASES])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Copy the staged files to `releases/VERSION/` with card and changelog; the manifest comes last and makes it a
    release."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.quarantine import acceptances_in_force, find_acceptance, lift
    from realsyn_ops.io.releases import publish_release
    from realsyn_ops.io.schemas import RELEASE
    from realsyn_ops.stages.croissant import checksums, croissant
    from realsyn_ops.stages.export import card

    staging = open_staging(work)
    chosen = ReleasePlan.from_json(staging.plan_json())
    version = staging.partition
    with measured(staging, "publish"):
        corpus = Corpus(staging.bucket)
        selection = json.loads(staging.get("selection.json"))
        selected = staging.read_shard(SELECT, "all", "selection")
        files = staged_files(staging)
        previous, changes = changelog_files(staging, selected)
        facts = {
            "version": version,
            "previous": previous,
            "days": corpus.days("documents"),
            "preset": chosen.preset,
            "models": pair_models(staging.bucket),
            "funnel": funnel(corpus, selected),
            "plans": {**corpus_limits(staging.bucket), "release_dataset": json.loads(chosen.to_json())},
            "selection": selection,
            "image_policies": image_policies(staging.bucket),
            "accepted": acceptances_in_force(staging.bucket) + ([own] if (own := find_acceptance(staging)) else []),
        }
        described = {**facts, "files": files}
        texts = {
            "README.md": card(described).encode(),
            "SHA256SUMS": checksums(files),
            "croissant.json": croissant(described, folder="pairs", columns=RELEASE),
            **changes,
        }
        publish_release(staging.bucket, version, f"{staging.prefix}/release", files, texts, facts)
    tell_folder(staging, f"releases/{version}", selection["n_selected"], files, schema=RELEASE)
    lift(staging.bucket, staging.dag)
    report = build_report(staging, facts)
    tell_day(report["day_costs"][-1])
    prefix = f"reports/{version}"
    staging.bucket.put(f"{prefix}/gallery.json", json.dumps(build_gallery(staging, chosen.seed)).encode())
    staging.bucket.put(f"{prefix}/report.json", json.dumps(report, sort_keys=True, indent=1).encode())
    outlet_events[assets.RELEASES].extra = {"version": version, "pairs": selection["n_selected"]} | gate_extra(staging)
    log.info("published release %s: %d pairs", version, selection["n_selected"])


def shard_keys(selection: "pa.Table", max_pairs: int) -> list[tuple[int, list[str]]]:
    """The keys of each shard in order, and the smallest scale that they are in: smaller scales first, then by key."""
    import pyarrow.compute as pc

    shards = []
    for scale in sorted(pc.unique(selection["scale"]).drop_null().to_pylist()):
        keys = selection["key"].filter(pc.equal(selection["scale"], scale)).to_pylist()
        shards += [(scale, keys[start:stop]) for start, stop in shard_bounds(len(keys), max_pairs)]
    return shards


def staged_files(staging: "Staging") -> list[dict[str, Any]]:
    """The staged release's files with their sizes and sha256, in order of path."""
    prefix = f"{staging.prefix}/release/"
    files = []
    for item in staging.bucket.list(prefix):
        data = staging.bucket.get(item.key)
        files.append({"path": item.key[len(prefix) :], "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})
    return files


def visual_vectors(staging: "Staging", pairs: "pa.Table") -> Any:
    """(n, d) unit rows that compare the pairs' images among themselves."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus

    table = Corpus(staging.bucket).read("image_embeddings", ["key", "day", "visual"])
    rows = zip(table["key"].to_pylist(), table["day"].to_pylist(), strict=True)
    position = {row: i for i, row in enumerate(rows)}
    wanted = [position[row] for row in zip(pairs["key"].to_pylist(), pairs["day"].to_pylist(), strict=True)]
    return unit_matrix(table["visual"].take(pa.array(wanted, pa.int64())))


def _frame(staging: "Staging") -> "pd.DataFrame":
    import io

    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from realsyn_ops.io.corpus import Corpus

    prefix = f"{staging.prefix}/release/pairs/"
    parts = [pq.read_table(io.BytesIO(staging.bucket.get(item.key))) for item in staging.bucket.list(prefix)]
    table = pa.concat_tables(parts)
    frame = table.to_pandas()
    near = near_survivors(staging, visual_vectors(staging, table.select(["key", "day"])))
    kept = set(Corpus(staging.bucket).read("curated_images", ["key"], where="reason IS NULL")["key"].to_pylist())
    texts = frame[["text1", "text2", "text3"]]
    wanted = json.loads(staging.get("selection.json"))["n_wanted"]
    return pd.DataFrame(
        {
            **{name: frame[name] for name in ("key", "raw_image_url", "text1", "text2", "text3", "syn_text")},
            "are_distinct_texts": texts.nunique(axis=1) == 3,
            "is_survivor": frame["key"].isin(kept) & ~near,
            "is_wanted_size": len(frame) == wanted,
        }
    )
