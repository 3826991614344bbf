"""Tasks of `cluster_sentences`: a day's sentences are filtered, scored and embedded; the corpus is freed of
near-duplicates and laid into the clusters of the codebook.

The first day ever fits the codebook (word counts, centroids); later days use the one in force.
"""

import io
import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.duplicates import alarms, converge, corpus_rows, is_within_threshold, source_losses
from realsyn_ops.operators.publishing import event_extra, one_table, publish_days, run_gate, split_days, vector_checks
from realsyn_ops.operators.run import (
    Work,
    by_reason,
    digest,
    measured,
    open_bucket,
    open_staging,
    preset_models,
    resolved_preset,
)
from realsyn_ops.plans import ClusterPlan, check_day, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

FILTER = "filter"
SCORE = "score"
GROUPS = "cluster"


@task
def plan(**context: Any) -> list[Work]:
    """Decide the day's sentences, the models, the codebook and the shards."""
    from realsyn_ops.io.codebook import current_version
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

    day = check_day(context.get("partition_key"))
    bucket = open_bucket()
    sentences = Corpus(bucket).read("sentences", ["key", "n_nodes"], day=day)
    if sentences.num_rows == 0:
        raise AirflowSkipException(f"no sentences of {day} in the corpus: nothing to cluster")
    params = dict(context["params"])
    preset = params.pop("preset") or settings().preset
    chosen = ClusterPlan(
        day=day,
        inputs=digest(sentences.to_pydict()),
        code=code_digest(),
        preset=preset,
        models=preset_models(preset),
        codebook=current_version(bucket),
        **params,
    )
    staging = Staging.create(bucket, "cluster_sentences", day, chosen)
    bounds = shard_bounds(sentences.num_rows, chosen.shard_sentences)
    return [{"staging": staging.prefix, "shard": f"{i:05d}"} for i in range(len(bounds))]


