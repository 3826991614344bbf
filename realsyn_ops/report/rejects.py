"""Rejects as people browse them: how many of which reason, and single ones with value, limit and where they stood.

Everything is read from the published tables and recorded plans, a bounded number of rows at a time; Airflow is not
asked. How it is shown belongs to `render_rejects`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.errors import PermanentError
from realsyn_ops.io import releases
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.recorded_plans import last_plan, recorded_plan
from realsyn_ops.io.shards import Staging
from realsyn_ops.plans import check_day
from realsyn_ops.records import Reason
from realsyn_ops.report.places import among, places_of, quoted
from realsyn_ops.thresholds import STEPS, Step, threshold_of

_CHUNK = 200
_TABLES = {
    ("fetch", ""): "fetches",
    ("extract", ""): "rejects",
    ("curate", "quality"): "image_scores",
    ("curate", "redundancy"): "curated_images",
    ("cluster", "quality"): "sentence_scores",
    ("cluster", "redundancy"): "sentence_clusters",
    ("pair", ""): "pairs",
}
_COLUMNS = {
    "fetches": ["key", "day", "reason", "detail", "url"],
    "rejects": ["key", "day", "reason", "source", "file", "record", "document_key", "node", "detail"],
    "image_scores": ["key", "day", "reason", "n_nodes", "value", "detail"],
    "curated_images": ["key", "day", "reason", "n_nodes", "survivor", "similarity"],
    "sentence_scores": ["key", "day", "reason", "n_nodes", "value"],
    "sentence_clusters": ["key", "day", "reason", "n_nodes", "survivor", "similarity", "text"],
    "pairs": ["key", "day", "reason", "text_keys"],
}
_REPEAT = {
    "reason": str(Reason.IDENTICAL),
    "survivor": None,
    "detail": "counted once; its other places are these rejects",
}
STAGES = tuple(dict.fromkeys(step.stage for step in STEPS))


@dataclass(frozen=True, kw_only=True)
class Query:
    """Which rejects; empty fields ask for all."""

    day: str = ""
    stage: str = ""
    reason: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        if self.day:
            check_day(self.day)
        if self.stage and self.stage not in STAGES:
            raise PermanentError(f"--stage must be one of {', '.join(STAGES)}, got {self.stage}")
        if self.reason and self.reason not in set(Reason):
            raise PermanentError(f"--reason must be one of {', '.join(sorted(Reason))}, got {self.reason}")

    def steps(self) -> Iterator[Step]:
        yield from (step for step in STEPS if self.stage in {"", step.stage})


@dataclass(frozen=True)
class Count:
    """A step's records: in = kept + rejected. `n_in` and `n_kept` are None where only one source is asked about."""

    step: Step
    n_in: int | None
    n_kept: int | None
    rejects: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """One reject. ``limit`` is the name of the plan's value it broke, ``threshold`` that value; both None for a rule by
    form. ``node`` is -1 for a whole document; of several places the first is named, ``n_places`` says how many."""

    stage: str
    of: str
    part: str
    reason: str
    key: str
    day: str
    n_places: int
    value: float | None = None
    limit: str | None = None
    threshold: Any = None
    detail: str = ""
    text: str = ""
    survivor: str = ""
    similarity: float | None = None
    source: str = ""
    file: str = ""
    record: str = ""
    url: str = ""
    node: int = -1


def count_rejects(corpus: Corpus, query: Query) -> list[Count]:
    """Every step's counts, in the order of the flow; steps whose tables are not there yet are left out."""
    counts = (_count(corpus, step, query) for step in query.steps())
    return [count for count in counts if count is not None and (count.rejects or (count.n_in and not query.reason))]


def list_rejects(corpus: Corpus, counts: Iterable[Count], query: Query, *, limit: int) -> Iterator[Rejected]:
    """Up to ``limit`` rejects of each step and reason that was counted, in the order of the tables."""
    for count in counts:
        for reason in count.rejects:
            n_left = limit
            for chunk in _chunks(corpus, count.step, replace(query, reason=reason), limit):
                found = _described(corpus, count.step, query, chunk)[:n_left]
                yield from found
                n_left -= len(found)
                if not n_left:
                    break


