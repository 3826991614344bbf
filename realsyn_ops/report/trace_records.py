"""An image or a sentence by itself: what it is, where it stands, what each step said of it."""

import hashlib
from dataclasses import asdict
from typing import Any

from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.report.places import quoted
from realsyn_ops.report.rejects import Query, describe
from realsyn_ops.report.trace_keys import Asked
from realsyn_ops.report.trace_places import places_of
from realsyn_ops.report.trace_steps import group_step, pair_step, quality_steps, rows_of
from realsyn_ops.thresholds import STEPS

Facts = dict[str, Any]


def trace_image(corpus: Corpus, key: str) -> Facts:
    """``image`` tells the stored bytes, which are the raw ones, by their sha256; None when the corpus has it not."""
    about = rows_of(corpus, "images", key, ["format", "width", "height"])
    n_places, places = places_of(corpus, "image_nodes", key)
    steps = [*quality_steps(corpus, "images", key), *group_step(corpus, "images", key), *pair_step(corpus, key)]
    return {
        "kind": "image",
        "key": key,
        "days": [row["day"] for row in about],
        "image": _image(corpus, about[0]) if about else None,
        "n_places": n_places,
        "places": places,
        "steps": steps,
    }


def trace_sentence(corpus: Corpus, key: str) -> Facts:
    """``measured_by``: which parser and language model gave the scores."""
    about = rows_of(corpus, "sentences", key, ["text"])
    n_places, places = places_of(corpus, "sentence_nodes", key)
    measured = rows_of(corpus, "sentence_measures", key, ["parsed_by", "scored_by"])
    return {
        "kind": "sentence",
        "key": key,
        "days": [row["day"] for row in about],
        "text": about[0]["text"] if about else "",
        "n_places": n_places,
        "places": places,
        "measured_by": {name: measured[0][name] for name in ("parsed_by", "scored_by")} if measured else None,
        "steps": [*quality_steps(corpus, "sentences", key), *group_step(corpus, "sentences", key)],
    }


def trace_refused(corpus: Corpus, asked: Asked) -> Facts:
    """What `ingest_documents` refused: place, reason and limit. Its bytes were never kept."""
    stage, table = ("extract", "rejects") if asked.kind == "reject" else ("fetch", "fetches")
    columns = [name for name in getattr(schemas, table.upper()).names if name not in {"key", "day"}]
    found: list[Facts] = []
    for row in rows_of(corpus, table, asked.key, columns):
        if row["reason"] is None:
            found.append(row)
            continue
        of = "URLs" if stage == "fetch" else "documents" if row["node"] < 0 else "images"
        step = next(step for step in STEPS if (step.stage, step.of) == (stage, of))
        found += [row | asdict(one) for one in describe(corpus, step, Query(), [row])]
    return {"kind": asked.kind, "key": asked.key, "rejects": found}


def _image(corpus: Corpus, about: Facts) -> Facts:
    found = {name: about[name] for name in ("format", "width", "height")}
    for table in corpus.scan("images", ["data"], day=about["day"], where=f"key = {quoted(about['key'])}"):
        for data in table["data"].to_pylist():
            found |= {"n_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return found
