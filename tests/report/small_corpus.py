"""A corpus of two days written through the real tables, with a reject of every kind whose value can be checked."""

import io
from typing import Any

import pyarrow as pa
from PIL import Image

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import record_plan
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import ClusterPlan, CuratePlan, IngestPlan, PairPlan, Plan

FIRST, SECOND = "2025-02-18", "2025-02-19"
HOSTILE = "<script>alert(1)</script> it's \x1b[31mred"

Row = dict[str, Any]


def jpeg(side_px: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (10, 120, 200)).save(content, "JPEG")
    return content.getvalue()


def publish(corpus: Corpus, name: str, rows: list[Row], schema: pa.Schema | None = None) -> None:
    schema = schema or getattr(schemas, name.upper())
    days: dict[str, Any] = {}
    for day in sorted({row["day"] for row in rows}):
        of_day = sorted((row for row in rows if row["day"] == day), key=lambda row: row["key"])
        table = pa.Table.from_pylist(of_day, schema=schema)
        days[day] = lambda columns, table=table: [table.select(columns)]
    corpus.publish(name, schema, days)


def record(bucket: Bucket, dag: str, plan: Plan) -> None:
    record_plan(Staging.create(bucket, dag, plan.day, plan))  # type: ignore[attr-defined]


def plans(bucket: Bucket) -> None:
    """Day by day, the second with other limits."""
    common = {"inputs": "in", "code": "c0de"}
    for day, side, words, near in ((FIRST, 100, 81, 0.9), (SECOND, 120, 40, 0.8)):
        record(bucket, "ingest_documents", IngestPlan(day=day, max_nodes=side, **common))
        record(bucket, "curate_images", CuratePlan(day=day, min_side_px=side, min_visual_similarity=near, **common))
        record(bucket, "cluster_sentences", ClusterPlan(day=day, max_words=words, min_similarity=near, **common))
        record(bucket, "pair_texts", PairPlan(day=day, **common))


def image(key: str, day: str, width: int, height: int, reason: str | None = None, value: float | None = None) -> Row:
    return {"key": key, "day": day, "n_nodes": 1, "width": width, "height": height, "reason": reason, "value": value}


def sentence(
    key: str, day: str, n_words: int, reason: str | None = None, value: float | None = None, **more: Any
) -> Row:
    values = {"key": key, "day": day, "n_nodes": 1, "n_words": n_words, "reason": reason, "value": value}
    return values | more


MEASURED: Row = {"language_score": 0.9, "n_relations": 2, "n_actions": 1, "entropy": 0.5, "perplexity": 80.0}

IMAGES = [
    image("i-good", FIRST, 300, 300),
    image("i-small", FIRST, 60, 300, "image_too_small", 60.0),
    image("i-wide", FIRST, 800, 200, "image_aspect", 4.0),
    image("i-twin", FIRST, 200, 200),
    image("i-like", FIRST, 200, 200),
    image("i-late", SECOND, 110, 110, "image_too_small", 110.0),
    image("i-damaged", SECOND, 90, 90, "image_too_small", 90.0),
]
SENTENCES = [
    sentence("s-good", FIRST, 9, **MEASURED),
    sentence("s-long", FIRST, 90, "too_many_words", 90.0),
    sentence("s-web", FIRST, 5, "url", 1.0),
    sentence("s-dull", FIRST, 12, "low_perplexity", 20.0, **MEASURED | {"perplexity": 20.0}),
    sentence("s-bare", FIRST, 6, "no_action", 0.0, language_score=0.8, n_relations=1, n_actions=0),
    sentence("s-menu", FIRST, 7, "boilerplate", 0.5, language_score=0.8, site_share=0.5) | {"n_nodes": 3},
    sentence("s-same", FIRST, 9, **MEASURED),
    sentence("s-near", SECOND, 9, **MEASURED),
    sentence("s-wordy", SECOND, 50, "too_many_words", 50.0),
]