def _count(corpus: Corpus, step: Step, query: Query) -> Count | None:
    if step.stage == "release":
        table = _selection(corpus, query)
        return None if table is None else _counted(step, query, Counter(table["reason"].to_pylist()))
    name = _TABLES[step.stage, step.part]
    if not corpus.exists(name):
        return None
    if query.source:
        return _count_of_source(corpus, step, query)
    day = query.day or None
    n: Counter[str | None] = Counter()
    columns = ["reason", "n_nodes"] if step.part else ["reason"]
    for table in corpus.scan(name, columns, day=day, where=_condition(step, "")):
        wanted: list[Any] = [("n_nodes", "sum"), ("n_nodes", "count")] if step.part else [([], "count_all")]
        for row in table.group_by("reason").aggregate(wanted).to_pylist():
            if step.part == "quality":
                n[row["reason"]] += row["n_nodes_sum"]
            elif step.part == "redundancy":
                n[row["reason"]] += row["n_nodes_count"]
                n[Reason.IDENTICAL] += row["n_nodes_sum"] - row["n_nodes_count"]
            else:
                n[row["reason"]] += row["count_all"]
    if name == "rejects":
        kept = "documents" if step.of == "documents" else "image_nodes"
        n[None] += sum(table.num_rows for table in corpus.scan(kept, ["key"], day=day))
    return _counted(step, query, n)


def _counted(step: Step, query: Query, n: Counter[str | None]) -> Count:
    n_kept, n_in = n.pop(None, 0), n.total()
    rejects = {str(r): count for r, count in sorted(n.items(), key=lambda item: (-item[1], str(item[0]))) if count}
    n_in += n_kept
    return Count(step, n_in, n_kept, {r: c for r, c in rejects.items() if query.reason in {"", r}})


def _count_of_source(corpus: Corpus, step: Step, query: Query) -> Count:
    """Rejects that stand in a source: places of it where places are counted, else records with a place in it."""
    n: Counter[str | None] = Counter()
    if step.part == "redundancy" and query.reason == Reason.IDENTICAL:
        return Count(step, None, None, {})
    for chunk in _chunks(corpus, step, query, None):
        places = places_of(corpus, step, chunk, query.source)
        for row in chunk:
            if row["key"] in places or step.stage == "extract":
                n[row["reason"]] += places[row["key"]][1] if step.part == "quality" else 1
    return replace(_counted(step, query, n), n_in=None, n_kept=None)


def _chunks(corpus: Corpus, step: Step, query: Query, limit: int | None) -> Iterator[list[dict[str, Any]]]:
    """Refused rows of a step, a bounded number at a time."""
    if step.stage == "release":
        selection = _selection(corpus, query)
        if selection is not None:
            has_reason = (
                pc.equal(selection["reason"], query.reason) if query.reason else pc.is_valid(selection["reason"])
            )
            selection = selection.filter(has_reason)
            yield from (selection.slice(i, _CHUNK).to_pylist() for i in range(0, selection.num_rows, _CHUNK))
        return
    name = _TABLES[step.stage, step.part]
    if query.source and name == "fetches":
        return
    is_repeat = step.part == "redundancy" and query.reason == Reason.IDENTICAL
    where = "n_nodes > 1" if is_repeat else f"{_condition(step, query.reason)} AND reason IS NOT NULL"
    is_pushed = not query.source
    if query.source and name == "rejects":
        where, is_pushed = f"{where} AND source = {quoted(query.source)}", True
    columns = _COLUMNS[name]
    for table in corpus.scan(name, columns, day=query.day or None, where=where, limit=limit if is_pushed else None):
        for start in range(0, table.num_rows, _CHUNK):
            rows = table.slice(start, _CHUNK).to_pylist()
            yield [row | _REPEAT for row in rows] if is_repeat else rows


def _condition(step: Step, reason: str) -> str:
    conditions = [f"reason = '{reason}'"] if reason else []
    if step.stage == "extract":
        conditions.append("node < 0" if step.of == "documents" else "node >= 0")
    return " AND ".join(conditions) or "day != ''"


