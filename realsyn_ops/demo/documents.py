"""The demo's raw input: which documents of both sources lie in which day. How a source is made is in its own module."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from realsyn_ops.demo.dictionary import PACKAGES, SOURCE, compose_pages, write_dictionary
from realsyn_ops.demo.manuals import MANUALS, TUTORIALS, find_pages, write_manuals
from realsyn_ops.demo.manuals import SOURCE as MANUALS_SOURCE
from realsyn_ops.demo.packages import fetch
from realsyn_ops.errors import PermanentError
from realsyn_ops.plans import code_digest
from realsyn_ops.records import hash_order

DAYS = ("2025-02-18", "2025-02-19")
DEFAULT_DOCUMENTS = 226
MIN_DOCUMENTS = 4

_SEED = 2502
_MARKER = ".demo-input.json"


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=_Named)


@dataclass(frozen=True, slots=True)
class DemoInput:
    """``files`` are relative to ``path``: ``<day>/<source>/<file>``, sorted."""

    path: Path
    days: tuple[str, ...]
    files: tuple[str, ...]
    n_documents: int


def make_demo_input(into: Path, cache: Path, *, documents: int | Literal["all"] | None = None) -> DemoInput:
    """Fetches the packages (kept in ``cache``) and writes ``into/<day>/<source>/<file>``; a second call reuses both.

    Half of ``documents`` come from each source where it has so many, by the order of their names' hashes; ``all`` takes
    every page and the tutorials too. A quarter of each source lies in the second day. Raises ServiceError when a
    package cannot be fetched, PermanentError for too few documents or a folder that holds something else.
    """
    wanted = DEFAULT_DOCUMENTS if documents is None else documents
    if wanted != "all" and wanted < MIN_DOCUMENTS:
        raise PermanentError(f"documents must be all or at least {MIN_DOCUMENTS} (two sources, two days), got {wanted}")
    if made := _read_marker(into, wanted):
        return made
    if into.is_dir() and any(into.iterdir()) and not (into / _MARKER).is_file():
        raise PermanentError(f"{into} holds files that are no demo input: name another folder or empty it")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{into.name}-") as scratch:
        made_path = Path(scratch) / "input"
        n_documents = _write_days(made_path, cache, wanted)
        files = _write_marker(made_path, wanted, n_documents)
        if into.is_dir():
            shutil.rmtree(into)
        made_path.replace(into)
    return DemoInput(into, DAYS, files, n_documents)


def _write_days(into: Path, cache: Path, wanted: int | Literal["all"]) -> int:
    manuals = MANUALS + (TUTORIALS if wanted == "all" else ())
    packages = fetch([*PACKAGES, *(manual.package for manual in manuals)], cache)
    manual_pages = [page for manual in manuals for page in find_pages(manual, packages[manual.package])]
    dictionary_pages = compose_pages(packages)
    n_dictionary = len(dictionary_pages)
    n_manuals = len(manual_pages)
    if wanted != "all":
        n_dictionary = min(n_dictionary, max(wanted // 2, wanted - n_manuals))
        n_manuals = wanted - n_dictionary
    manual_days = choose(manual_pages, n_manuals)
    dictionary_days = choose(dictionary_pages, n_dictionary)
    for day, manual_day, dictionary_day in zip(DAYS, manual_days, dictionary_days, strict=True):
        write_manuals(manual_day, into / day / MANUALS_SOURCE)
        write_dictionary(dictionary_day, into / day / SOURCE / "pages.parquet")
    return sum(len(day) for day in manual_days) + sum(len(day) for day in dictionary_days)


def choose(items: Iterable[Item], n_wanted: int) -> tuple[list[Item], list[Item]]:
    """``n_wanted`` of the items (all, if there are fewer) as the first and the second day's, each sorted by name.

    Which day an item belongs to depends on its name alone, so a larger choice contains a smaller one day by day. The
    second day gets a quarter, at least one.
    """
    pools: tuple[list[Item], list[Item]] = ([], [])
    for item in sorted(items, key=lambda item: hash_order(item.name, _SEED)):
        pools[hash_order(item.name, _SEED + 1)[0] < 64].append(item)
    n_second = min(len(pools[1]), max(1, n_wanted // 4))
    n_first = min(len(pools[0]), n_wanted - n_second)
    n_second = min(len(pools[1]), n_wanted - n_first)
    return sorted(pools[0][:n_first], key=_name), sorted(pools[1][:n_second], key=_name)


def _name(item: _Named) -> str:
    return item.name


def _write_marker(into: Path, wanted: int | str, n_documents: int) -> tuple[str, ...]:
    files = {path.relative_to(into).as_posix(): path for path in sorted(into.rglob("*")) if path.is_file()}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    marker = {"documents": wanted, "code": code_digest(), "n_documents": n_documents, "files": digests}
    (into / _MARKER).write_text(json.dumps(marker, indent=1, sort_keys=True), "utf-8")
    return tuple(sorted(files))


def _read_marker(into: Path, wanted: int | str) -> DemoInput | None:
    """What an earlier call made, if it is what this call would make and every file is still as it was."""
    try:
        marker: dict[str, Any] = json.loads((into / _MARKER).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None
    if (marker["documents"], marker["code"]) != (wanted, code_digest()):
        return None
    for name, digest in marker["files"].items():
        path = into / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            return None
    return DemoInput(into, DAYS, tuple(sorted(marker["files"])), marker["n_documents"])
