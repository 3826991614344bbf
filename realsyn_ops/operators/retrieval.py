"""Tasks of `pair_texts` that find realistic texts: new images over all sentences, the others over the new ones.

Only images whose texts change go on to synthesis. Which sentences an image sees is a matter of the two, the codebook
and the searcher frozen with it, so that days one by one end in the same pairs as all at once. Where the published pairs
were made by other rules, every image is searched anew.
"""

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators import pair_rules
from realsyn_ops.operators.codebooks import published_codebook
from realsyn_ops.operators.linked import SENTENCES
from realsyn_ops.operators.places import whole_corpus
from realsyn_ops.operators.run import Work, digest, measured, open_bucket, open_staging, preset_models
from realsyn_ops.operators.search import PREPARE, RETRIEVE, calibrate, measure_recall, paired_rows, shard_texts
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.operators.tag_lists import listed_tagger, mined_tags
from realsyn_ops.plans import PairPlan, check_day, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

PAIRED = ("image_embeddings", "curated_images", "sentence_embeddings", "sentence_clusters")
"""The tables that are paired, each as of the version that the plan task saw: others may publish meanwhile."""
COLLECT, SYNTHESIZE = "collect", "synthesize"


@task
def plan(**context: Any) -> Work:
    """Decide on the images and sentences that this run pairs, as of now, and the codebook that clusters them."""
    from realsyn_ops.io.corpus import Corpus, rows_digest
    from realsyn_ops.io.shards import Staging

    day = check_day(context.get("partition_key"))
    bucket = open_bucket()
    corpus = Corpus(bucket)
    if not all(corpus.exists(table) for table in PAIRED):
        raise AirflowSkipException(f"not all of {', '.join(PAIRED)} are published yet: nothing to pair")
    codebook = published_codebook(bucket, SENTENCES)
    versions = {table: corpus.version(table) for table in PAIRED}
    kept = [
        corpus.read(table, columns, where="reason IS NULL", version=versions[table])
        for table, columns in (("curated_images", ["key", "day"]), ("sentence_clusters", ["key", "day", "cluster"]))
    ]
    params = dict(context["params"])
    preset = params.pop("preset") or settings().preset
    models = dict(preset_models(preset))
    models["tagger"] = listed_tagger(models["tagger"], params["tag_list"])
    mined_tags(bucket, models["tagger"])  # an unknown version fails here
    chosen = PairPlan(
        day=day,
        inputs=digest([*(rows_digest([rows], rows.schema, rows.column_names) for rows in kept), codebook]),
        code=code_digest(),
        codebook=codebook,
        preset=preset,
        models=tuple(sorted(models.items())),
        **params,
    )
    staging = Staging.create(bucket, "pair_texts", day, chosen)
    staging.put("versions.json", json.dumps(versions, sort_keys=True).encode())
    return {"staging": staging.prefix, "shard": "all"}


@task(**whole_corpus())
def prepare(work: Work) -> list[Work]:
    """What has changed since the pairs in force were made, how images are searched, and shards of images to search."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus

    staging, chosen = opened(work)
    with measured(staging, PREPARE):
        images, sentences = paired_rows(staging)
        sight = pair_rules.known_sight(staging, chosen) or calibrate(chosen, images, sentences)
        changes = pair_rules.changes(staging, chosen, images, sentences)
        is_other = _made_otherwise(Corpus(staging.bucket), chosen)
        order = changes.searched + (changes.updated if changes.new_sentences or is_other else [])
        name = digest([order, len(changes.searched), changes.new_sentences, hashlib.sha256(sight).hexdigest()])
        tables = {
            "images": pa.table({"key": pa.array(order, pa.string())}),
            "sentences": pa.table({"key": pa.array(changes.new_sentences, pa.string())}),
        }
        staging.put(f"sight-{name}", sight)
        staging.put(f"{PREPARE}-{name}.json", json.dumps({"searched": len(changes.searched)}).encode())
        staging.write(PREPARE, name, tables, {"images": len(images), "searched": len(changes.searched)})
        size = len(order) if chosen.max_uses else chosen.search_images  # a limit on uses binds all images together
        bounds = shard_bounds(len(order), max(1, size)) or [(0, 0)]
    log.info("%d images to search, %d to show new sentences", len(changes.searched), len(order) - len(changes.searched))
    return [{"staging": staging.prefix, "shard": f"{start}-{stop}-{name}", "prepared": name} for start, stop in bounds]


@shard_step(RETRIEVE, place=whole_corpus())
def retrieve(staging: "Staging", work: Work) -> None:
    """The realistic texts of a shard of images: over all sentences, or those in force and the new ones."""
    _stage_texts(staging, PairPlan.from_json(staging.plan_json()), work)


@task(**whole_corpus())
def collect(shards: list[Work]) -> list[Work]:
    """The images whose texts have changed, as shards to synthesize; and how well the exact search was met."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus

    works = list(shards)
    staging, chosen = opened(works[0])
    with measured(staging, "collect"):
        found = pa.concat_tables(staging.read_shard(RETRIEVE, work["shard"], "texts") for work in works)
        published = published_pairs(Corpus(staging.bucket))
        changed = [row for row in found.to_pylist() if not _is_same(row, published.get(row["key"]))]
        changed.sort(key=lambda row: (row["day"], row["key"]))
        groups: list[list[str]] = []
        for day in sorted({row["day"] for row in changed}):
            of_day = [row["key"] for row in changed if row["day"] == day]
            groups += [of_day[start:stop] for start, stop in shard_bounds(len(of_day), chosen.shard_images)]
        rows = pa.Table.from_pylist(changed, schema=retrieved_schema())
        shards_to_make = {f"{i:05d}-{digest([made_by(chosen), keys])}": keys for i, keys in enumerate(groups or [[]])}
        name = digest([sorted(shards_to_make), works[0]["prepared"]])
        staging.put(f"shards-{name}.json", json.dumps(shards_to_make, sort_keys=True).encode())
        staging.write(COLLECT, name, {"texts": rows}, {})
        measure = measure_recall(staging, chosen, works[0])
        staging.put(f"retrieval-{name}.json", json.dumps(measure, sort_keys=True).encode())
    log.info("%d images with changed texts, recall %s", len(changed), measure)
    common = {"staging": staging.prefix, "prepared": works[0]["prepared"], "retrieved": name}
    return [{**common, "shard": shard} for shard in shards_to_make]


