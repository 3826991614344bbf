"""Five small days of real documents, some of which stand on two days: what the equality tests ingest in many orders."""

from pathlib import Path

from realsyn_ops.cli.demo import RawInput
from realsyn_ops.demo.dictionary import PACKAGES, SOURCE, compose_pages, write_dictionary
from realsyn_ops.demo.manuals import MANUALS, find_pages, write_manuals
from realsyn_ops.demo.manuals import SOURCE as MANUALS_SOURCE
from realsyn_ops.demo.packages import fetch
from realsyn_ops.records import hash_order

DAYS = tuple(f"2025-03-0{i}" for i in range(1, 6))
MANUAL_PAGES, DICTIONARY_PAGES = 5, 10
SHARED = 1
"""Pages of each source that the last day holds besides its own: the first day's first ones."""


def five_days(into: Path, cache: Path) -> RawInput:
    """Writes ``into/<day>/<source>/<file>``: pages in the order of their names' hashes, day by day."""
    packages = fetch([*PACKAGES, *(manual.package for manual in MANUALS)], cache)
    manuals = [page for manual in MANUALS for page in find_pages(manual, packages[manual.package])]
    manuals = sorted(manuals, key=lambda page: hash_order(page.name, 7))[:MANUAL_PAGES]
    entries = sorted(compose_pages(packages), key=lambda page: hash_order(page.name, 7))[:DICTIONARY_PAGES]
    for number, day in enumerate(DAYS):
        again = SHARED if day == DAYS[-1] else 0
        write_manuals([*manuals[number :: len(DAYS)], *manuals[:again]], into / day / MANUALS_SOURCE)
        pages = [*entries[number :: len(DAYS)], *entries[:again]]
        write_dictionary(sorted(pages, key=lambda page: page.name), into / day / SOURCE / "pages.parquet")
    files = sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())
    return RawInput(into, DAYS, tuple(files), "five-days")
