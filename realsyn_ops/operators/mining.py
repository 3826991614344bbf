"""Tasks of `mine_tags`: noun phrases of all kept sentences, counted by shard, merged, held against images, ranked."""

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import assets
from realsyn_ops.operators.lineage import tell_folder
from realsyn_ops.operators.measures import key_range
from realsyn_ops.operators.places import whole_corpus, with_models
from realsyn_ops.operators.planning import chosen_models, shard_works
from realsyn_ops.operators.publishing import gate_extra, run_gate
from realsyn_ops.operators.run import Work, by_reason, digest, measured, open_bucket, open_staging, resolved_preset
from realsyn_ops.operators.sentence_filter import shard_keys, stage_ranges
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.operators.tag_lists import base_list
from realsyn_ops.plans import MinePlan, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.tag_lists import TagList

log = logging.getLogger(__name__)

MINED_FROM = ("curated_images", "image_embeddings", "sentence_clusters")
"""The tables that are mined, each as of the version that the plan task saw."""
COUNT, MERGE, EMBED, RANK = "count", "merge", "embed", "rank"
_N_BUCKETS = 16
_CANDIDATES_PER_TAG = 5


@task
def plan(**context: Any) -> list[Work]:
    """Decide on the sentences and images that this run mines, the models, and shards of sentences."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

    bucket = open_bucket()
    corpus = Corpus(bucket)
    if not all(corpus.exists(table) for table in MINED_FROM):
        raise AirflowSkipException(f"not all of {', '.join(MINED_FROM)} are published yet: nothing to mine")
    versions = {table: corpus.version(table) for table in MINED_FROM}
    images, sentences = (
        corpus.read(table, ["key", "day"], where="reason IS NULL", version=versions[table])
        for table in ("curated_images", "sentence_clusters")
    )
    if not images.num_rows or not sentences.num_rows:
        raise AirflowSkipException("the corpus keeps no images or no sentences: nothing to mine")
    preset, models = chosen_models(context)
    chosen = MinePlan(
        inputs=digest([images["key"].to_pylist(), sentences["key"].to_pylist()]),
        code=code_digest(),
        models=models,
        **{**dict(context["params"]), "preset": preset},
    )
    staging = Staging.create(bucket, "mine_tags", max(sentences["day"].to_pylist()), chosen)
    staging.put("versions.json", json.dumps(versions, sort_keys=True).encode())
    stage_ranges(staging, sentences["key"].to_pylist(), shard_bounds(sentences.num_rows, chosen.shard_sentences))
    return shard_works(staging, sentences.num_rows, chosen.shard_sentences)


@shard_step(COUNT)
def count(staging: "Staging", work: Work) -> None:
    """Parse a shard of sentences, and count their noun phrases by buckets of stems."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.models.load import load_parser
    from realsyn_ops.stages.mine_tags import count_phrases

    chosen = _chosen(staging)
    where = f"reason IS NULL AND {key_range(shard_keys(staging, work['shard']))}"
    version = _versions(staging)["sentence_clusters"]
    texts = Corpus(staging.bucket).read("sentence_clusters", ["text"], where=where, version=version)["text"]
    parser = load_parser(resolved_preset(chosen).parser, **_where())
    buckets = count_phrases(parser.noun_phrases(texts.to_pylist()), n_buckets=_N_BUCKETS)
    tables = {f"phrases-{i:02d}": bucket for i, bucket in enumerate(buckets)}
    staging.write(COUNT, work["shard"], tables, {"sentences": len(texts)})


@task(**whole_corpus())
def merge(shards: list[Work]) -> list[Work]:
    """The most frequent phrases, a bucket of stems at a time; and shards of these and the base tags, to embed."""
    import pyarrow as pa

    from realsyn_ops.stages.mine_tags import COUNTS, candidates, merge_counts, stem

    works = list(shards)
    staging = open_staging(works[0])
    chosen = _chosen(staging)
    with measured(staging, MERGE):
        wanted = {"min_sentences": chosen.min_sentences, "n": _CANDIDATES_PER_TAG * chosen.size}
        found, rejected = COUNTS.empty_table(), Counter[str]()
        for bucket in range(_N_BUCKETS):
            some, refused = candidates(merge_counts(staging.read(COUNT, f"phrases-{bucket:02d}")), **wanted)
            found, beyond = candidates(pa.concat_tables([found, some]), **wanted)
            rejected += Counter(refused) + Counter(beyond)
        base = base_list(staging.bucket, resolved_preset(chosen).tagger)
        tags = pa.table([[stem(tag) for tag in base], base, pa.nulls(len(base), pa.int64())], schema=COUNTS)
        phrases = pa.concat_tables([tags, found])
        n_stems = found.num_rows + rejected.total()
        counts = by_reason("phrases", n_stems, found.num_rows, rejected) | {"base": len(base)}
        staging.write(MERGE, "all", {"phrases": phrases}, counts)
    return shard_works(staging, phrases.num_rows, chosen.shard_phrases)


@shard_step(EMBED, place=with_models())
def embed(staging: "Staging", work: Work) -> None:
    """The encoder's vectors of a shard of phrases, as a tagger will ask for them."""
    import pyarrow as pa

    from realsyn_ops.models.load import load_encoder
    from realsyn_ops.models.tagger import encode_tags

    chosen = _chosen(staging)
    phrases = staging.read_shard(MERGE, "all", "phrases")["phrase"]
    start, stop = shard_bounds(len(phrases), chosen.shard_phrases)[int(work["shard"])]
    vectors = encode_tags(load_encoder(resolved_preset(chosen).encoder, **_where()), phrases[start:stop].to_pylist())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    staging.write(EMBED, work["shard"], {"vectors": pa.table({"vector": lists})}, {"phrases": stop - start})


