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
from realsyn_ops.io.release_rows import read_selection
from realsyn_ops.plans import check_day
from realsyn_ops.records import Reason
from realsyn_ops.report.places import first_places, places_in, quoted, row_id, source_documents
from realsyn_ops.report.reject_values import measured_values, sentence_texts
from realsyn_ops.thresholds import STEPS, Step, threshold_of

_CHUNK = 200
_GATHERED = 100_000
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
_REPEATED = "counted once; its other places are these rejects"
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
            for table in _refused(corpus, count.step, replace(query, reason=reason), limit):
                table = table.slice(0, n_left)
                for start in range(0, table.num_rows, _CHUNK):
                    rows = [row | {"reason": reason} for row in table.slice(start, _CHUNK).to_pylist()]
                    yield from describe(corpus, count.step, query, rows)
                n_left -= table.num_rows
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
    if step.part != "redundancy" or query.reason != Reason.IDENTICAL:
        for table in _refused(corpus, step, query, None):
            weights = table["n_in_source"].to_pylist() if step.part == "quality" else [1] * table.num_rows
            for reason, weight in zip(table["reason"].to_pylist(), weights, strict=True):
                n[reason] += weight
    return replace(_counted(step, query, n), n_in=None, n_kept=None)


def _refused(corpus: Corpus, step: Step, query: Query, limit: int | None) -> Iterator[pa.Table]:
    """Refused rows of a step, some at a time; of a source those with a place in it, with the number of these."""
    if not query.source:
        yield from _scanned(corpus, step, query, limit)
    elif step.stage == "extract":
        yield from _scanned(corpus, step, query, limit, f"source = {quoted(query.source)}")
    elif step.stage != "fetch":
        documents = source_documents(corpus, query.source)
        for table in _gathered(_scanned(corpus, step, query, None)):
            n = places_in(corpus, step, table, documents)
            ids = zip(table["key"].to_pylist(), table["day"].to_pylist(), strict=True)
            counts = pa.array([n.get(row_id(step, *of)) for of in ids], pa.int64())
            yield table.append_column("n_in_source", counts).filter(pc.is_valid(counts))


def _scanned(
    corpus: Corpus, step: Step, query: Query, limit: int | None, where: str = "day != ''"
) -> Iterator[pa.Table]:
    if step.stage == "release":
        selection = _selection(corpus, query)
        if selection is not None:
            reasons = selection["reason"]
            yield selection.filter(pc.equal(reasons, query.reason) if query.reason else pc.is_valid(reasons))
        return
    name = _TABLES[step.stage, step.part]
    is_repeat = step.part == "redundancy" and query.reason == Reason.IDENTICAL
    refused = "n_nodes > 1" if is_repeat else f"{_condition(step, query.reason)} AND reason IS NOT NULL"
    yield from corpus.scan(name, _COLUMNS[name], day=query.day or None, where=f"{where} AND {refused}", limit=limit)


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in fewer tables: each costs a scan of all places."""
    held: list[pa.Table] = []
    for table in tables:
        held.append(table)
        if sum(part.num_rows for part in held) >= _GATHERED:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def _condition(step: Step, reason: str) -> str:
    conditions = [f"reason = '{reason}'"] if reason else []
    if step.stage == "extract":
        conditions.append("node < 0" if step.of == "documents" else "node >= 0")
    return " AND ".join(conditions) or "day != ''"


def _selection(corpus: Corpus, query: Query) -> pa.Table | None:
    """What the newest release said of each pair, while its staging folder is there."""
    table = read_selection(corpus.bucket, releases.newest(corpus.bucket))
    if table is not None and query.day:
        table = table.filter(pc.equal(table["day"], query.day))
    return table


def describe(corpus: Corpus, step: Step, query: Query, rows: list[dict[str, Any]]) -> list[Rejected]:
    """The rows with their values, limits and first places."""
    places = first_places(corpus, step, rows, query.source)
    plans = {day: _plan_values(corpus, step, day) for day in {row["day"] for row in rows}}
    values = measured_values(corpus, step, rows)
    texts = sentence_texts(corpus, rows) if (step.stage, step.part) == ("cluster", "quality") else {}
    found = []
    for row in rows:
        limit = threshold_of(step, row["reason"], plans[row["day"]])
        if step.part == "redundancy" and row["reason"] == Reason.IDENTICAL:
            row = row | {"survivor": "", "detail": _REPEATED}
        found.append(
            Rejected(
                stage=step.stage,
                of=step.of,
                part=step.part,
                reason=row["reason"],
                key=row["key"],
                day=row["day"],
                n_places=row.get("n_in_source") or row.get("n_nodes") or 1,
                value=values.get((row["key"], row["day"])),
                limit=limit[0] if limit else None,
                threshold=limit[1] if limit else None,
                detail=row.get("detail") or "",
                text=row.get("text") or texts.get(row["key"], ""),
                survivor=row.get("survivor") or "",
                similarity=row.get("similarity") if row.get("survivor") else None,
                **places.get(row_id(step, row["key"], row["day"]), {}),
            )
        )
    return found


def _plan_values(corpus: Corpus, step: Step, day: str) -> dict[str, Any] | None:
    """The values that a row's limit is looked up in: its day's plan, the last run's, or what a release solved."""
    if step.stage == "release":
        return releases.read_manifest(corpus.bucket, releases.newest(corpus.bucket))["selection"]
    return last_plan(corpus.bucket, step.dag) if step.spans_days else recorded_plan(corpus.bucket, step.dag, day)
