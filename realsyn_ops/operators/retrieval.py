"""Tasks of `pair_texts`: every image of the corpus gets its realistic texts, and, where they changed, a synthetic one.

A run for a day brings all pairs up to date with all that is published: the day's images and sentences join those of
earlier days. Images whose texts stay the same keep their rows and cost no model call.
"""

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.duplicates import unit_matrix
from realsyn_ops.operators.publishing import event_extra, one_table, publish_days, run_gate, split_days
from realsyn_ops.operators.run import Work, digest, measured, open_bucket, open_staging, preset_models
from realsyn_ops.plans import PairPlan, check_day, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

RETRIEVE = "retrieve"
SYNTHESIZE = "synthesize"
PAIRS = "pair"
RECALL_IMAGES = 500
"""Images on which retrieval is measured against exact search, drawn by hash of their keys."""
MEASURE = "corpus/retrieval.json"
"""That measure of the pairs in force, kept with the corpus: staging may be deleted."""


@task
def plan(**context: Any) -> Work:
    """Decide on the images, sentences and codebook that this run pairs."""
    from realsyn_ops.io.codebook import current_version
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

    day = check_day(context.get("partition_key"))
    bucket = open_bucket()
    corpus = Corpus(bucket)
    for table in ("curated_images", "sentence_clusters"):
        if not corpus.exists(table):
            raise AirflowSkipException(f"{table} is not published yet: nothing to pair")
    images = corpus.read("curated_images", ["key", "day"], where="reason IS NULL").to_pydict()
    sentences = corpus.read("sentence_clusters", ["key", "day", "cluster"], where="reason IS NULL").to_pydict()
    params = dict(context["params"])
    preset = params.pop("preset") or settings().preset
    chosen = PairPlan(
        day=day,
        inputs=digest([images, sentences, current_version(bucket)]),
        code=code_digest(),
        preset=preset,
        models=preset_models(preset),
        **params,
    )
    return {"staging": Staging.create(bucket, "pair_texts", day, chosen).prefix, "shard": "all"}


