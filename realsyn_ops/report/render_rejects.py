"""Rejects on a terminal, as JSON, and as one self-contained page with thumbnails. Every text is escaped."""

import base64
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.text import Text

from realsyn_ops.image_codec import decode_image
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.report import wording
from realsyn_ops.report.rejects import Count, Rejected
from realsyn_ops.report.render_text import print_line, print_table
from realsyn_ops.report.wording import printable

_SIDE_PX = 160
_READ_TOGETHER = 8
_FILTERS = (wording.count, wording.number, wording.reason_meaning, wording.reason_name)


def counts_json(counts: Iterable[Count]) -> str:
    rows = [{**_of(count), "in": count.n_in, "kept": count.n_kept, "rejects": count.rejects} for count in counts]
    return json.dumps(rows, indent=1)


def rejects_json(rejects: Iterable[Rejected]) -> str:
    return json.dumps([asdict(row) for row in rejects], indent=1)


def print_counts(counts: list[Count], console: Console) -> None:
    """One table of all steps: in, kept, and each reason with what it means."""
    rows: list[list[str]] = []
    for count in counts:
        if count.n_in is not None:
            rows.append([*_of(count).values(), "in", wording.count(count.n_in), ""])
            rows.append([*_of(count).values(), "kept", wording.count(count.n_kept), ""])
        rows += [
            [*_of(count).values(), reason, wording.count(n), wording.reason_meaning(reason)]
            for reason, n in count.rejects.items()
        ]
    print_table(console, "Rejects by stage and reason", ("stage", "of", "part", "reason", "n>", "meaning"), rows)


def print_rejects(rejects: Iterable[Rejected], console: Console) -> int:
    """A few lines a reject; returns how many there were."""
    n = 0
    for n, row in enumerate(map(readable, rejects), 1):  # noqa: B007
        head = Text(f"{row['stage']} {row['of']} {row['reason']}", style="bold")
        print_line(console, head.append(f"  {row['measured']}".rstrip(), style="not bold"))
        for name in ("detail", "text", "survivor", "stands"):
            if row[name]:
                print_line(console, Text(f"  {name:<9}", style="dim").append(row[name], style="not dim"))
        print_line(console, Text(f"  {'key':<9}", style="dim").append(f"{row['key']} of {row['day']}", style="not dim"))
    return n


def render_rejects(counts: list[Count], rejects: Iterable[Rejected], corpus: Corpus) -> str:
    """The page: it loads nothing and runs nothing. Images whose bytes were never kept are said to have no picture."""
    shown = list(rejects)
    pictures = _thumbnails(corpus, shown)
    groups: dict[tuple[str, str, str, str], list[dict[str, Any]]] = {}
    for row in shown:
        pair = {"image": pictures.get(row.key, ""), "survivor_image": pictures.get(row.survivor, "")}
        group = groups.setdefault((row.stage, row.of, row.part, row.reason), [])
        group.append(readable(row) | pair | {"has_picture": has_picture(row)})
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader([folder, folder / "page"]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update({render.__name__: render for render in _FILTERS})
    return environment.get_template("rejects_page.html.j2").render(counts=counts, groups=groups)


def _of(count: Count) -> dict[str, str]:
    return {"stage": count.step.stage, "of": count.step.of, "part": count.step.part}


def readable(row: Rejected) -> dict[str, Any]:
    """A reject with every text printable, its value beside its limit, and its first place in one line."""
    values = printable(asdict(row))
    measured = wording.number(row.value)
    if row.limit:
        measured = f"{measured} ({row.limit} {wording.number(row.threshold)})".strip()
    if row.similarity is not None and row.value != row.similarity:
        measured = f"{measured} (similarity {row.similarity:.3f})".strip()
    where = [values["source"], "#".join(part for part in (values["file"], values["record"]) if part), values["url"]]
    stands = " ".join(part for part in where if part) + (f" node {row.node}" if row.node >= 0 else "")
    if row.n_places > 1:
        stands += f" ({row.n_places:,} places)"
    return values | {"measured": measured, "stands": stands.strip()}


def has_picture(row: Rejected) -> bool:
    return row.of in {"images", "pairs"} and row.stage != "extract"


def _thumbnails(corpus: Corpus, rejects: list[Rejected]) -> dict[str, str]:
    """Data URIs of the images and their survivors, a few read at a time; none for an image that does not decode."""
    wanted = {key for row in rejects if has_picture(row) for key in (row.key, row.survivor) if key}
    found = {}
    for key, data in _images(corpus, sorted(wanted)):
        try:
            found[key] = _data_uri(data)
        except (OSError, ValueError):
            continue
    return found


def _images(corpus: Corpus, keys: list[str]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    for start in range(0, len(keys), _READ_TOGETHER):
        listed = ", ".join(f"'{key}'" for key in keys[start : start + _READ_TOGETHER])
        for table in corpus.scan("images", ["key", "data"], where=f"key IN ({listed})"):
            for row in table.to_pylist():
                if row["key"] not in seen:
                    seen.add(row["key"])
                    yield row["key"], row["data"]


def _data_uri(data: bytes) -> str:
    image = decode_image(data, max_side=_SIDE_PX)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
