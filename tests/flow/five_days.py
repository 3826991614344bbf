"""Five small days of real documents, some of which stand on two days: what the equality tests ingest in many orders.

Every day also has a page that says and shows nearly what the other days' pages do. Which of the five survives is
decided by size: neither the first nor the last.
"""

import base64
import io
from pathlib import Path

from PIL import Image

from realsyn_ops.cli.demo import RawInput
from realsyn_ops.demo.dictionary import PACKAGES, SOURCE, compose_pages, write_dictionary
from realsyn_ops.demo.manuals import MANUALS, find_pages, write_manuals
from realsyn_ops.demo.manuals import SOURCE as MANUALS_SOURCE
from realsyn_ops.demo.packages import fetch
from realsyn_ops.records import hash_order

DAYS = tuple(f"2025-03-0{i}" for i in range(1, 6))
MANUAL_PAGES, DICTIONARY_PAGES = 5, 5
MAX_PAGE_BYTES = 5_000
"""Of a manual's page: perplexity and synthesis are most of the time of these days, and they run four times."""
SHARED = 1
"""Pages of each source that the last day holds besides its own: the first day's first ones."""
SENTENCES = (
    "The grey heron stands in the shallow water of the lake and waits for a fish to come near its feet",
    "A fisherman mends his nets on the wooden pier while the gulls fly over the boats in the harbour",
    "The cat sleeps on the warm roof of the house until the boy brings a bowl of milk to the door",
)
ENDS = (".", " today.", " in the early morning.", " at noon.", " all day.")
SIDES_PX = (160, 240, 200, 280, 180)
PICTURE = "usr/share/tuxpaint/stamps/animals/birds/helmeted_guineafowl.png"


def five_days(into: Path, cache: Path) -> RawInput:
    """Writes ``into/<day>/<source>/<file>``: pages in the order of their names' hashes, day by day."""
    packages = fetch([*PACKAGES, *(manual.package for manual in MANUALS)], cache)
    manuals = [page for manual in MANUALS for page in find_pages(manual, packages[manual.package])]
    manuals = [page for page in manuals if page.path.stat().st_size <= MAX_PAGE_BYTES]
    manuals = sorted(manuals, key=lambda page: hash_order(page.name, 7))[:MANUAL_PAGES]
    entries = sorted(compose_pages(packages), key=lambda page: hash_order(page.name, 7))[:DICTIONARY_PAGES]
    for number, day in enumerate(DAYS):
        again = SHARED if day == DAYS[-1] else 0
        write_manuals([*manuals[number :: len(DAYS)], *manuals[:again]], into / day / MANUALS_SOURCE)
        pages = [*entries[number :: len(DAYS)], *entries[:again]]
        write_dictionary(sorted(pages, key=lambda page: page.name), into / day / SOURCE / "pages.parquet")
        alike = into / day / "alike" / "page.html"
        alike.parent.mkdir(parents=True)
        alike.write_text(_page(number, packages["tuxpaint-stamps-default"] / PICTURE))
    files = sorted(path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file())
    return RawInput(into, DAYS, tuple(files), "five-days")


def _page(number: int, picture: Path) -> str:
    """Differs from day to day in the size of its picture and the ends of its sentences."""
    content = io.BytesIO()
    image = Image.open(picture).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.resize((SIDES_PX[number], SIDES_PX[number])).save(content, "PNG")
    source = "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()
    texts = "".join(f"<p>{sentence}{ENDS[number]}</p>" for sentence in SENTENCES)
    return f"<html><body><h1>By the lake</h1><img src='{source}' alt='A bird'>{texts}</body></html>"
