"""The removal: tables without what is taken down, and objects that hold it deleted. Twice the same as once.

Tombstones stand already, so that nothing comes back meanwhile. Nodes go first: what is left of them tells how often
the rest still stands anywhere.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from realsyn_ops.io.answers import ARRIVED
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.quarantine import ENTRIES
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedowns import read_tombstones
from realsyn_ops.records import image_key
from realsyn_ops.stages.takedown import Removal
from realsyn_ops.takedown.find import Work
from realsyn_ops.takedown.needles import Needles
from realsyn_ops.takedown.rejects import new_rejects, publish_rejects
from realsyn_ops.takedown.scan import scan

_KEPT = re.compile(r"corpus/(sightings|heads|balance-[0-9a-f]+)/(?:.*/)?(\d{4}-\d{2}-\d{2})-[0-9a-f]+")
_RULES = "corpus/plans/rules/pairs.json"
_OF_KEYS = ("staging/curate_images/", "staging/cluster_sentences/", "staging/pair_texts/")
"""Where a key alone is no trace: what these runs stage of all days."""
_NO_GALLERY = b'{"pairs": [], "rejects": {"images": {}, "sentences": {}}}'
Say = Callable[[str], None]


def remove_rows(corpus: Corpus, takedown: str, work: Work, texts: list[str], say: Say) -> dict[str, list[str]]:
    """Rewrite the days that hold it; returns the days that changed, by table."""
    message = json.dumps({"takedown": takedown})
    down = read_tombstones(corpus.bucket)
    if corpus.exists("documents"):
        publish_rejects(corpus, new_rejects(corpus, work, down), work, down, message=message)
    changed: dict[str, list[str]] = {}
    removal = _removal(work, down, texts, {})
    for name, (_, needs) in removal.edits().items():
        if not corpus.exists(name):
            continue
        if name == "documents":  # the nodes are gone by now
            removal = _removal(work, down, texts, _counts(corpus, work))
        edit = removal.edits()[name][0]
        days = corpus.days(name)
        found = corpus.rewrite(name, edit, needs=needs, days=days, message=message)
        if found:
            changed[name] = found
            say(f"{name}: {', '.join(found)}")
    return changed


def delete_objects(bucket: Bucket, needles: Needles, work: Work, say: Say) -> list[str]:
    """Whatever else holds it and can be made again: staging, kept arrays, Data Docs, lists of quarantine, lessons.
    Galleries are emptied: their thumbnails say not whose they are. Returns the folders and objects that are gone."""
    doomed = {
        item.key for item in bucket.list("corpus/") if (kept := _KEPT.fullmatch(item.key)) and kept[2] in work.days
    }
    roots = ("staging/", "reports/", "gates/", ENTRIES, "lessons/", ARRIVED)
    items = [item for root in roots for item in bucket.list(root)]
    for trace in scan(bucket, needles, items):
        if trace.kind != "key" or not trace.place.startswith(_OF_KEYS):
            doomed.add(_unit(trace.place))
    galleries = {item.key for item in bucket.list("reports/") if item.key.endswith("/gallery.json")}
    for key in galleries if work.images else galleries & doomed:
        bucket.put(key, _NO_GALLERY)
        say(f"emptied {key}")
    doomed -= galleries
    gone = []
    for unit in sorted(doomed):
        objects = [item.key for item in bucket.list(unit)] if unit.endswith("/") else [unit]
        for key in sorted(objects, key=lambda key: not key.endswith(("/plan.json", "manifest.json"))):
            bucket.delete(key)
        gone.append(unit)
        say(f"deleted {unit}")
    return gone


def delete_answers(bucket: Bucket, removal: Removal) -> int:
    """Answers that have arrived and were not taken in yet, without those that were written from what goes."""
    n_gone = 0
    for item in list(bucket.list(ARRIVED)):
        rows = json.loads(bucket.get(item.key))
        kept = [row for row in rows if not removal.is_written_from(row["answer"] or "")]
        if len(kept) < len(rows):
            n_gone += len(rows) - len(kept)
            if kept:
                bucket.put(item.key, json.dumps(kept, sort_keys=True, ensure_ascii=False).encode())
            else:
                bucket.delete(item.key)
    return n_gone


def delete_raw(bucket: Bucket, places: list[dict[str, Any]], work: Work, say: Say) -> list[str]:
    """Raw objects that hold nothing but what goes: a loose page, a picture beside it, a file all of whose documents go.

    ``places``: documents that are touched, whether they go as a whole, and how many documents their file has.
    """
    doomed, images = set(), set(work.images)
    for file in {place["file"] for place in places}:
        mine = [place for place in places if place["file"] == file]
        if not file.endswith("/"):
            doomed |= {file} if sum(place["whole"] for place in mine) == mine[0]["of"] else set()
            continue
        doomed |= {file + place["record"] for place in mine if place["whole"]}
        if images:
            doomed |= {item.key for item in bucket.list(file) if image_key(bucket.get(item.key)) in images}
    there = sorted(key for key in doomed if bucket.exists(key))
    for key in there:
        bucket.delete(key)
        say(f"deleted {key}")
    return there


def forget_versions(corpus: Corpus, work: Work, say: Say) -> None:
    """Only the latest version of every table stays.

    The pairs in force are said to be made of it where they were made of the one before the removal: it is the same
    without what went, and no image is searched again for that.
    """
    found = corpus.bucket.find(_RULES)
    made = json.loads(found) if found else {}
    tables = [name for name in work.versions if name in made]
    if tables and all(made[name] in {work.versions[name], corpus.version(name)} for name in tables):
        versions = {name: corpus.version(name) for name in tables}
        corpus.bucket.put(_RULES, json.dumps({**made, **versions}, sort_keys=True).encode())
    elif made:
        say("the pairs in force were made of an older version of the clusters: pair_texts will search all images")
    for name in corpus.tables():
        corpus.forget_versions(name)


def removal_of(corpus: Corpus, work: Work, texts: list[str]) -> Removal:
    """What is done to each table, as the nodes are now."""
    return _removal(work, read_tombstones(corpus.bucket), texts, _counts(corpus, work))


def _removal(work: Work, down: Any, texts: list[str], counts: dict[tuple[str, ...], int]) -> Removal:
    lists = ("documents", "images", "sentences", "recounted", "shortened", "lost")
    return Removal(down=down, texts=tuple(texts), counts=counts, **{n: frozenset(getattr(work, n)) for n in lists})


def _counts(corpus: Corpus, work: Work) -> dict[tuple[str, ...], int]:
    """How many nodes are left of each image, sentence and document that is touched, by day."""
    counts: Counter[tuple[str, ...]] = Counter()
    recounted, shortened = set(work.recounted), set(work.shortened)
    for of in ("images", "sentences"):
        if not corpus.exists(f"{of[:-1]}_nodes"):
            continue
        for part in corpus.scan(f"{of[:-1]}_nodes", ["day", "key", "document_key"]):
            for day, key, document in zip(*(part[n].to_pylist() for n in part.column_names), strict=True):
                if key in recounted:
                    counts[day, key] += 1
                if document in shortened:
                    counts[of, day, document] += 1
    return dict(counts)


def _unit(place: str) -> str:
    """What goes with an object: a run's whole folder, a whole set of lessons, or the object alone."""
    parts = place.split("/")
    n_parts = {"staging": 4, "lessons": 2}.get(parts[0], 0)
    return "/".join(parts[:n_parts]) + "/" if n_parts and len(parts) > n_parts else place


def texts_of(needles: pa.Table) -> list[str]:
    rows = needles.to_pylist()
    return [row["data"].decode() for row in rows if row["kind"] == "text"]
