"""What a takedown reaches, told before; and the proof that it is gone, told afterwards. Neither holds what went."""

import hashlib
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from realsyn_ops.io.answers import ARRIVED
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.takedowns import TAKEDOWNS, TOMBSTONES, needles_key
from realsyn_ops.takedown.find import Found, Work, by_kind
from realsyn_ops.takedown.needles import MIN_TEXT_BYTES, Needles
from realsyn_ops.takedown.releases import releases_with
from realsyn_ops.takedown.scan import Trace, scan
from realsyn_ops.tombstones import count_of

_MAX_TOLD = 1_000
_OWN = (TAKEDOWNS, TOMBSTONES)
_LEFT_ALONE = ("raw/", "releases/")
_STAGED_KEYS = ("staging/", ARRIVED)

Facts = dict[str, Any]


def reach(corpus: Corpus, found: Found) -> Facts:
    """What would go, what would be made anew, which releases and raw files hold it."""
    work = found.work
    images, sentences = set(work.images), set(work.sentences)
    n_gone = n_again = 0
    for part in corpus.scan("pairs", ["key", "text_keys"]):
        for row in part.to_pylist():
            n_gone += row["key"] in images
            n_again += row["key"] not in images and not sentences.isdisjoint(row["text_keys"])
    return {
        "id": found.tombstone.id,
        "blocks": count_of(found.tombstone),
        "documents": len(work.documents),
        "images": len(work.images),
        "sentences": len(work.sentences),
        "standing_elsewhere": len(work.recounted),
        "pairs": n_gone,
        "pairs_made_anew": n_again,
        "days": work.days,
        "keys": {name: getattr(work, name)[:_MAX_TOLD] for name in ("documents", "images", "sentences")},
        "raw": raw_files(found.places),
        "releases": releases_with(corpus.bucket, work.images, work.sentences),
    }


def prove(corpus: Corpus, work: Work, found: Facts, needles: pa.Table) -> Facts:
    """Look through the bucket's bytes for all of it. ``found`` is what `find` told and what was in the tables then."""
    bucket = corpus.bucket
    but = (*_LEFT_ALONE, needles_key(found["reach"]["id"]))
    items = [item for item in bucket.list("") if not item.key.startswith(but)]
    traces = [trace for trace in scan(bucket, Needles(needles), items) if not _is_allowed(trace)]
    after = {name: corpus.n_rows(name) for name in found["rows"]}
    digests = [hashlib.sha256(data).hexdigest() for data in needles["data"].to_pylist()]
    return {
        **found["reach"],
        "releases": releases_with(bucket, work.images, work.sentences),
        "looked_for": by_kind(needles),
        "digest_of_what_was_looked_for": hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest(),
        "texts_looked_for_as_whole_values_only": sum(
            kind == "text" and len(data) < MIN_TEXT_BYTES
            for kind, data in zip(needles["kind"].to_pylist(), needles["data"].to_pylist(), strict=True)
        ),
        "looked_through": {"objects": len(items), "bytes": sum(item.n_bytes for item in items)},
        "not_looked_through": list(_LEFT_ALONE),
        "rows": {name: {"before": n, "after": after[name]} for name, n in found["rows"].items() if n != after[name]},
        "traces": [asdict(trace) for trace in traces[:_MAX_TOLD]],
        "n_traces": len(traces),
        "is_gone": not traces,
    }


def raw_files(places: list[Facts]) -> list[Facts]:
    """The raw files that hold it, each with its records: as a whole, or a part of them."""
    files: dict[str, Facts] = {}
    for place in places:
        about = files.setdefault(
            place["file"],
            {"file": place["file"], "day": place["day"], "documents": place["of"], "whole": [], "in_part": []},
        )
        about["whole" if place["whole"] else "in_part"].append(place["record"])
    for about in files.values():
        about["what_to_do"] = (
            "delete the file, or run takedown with delete_raw: it holds nothing else"
            if len(about["whole"]) == about["documents"]
            else "replace the file by one without these records; loose pages go with delete_raw"
            if about["whole"]
            else "the documents stay; the file holds what was taken out of them"
        )
    return list(files.values())[:_MAX_TOLD]


def _is_allowed(trace: Trace) -> bool:
    """A key tells nothing by itself: tombstones and reports name it, and runs staged it."""
    return trace.kind == "key" and trace.place.startswith((*_OWN, *_STAGED_KEYS))
