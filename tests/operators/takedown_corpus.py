"""Two days of small pages through the Dags' own tasks, with vectors and synthetic texts made by rules: no model.

Whatever finds, compares, groups, publishes and releases is the real thing on a real bucket.
"""

import hashlib
import io
import zipfile
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from realsyn_ops.io import schemas
from realsyn_ops.io.answers import answer_key
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import clustering, curation, extraction, fetching, pairing, params, retrieval, sampling
from realsyn_ops.operators.sentence_filter import FILTER, SCORE
from realsyn_ops.stages.dedup import N_BANDS, text_bands, text_identity, vector_identity
from realsyn_ops.stages.embed import picture_hash
from realsyn_ops.stages.filter import word_tokens
from tests.operators.release_corpus import picture

DAYS = ("2025-02-18", "2025-02-19")
DIM = 12
N_PAGES = 6
SHARED = "Every page of the first day ends with this very sentence."
_THINGS = ("heron", "anvil", "lighthouse", "kettle", "tractor", "violin", "compass", "lantern", "turbine", "orchid")
_PLACES = ("the northern harbour", "an old smithy", "the village museum", "a flooded quarry", "the glass house")


def page_name(day: int, page: int) -> str:
    return f"page-{day}-{page}.html"


def sentences_of(day: int, page: int) -> list[str]:
    n = day * N_PAGES + page
    thing = _THINGS[n % len(_THINGS)]
    return [
        f"The {thing} number {n} was photographed at {_PLACES[n % len(_PLACES)]} in spring.",
        f"Visitors number {n} admired how the {thing} was restored by hand over {n + 2} winters.",
    ]


def put_raw(bucket: Bucket, day: int) -> None:
    """A day's pages with a picture each, in one zip."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as bundle:
        for page in range(N_PAGES):
            number = day * N_PAGES + page
            text = "".join(f"<p>{sentence}</p>" for sentence in (*sentences_of(day, page), *([SHARED] * (day == 0))))
            html = f"<title>Page {number}</title>{text}<img src='{number}.jpg' alt='Picture {number}'>"
            bundle.writestr(zipfile.ZipInfo(page_name(day, page)), html)
            bundle.writestr(zipfile.ZipInfo(f"{number}.jpg"), picture(number))
    bucket.put(f"raw/{DAYS[day]}/site/pages.zip", content.getvalue())


def unit(text: str) -> np.ndarray:
    """A unit vector of its own for each text or key."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    row = np.random.default_rng(seed).standard_normal(DIM)
    return (row / np.linalg.norm(row)).astype(np.float16)


def run_day(bucket: Bucket, day: str, *, ingested: bool = True) -> int:
    """A day from raw to pairs, or only what follows ingestion; returns how many images were searched or made anew."""
    if ingested:
        ingest(day)
    curate(bucket, day)
    cluster(bucket, day)
    return pair(bucket, day)


def ingest(day: str) -> None:
    _publish(extraction, stage_ingested(day))


def stage_ingested(day: str, **changes: Any) -> Any:
    """Everything before the audit; likewise for the other Dags."""
    works = extraction.plan.function(partition_key=day, params=_form(params.INGEST) | changes)
    return [extraction.extract.function(fetching.fetch.function(work)) for work in works]


def curate(bucket: Bucket, day: str) -> None:
    _publish(curation, stage_curated(bucket, day))


def stage_curated(bucket: Bucket, day: str, **changes: Any) -> Any:
    works = curation.plan.function(partition_key=day, params=_form(params.CURATE) | changes)
    for work in works:
        staging = Staging(bucket, work["staging"])
        chosen = curation._chosen(staging)
        rows = curation._shard_rows(staging, chosen, int(work["shard"]))
        vectors = np.array([unit(row["key"]) for row in rows])
        embeddings = [
            {name: row[name] for name in ("key", "day", "n_nodes")}
            | {"n_pixels": row["width"] * row["height"], "phash": picture_hash(row["data"]), "vector_hash": same,
               "embedding": vector, "visual": vector}
            for row, vector, same in zip(rows, vectors, vector_identity(vectors).tolist(), strict=True)
        ]  # fmt: skip
        tables = {
            "scores": pa.Table.from_pylist(rows, schema=schemas.IMAGE_SCORES),
            "embeddings": pa.Table.from_pylist(embeddings, schema=schemas.image_embeddings(DIM, DIM)),
        }
        n = sum(row["n_nodes"] for row in rows)
        staging.write(curation.STAGE, work["shard"], tables, {"images.in": n, "images.kept": n})
    return _groups(curation, works)


def cluster(bucket: Bucket, day: str) -> None:
    _publish(clustering, stage_clustered(bucket, day))