def _selection(corpus: Corpus, query: Query) -> pa.Table | None:
    """What the newest release said of each pair, while its staging folder is there."""
    version = releases.newest(corpus.bucket)
    prefix = f"staging/release_dataset/{version}/"
    found = [item.key for item in corpus.bucket.list(prefix) if item.key.endswith("/select/all.json")]
    if not version or not found:
        return None
    table = Staging(corpus.bucket, found[0].removesuffix("/select/all.json")).read_shard("select", "all", "selection")
    if query.day:
        table = table.filter(pc.equal(table["day"], query.day))
    return table


def _described(corpus: Corpus, step: Step, query: Query, rows: list[dict[str, Any]]) -> list[Rejected]:
    """The rows with their values, limits and first places; without those that stand in no document of the source."""
    places = places_of(corpus, step, rows, query.source)
    if query.source and step.stage != "extract":
        rows = [row for row in rows if row["key"] in places]
    plans = {day: _plan_values(corpus, step, day) for day in {row["day"] for row in rows}}
    values = _values(corpus, step, rows)
    texts = _texts(corpus, rows) if (step.stage, step.part) == ("cluster", "quality") else {}
    found = []
    for row in rows:
        limit = threshold_of(step, row["reason"], plans[row["day"]])
        place, n_places = places.get(row["key"], ({}, 1))
        found.append(
            Rejected(
                stage=step.stage,
                of=step.of,
                part=step.part,
                reason=row["reason"],
                key=row["key"],
                day=row["day"],
                n_places=row.get("n_nodes") or n_places,
                value=values.get(row["key"]),
                limit=limit[0] if limit else None,
                threshold=limit[1] if limit else None,
                detail=row.get("detail") or "",
                text=row.get("text") or texts.get(row["key"], ""),
                survivor=row.get("survivor") or "",
                similarity=row.get("similarity") if row.get("survivor") else None,
                **place,
            )
        )
    return found


def _values(corpus: Corpus, step: Step, rows: list[dict[str, Any]]) -> dict[str, float]:
    """What each record's rule was measured as: the value that stands beside the limit."""
    if step.stage == "pair":
        return {row["key"]: float(len(row["text_keys"])) for row in rows}
    if step.stage == "release":
        capped = Reason.CLUSTER_CAP
        return {row["key"]: row["similarity"] for row in rows if row["reason"] != capped and row["similarity"]}
    if step.part == "redundancy":
        found = {row["key"]: row["similarity"] for row in rows if row["reason"] == Reason.SEMANTIC_DUPLICATE}
        return found | (_hash_distances(corpus, rows) if step.of == "images" else {})
    return {row["key"]: row["value"] for row in rows if row.get("value") is not None}


def _hash_distances(corpus: Corpus, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Bits between the perceptual hashes of duplicates and their survivors."""
    pairs = {row["key"]: row["survivor"] for row in rows if row["reason"] == Reason.PERCEPTUAL_DUPLICATE}
    hashes = {
        row["key"]: row["phash"]
        for table in corpus.scan("image_embeddings", ["key", "phash"], where=among({*pairs, *pairs.values()}))
        for row in table.to_pylist()
    }
    return {
        key: float((hashes[key] ^ hashes[survivor]).bit_count())
        for key, survivor in pairs.items()
        if key in hashes and survivor in hashes
    }


def _texts(corpus: Corpus, rows: list[dict[str, Any]]) -> dict[str, str]:
    where = among(row["key"] for row in rows)
    return {
        row["key"]: row["text"]
        for table in corpus.scan("sentences", ["key", "text"], where=where)
        for row in table.to_pylist()
    }


def _plan_values(corpus: Corpus, step: Step, day: str) -> dict[str, Any] | None:
    """The values that a row's limit is looked up in: its day's plan, the last run's, or what a release solved."""
    if step.stage == "release":
        return releases.read_manifest(corpus.bucket, releases.newest(corpus.bucket))["selection"]
    return last_plan(corpus.bucket, step.dag) if step.spans_days else recorded_plan(corpus.bucket, step.dag, day)
