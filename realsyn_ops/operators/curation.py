"""Tasks of `curate_images`: a day's images are judged and embedded, then the corpus is freed of near-duplicates."""

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task

from realsyn_ops.errors import PermanentError
from realsyn_ops.image_header import DECODED_SIDE_PX
from realsyn_ops.operators import assets, codebooks, linked, links
from realsyn_ops.operators.duplicates import alarms, is_within_threshold, publish_groups, regroup, source_losses
from realsyn_ops.operators.history import judge_day, mean, mean_vectors
from realsyn_ops.operators.places import whole_corpus, with_models
from realsyn_ops.operators.planning import chosen_models, day_rows, shard_works, staged_plan
from realsyn_ops.operators.policies import judge_images, load_policies, policy_names
from realsyn_ops.operators.publishing import event_extra, one_table, vector_checks
from realsyn_ops.operators.run import (
    Work,
    by_reason,
    digest,
    measured,
    open_bucket,
    open_staging,
    resolved_preset,
)
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.plans import CuratePlan, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pandas as pd

    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

STAGE = "embed"


@task
def plan(**context: Any) -> list[Work]:
    """Decide the day's images, the models and the shards."""
    from realsyn_ops.io.codebook import current_version

    bucket = open_bucket()
    day, images = day_rows(bucket, context, "images", ["key", "n_nodes"])
    preset, models = chosen_models(context)
    staging, chosen = staged_plan(
        bucket,
        "curate_images",
        CuratePlan,
        context,
        day=day,
        inputs=digest(images.to_pydict()),
        preset=preset,
        models=models,
        codebook=current_version(bucket, linked.IMAGES.name),
        image_policies=policy_names(load_policies(settings().image_policies)),
    )
    return shard_works(staging, images.num_rows, chosen.shard_images)


@shard_step(STAGE, place=with_models())
def embed(staging: "Staging", work: Work) -> None:
    """Judge a shard's images by the paper's rules and the deployment's policies; hash and embed those that pass."""
    from dataclasses import asdict, fields

    import numpy as np
    import pyarrow as pa

    from realsyn_ops.image_codec import decode_image
    from realsyn_ops.io import schemas
    from realsyn_ops.models.load import load_encoder
    from realsyn_ops.records import Reason
    from realsyn_ops.stages.dedup import vector_identity
    from realsyn_ops.stages.embed import Appearance, appearance, perceptual_hash
    from realsyn_ops.stages.filter import image_reason

    chosen = CuratePlan.from_json(staging.plan_json())
    policies = load_policies(settings().image_policies)
    if policy_names(policies) != chosen.image_policies:
        raise PermanentError(
            f"REALSYN_IMAGE_POLICIES is now {policy_names(policies)!r}, the plan has {chosen.image_policies!r}: "
            "trigger the day again"
        )
    rows = _shard_rows(staging, chosen, int(work["shard"]))
    scores, decoded = [], []
    for row in rows:
        broken = image_reason(row["width"], row["height"], min_side_px=chosen.min_side_px, max_aspect=chosen.max_aspect)
        score = {**row, "detail": "", **dict.fromkeys(field.name for field in fields(Appearance))}
        if broken is None:
            try:
                picture = decode_image(row["data"], max_side=DECODED_SIDE_PX)
                score |= asdict(appearance(picture))
                decoded.append((score, picture))
            except (OSError, ValueError) as error:
                log.warning("image %s cannot be decoded: %s", row["key"], error)
                broken = (Reason.IMAGE_BROKEN, 0.0)
        score["reason"], score["value"] = broken or (None, None)
        scores.append(score)
    for (score, _), refused in zip(decoded, judge_images(policies, [p for _, p in decoded]), strict=True):
        if refused:
            name, verdict = refused
            score |= {"reason": Reason.IMAGE_POLICY, "value": verdict.score, "detail": f"{name}: {verdict.detail}"}
    kept = [score for score, _ in decoded if score["reason"] is None]
    pictures = [picture for score, picture in decoded if score["reason"] is None]
    encoder = load_encoder(
        resolved_preset(chosen).encoder,
        device=settings().device,
        threads=settings().threads,
        models_path=settings().models_path,
    )
    joint, visual = encoder.encode_images(pictures)
    seen = visual.astype(np.float16)
    embeddings = [
        {
            "key": row["key"],
            "day": chosen.day,
            "n_nodes": row["n_nodes"],
            "n_pixels": row["width"] * row["height"],
            "phash": perceptual_hash(picture),
            "vector_hash": same,
            "embedding": vector,
            "visual": look,
        }
        for row, picture, vector, look, same in zip(
            kept, pictures, joint.astype(np.float16), seen, vector_identity(seen).tolist(), strict=True
        )
    ]
    schema = schemas.image_embeddings(encoder.dim, encoder.visual_dim)
    tables = {
        "scores": pa.Table.from_pylist(scores, schema=schemas.IMAGE_SCORES),
        "embeddings": pa.Table.from_pylist(embeddings, schema=schema),
    }
    rejected = Counter({s["reason"]: 0 for s in scores if s["reason"]})
    for score in scores:
        if score["reason"]:
            rejected[score["reason"]] += score["n_nodes"]
    counts = by_reason("images", sum(r["n_nodes"] for r in rows), sum(r["n_nodes"] for r in kept), rejected)
    staging.write(STAGE, work["shard"], tables, counts)