def write_corpus(bucket: Bucket) -> Corpus:
    corpus = Corpus(bucket)
    plans(bucket)
    documents = [
        ("d-1", FIRST, "manuals", "a.html"),
        ("d-2", FIRST, "o'wiki", "b.html"),
        ("d-3", SECOND, "manuals", "c.html"),
    ]
    publish(
        corpus,
        "documents",
        [
            {"key": key, "day": day, "source": source, "file": f"raw/{day}/{source}/pages.zip", "record": record,
             "url": f"https://example.org/{record}", "title": "", "n_images": 1, "n_sentences": 1}
            for key, day, source, record in documents
        ],
    )  # fmt: skip
    reject = {"stage": "extract", "source": "manuals", "file": f"raw/{FIRST}/manuals/pages.zip", "record": "a.html"}
    publish(
        corpus,
        "rejects",
        [
            {"key": "r-1", "day": FIRST, "reason": "too_many_nodes", "document_key": "", "node": -1,
             "detail": "more than 100 nodes", **reject},
            {"key": "r-2", "day": FIRST, "reason": "image_missing", "document_key": "d-1", "node": 4,
             "detail": HOSTILE, **reject},
            {"key": "r-3", "day": FIRST, "reason": "fetch_not_found", "document_key": "d-1", "node": 6,
             "detail": "status 404", **reject},
        ],
    )  # fmt: skip
    fetch = {"final_url": "", "host": "pics.example", "etag": "", "last_modified": "", "n_tries": 1}
    publish(
        corpus,
        "fetches",
        [
            {"key": "u-1", "day": FIRST, "url": "https://pics.example/gone.jpg", "status": 404, "n_bytes": 0,
             "reason": "fetch_not_found", "detail": "status 404", "image_key": None, **fetch},
            {"key": "u-2", "day": FIRST, "url": "https://pics.example/there.jpg", "status": 200, "n_bytes": 9,
             "reason": None, "detail": "", "image_key": "i-good", **fetch},
        ],
    )  # fmt: skip
    document_of = {"i-wide": "d-2", "s-dull": "d-2", FIRST: "d-1", SECOND: "d-3"}
    of = lambda row: document_of.get(row["key"], document_of[row["day"]])  # noqa: E731
    about = {"src": "", "url": "", "alt": "", "caption": ""}
    publish(
        corpus,
        "image_nodes",
        [{"key": r["key"], "day": r["day"], "document_key": of(r), "node": 2, **about} for r in IMAGES],
    )
    publish(
        corpus,
        "sentence_nodes",
        [
            {"key": r["key"], "day": r["day"], "document_key": of(r), "node": 3 + i, "position": 0}
            for r in SENTENCES
            for i in range(r["n_nodes"])
        ],
    )
    kept = ["key", "day", "n_nodes", "width", "height"]
    publish(
        corpus,
        "images",
        [
            {name: r[name] for name in kept}
            | {"format": "JPEG", "data": b"no picture" if r["key"] == "i-damaged" else jpeg(min(r["width"], 40))}
            for r in IMAGES
        ],
    )
    texts = {"s-web": HOSTILE}
    publish(
        corpus,
        "sentences",
        [
            {
                "key": r["key"],
                "day": r["day"],
                "n_nodes": r["n_nodes"],
                "text": texts.get(r["key"], f"text of {r['key']}"),
            }
            for r in SENTENCES
        ],
    )
    publish(corpus, "image_scores", IMAGES)
    publish(corpus, "sentence_scores", SENTENCES)
    vector = {"embedding": [1.0, 0, 0, 0], "visual": [1.0, 0, 0, 0]}
    publish(
        corpus,
        "image_embeddings",
        [
            {"key": key, "day": FIRST, "n_nodes": 1, "n_pixels": 1, "phash": phash, "vector_hash": phash, **vector}
            for key, phash in (("i-good", 0b1111), ("i-twin", 0b1100), ("i-like", 2**63 + 2**20))
        ],
        schemas.image_embeddings(4, 4),
    )
    group = {"n_nodes": 1, "reason": None, "similarity": 1.0}
    publish(
        corpus,
        "curated_images",
        [
            {**group, "key": "i-good", "day": FIRST, "survivor": "i-good", "n_nodes": 3},
            {
                **group,
                "key": "i-twin",
                "day": FIRST,
                "survivor": "i-good",
                "reason": "perceptual_duplicate",
                "similarity": 0.7,
            },
            {
                **group,
                "key": "i-like",
                "day": FIRST,
                "survivor": "i-good",
                "reason": "semantic_duplicate",
                "similarity": 0.85,
            },
        ],
    )
    clustered = {**group, "cluster": 0, "centroid_similarity": 0.5}
    publish(
        corpus,
        "sentence_clusters",
        [
            {**clustered, "key": "s-good", "day": FIRST, "survivor": "s-good", "text": "good"},
            {**clustered, "key": "s-same", "day": FIRST, "survivor": "s-good", "text": "Good.",
             "reason": "perceptual_duplicate"},
            {**clustered, "key": "s-near", "day": SECOND, "survivor": "s-good", "text": "fine",
             "reason": "semantic_duplicate", "similarity": 0.82},
        ],
    )  # fmt: skip
    publish(
        corpus,
        "pairs",
        [{"key": "i-good", "day": FIRST, "cluster": 0, "text_keys": ["s-good"], "texts": ["good"],
          "similarities": [0.3], "reason": "too_few_texts", "made_by": "x"}],
    )  # fmt: skip
    return corpus