@task
def retrieve(work: Work) -> list[Work]:
    """Find each image's realistic texts in the clusters it probes; returns shards of the images whose texts changed."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.codebook import current_version, read_codebook
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.records import hash_order
    from realsyn_ops.stages import retrieve as stage
    from realsyn_ops.stages.cluster import assign

    staging = open_staging(work)
    chosen = PairPlan.from_json(staging.plan_json())
    with measured(staging, RETRIEVE):
        corpus = Corpus(staging.bucket)
        images = kept_vectors(corpus, "curated_images", "image_embeddings", [])
        sentences = kept_vectors(corpus, "sentence_clusters", "sentence_embeddings", ["text", "cluster"])
        image_vectors, sentence_vectors = unit_matrix(images["embedding"]), unit_matrix(sentences["embedding"])
        codebook = read_codebook(staging.bucket, current_version(staging.bucket))
        probes, _ = assign(image_vectors, codebook.centroids, n_probes=chosen.n_probes)
        rules: dict[str, Any] = {"n_texts": chosen.n_texts, "max_text_similarity": chosen.max_text_similarity}
        clusters = sentences["cluster"].to_numpy()
        texts = stage.retrieve(image_vectors, probes, sentence_vectors, clusters, **rules)
        keys = images["key"].to_pylist()
        sample = sorted(range(len(keys)), key=lambda i: hash_order(keys[i], chosen.seed))[:RECALL_IMAGES]
        exact = stage.exact(image_vectors[sample], sentence_vectors, **rules)
        found = stage.Texts(texts.positions[sample], texts.similarities[sample])
        measure = {
            f"recall_at_{chosen.n_texts}": round(stage.recall(found, exact), 4),
            "n_images": len(sample),
            "n_probes": chosen.n_probes,
            "n_clusters": len(codebook.centroids),
        }
        staging.put("retrieval.json", json.dumps(measure, sort_keys=True).encode())
        sentence_keys, sentence_texts = sentences["key"].to_pylist(), sentences["text"].to_pylist()
        rows = []
        for i, key in enumerate(keys):
            chosen_texts = [p for p in texts.positions[i].tolist() if p >= 0]
            rows.append(
                {
                    "key": key,
                    "day": images["day"][i].as_py(),
                    "cluster": int(probes[i, 0]),
                    "text_keys": [sentence_keys[p] for p in chosen_texts],
                    "texts": [sentence_texts[p] for p in chosen_texts],
                    "similarities": texts.similarities[i, : len(chosen_texts)].tolist(),
                    "reason": None if len(chosen_texts) == chosen.n_texts else "too_few_texts",
                    "made_by": made_by(chosen),
                }
            )
        table = pa.Table.from_pylist(rows, schema=_retrieved_schema())
        published = published_pairs(corpus)
        changed = [row for row in rows if not _is_same(row, published.get(row["key"]))]
        groups: list[list[str]] = []
        for day in sorted({row["day"] for row in changed}):
            of_day = [row["key"] for row in changed if row["day"] == day]
            groups += [of_day[start:stop] for start, stop in shard_bounds(len(of_day), chosen.shard_images)]
        shards = {f"{i:05d}-{digest([made_by(chosen), keys])}": keys for i, keys in enumerate(groups or [[]])}
        name = digest([sorted(shards), np.asarray(texts.positions).tolist()])
        staging.put(f"shards-{name}.json", json.dumps(shards, sort_keys=True).encode())
        staging.write(RETRIEVE, name, {"texts": table}, {})
    log.info("%d images, %d with changed texts, recall %s", len(rows), len(changed), measure)
    return [{"staging": staging.prefix, "shard": shard, "retrieved": name} for shard in shards]


@task
def audit(shards: list[Work]) -> Work:
    """Put new and unchanged pairs together, close the manifest, and check them. Red: nothing is published."""
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus

    works = list(shards)
    staging = open_staging(works[0])
    with measured(staging, "audit"):
        retrieved = staging.read_shard(RETRIEVE, works[0]["retrieved"], "texts").to_pylist()
        made = {
            row["key"]: row
            for work in works
            for row in staging.read_shard(SYNTHESIZE, work["shard"], "pairs").to_pylist()
        }
        published = published_pairs(Corpus(staging.bucket))
        rows = [made.get(row["key"]) or published[row["key"]] | {"day": row["day"]} for row in retrieved]
        table = pa.Table.from_pylist(rows, schema=schemas.PAIRS)
        n_few = sum(row["reason"] is not None for row in rows)
        counts = {
            "images.in": len(rows),
            "images.kept": len(rows) - n_few,
            **({"images.rejected.too_few_texts": n_few} if n_few else {}),
        }
        work: Work = {"staging": staging.prefix, "shard": digest([works[0]["retrieved"], sorted(made)])}
        staging.write(PAIRS, work["shard"], {"pairs": table}, counts)
        parts = {RETRIEVE: [works[0]["retrieved"]], SYNTHESIZE: [w["shard"] for w in works], PAIRS: [work["shard"]]}
        staging.finish(parts, name=f"manifest-{work['shard']}")
        run_gate(staging, {"pairs": _frame(staging, table)})
    return work | {"synthesized": json.dumps([w["shard"] for w in works])}


@task(outlets=[assets.PAIRS])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Replace the days of `pairs` that changed, and keep the new answers of the rewriter."""
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus

    staging = open_staging(work)
    with measured(staging, "publish"):
        corpus = Corpus(staging.bucket)
        pairs = staging.read_shard(PAIRS, work["shard"], "pairs")
        days: dict[str, Any] = dict.fromkeys(corpus.days("pairs"), one_table(pairs.slice(0, 0)))
        parts = [staging.read_shard(SYNTHESIZE, s, "answers") for s in json.loads(work["synthesized"])]
        if corpus.exists("answers"):
            parts.append(corpus.read("answers", schemas.ANSWERS.names))
        answers = pa.concat_tables(parts).to_pylist()
        first = {a["key"]: a for a in sorted(answers, key=lambda a: (a["key"], a["day"]), reverse=True)}
        answers_table = pa.Table.from_pylist([first[key] for key in sorted(first)], schema=schemas.ANSWERS)
        changed = publish_days(
            staging,
            {
                "answers": (schemas.ANSWERS, split_days(answers_table)),
                "pairs": (schemas.PAIRS, days | split_days(pairs)),
            },
        )
        staging.bucket.put(MEASURE, staging.get("retrieval.json"))
    outlet_events[assets.PAIRS].extra = event_extra(staging, changed, pairs.num_rows)


