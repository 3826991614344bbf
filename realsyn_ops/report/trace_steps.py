"""What each step of the flow said of one record: its scores beside the limits of the plan, its group, its reason.

A step is a dict of plain values with ``stage, of, part, day, plan, scores, reason`` and, where it was refused,
``limit`` and ``threshold``; a step that the record never came to is not there.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import plan_record
from realsyn_ops.report.places import quoted
from realsyn_ops.report.reject_values import measured_values
from realsyn_ops.thresholds import STEPS, Step, threshold_of

Facts = dict[str, Any]
MAX_MEMBERS = 100
_MEASURE = "corpus/retrieval.json"

_SCORES: dict[str, dict[str, tuple[str, ...]]] = {
    "images": {
        "shorter_side_px": ("min_side_px",), "aspect": ("max_aspect",),
        "text_share": (), "sharpness": (), "flatness": (),
    },
    "sentences": {
        "n_words": ("min_words", "max_words"), "language_score": ("min_language_score",),
        "site_share": ("max_site_share",), "n_relations": ("min_relations",), "n_actions": ("min_actions",),
        "entropy": ("min_entropy",), "perplexity": ("min_perplexity", "max_perplexity"),
    },
}  # fmt: skip
"""Scores of the quality steps in the order of their rules, and the plan's limits that they are held against."""

_QUALITY = {
    "images": ["width", "height", "text_share", "sharpness", "flatness", "value", "detail", "reason", "n_nodes"],
    "sentences": [*_SCORES["sentences"], "language", "value", "reason", "n_nodes"],
}
_GROUPS = {"images": "curated_images", "sentences": "sentence_clusters"}
_SIMILARITY_LIMITS = {
    "images": ("max_hash_distance", "min_visual_similarity"), "sentences": ("min_jaccard", "min_similarity"),
}  # fmt: skip


def quality_steps(corpus: Corpus, of: str, key: str) -> Iterator[Facts]:
    """The verdict of the quality rules on each day that has the record."""
    step = _step(of, "quality")
    table = "image_scores" if of == "images" else "sentence_scores"
    for row in rows_of(corpus, table, key, _QUALITY[of]):
        plan = plan_record(corpus.bucket, step.dag, row["day"])
        values = plan["plan"] if plan else {}
        if of == "images":
            sides = sorted((row["width"], row["height"]))
            row |= {"shorter_side_px": sides[0], "aspect": round(sides[1] / max(1, sides[0]), 4)}
        scores = [
            {"score": name, "value": row[name], "limits": {limit: values.get(limit) for limit in limits}}
            for name, limits in _SCORES[of].items()
        ]
        yield _said(step, row, plan) | {"scores": scores, "value": row["value"], "detail": row.get("detail") or ""}


def group_step(corpus: Corpus, of: str, key: str) -> Iterator[Facts]:
    """The record's group of near-duplicates: who survives, how near it is, who else is in it."""
    step = _step(of, "redundancy")
    columns = ["survivor", "similarity", "cluster", "centroid_similarity", "reason", "n_nodes"]
    for row in rows_of(corpus, _GROUPS[of], key, columns):
        plan = plan_record(corpus.bucket, step.dag)
        values = plan["plan"] if plan else {}
        where = f"survivor = {quoted(row['survivor'])}"
        members = [
            {name: one[name] for name in ("key", "day", "reason", "similarity")}
            for table in corpus.scan(_GROUPS[of], ["key", "day", "reason", "similarity"], where=where)
            for one in table.to_pylist()
        ]
        members.sort(key=lambda one: (one["reason"] is not None, one["key"]))
        value = measured_values(corpus, step, [row]).get((key, row["day"])) if row["reason"] else None
        yield _said(step, row, plan) | {
            "scores": [
                {"score": "similarity to survivor", "value": row["similarity"],
                 "limits": {limit: values.get(limit) for limit in _SIMILARITY_LIMITS[of]}}
            ],
            "value": value,
            "survivor": row["survivor"],
            "cluster": row["cluster"],
            "centroid_similarity": row["centroid_similarity"],
            "codebook": values.get("codebook", ""),
            "n_members": len(members),
            "members": members[:MAX_MEMBERS],
        }  # fmt: skip


def pair_step(corpus: Corpus, key: str) -> Iterator[Facts]:
    """Whether an image was given its texts: by which plan, and what is kept of the search."""
    step = _step("images", "")
    names = ("n_probes", "target_recall", "max_text_similarity", "own_document", "max_uses")
    for row in rows_of(corpus, "pairs", key, ["cluster", "text_keys", "reason"]):
        plan = plan_record(corpus.bucket, step.dag)
        values = plan["plan"] if plan else {}
        measured = corpus.bucket.find(_MEASURE)
        n_texts = len(row["text_keys"])
        yield _said(step, row, plan) | {
            "scores": [{"score": "n_texts", "value": n_texts, "limits": {"n_texts": values.get("n_texts")}}],
            "value": n_texts,
            "cluster": row["cluster"],
            "codebook": values.get("codebook", ""),
            "search": {name: values.get(name) for name in names} | (json.loads(measured) if measured else {}),
        }


def rows_of(corpus: Corpus, table: str, key: str, columns: list[str]) -> list[Facts]:
    """A key's rows in order of day, with ``key`` and ``day``; none where the table is not there."""
    wanted = ["key", "day", *columns]
    found = [row for part in corpus.scan(table, wanted, where=f"key = {quoted(key)}") for row in part.to_pylist()]
    return sorted(found, key=lambda row: row["day"])


def _said(step: Step, row: Mapping[str, Any], plan: Facts | None) -> Facts:
    limit = threshold_of(step, row["reason"], plan["plan"] if plan else None) if row["reason"] else None
    return {
        "stage": step.stage,
        "of": step.of,
        "part": step.part,
        "day": row["day"],
        "reason": row["reason"],
        "limit": limit[0] if limit else None,
        "threshold": limit[1] if limit else None,
        "plan": plan_facts(plan),
    }


def plan_facts(record: Facts | None) -> Facts | None:
    """What tells a plan from others; None where none is recorded (tables of an older version)."""
    if record is None:
        return None
    told = {name: record["plan"].get(name) for name in ("code", "inputs", "preset", "seed")}
    return {"dag": record["dag"], "day": record["day"], "digest": record["digest"], **told}


def _step(of: str, part: str) -> Step:
    return next(s for s in STEPS if (s.of, s.part) == (of, part) and s.stage in {"curate", "cluster", "pair"})
