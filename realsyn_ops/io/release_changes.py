"""What is different between two releases, and why: keys added and removed, pairs whose texts are others.

Both are read in order of key, side by side. Why a pair is gone is looked for in what the later release said of it, then
in the tables in force; that is known best when the later release is published, and kept there as its changelog.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.release_rows import Row, read_selection, sorted_rows
from realsyn_ops.io.storage import Bucket

COMPARED = ("raw_image_url", "text1", "text2", "text3", "syn_text")
"""The columns that RealSyn publishes: a pair that differs in none of them is the same pair."""

ROW = ["key", *COMPARED]

GONE, NEW, UNKNOWN = "not_in_corpus", "new", "unknown"
CHANGELOG, CHANGED_KEYS = "CHANGELOG.md", "CHANGELOG.jsonl"
MAX_LISTED = 1_000_000
"""Changes that a changelog lists one by one, the first in order of key: it is made in memory."""

_TABLES = {"pairs": ["reason"], "curated_images": ["reason", "survivor"], "image_scores": ["reason"], "images": []}
"""Where a reason may stand, the latest step first. What a policy says of a picture is not passed on."""


@dataclass(frozen=True, slots=True)
class Change:
    """``change``: added, removed or changed. ``why`` is a reason or, of changed pairs, the columns that differ.

    Of an added pair it is what the earlier release left it out for; NEW for one that it did not know.
    """

    key: str
    change: str
    why: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes in order of key, and how many pairs are the same in both."""

    before: str
    after: str
    changes: list[Change]
    n_same: int

    def counts(self) -> dict[str, dict[str, int]]:
        """By kind of change: how many of each reason, the most frequent first."""
        found: dict[str, Counter[str]] = {"added": Counter(), "removed": Counter(), "changed": Counter()}
        for change in self.changes:
            found[change.change][change.why] += 1
        return {kind: dict(sorted(n.items(), key=lambda one: (-one[1], one[0]))) for kind, n in found.items()}


def changes_between(bucket: Bucket, before: str, after: str) -> Changes:
    """Two published releases; reasons as the later one's changelog has them if it is about these two."""
    found = compare(before, sorted_rows(bucket, before, ROW), after, sorted_rows(bucket, after, ROW))
    logged = bucket.find(f"releases/{after}/{CHANGED_KEYS}")
    head, *lines = logged.decode().splitlines() if logged else ["{}"]
    if json.loads(head).get("previous") == before:
        known = {row["key"]: row for row in map(json.loads, lines)}
        told = [replace(c, why=known[c.key]["why"], detail=known[c.key]["detail"]) if c.key in known else c
                for c in found.changes]  # fmt: skip
        return replace(found, changes=told)
    return explained(bucket, found, read_selection(bucket, before), read_selection(bucket, after))


def changes_since(bucket: Bucket, before: str, after: str, rows: Iterable[Row], selection: pa.Table | None) -> Changes:
    """A release that is about to be published: its rows in order of key, and what it said of each pair."""
    found = compare(before, sorted_rows(bucket, before, ROW), after, rows)
    return explained(bucket, found, read_selection(bucket, before), selection)


def compare(before: str, old: Iterable[Row], after: str, new: Iterable[Row]) -> Changes:
    """The changes without their reasons. Rows are values of ROW, in order of key."""
    changes: list[Change] = []
    n_same = 0
    olds, news = iter(old), iter(new)
    left, right = next(olds, None), next(news, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            changes.append(Change(left[0], "removed"))  # type: ignore[index]
            left = next(olds, None)
        elif left is None or right[0] < left[0]:
            changes.append(Change(right[0], "added"))
            right = next(news, None)
        else:
            if left == right:
                n_same += 1
            else:
                differing = [name for name, a, b in zip(ROW, left, right, strict=True) if a != b]
                changes.append(Change(right[0], "changed", ", ".join(differing)))
            left, right = next(olds, None), next(news, None)
    return Changes(before, after, changes, n_same)


def explained(bucket: Bucket, found: Changes, earlier: pa.Table | None, later: pa.Table | None) -> Changes:
    """With reasons, as far as selections and tables know them."""
    removed = {change.key for change in found.changes if change.change == "removed"}
    added = {change.key for change in found.changes if change.change == "added"}
    reasons = why_left_out(Corpus(bucket), removed, later)
    was = _selected(earlier, added)
    new = UNKNOWN if earlier is None else NEW
    told = [
        replace(change, why=reasons[change.key][0], detail=reasons[change.key][1])
        if change.change == "removed"
        else replace(change, why=was.get(change.key, new))
        if change.change == "added"
        else change
        for change in found.changes
    ]
    return replace(found, changes=told)


def why_left_out(corpus: Corpus, keys: set[str], selection: pa.Table | None) -> dict[str, tuple[str, str]]:
    """Reason and detail of images that a release has not: its selection's, else that of the last step they came to."""
    found = {key: (reason, "") for key, reason in _selected(selection, keys).items()}
    seen: set[str] = set()
    for name, columns in _TABLES.items():
        left = pa.array(sorted(keys - found.keys()), pa.string())
        if not len(left):
            break
        for table in corpus.scan(name, ["key", *columns]):
            for row in table.filter(pc.is_in(table["key"], left)).to_pylist():
                seen.add(row["key"])
                if row.get("reason"):
                    found[row["key"]] = (row["reason"], f"survivor {row['survivor']}" if "survivor" in row else "")
    return {key: found.get(key, (UNKNOWN if key in seen else GONE, "")) for key in keys}


def changelog(found: Changes) -> dict[str, bytes]:
    """The files of a release that say what is different from the one before."""
    listed = found.changes[:MAX_LISTED]
    counts = found.counts()
    totals = {kind: sum(n.values()) for kind, n in counts.items()}
    head = {"release": found.after, "previous": found.before, **totals, "same": found.n_same, "listed": len(listed)}
    lines = [head, *map(asdict, listed)]
    text = [f"# Changes of release {found.after} since release {found.before}\n", _table(("pairs", "n"), [
        ("added", totals["added"]), ("removed", totals["removed"]), ("with other texts or address", totals["changed"]),
        ("the same", found.n_same),
    ])]  # fmt: skip
    for kind, title in (
        ("removed", "Removed: why"),
        ("added", "Added: what the release before left them out for"),
        ("changed", "Changed: the columns that differ"),
    ):
        if counts[kind]:
            text += [f"## {title}\n", _table((kind, "n"), counts[kind].items())]
    text.append(f"Every change with its key is a line of `{CHANGED_KEYS}`, after one that sums up.\n")
    if len(listed) < len(found.changes):
        text.append(f"It lists the first {len(listed):,} in order of key.\n")
    return {
        CHANGELOG: "\n".join(text).encode(),
        CHANGED_KEYS: "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode(),
    }


def _selected(selection: pa.Table | None, keys: set[str]) -> dict[str, str]:
    """Reasons that a selection gives these keys."""
    if selection is None or not keys:
        return {}
    mine = selection.filter(pc.is_valid(selection["reason"]))
    mine = mine.filter(pc.is_in(mine["key"], pa.array(sorted(keys), pa.string())))
    return dict(zip(mine["key"].to_pylist(), mine["reason"].to_pylist(), strict=True))


def _table(header: tuple[str, str], rows: Iterable[tuple[str, int]]) -> str:
    lines = [f"| {header[0]} | {header[1]} |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in rows)]
    return "\n".join(lines) + "\n"