@task(**whole_corpus())
def fit(shards: list[Work]) -> list[Work]:
    """The clusters of the codebook, fitted on the first day and where the run says so; the records that are new."""
    staging, chosen = _opened(next(iter(shards)))
    with measured(staging, linked.FIT):
        return links.fit(
            staging,
            linked.IMAGES,
            codebook="" if chosen.refit else chosen.codebook,
            rows_per_cluster=chosen.images_per_cluster,
            seed=chosen.seed,
            rules=_rules(chosen),
        )


@shard_step(linked.ASSIGN)
def assign(staging: "Staging", work: Work) -> None:
    """Lay a shard of new images into their clusters."""
    links.assign(staging, linked.IMAGES, work, min_similarity=_chosen(staging).min_visual_similarity)


@task(**whole_corpus())
def arrange(shards: list[Work]) -> list[Work]:
    """Put known and new images together, and cut the clusters into ranges that fit the memory budget."""
    works = list(shards)
    staging = open_staging(works[0])
    with measured(staging, linked.ARRANGE):
        return links.arrange(staging, linked.IMAGES, works)


@shard_step(linked.LINK, place=whole_corpus())
def link(staging: "Staging", work: Work) -> None:
    """Link the new images of a shard, a range of clusters, with those they are near to."""
    links.link(staging, linked.IMAGES, work, min_similarity=_chosen(staging).min_visual_similarity)


@task(**whole_corpus())
def deduplicate(ranges: list[Work]) -> Work:
    """Group near-duplicates over all days and name each group's survivor: the largest image, then the smallest key."""
    from realsyn_ops.io import schemas
    from realsyn_ops.stages.dedup import hash_links

    works = list(ranges)
    staging, chosen = _opened(works[0])
    with measured(staging, linked.GROUP):
        return regroup(
            staging,
            linked.IMAGES,
            works,
            schemas.CURATED_IMAGES,
            perceptual=lambda rows, is_new: hash_links(
                rows.numpy("phash"), is_new, max_distance=chosen.max_hash_distance
            ),
        )


@task
def audit(work: Work) -> Work:
    """Close the run's manifest, then check scores, embeddings and groups. Red: nothing is published."""
    staging = open_staging(work)
    with measured(staging, "audit"):
        shards = {STAGE: staging.shards(STAGE), linked.GROUP: [work["shard"]]}
        staging.finish(shards, name=f"manifest-{work['shard']}")
        frames = _frames(staging, work)
        judge_day(staging, _chosen(staging), frames, _figures(staging, frames))
    return work


