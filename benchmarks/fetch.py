"""Images from a local HTTP server that also misbehaves: images per second, ours beside img2dataset on the same URLs.

Both are one process with 64 requests under way, 3 tries, the same timeout, and write the bytes to parquet undecoded.
What must come of each URL is known: nothing may be lost, and each failure has its reason.
"""

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.cli.services import PROJECT

SUMMARY = "images from a misbehaving HTTP server, beside img2dataset"
MIN_RATIO = 1.5
N_URLS = 10_000
TIMEOUT_S = 2
# Of each 1,000 URLs; the rest are images without any trouble. What each must come to: an image, or a reason.
MIX = {
    "slow": (30, ""),
    "flaky": (20, ""),
    "moved": (20, ""),
    "gzip": (5, ""),
    "page": (10, ""),
    "status/404": (40, "fetch_not_found"),
    "status/500": (5, "fetch_failed"),
    "loop": (5, "fetch_redirects"),
    "cut": (5, "fetch_truncated"),
    "reset": (3, "fetch_failed"),
    "noai": (5, "fetch_robots"),
    "endless": (1, "image_too_large"),
}
_SERVER = [sys.executable, str(PROJECT / "tests" / "io" / "misbehaving.py")]

_OURS = r"""
import json, re, sys, time
from collections import Counter
from itertools import islice
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
from realsyn_ops.io.fetch import FetchLimits, FetchPolicy, fetch_images
urls = Path(sys.argv[1]).read_text().splitlines()
place = urls[0].split("/")[2]
timeout_s = float(sys.argv[3])
limits = FetchLimits(max_bytes=2**20, timeout_s=timeout_s, connect_timeout_s=timeout_s, max_per_host=64)
policy = FetchPolicy(user_agent="RealSynOps/0.1", allowed=(place,))
started = time.perf_counter()
answers = fetch_images(urls, limits=limits, policy=policy)
reasons, outcomes, n_images = Counter(), {}, 0
while part := list(islice(answers, 1000)):
    table = pa.table({"url": [a.url for a in part], "data": pa.array([a.data for a in part], pa.large_binary())})
    pq.write_table(table, f"{sys.argv[2]}/{len(outcomes):05d}.parquet")
    outcomes.update((a.url, str(a.reason or "")) for a in part)
    n_images += sum(a.data is not None for a in part)
seconds = time.perf_counter() - started
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"seconds": seconds, "n_images": n_images, "outcomes": outcomes, "peak_rss_bytes": peak}))
"""


def measure(home: Path, console: Console) -> Measurement:
    """Ours, then img2dataset, each against a fresh server in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        console.print("ours", highlight=False)
        with _served(Path(scratch) / "ours") as (urls, arguments):
            done = subprocess.run(
                [sys.executable, "-c", _OURS, *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
            )
            ours = json.loads(done.stdout)
            n_right = sum(ours["outcomes"].get(url) == wanted for url, wanted in urls.items())
        console.print("img2dataset", highlight=False)
        with _served(Path(scratch) / "peer") as (_urls, arguments):
            peer = run_peer("img2dataset", "img2dataset_fetch.py", arguments, home, console)
    n_wanted = sum(not reason for reason in urls.values())
    figures = {
        "ours": {
            "images_per_second": ours["n_images"] / ours["seconds"],
            "seconds": ours["seconds"],
            "images": ours["n_images"],
            "answers": len(ours["outcomes"]),
            "peak_rss_mb": ours["peak_rss_bytes"] / 2**20,
        },
        "img2dataset": {
            "images_per_second": peer["n_images"] / peer["seconds"],
            "seconds": peer["seconds"],
            "images": peer["n_images"],
            "answers": peer["n_answers"],
            "peak_rss_mb": peer["peak_rss_bytes"] / 2**20,
        },
        "ratio": ours["n_images"] / ours["seconds"] / (peer["n_images"] / peer["seconds"]),
        "reasons": dict(sorted(Counter(reason for reason in ours["outcomes"].values() if reason).items())),
        "img2dataset_reasons": peer["reasons"],
        "peer_version": peer["version"],
    }
    return Measurement(
        f"{N_URLS} URLs of a local server, {n_wanted} of them images, timeout {TIMEOUT_S} s",
        figures,
        [
            Check("times img2dataset's images per second", figures["ratio"], ">=", MIN_RATIO),
            Check("URLs that came to what they must", n_right / N_URLS, ">=", 1),
            Check("images that were there and fetched", ours["n_images"] / n_wanted, ">=", 1),
        ],
    )


@contextmanager
def _served(folder: Path) -> Iterator[tuple[dict[str, str], list[str]]]:
    """A running server: its URLs with what each must come to, and the arguments of who fetches them."""
    (folder / "parts").mkdir(parents=True)
    with subprocess.Popen(_SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as server:
        assert server.stdin is not None  # noqa: S101
        assert server.stdout is not None  # noqa: S101
        urls = _urls(int(server.stdout.readline()))
        (folder / "urls.txt").write_text("\n".join(urls))
        yield urls, [str(folder / "urls.txt"), str(folder / "parts"), str(TIMEOUT_S)]
        server.stdin.close()


def _urls(port: int) -> dict[str, str]:
    kinds: list[tuple[str, str]] = [(kind, reason) for kind, (n, reason) in MIX.items() for _ in range(n)]
    kinds += [("ok", "")] * (1_000 - len(kinds))
    # 379 shares no factor with 1,000: every thousand has the whole mix, spread evenly.
    mixed: list[Any] = [kinds[i * 379 % 1_000] for i in range(N_URLS)]
    return {f"http://127.0.0.1:{port}/{kind}/{i}.jpg": reason for i, (kind, reason) in enumerate(mixed)}