@task(**whole_corpus())
def rank(shards: list[Work]) -> Work:
    """Measure how well images agree with each phrase, and choose those that extend the base list."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.operators.corpus_rows import unit_matrix
    from realsyn_ops.stages.mine_tags import Limits, choose, concreteness

    staging = open_staging(next(iter(shards)))
    chosen = _chosen(staging)
    with measured(staging, RANK):
        phrases = staging.read_shard(MERGE, "all", "phrases")
        vectors = unit_matrix(pa.concat_tables(staging.read(EMBED, "vectors"))["vector"])
        concrete = concreteness(vectors, _image_vectors(staging, chosen), n_top=chosen.top_images)
        n_base = phrases["n_sentences"].null_count
        base, found = phrases["phrase"][:n_base].to_pylist(), phrases.slice(n_base)
        limits = Limits(max(chosen.size, n_base), chosen.min_concreteness, chosen.max_similarity)
        taken, reasons = choose(base, found, vectors, concrete, limits)
        judged = phrases.append_column("concreteness", pa.array(concrete))
        judged = judged.append_column("reason", pa.array([None] * n_base + reasons, pa.string()))
        order = pa.array(np.r_[np.arange(n_base), n_base + np.array(taken, np.int64)])
        tags, rejects = judged.take(order).drop_columns("reason"), judged.filter(pc.is_valid(judged["reason"]))
        rejected = {reason: reasons.count(reason) for reason in {r for r in reasons if r}}
        counts = by_reason("candidates", found.num_rows, len(taken), rejected)
        staging.write(RANK, "all", {"tags": tags, "rejects": rejects}, counts)
    log.info("%d tags, of them %d mined; %d were wanted: %s", tags.num_rows, len(taken), chosen.size, counts)
    return {"staging": staging.prefix, "shard": "all"}


@task
def audit(work: Work) -> Work:
    """Close the run's manifest and check the list. Red: nothing is published."""
    staging = open_staging(work)
    with measured(staging, "audit"):
        stages = {name: staging.shards(name) for name in (COUNT, MERGE, EMBED, RANK)}
        staging.finish(stages)
        run_gate(staging, _frames(staging))
    return work


@task(outlets=[assets.TAG_LISTS])
def publish(work: Work, *, outlet_events: Any) -> None:
    """Store the list under its version, which the log names: the digest of what is in it."""
    from realsyn_ops.io.quarantine import lift
    from realsyn_ops.io.tag_lists import publish_tag_list

    staging = open_staging(work)
    with measured(staging, "publish"):
        found = staged_list(staging)
        is_new = publish_tag_list(staging.bucket, found)
    tell_folder(staging, "corpus/tag_lists", len(found.tags))
    lift(staging.bucket, staging.dag)
    told = {"version": found.version, "tags": len(found.tags), "is_new": is_new}
    outlet_events[assets.TAG_LISTS].extra = told | gate_extra(staging)
    log.info("tag list %s (%s): %d tags", found.version, "new" if is_new else "known", len(found.tags))


def staged_list(staging: "Staging") -> "TagList":
    """The list that the run has made. It says nothing of code or day: the same tags by the same rules are the same."""
    from realsyn_ops.io.tag_lists import TagList

    chosen = _chosen(staging)
    models = resolved_preset(chosen)
    made_with = {name: value for name, value in json.loads(chosen.to_json()).items() if name in _MADE_WITH}
    made_with |= {"encoder": models.encoder, "parser": models.parser, "base": models.tagger}
    tags = [
        {"tag": row["phrase"], "concreteness": row["concreteness"], "n_sentences": row["n_sentences"]}
        for row in staging.read_shard(RANK, "all", "tags").to_pylist()
    ]
    counts = staging.counts(COUNT) | staging.counts(MERGE) | staging.counts(RANK)
    return TagList(tags, made_with, counts)


_MADE_WITH = (
    "inputs", "size", "min_sentences", "min_concreteness", "max_similarity", "top_images", "max_images", "seed",
)  # fmt: skip


def _image_vectors(staging: "Staging", chosen: MinePlan) -> "np.ndarray":
    """Joint vectors of a sample of the kept images: a draw by key, so that no order matters."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.operators.corpus_rows import kept_rows
    from realsyn_ops.records import hash_order

    images = kept_rows(Corpus(staging.bucket), "curated_images", "image_embeddings", [], _versions(staging))
    drawn = sorted(images["key"], key=lambda key: hash_order(key, chosen.seed))[: chosen.max_images]
    return images.vectors(images.positions(sorted(drawn)))


def _frames(staging: "Staging") -> "dict[str, pd.DataFrame]":
    import numpy as np
    import pandas as pd

    chosen = _chosen(staging)
    tags = staging.read_shard(RANK, "all", "tags").to_pandas()
    is_mined = tags["n_sentences"].notna()
    tags["is_often_enough"] = ~is_mined | (tags["n_sentences"] >= chosen.min_sentences)
    tags["is_finite"] = np.isfinite(tags["concreteness"])
    tags["is_new_word"] = ~is_mined | ~tags["stem"].duplicated()
    n_wanted = max(chosen.size, int((~is_mined).sum()))
    growth = {"n_mined": [int(is_mined.sum())], "is_within_size": [len(tags) <= n_wanted]}
    return {"tag_list": tags.rename(columns={"phrase": "tag"}), "tag_mining": pd.DataFrame(growth)}


def _chosen(staging: "Staging") -> MinePlan:
    return MinePlan.from_json(staging.plan_json())


def _versions(staging: "Staging") -> dict[str, int]:
    return dict(json.loads(staging.get("versions.json")))


def _where() -> dict[str, Any]:
    return {"device": settings().device, "threads": settings().threads, "models_path": settings().models_path}