@task
def filter_shard(work: Work) -> Work:
    """The paper's quality rules on a shard: emoji, URL, words, complexity, action; and the words of what passes."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.models.load import load_parser
    from realsyn_ops.stages.filter import count_words, parse_reason, sentence_text_reason, word_tokens

    staging = open_staging(work)
    if staging.is_done(FILTER, work["shard"]):
        return work
    chosen = ClusterPlan.from_json(staging.plan_json())
    with measured(staging, FILTER, work["shard"]):
        corpus = Corpus(staging.bucket)
        rows = corpus.read("sentences", ["key", "day", "text", "n_nodes"], day=chosen.day).to_pylist()
        start, stop = shard_bounds(len(rows), chosen.shard_sentences)[int(work["shard"])]
        rows = rows[start:stop]
        for row in rows:
            broken = sentence_text_reason(row["text"], min_words=chosen.min_words, max_words=chosen.max_words)
            row["reason"], row["value"] = broken or (None, None)
            row["n_words"] = count_words(row["text"])
        parsed = [row for row in rows if row["reason"] is None]
        parser = load_parser(
            resolved_preset(chosen).parser,
            device=settings().device,
            threads=settings().threads,
            models_path=settings().models_path,
        )
        for row, parse in zip(parsed, parser.parse([row["text"] for row in parsed]), strict=True):
            row["n_relations"], row["n_actions"] = parse.n_relations, parse.n_actions
            broken = parse_reason(
                parse.n_relations, parse.n_actions, min_relations=chosen.min_relations, min_actions=chosen.min_actions
            )
            row["reason"], row["value"] = broken or (None, None)
        words: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        for row in rows:
            if row["reason"]:
                rejected[row["reason"]] += row["n_nodes"]
            else:
                for word in word_tokens(row["text"]):
                    words[word] += row["n_nodes"]
        ordered = sorted(words.items())
        tables = {
            "sentences": pa.Table.from_pylist(rows, schema=_filtered_schema()),
            "words": pa.table(
                {"word": [w for w, _ in ordered], "count": pa.array([c for _, c in ordered], pa.int64())}
            ),
        }
        n_in = sum(row["n_nodes"] for row in rows)
        counts = by_reason("sentences", n_in, n_in - sum(rejected.values()), rejected)
        staging.write(FILTER, work["shard"], tables, counts)
    log.info("shard %s: %s", work["shard"], counts)
    return work


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
def score(work: Work) -> Work:
    """Entropy and perplexity of a shard's sentences (the semantic filter), then embeddings of those that pass."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.models.load import load_encoder, load_language_model
    from realsyn_ops.stages.filter import entropy, entropy_reason, perplexity_reason, word_tokens

    staging = open_staging(work)
    if staging.is_done(SCORE, work["shard"]):
        return work
    chosen = ClusterPlan.from_json(staging.plan_json())
    with measured(staging, SCORE, work["shard"]):
        words = json.loads(staging.get("words.json"))
        total = sum(words.values())
        rows = staging.read_shard(FILTER, work["shard"], "sentences").to_pylist()
        judged = [row for row in rows if row["reason"] is None]
        for row in judged:
            row["entropy"] = entropy(word_tokens(row["text"]), words, total)
            row["reason"], row["value"] = entropy_reason(row["entropy"], min_entropy=chosen.min_entropy) or (None, None)
        fluent = [row for row in judged if row["reason"] is None]
        where: dict[str, Any] = {
            "device": settings().device,
            "threads": settings().threads,
            "models_path": settings().models_path,
        }
        models = resolved_preset(chosen)
        perplexities = load_language_model(models.language_model, **where).perplexity([row["text"] for row in fluent])
        for row, perplexity in zip(fluent, perplexities.tolist(), strict=True):
            row["perplexity"] = perplexity
            broken = perplexity_reason(
                perplexity, min_perplexity=chosen.min_perplexity, max_perplexity=chosen.max_perplexity
            )
            row["reason"], row["value"] = broken or (None, None)
        kept = [row for row in fluent if row["reason"] is None]
        encoder = load_encoder(models.encoder, **where)
        vectors = encoder.encode_texts([row["text"] for row in kept]).astype(np.float16)
        embeddings = [{**row, "embedding": vector} for row, vector in zip(kept, vectors, strict=True)]
        tables = {
            "scores": pa.Table.from_pylist(rows, schema=schemas.SENTENCE_SCORES),
            "embeddings": pa.Table.from_pylist(embeddings, schema=schemas.sentence_embeddings(encoder.dim)),
        }
        rejected: Counter[str] = Counter()
        for row in judged:
            if row["reason"]:
                rejected[row["reason"]] += row["n_nodes"]
        n_in = sum(row["n_nodes"] for row in judged)
        counts = by_reason("sentences", n_in, n_in - sum(rejected.values()), rejected)
        staging.write(SCORE, work["shard"], tables, counts)
    log.info("shard %s: %s", work["shard"], counts)
    return work


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
        shards = {FILTER: staging.shards(FILTER), SCORE: staging.shards(SCORE), GROUPS: [work["shard"]]}
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
        embeddings = staging.read_all(SCORE, "embeddings")
        groups = staging.read_shard(GROUPS, work["shard"], "groups")
        published = Corpus(staging.bucket).days("sentence_clusters")
        days: dict[str, Any] = dict.fromkeys(published, one_table(groups.slice(0, 0)))
        changed = publish_days(
            staging,
            {
                "sentence_scores": (
                    schemas.SENTENCE_SCORES,
                    {chosen.day: one_table(staging.read_all(SCORE, "scores"))},
                ),
                "sentence_embeddings": (embeddings.schema, {chosen.day: one_table(embeddings)}),
                "sentence_clusters": (schemas.SENTENCE_CLUSTERS, days | split_days(groups)),
            },
        )
    outlet_events[assets.SENTENCE_CLUSTERS].extra = event_extra(staging, changed, groups.num_rows)


def _filtered_schema() -> Any:
    import pyarrow as pa

    from realsyn_ops.io import schemas

    names = ["key", "day", "n_nodes", "n_words", "n_relations", "n_actions", "reason", "value"]
    return pa.schema([*(schemas.SENTENCE_SCORES.field(name) for name in names), ("text", pa.string())])


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
    scores = staging.read_all(SCORE, "scores").to_pandas()
    embeddings = vector_checks(staging.read_all(SCORE, "embeddings"), {"embedding": "norm"})
    for frame in (scores, embeddings):
        frame["is_known_key"] = frame["key"].isin(known)
    groups = staging.read_shard(GROUPS, work["shard"], "groups").to_pandas()
    groups["survivor_is_kept"] = groups["survivor"].isin(groups.loc[groups["reason"].isna(), "key"])
    groups["is_within_threshold"] = is_within_threshold(groups, chosen.min_similarity)
    groups["is_known_cluster"] = np.isin(groups["cluster"], np.arange(len(_centroids(staging, work))))
    rejected = scores.loc[scores["reason"].notna(), "n_nodes"].sum()
    losses = source_losses(staging, groups, nodes="sentence_nodes", max_loss=chosen.max_source_loss)
    return {
        "sentence_scores": scores,
        "sentence_embeddings": embeddings,
        "quality_shares": pd.DataFrame({"rejected": [rejected / max(1, scores["n_nodes"].sum())]}),
        "sentence_clusters": groups,
        "duplicate_groups": alarms(staging, GROUPS, work, losses, max_share=chosen.max_group_share),
    }