def made_by(chosen: PairPlan) -> str:
    """Digest of what a pair is made with: two rows with the same texts and the same digest are the same pair."""
    fixed = ("models", "code", "n_texts", "n_probes", "max_text_similarity", "max_synthetic_words")
    return digest([[name, getattr(chosen, name)] for name in fixed])


def kept_vectors(corpus: "Corpus", groups: str, embeddings: str, columns: list[str]) -> "pa.Table":
    """Survivors of a table of groups, sorted by key, with their vectors and the named columns of the groups."""
    import pyarrow as pa

    kept = corpus.read(groups, ["key", "day", *columns], where="reason IS NULL")
    vectors = corpus.read(embeddings, ["key", "day", "embedding"])
    position = {row: i for i, row in enumerate(zip(*(vectors[c].to_pylist() for c in ("key", "day")), strict=True))}
    wanted = [position[row] for row in zip(*(kept[c].to_pylist() for c in ("key", "day")), strict=True)]
    return kept.append_column("embedding", vectors["embedding"].take(pa.array(wanted, pa.int64())))


def published_pairs(corpus: "Corpus") -> dict[str, dict[str, Any]]:
    """The pairs in force by image key."""
    from realsyn_ops.io import schemas

    if not corpus.exists("pairs"):
        return {}
    return {row["key"]: row for row in corpus.read("pairs", schemas.PAIRS.names).to_pylist()}


def _is_same(row: dict[str, Any], published: dict[str, Any] | None) -> bool:
    compared = ("cluster", "text_keys", "reason", "made_by")
    return (
        published is not None
        and all(row[name] == published[name] for name in compared)
        and [round(s, 5) for s in row["similarities"]] == [round(s, 5) for s in published["similarities"]]
    )


def _retrieved_schema() -> "pa.Schema":
    import pyarrow as pa

    from realsyn_ops.io import schemas

    names = ["key", "day", "cluster", "text_keys", "texts", "similarities", "reason", "made_by"]
    return pa.schema([schemas.PAIRS.field(name) for name in names])


def _frame(staging: "Staging", pairs: "pa.Table") -> "pd.DataFrame":
    import pandas as pd

    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(staging.bucket)
    images = set(corpus.read("curated_images", ["key"], where="reason IS NULL")["key"].to_pylist())
    texts = set(corpus.read("sentence_clusters", ["key"], where="reason IS NULL")["key"].to_pylist())
    rows = pairs.to_pylist()
    whole = [row["reason"] is None for row in rows]
    return pd.DataFrame(
        {
            "key": [row["key"] for row in rows],
            "reason": [row["reason"] for row in rows],
            "syn_origin": [row["syn_origin"] for row in rows],
            "similarity": [row["syn_similarity"] for row in rows],
            "is_known_image": [row["key"] in images for row in rows],
            "are_known_texts": [set(row["text_keys"]) <= texts for row in rows],
            "are_distinct_texts": [len({*row["texts"]}) == len(row["texts"]) for row in rows],
            "are_in_order": [row["similarities"] == sorted(row["similarities"], reverse=True) for row in rows],
            "has_synthetic_text": [bool(row["syn_text"]) or not ok for row, ok in zip(rows, whole, strict=True)],
        }
    )
