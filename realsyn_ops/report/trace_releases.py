"""Which releases have a record, and what the newest one said of an image."""

from pathlib import PurePosixPath
from typing import Any

import pyarrow.compute as pc

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import TEXT_KEYS, find_row, read_row, read_selection, rows_with_text
from realsyn_ops.io.releases import Release, newest, read_manifest, releases, revocation
from realsyn_ops.report.places import quoted
from realsyn_ops.report.trace_keys import Asked
from realsyn_ops.thresholds import RELEASE, STEPS, threshold_of

Facts = dict[str, Any]
MAX_USES = 100


def image_in_releases(corpus: Corpus, key: str) -> list[Facts]:
    """Releases that have the image, the one published last at the end, with its tar and the texts that it has there."""
    found = []
    for release in releases(corpus.bucket):
        if there := find_row(corpus.bucket, release.version, key):
            path, row = there
            texts = {name: row[name] for name in (*TEXT_KEYS, "syn_text")}
            found.append(_release(release) | {"sample": _sample_name(release.version, path, key), **texts})
    return found


def sentence_in_releases(corpus: Corpus, key: str) -> list[Facts]:
    """Releases that have the sentence as a text of an image: how many, and the first of them."""
    found = []
    for release in releases(corpus.bucket):
        if uses := rows_with_text(corpus.bucket, release.version, key):
            samples = [
                {"sample": _sample_name(release.version, use["file"], use["key"]), "rank": use["rank"]}
                for use in uses[:MAX_USES]
            ]
            found.append(_release(release) | {"n_uses": len(uses), "uses": samples})
    return found


def pairs_with(corpus: Corpus, key: str) -> Facts:
    """Pairs in force that have the sentence as a text."""
    where = f"array_has(text_keys, {quoted(key)})"
    columns = ["key", "day", "text_keys", "similarities"]
    rows = [row for table in corpus.scan("pairs", columns, where=where) for row in table.to_pylist()]
    uses = [
        {"key": row["key"], "day": row["day"], "rank": place + 1, "similarity": row["similarities"][place]}
        for row in sorted(rows, key=lambda row: row["key"])
        for place in [row["text_keys"].index(key)]
    ]
    return {"n_uses": len(uses), "uses": uses[:MAX_USES]}


def release_step(corpus: Corpus, key: str) -> Facts | None:
    """What the newest release said of a pair, while its staging is there; None where it was no candidate."""
    version = newest(corpus.bucket)
    selection = read_selection(corpus.bucket, version)
    rows = selection.filter(pc.equal(selection["key"], key)).to_pylist() if selection is not None else []
    if not rows:
        return None
    (row,) = rows
    step = next(step for step in STEPS if step.stage == "release")
    manifest = read_manifest(corpus.bucket, version)
    solved = {name: manifest["selection"].get(name) for name in ("lower", "upper", "cap")}
    limit = threshold_of(step, row["reason"], solved) if row["reason"] else None
    return {
        "stage": step.stage,
        "of": step.of,
        "part": f"newest, {version}",
        "day": row["day"],
        "reason": row["reason"],
        "limit": limit[0] if limit else None,
        "threshold": limit[1] if limit else None,
        "plan": plan_of_release(version, manifest),
        "scores": [
            {"score": "syn_similarity", "value": row["similarity"],
             "limits": {name: solved[name] for name in ("lower", "upper")}},
        ],
        "value": row["similarity"],
        "cluster": row["cluster"],
    }  # fmt: skip


def find_sample(corpus: Corpus, asked: Asked) -> Facts | None:
    """The release's row of a sample; None when the tar has it not."""
    row = read_row(corpus.bucket, asked.version, asked.path, asked.key)
    if row is None:
        return None
    manifest = read_manifest(corpus.bucket, asked.version)
    return {
        "name": _sample_name(asked.version, asked.path, asked.key),
        "revoked": revocation(corpus.bucket, asked.version),
        "plan": plan_of_release(asked.version, manifest),
        "models": manifest.get("models", {}),
        "row": row,
    }


def plan_of_release(version: str, manifest: Facts) -> Facts:
    """What tells a release's plan from others; its digest's first digits are part of the version."""
    plan = manifest.get("plans", {}).get(RELEASE, {})
    told = {name: plan.get(name) for name in ("code", "inputs", "preset", "seed")}
    return {"dag": RELEASE, "day": "", "digest": version.rpartition("-")[2], **told}


def _release(release: Release) -> Facts:
    return {"version": release.version, "published": release.published, "revoked": release.revoked}


def _sample_name(version: str, path: str, key: str) -> str:
    return f"{version}/{PurePosixPath(path).stem}.tar/{key}"