def opened(work: Work) -> "tuple[Staging, PairPlan]":
    staging = open_staging(work)
    return staging, PairPlan.from_json(staging.plan_json())


def made_by(chosen: PairPlan) -> str:
    """Digest of what a pair is made with: two rows with the same texts and the same digest are the same pair."""
    fixed = ("models", "code", "max_synthetic_words")
    return digest([[name, getattr(chosen, name)] for name in fixed] + sorted(pair_rules.rules(chosen).items()))


def published_pairs(corpus: "Corpus") -> dict[str, dict[str, Any]]:
    """The pairs in force by image key."""
    from realsyn_ops.io import schemas

    if not corpus.exists("pairs"):
        return {}
    return {row["key"]: row for row in corpus.read("pairs", schemas.PAIRS.names).to_pylist()}


def retrieved_schema() -> "pa.Schema":
    """What is known of a pair before its synthetic text."""
    import pyarrow as pa

    from realsyn_ops.io import schemas

    names = ["key", "day", "cluster", "text_keys", "texts", "similarities", "reason", "made_by"]
    return pa.schema([schemas.PAIRS.field(name) for name in names])


def _made_otherwise(corpus: "Corpus", chosen: PairPlan) -> bool:
    """Whether other models (another list of tags) made any of the pairs in force: all are looked at again then."""
    import pyarrow.compute as pc

    if not corpus.exists("pairs"):
        return False
    return not set(pc.unique(corpus.read("pairs", ["made_by"])["made_by"]).to_pylist()) <= {made_by(chosen)}


def _is_same(row: dict[str, Any], published: dict[str, Any] | None) -> bool:
    compared = ("cluster", "text_keys", "reason", "made_by")
    return (
        published is not None
        and all(row[name] == published[name] for name in compared)
        and [round(s, 5) for s in row["similarities"]] == [round(s, 5) for s in published["similarities"]]
    )


def _stage_texts(staging: "Staging", chosen: PairPlan, work: Work) -> None:
    import pyarrow as pa

    images, sentences = paired_rows(staging)
    mine, clusters, texts, n_searched = shard_texts(staging, chosen, work)
    keys, days = images.table["key"].take(pa.array(mine)), images.table["day"].take(pa.array(mine))
    rows = []
    for i, (key, day) in enumerate(zip(keys.to_pylist(), days.to_pylist(), strict=True)):
        there = [p for p in texts.positions[i].tolist() if p >= 0]
        rows.append(
            {
                "key": key,
                "day": day,
                "cluster": int(clusters[i]),
                "text_keys": [sentences.table["key"][p].as_py() for p in there],
                "texts": [sentences.table["text"][p].as_py() for p in there],
                "similarities": texts.similarities[i, : len(there)].tolist(),
                "reason": None if len(there) == chosen.n_texts else "too_few_texts",
                "made_by": made_by(chosen),
            }
        )
    table = pa.Table.from_pylist(rows, schema=retrieved_schema())
    staging.write(RETRIEVE, work["shard"], {"texts": table}, {"images": len(rows), "searched": n_searched})
