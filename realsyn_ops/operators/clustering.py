"""Tasks of `cluster_sentences`: a day's sentences are filtered, scored and embedded (`sentence_filter`); the corpus is
freed of near-duplicates and laid into the clusters of the codebook.

The first day ever fits the codebook (word counts, centroids); later days use the one in force.
"""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task

from realsyn_ops.operators import assets, codebooks, linked, links
from realsyn_ops.operators.duplicates import alarms, is_within_threshold, publish_groups, regroup, source_losses
from realsyn_ops.operators.history import judge_day, mean, mean_vectors
from realsyn_ops.operators.measures import TABLE as MEASURES_TABLE
from realsyn_ops.operators.measures import day_measures
from realsyn_ops.operators.places import whole_corpus
from realsyn_ops.operators.planning import chosen_models, day_rows, shard_works, staged_plan
from realsyn_ops.operators.publishing import event_extra, one_table, vector_checks
from realsyn_ops.operators.run import Work, digest, measured, open_bucket, open_staging
from realsyn_ops.operators.sentence_filter import FILTER, SCORE, SITES, stage_ranges, stage_sites
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.plans import ClusterPlan, shard_bounds

if TYPE_CHECKING:
    import pandas as pd

    from realsyn_ops.io.shards import Staging


@task
def plan(**context: Any) -> list[Work]:
    """Decide the day's sentences, the models, the codebook and the shards."""
    from realsyn_ops.io.codebook import current_version
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.models.identity import measured_by

    bucket = open_bucket()
    day, sentences = day_rows(bucket, context, "sentences", ["key", "n_nodes"])
    documents = Corpus(bucket).read("documents", ["key", "url", "source"], day=day).to_pylist()
    preset, models = chosen_models(context)
    staging, chosen = staged_plan(
        bucket,
        "cluster_sentences",
        ClusterPlan,
        context,
        day=day,
        inputs=digest([sentences.to_pydict(), documents]),
        preset=preset,
        models=models,
        codebook=current_version(bucket),
        parsed_by=measured_by("parser", dict(models)["parser"]),
        scored_by=measured_by("language_model", dict(models)["language_model"]),
    )
    stage_sites(staging, documents)
    stage_ranges(staging, sentences["key"].to_pylist(), shard_bounds(sentences.num_rows, chosen.shard_sentences))
    return shard_works(staging, sentences.num_rows, chosen.shard_sentences)


@task
def count_words(shards: list[Work]) -> list[Work]:
    """The word counts that entropy is measured by: the codebook's, or this day's when there is none yet."""
    from realsyn_ops.io.codebook import read_codebook

    works = list(shards)
    staging = open_staging(works[0])
    chosen = ClusterPlan.from_json(staging.plan_json())
    with measured(staging, "count_words"):
        words = read_codebook(staging.bucket, chosen.codebook).words if chosen.codebook else _day_words(staging)
        staging.put("words.json", json.dumps(words, sort_keys=True).encode())
    return works


@task(**whole_corpus())
def fit(shards: list[Work]) -> list[Work]:
    """The clusters of the codebook, fitted on the first day and where the run says so; the records that are new."""
    staging, chosen = _opened(next(iter(shards)))
    with measured(staging, linked.FIT):
        return links.fit(
            staging,
            linked.SENTENCES,
            codebook="" if chosen.refit else chosen.codebook,
            rows_per_cluster=chosen.sentences_per_cluster,
            seed=chosen.seed,
            rules=_rules(chosen),
        )


@shard_step(linked.ASSIGN)
def assign(staging: "Staging", work: Work) -> None:
    """Lay a shard of new sentences into their clusters."""
    links.assign(staging, linked.SENTENCES, work, min_similarity=_chosen(staging).min_similarity)


@task(**whole_corpus())
def arrange(shards: list[Work]) -> list[Work]:
    """Put known and new sentences together, and cut the clusters into ranges that fit the memory budget."""
    works = list(shards)
    staging = open_staging(works[0])
    with measured(staging, linked.ARRANGE):
        return links.arrange(staging, linked.SENTENCES, works)


@shard_step(linked.LINK, place=whole_corpus())
def link(staging: "Staging", work: Work) -> None:
    """Link the new sentences of a shard, a range of clusters, with those they are near to."""
    links.link(staging, linked.SENTENCES, work, min_similarity=_chosen(staging).min_similarity)


@task(**whole_corpus())
def deduplicate(ranges: list[Work]) -> Work:
    """Group near-duplicates over all days: the longest sentence survives, then the smallest key."""
    from realsyn_ops.io import schemas
    from realsyn_ops.stages.dedup import text_links

    works = list(ranges)
    staging, chosen = _opened(works[0])
    with measured(staging, linked.GROUP):
        return regroup(
            staging,
            linked.SENTENCES,
            works,
            schemas.SENTENCE_CLUSTERS,
            perceptual=lambda rows, is_new: text_links(
                rows["text"],
                rows.matrix("bands"),
                is_new,
                min_jaccard=chosen.min_jaccard,
                identities=rows.numpy("letters_hash"),
            ),
        )


