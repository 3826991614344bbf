"""HTML to interleaved documents: pages per CPU second, ours beside trafilatura on the same pages in the same run.

Ours reads bytes into nodes (texts and images in order); trafilatura, with its defaults, reads bytes into text alone.
Both run in a process of their own, one thread. Words kept are judged on the hand-checked pages of tests/io/pages.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.demo.packages import fetch

SUMMARY = "HTML pages into interleaved documents, beside trafilatura"
MIN_RATIO = 10
MIN_WORDS = 0.95
JUDGED = PROJECT / "tests" / "io" / "pages"
_WORD = re.compile(r"\w+")

_OURS = r"""
import json, re, sys, time
from pathlib import Path
from realsyn_ops.io.html import read_html
from realsyn_ops.records import TextNode
pages = [Path(line).read_bytes() for line in Path(sys.argv[1]).read_text().splitlines()]
for page in pages[:5]: read_html(page)
started = time.process_time()
n_nodes = sum(len(read_html(page).nodes) for page in pages)
seconds = time.process_time() - started
texts = {}
for line in Path(sys.argv[2]).read_text().splitlines():
    nodes = read_html(Path(line).read_bytes()).nodes
    texts[Path(line).name] = " ".join(node.text for node in nodes if isinstance(node, TextNode))
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak, "n_nodes": n_nodes, "texts": texts}))
"""


def measure(home: Path, console: Console) -> Measurement:
    """Both on GIMP's manual (a Debian package), then on the hand-checked pages."""
    manual = fetch(["gimp-help-en"], home / "cache")["gimp-help-en"]
    pages = sorted((manual / "usr/share/gimp/2.0/help/en").glob("*.html"))
    judged = sorted(JUDGED.glob("*.html"))
    n_bytes = sum(path.stat().st_size for path in pages)
    with tempfile.TemporaryDirectory() as scratch:
        lists = [Path(scratch) / name for name in ("pages", "judged")]
        for path, members in zip(lists, (pages, judged), strict=True):
            path.write_text("\n".join(map(str, members)))
        arguments = [str(path) for path in lists]
        console.print("ours", highlight=False)
        done = subprocess.run(
            [sys.executable, "-c", _OURS, *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
        )
        ours = json.loads(done.stdout)
        console.print("trafilatura", highlight=False)
        peer = run_peer("trafilatura", "trafilatura_extract.py", arguments, home, console)
    figures: dict[str, Any] = {
        name: _row(answer, len(pages), n_bytes) for name, answer in (("ours", ours), ("trafilatura", peer))
    }
    ratio = peer["seconds"] / ours["seconds"]
    own = figures["ours"]
    return Measurement(
        f"{len(pages)} pages of GIMP's manual ({n_bytes / 1e6:.1f} MB), {len(judged)} hand-checked pages",
        {**figures, "ratio": ratio, "peer_version": peer["version"]},
        [
            Check("times trafilatura's speed", ratio, ">=", MIN_RATIO),
            Check("precision of content words", own["precision"], ">=", MIN_WORDS),
            Check("recall of content words", own["recall"], ">=", MIN_WORDS),
        ],
    )


def _row(answer: dict[str, Any], n_pages: int, n_bytes: int) -> dict[str, Any]:
    precision, recall = _words_kept(answer["texts"])
    return {
        "documents_per_second": n_pages / answer["seconds"],
        "mb_per_second": n_bytes / 1e6 / answer["seconds"],
        "precision": precision,
        "recall": recall,
        "peak_rss_mb": answer["peak_rss_bytes"] / 2**20,
    }


def _words_kept(texts: dict[str, str]) -> tuple[float, float]:
    n_found = n_expected = n_common = 0
    for name, text in texts.items():
        lines = (JUDGED / name).with_suffix(".txt").read_text().splitlines()
        expected = Counter(_WORD.findall(" ".join(x for x in lines if not (x[:1] == "[" and " " not in x)).lower()))
        found = Counter(_WORD.findall(text.lower()))
        n_found += found.total()
        n_expected += expected.total()
        n_common += (found & expected).total()
    return n_common / max(1, n_found), n_common / max(1, n_expected)
