"""Tasks of `cluster_sentences`: a day's sentences are filtered, scored and embedded (`sentence_filter`); the corpus is
freed of near-duplicates and laid into the clusters of the codebook.

The first day ever fits the codebook (word counts, centroids); later days use the one in force.
"""

import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task

from realsyn_ops.operators import assets
from realsyn_ops.operators.duplicates import alarms, converge, corpus_rows, is_within_threshold, source_losses
from realsyn_ops.operators.measures import TABLE as MEASURES_TABLE
from realsyn_ops.operators.measures import day_measures
from realsyn_ops.operators.planning import chosen_models, day_rows, shard_works, staged_plan
from realsyn_ops.operators.publishing import event_extra, one_table, publish_days, run_gate, split_days, vector_checks
from realsyn_ops.operators.run import Work, digest, measured, open_bucket, open_staging
from realsyn_ops.operators.sentence_filter import FILTER, SCORE, SITES, stage_ranges, stage_sites
from realsyn_ops.plans import ClusterPlan, shard_bounds

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from realsyn_ops.io.shards import Staging

GROUPS = "cluster"


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
        if chosen.codebook:
            words = read_codebook(staging.bucket, chosen.codebook).words
        else:
            total: Counter[str] = Counter()
            for table in staging.read(FILTER, "words"):
                total.update(dict(zip(table["word"].to_pylist(), table["count"].to_pylist(), strict=True)))
            words = dict(total)
        staging.put("words.json", json.dumps(words, sort_keys=True).encode())
    return works


@task
def cluster(shards: list[Work]) -> Work:
    """Group near-duplicates over all days, then lay every sentence into its nearest cluster of the codebook."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.codebook import read_codebook
    from realsyn_ops.stages.cluster import assign, fit_centroids, n_clusters
    from realsyn_ops.stages.dedup import near_duplicates, text_identity

    staging = open_staging(next(iter(shards)))
    chosen = ClusterPlan.from_json(staging.plan_json())
    with measured(staging, GROUPS):
        rows = corpus_rows(staging, SCORE, "sentence_embeddings", ["key", "day", "text", "n_nodes", "embedding"])
        texts = rows["text"]
        lengths = np.array([len(text) for text in texts], np.int64)
        vectors = rows.matrix("embedding")
        groups = near_duplicates(
            vectors,
            rank=np.argsort(np.lexsort((np.arange(len(texts)), -lengths))),
            min_similarity=chosen.min_similarity,
            identities=np.array([text_identity(text) for text in texts], np.uint64),
        )
        if chosen.codebook:
            centroids = read_codebook(staging.bucket, chosen.codebook).centroids
        else:
            survivors = vectors[[reason is None for reason in groups.reason]]
            k = n_clusters(len(survivors), rows_per_cluster=chosen.sentences_per_cluster)
            centroids = fit_centroids(survivors, k=k, seed=chosen.seed)
        clusters, similarities = assign(vectors, centroids)
        extra = {
            "text": pa.array(texts, pa.string()),
            "cluster": pa.array(clusters[:, 0].astype(np.int32)),
            "centroid_similarity": pa.array(similarities[:, 0]),
        }
        work = converge(staging, GROUPS, rows, groups, schemas.SENTENCE_CLUSTERS, extra)
        staging.put(f"centroids-{work['shard']}.npy", _npy(centroids))
    return work


@task
def audit(work: Work) -> Work:
    """Close the run's manifest, then check scores, embeddings, groups and clusters. Red: nothing is published."""
    staging = open_staging(work)
    with measured(staging, "audit"):
        shards = {stage: staging.shards(stage) for stage in (SITES, FILTER, SCORE)} | {GROUPS: [work["shard"]]}
        staging.finish(shards, name=f"manifest-{work['shard']}")
        run_gate(staging, _frames(staging, work))
    return work


@task(outlets=[assets.SENTENCE_CLUSTERS])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Put the codebook in force if it is new; replace the day's scores and the days of the clusters that changed."""
    from realsyn_ops.io import schemas
    from realsyn_ops.io.codebook import Codebook, publish_codebook
    from realsyn_ops.io.corpus import Corpus

    staging = open_staging(work)
    chosen = ClusterPlan.from_json(staging.plan_json())
    with measured(staging, "publish"):
        if not chosen.codebook:
            words = json.loads(staging.get("words.json"))
            publish_codebook(staging.bucket, Codebook(words, _centroids(staging, work)))
        scores = staging.read_all(SCORE, "scores")
        embeddings = staging.read_all(SCORE, "embeddings")
        groups = staging.read_shard(GROUPS, work["shard"], "groups")
        published = Corpus(staging.bucket).days("sentence_clusters")
        days: dict[str, Any] = dict.fromkeys(published, one_table(groups.slice(0, 0)))
        changed = publish_days(
            staging,
            {
                MEASURES_TABLE: (
                    schemas.SENTENCE_MEASURES,
                    {chosen.day: one_table(day_measures(staging, chosen, scores))},
                ),
                "sentence_scores": (schemas.SENTENCE_SCORES, {chosen.day: one_table(scores)}),
                "sentence_embeddings": (embeddings.schema, {chosen.day: one_table(embeddings)}),
                "sentence_clusters": (schemas.SENTENCE_CLUSTERS, days | split_days(groups)),
            },
        )
    outlet_events[assets.SENTENCE_CLUSTERS].extra = event_extra(staging, changed, groups.num_rows)


def _npy(array: "np.ndarray") -> bytes:
    import numpy as np

    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _centroids(staging: "Staging", work: Work) -> "np.ndarray":
    import numpy as np

    return np.load(io.BytesIO(staging.get(f"centroids-{work['shard']}.npy")), allow_pickle=False)


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
    groups = staging.read_shard(GROUPS, work["shard"], "groups").to_pandas()
    groups["survivor_is_kept"] = groups["survivor"].isin(groups.loc[groups["reason"].isna(), "key"])
    groups["is_within_threshold"] = is_within_threshold(groups, chosen.min_similarity)
    groups["is_known_cluster"] = np.isin(groups["cluster"], np.arange(len(_centroids(staging, work))))
    rejected = scores.loc[scores["reason"].notna(), "n_nodes"].sum()
    losses = source_losses(staging, groups, nodes="sentence_nodes", max_loss=chosen.max_source_loss)
    return {
        "sentence_scores": scores,
        MEASURES_TABLE: measures,
        "sentence_embeddings": embeddings,
        "quality_shares": pd.DataFrame({"rejected": [rejected / max(1, scores["n_nodes"].sum())]}),
        "sentence_clusters": groups,
        "duplicate_groups": alarms(staging, GROUPS, work, losses, max_share=chosen.max_group_share),
    }