@task
def audit(work: Work) -> Work:
    """Close the run's manifest, then check scores, embeddings, groups and clusters. Red: nothing is published."""
    staging = open_staging(work)
    with measured(staging, "audit"):
        shards = {stage: staging.shards(stage) for stage in (SITES, FILTER, SCORE)} | {linked.GROUP: [work["shard"]]}
        staging.finish(shards, name=f"manifest-{work['shard']}")
        frames = _frames(staging, work)
        judge_day(staging, _chosen(staging), frames, _figures(staging, frames))
    return work


@task(outlets=[assets.SENTENCE_CLUSTERS])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Put the codebook in force if it is new; replace the day's scores and those days of the clusters that changed."""
    from realsyn_ops.io import schemas

    staging, chosen = _opened(work)
    with measured(staging, "publish"):
        version = codebooks.publish_centroids(staging, linked.SENTENCES, work, chosen)
        scores = staging.read_all(SCORE, "scores")
        embeddings = staging.read_all(SCORE, "embeddings")
        measures = one_table(day_measures(staging, chosen, scores))
        tables = {
            MEASURES_TABLE: (schemas.SENTENCE_MEASURES, {chosen.day: measures}),
            "sentence_scores": (schemas.SENTENCE_SCORES, {chosen.day: one_table(scores)}),
            "sentence_embeddings": (embeddings.schema, {chosen.day: one_table(embeddings)}),
        }
        changed, n_rows = publish_groups(
            staging, linked.SENTENCES, work, schemas.SENTENCE_CLUSTERS, tables, rules=_rules(chosen, version)
        )
        drift = codebooks.drift(staging, linked.SENTENCES, work, version, _day_words(staging))
    outlet_events[assets.SENTENCE_CLUSTERS].extra = event_extra(staging, changed, n_rows) | {"drift": drift}


def _day_words(staging: "Staging") -> dict[str, int]:
    total: Counter[str] = Counter()
    for table in staging.read(FILTER, "words"):
        total.update(dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True)))
    return dict(total)


def _opened(work: Work) -> "tuple[Staging, ClusterPlan]":
    staging = open_staging(work)
    return staging, _chosen(staging)


def _chosen(staging: "Staging") -> ClusterPlan:
    return ClusterPlan.from_json(staging.plan_json())


def _rules(chosen: ClusterPlan, codebook: str = "") -> linked.Rules:
    return linked.Rules(codebook or chosen.codebook, chosen.code, chosen.min_similarity, chosen.min_jaccard)


def _frames(staging: "Staging", work: Work) -> "dict[str, pd.DataFrame]":
    import numpy as np
    import pandas as pd

    from realsyn_ops.io.corpus import Corpus

    chosen = ClusterPlan.from_json(staging.plan_json())
    known = set(Corpus(staging.bucket).read("sentences", ["key"], day=chosen.day)["key"].to_pylist())
    staged = staging.read_all(SCORE, "scores")
    scores = staged.to_pandas()
    measures = day_measures(staging, chosen, staged).to_pandas()
    measures["is_bound"] = (measures["n_relations"].notna() == measures["parsed_by"].notna()) & (
        measures["perplexity"].notna() == measures["scored_by"].notna()
    )
    embeddings = vector_checks(staging.read_all(SCORE, "embeddings"), {"embedding": "norm"})
    for frame in (scores, measures, embeddings):
        frame["is_known_key"] = frame["key"].isin(known)
    groups = staging.read_shard(linked.GROUP, work["shard"], "groups").drop_columns("near").to_pandas()
    groups["survivor_is_kept"] = groups["survivor"].isin(groups.loc[groups["reason"].isna(), "key"])
    groups["is_within_threshold"] = is_within_threshold(groups, chosen.min_similarity)
    groups["is_known_cluster"] = np.isin(groups["cluster"], np.arange(len(codebooks.read_centroids(staging, work))))
    rejected = scores.loc[scores["reason"].notna(), "n_nodes"].sum()
    losses = source_losses(staging, groups, nodes="sentence_nodes", max_loss=chosen.max_source_loss)
    return {
        "sentence_scores": scores,
        MEASURES_TABLE: measures,
        "sentence_embeddings": embeddings,
        "quality_shares": pd.DataFrame({"rejected": [rejected / max(1, scores["n_nodes"].sum())]}),
        "sentence_clusters": groups,
        "duplicate_groups": alarms(staging, work, losses, max_share=chosen.max_group_share),
    }


def _figures(staging: "Staging", frames: "dict[str, pd.DataFrame]") -> dict[str, Any]:
    scores = frames["sentence_scores"]
    return {
        "counts": {"sentences": len(scores), "embeddings": len(frames["sentence_embeddings"])},
        "shares": {"rejected": float(frames["quality_shares"]["rejected"].iloc[0])},
        "lengths": mean(scores["n_words"]) | mean(scores["perplexity"]),
        "vectors": mean_vectors(staging.read_all(SCORE, "embeddings"), "embedding"),
    }
