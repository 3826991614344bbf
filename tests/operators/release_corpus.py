"""Pairs to release from: uneven groups of pictures that look alike, written through the real tables."""

import io

import numpy as np
import pyarrow as pa
from PIL import Image

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.records import image_key, sentence_key
from tests.report.small_corpus import FIRST, SECOND, Row, publish

N_GROUPS, DIM = 6, 16


def picture(number: int) -> bytes:
    """The picture of a number, a JPEG of its own."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).resize((160, 120)).save(content, "JPEG")
    return content.getvalue()


def group_of(number: int) -> int:
    """Half of all are in the first group, half of the others in the second, and so on."""
    share = np.random.default_rng(number + 10_000).random()
    return min(N_GROUPS - 1, int(-np.log2(max(share, 1e-9))))


def write_pairs(bucket: Bucket, numbers: list[int]) -> dict[str, int]:
    """A corpus of these pictures, even numbers on the first day; each key's number."""
    corpus = Corpus(bucket)
    rows: list[Row] = []
    for number in numbers:
        data = picture(number)
        rows.append({"number": number, "key": image_key(data), "day": (FIRST, SECOND)[number % 2], "data": data})
    common = [{"key": row["key"], "day": row["day"], "n_nodes": 1} for row in rows]
    publish(
        corpus,
        "documents",
        [
            {"key": f"d{day}", "day": day, "source": "s", "file": f"raw/{day}/s/a.zip", "record": "a.html",
             "url": "https://example.org/a.html", "title": "", "n_images": 1, "n_sentences": 1}
            for day in (FIRST, SECOND)
        ],
    )  # fmt: skip
    about = {"url": "", "alt": "", "caption": ""}
    nodes = [
        {"key": r["key"], "day": r["day"], "document_key": f"d{r['day']}", "node": r["number"],
         "src": f"{r['number']}.jpg", **about}
        for r in rows
    ]  # fmt: skip
    publish(corpus, "image_nodes", nodes)
    publish(
        corpus,
        "images",
        [
            {**c, "data": r["data"], "format": "JPEG", "width": 160, "height": 120}
            for c, r in zip(common, rows, strict=True)
        ],
    )
    publish(corpus, "curated_images", [{**c, "cluster": 0, "reason": None} for c in common])
    publish(
        corpus,
        "image_embeddings",
        [
            {**c, "n_pixels": 19_200, "phash": r["number"], "vector_hash": r["number"], "embedding": [1.0, 0.0],
             "visual": _look(r["number"])}
            for c, r in zip(common, rows, strict=True)
        ],
        schemas.image_embeddings(2, DIM),
    )  # fmt: skip
    pairs = [_pair(row) for row in rows]
    publish(corpus, "pairs", pairs)
    sentences = [
        {"key": key, "day": pair["day"], "text": text, "n_nodes": 1, "cluster": 0, "reason": None}
        for pair in pairs
        for key, text in zip(pair["text_keys"], pair["texts"], strict=True)
    ]
    publish(corpus, "sentence_clusters", sentences)
    publish(corpus, "sentences", [{name: s[name] for name in ("key", "day", "text", "n_nodes")} for s in sentences])
    places = [
        {"key": s["key"], "day": s["day"], "document_key": f"d{s['day']}", "node": 1, "position": i}
        for i, s in enumerate(sentences)
    ]
    publish(corpus, "sentence_nodes", places)
    return {row["key"]: row["number"] for row in rows}


def _look(number: int) -> list[float]:
    vector = np.zeros(DIM)
    vector[group_of(number)] = 1.0
    vector[N_GROUPS:] = np.random.default_rng(number).normal(size=DIM - N_GROUPS) * 0.2
    return (vector / np.linalg.norm(vector)).astype(np.float16).tolist()


def _pair(row: Row) -> Row:
    texts = [f"Sentence {rank} of picture {row['number']}." for rank in range(3)]
    return {
        "key": row["key"],
        "day": row["day"],
        "cluster": 0,
        "text_keys": [sentence_key(text) for text in texts],
        "texts": texts,
        "similarities": [0.9, 0.8, 0.7],
        "caption": "a picture",
        "tags": [f"group {group_of(row['number'])}", "picture"],
        "syn_text": f"Picture {row['number']} of a thing.",
        "syn_origin": "template",
        "syn_reason": "",
        "syn_similarity": np.float32(np.random.default_rng(row["number"]).random()),
        "reason": None,
        "made_by": "m",
    }


def selection(bucket: Bucket, prefix: str) -> pa.Table:
    """A staged run's selection."""
    from realsyn_ops.io.shards import Staging

    return Staging(bucket, prefix).read_shard("select", "all", "selection")