def stage_clustered(bucket: Bucket, day: str, **changes: Any) -> Any:
    works = clustering.plan.function(partition_key=day, params=_form(params.CLUSTER) | changes)
    for work in works:
        staging = Staging(bucket, work["staging"])
        rows = Corpus(bucket).read("sentences", ["key", "day", "text", "n_nodes"], day=day).to_pylist()
        scored = {"n_words": 12, "language": "en", "language_score": 0.9, "n_relations": 2, "n_actions": 1,
                  "entropy": 0.6, "perplexity": 80.0}  # fmt: skip
        texts = [row["text"] for row in rows]
        vectors = np.array([unit(text) for text in texts])
        hashes = zip(text_bands(texts), vectors, vector_identity(vectors).tolist(), strict=True)
        embeddings = [
            row | {"letters_hash": text_identity(row["text"]), "bands": bands, "vector_hash": same, "embedding": vector}
            for row, (bands, vector, same) in zip(rows, hashes, strict=True)
        ]
        words: dict[str, int] = defaultdict(int)
        for row in rows:
            for word in word_tokens(row["text"]):
                words[word] += row["n_nodes"]
        table = pa.table({"word": sorted(words), "count": pa.array([words[w] for w in sorted(words)], pa.int64())})
        n = sum(row["n_nodes"] for row in rows)
        counts = {"sentences.in": n, "sentences.kept": n}
        staging.write(FILTER, work["shard"], {"sentences": pa.Table.from_pylist(rows), "words": table}, counts)
        tables = {
            "scores": pa.Table.from_pylist([row | scored for row in rows], schema=schemas.SENTENCE_SCORES),
            "embeddings": pa.Table.from_pylist(embeddings, schema=schemas.sentence_embeddings(DIM, N_BANDS)),
        }
        staging.write(SCORE, work["shard"], tables, counts)
    return _groups(clustering, clustering.count_words.function(works))


def pair(bucket: Bucket, day: str) -> int:
    works, n_made = stage_paired(bucket, day)
    _publish(pairing, works)
    return n_made


def stage_paired(bucket: Bucket, day: str, **changes: Any) -> tuple[Any, int]:
    """And how many images were searched or made anew."""
    chosen = _form(params.PAIR) | changes
    works = retrieval.prepare.function(retrieval.plan.function(partition_key=day, params=chosen))
    works = retrieval.collect.function([retrieval.retrieve.function(work) for work in works])
    n_made = 0
    for work in works:
        staging = Staging(bucket, work["staging"])
        mine = set(staging_json(staging, f"shards-{work['retrieved']}.json")[work["shard"]])
        rows = staging.read_shard(retrieval.COLLECT, work["retrieved"], "texts").to_pylist()
        rows = [row for row in rows if row["key"] in mine]
        n_made += len(rows)
        for row in rows:
            row |= {"caption": "a picture", "tags": ["picture"], "syn_origin": "rewriter", "syn_similarity": 0.3,
                    "syn_text": f"In the picture: {row['texts'][0]}"}  # fmt: skip
        answers = [
            {"key": answer_key(row["key"] + row["syn_text"]), "day": row["day"], "model": "rules", "prompt": "p",
             "n_try": 1, "answer": row["syn_text"], "finish": "stop"}
            for row in rows
        ]  # fmt: skip
        tables = {
            "pairs": pa.Table.from_pylist(rows, schema=schemas.PAIRS),
            "answers": pa.Table.from_pylist(sorted(answers, key=lambda row: row["key"]), schema=schemas.ANSWERS),
        }
        staging.write(retrieval.SYNTHESIZE, work["shard"], tables, {"images": len(rows)})
    return works, n_made


def make_release(**changes: Any) -> str:
    shards = stage_release(**changes)
    work = sampling.audit.function(shards)
    sampling.publish.function(work, outlet_events=defaultdict(SimpleNamespace))
    return work["shard"]


def stage_release(**changes: Any) -> Any:
    chosen = _form(params.RELEASE) | {"share": 1.0, "lower_quantile": 0.0, "upper_quantile": 1.0} | changes
    work = sampling.plan.function(sampling.fit.function(params=chosen), params=chosen)
    return [sampling.export.function(shard) for shard in sampling.select.function(work)]


def staging_json(staging: Staging, name: str) -> Any:
    import json

    return json.loads(staging.get(name))


def _form(form: dict[str, Any]) -> dict[str, Any]:
    return {name: param.value for name, param in form.items()}


def _publish(module: Any, works: Any) -> None:
    module.publish.function(module.audit.function(works), outlet_events=defaultdict(SimpleNamespace))


def _groups(module: Any, embedded: list[Any]) -> Any:
    assigned = [module.assign.function(work) for work in module.fit.function(embedded)]
    return module.deduplicate.function([module.link.function(work) for work in module.arrange.function(assigned)])