@task(outlets=[assets.CURATED_IMAGES])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Replace the day's scores and embeddings, and the days of `curated_images` and `image_links` that changed.

    Links go before groups: a run that dies between the two leaves records that the next run links once more.
    """
    from realsyn_ops.io import schemas

    staging, chosen = _opened(work)
    day = staging.partition
    with measured(staging, "publish"):
        version = codebooks.publish_centroids(staging, linked.IMAGES, work, chosen)
        embeddings = staging.read_all(STAGE, "embeddings")
        tables = {
            "image_scores": (schemas.IMAGE_SCORES, {day: one_table(staging.read_all(STAGE, "scores"))}),
            "image_embeddings": (embeddings.schema, {day: one_table(embeddings)}),
        }
        changed, n_rows = publish_groups(
            staging, linked.IMAGES, work, schemas.CURATED_IMAGES, tables, rules=_rules(chosen, version)
        )
        drift = codebooks.drift(staging, linked.IMAGES, work, version, {})
    outlet_events[assets.CURATED_IMAGES].extra = event_extra(staging, changed, n_rows) | {"drift": drift}


def _opened(work: Work) -> "tuple[Staging, CuratePlan]":
    staging = open_staging(work)
    return staging, _chosen(staging)


def _chosen(staging: "Staging") -> CuratePlan:
    return CuratePlan.from_json(staging.plan_json())


def _rules(chosen: CuratePlan, codebook: str = "") -> linked.Rules:
    return linked.Rules(
        codebook or chosen.codebook, chosen.code, chosen.min_visual_similarity, chosen.max_hash_distance
    )


def _shard_rows(staging: "Staging", chosen: CuratePlan, number: int) -> list[dict[str, Any]]:
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    keys = corpus.read("images", ["key"], day=chosen.day)["key"].to_pylist()
    start, stop = shard_bounds(len(keys), chosen.shard_images)[number]
    mine = keys[start:stop]
    where = f"key >= '{mine[0]}' AND key <= '{mine[-1]}'"
    columns = ["key", "day", "data", "width", "height", "n_nodes"]
    return corpus.read("images", columns, day=chosen.day, where=where).to_pylist()


def _frames(staging: "Staging", work: Work) -> "dict[str, pd.DataFrame]":
    import pandas as pd

    from realsyn_ops.io.corpus import Corpus

    chosen = CuratePlan.from_json(staging.plan_json())
    known = set(Corpus(staging.bucket).read("images", ["key"], day=chosen.day)["key"].to_pylist())
    scores = staging.read_all(STAGE, "scores").to_pandas()
    embeddings = vector_checks(staging.read_all(STAGE, "embeddings"), {"embedding": "norm", "visual": "visual_norm"})
    for frame in (scores, embeddings):
        frame["is_known_key"] = frame["key"].isin(known)
    groups = staging.read_shard(linked.GROUP, work["shard"], "groups").drop_columns("near").to_pandas()
    groups["survivor_is_kept"] = groups["survivor"].isin(groups.loc[groups["reason"].isna(), "key"])
    groups["is_within_threshold"] = is_within_threshold(groups, chosen.min_visual_similarity)
    rejected = scores.loc[scores["reason"].notna(), "n_nodes"].sum()
    losses = source_losses(staging, groups, nodes="image_nodes", max_loss=chosen.max_source_loss)
    return {
        "image_scores": scores,
        "image_embeddings": embeddings,
        "quality_shares": pd.DataFrame({"rejected": [rejected / max(1, scores["n_nodes"].sum())]}),
        "curated_images": groups,
        "duplicate_groups": alarms(staging, work, losses, max_share=chosen.max_group_share),
    }


def _figures(staging: "Staging", frames: "dict[str, pd.DataFrame]") -> dict[str, Any]:
    scores = frames["image_scores"]
    return {
        "counts": {"images": len(scores), "embeddings": len(frames["image_embeddings"])},
        "shares": {"rejected": float(frames["quality_shares"]["rejected"].iloc[0])},
        "lengths": mean(scores["width"]) | mean(scores["sharpness"]),
        "vectors": mean_vectors(staging.read_all(STAGE, "embeddings"), "visual"),
    }
