"""Encoded images to pixels, JPEG and hash: images per CPU second, beside img2dataset's Resizer and imagededup's PHash.

Each side in a process of its own, one thread, from files to the result, the better of two passes. Ours judges the
header first, follows EXIF and colour profiles, and refuses damage; the peers do not. Resizing is to a shorter side of
224 and a JPEG of quality 95, as the RealSyn handbook calls img2dataset. `hash` decodes to 64 px, as much as a hash
needs; the flow hashes what it decodes to 512 for the encoder (`moved_bits`: the mean difference, of 64).

`floor` is what no decoder of ours can save: for PNG a bare inflate of the image data, for JPEG the decoding at an
eighth, which is entropy decoding and little else. A progressive file spends nearly all its time there, at every
decoder: a file set's `bound` is the ratio to img2dataset if nothing but the floor were left.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.cli.peers import run_peer
from realsyn_ops.cli.services import PROJECT
from realsyn_ops.demo.packages import fetch

SUMMARY = "images decoded, resized and hashed, beside img2dataset and imagededup"
MIN_RATIO = {"baseline": 2.0, "all jpeg": 2.0, "pngs": 1.3}
MIN_FLOOR = 0.85
_PHOTOGRAPHS = ["mate-backgrounds", "lomiri-wallpapers-16.04", "plasma-workspace-wallpapers"]
_MIN_PIXELS = 1_000_000
_ROWS = {name: (name,) for name in ("baseline", "progressive", "pngs")} | {"all jpeg": ("baseline", "progressive")}

_OURS = r"""
import json, re, sys, time, zlib
from pathlib import Path
import simplejpeg
from realsyn_ops.image_codec import decode_image, image_format
from realsyn_ops.image_header import header_reason, read_header
from realsyn_ops.stages.embed import perceptual_hash
from realsyn_ops.stages.export import reencode

def check(data):
    refused = header_reason(read_header(data, image_format(data)), max_pixels=100_000_000)
    assert refused is None, refused

def resize(data):
    check(data)
    reencode(decode_image(data, shorter_side=224), side_px=224)

def hash(data):
    check(data)
    perceptual_hash(decode_image(data, max_side=64))

def whole(data):
    check(data)
    image = decode_image(data, max_side=512)
    perceptual_hash(image)
    reencode(image, side_px=224)

def floor(data):
    if data[:2] == b"\xff\xd8":
        simplejpeg.decode_jpeg(data, "GRAY", min_width=1, min_height=1, strict=False)
        return
    place, parts = 8, []
    while place < len(data):
        length = int.from_bytes(data[place:place + 4], "big")
        if data[place + 4:place + 8] == b"IDAT":
            parts.append(data[place + 8:place + 8 + length])
        place += 12 + length
    zlib.decompressobj().decompress(b"".join(parts))

def moved_bits(data):
    small, usual = (perceptual_hash(decode_image(data, max_side=side)) for side in (64, 512))
    return (small ^ usual).bit_count()

seconds, moved = {}, {}
for listed in sys.argv[1:]:
    files = [Path(line) for line in Path(listed).read_text().splitlines()]
    for task in (check, resize, hash, whole, floor):
        passes = []
        for _ in range(2):
            started = time.process_time()
            for path in files:
                task(path.read_bytes())
            passes.append(time.process_time() - started)
        seconds.setdefault(Path(listed).name, {})[task.__name__] = min(passes)
    moved[Path(listed).name] = sum(moved_bits(path.read_bytes()) for path in files)
peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024
print(json.dumps({"seconds": seconds, "moved_bits": moved, "peak_rss_bytes": peak}))
"""


def measure(home: Path, console: Console) -> Measurement:
    """On the JPEG wallpapers of Debian packages (most are photographs), and on the PNGs of GIMP's manual."""
    sets = _files(home / "cache")
    with tempfile.TemporaryDirectory() as scratch:
        lists = []
        for name, files in sets.items():
            lists.append(str(Path(scratch) / name))
            Path(lists[-1]).write_text("\n".join(map(str, files)))
        console.print("ours", highlight=False)
        done = subprocess.run(
            [sys.executable, "-c", _OURS, *lists], cwd=PROJECT, capture_output=True, text=True, check=True
        )
        ours = json.loads(done.stdout)
        console.print("img2dataset", highlight=False)
        resizer = run_peer("img2dataset", "img2dataset_resize.py", lists, home, console)
        console.print("imagededup", highlight=False)
        hasher = run_peer("imagededup", "imagededup_phash.py", lists, home, console)
    figures: dict[str, Any] = {
        row: _row(_total(ours, names), _total(resizer, names)["seconds"], _total(hasher, names)["seconds"], n_images)
        for row, names in _ROWS.items()
        if (n_images := sum(len(sets[name]) for name in names))
    }
    figures["failed at the peers"] = sum(sum(peer["n_failed"].values()) for peer in (resizer, hasher))
    for name, peer in (("ours", ours), ("img2dataset", resizer), ("imagededup", hasher)):
        figures[f"{name}, peak MB"] = peer["peak_rss_bytes"] / 2**20
    figures["peers"] = f"img2dataset {resizer['version']}, imagededup {hasher['version']}"
    checks = [
        Check(f"{row}: times {peer}'s speed", figures[row][f"{task}_ratio"], ">=", bar)
        for row, bar in MIN_RATIO.items()
        for task, peer in (("resize", "img2dataset"), ("hash", "imagededup"))
    ]
    share = figures["progressive"]["floor_share"]
    return Measurement(
        f"{len(sets['baseline'])} baseline and {len(sets['progressive'])} progressive JPEG wallpapers of a megapixel "
        f"and more, {len(sets['pngs'])} PNGs of GIMP's manual",
        figures,
        [*checks, Check("progressive: the floor's share of our decoding and resizing", share, ">=", MIN_FLOOR)],
    )


def _total(answer: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The answer's figures over several lists: what is per list is added up, task by task where there are tasks."""
    parts = [answer["seconds"][name] for name in names]
    if isinstance(parts[0], dict):
        seconds: Any = {task: sum(part[task] for part in parts) for task in parts[0]}
        return {"seconds": seconds, "moved_bits": sum(answer["moved_bits"][name] for name in names)}
    return {"seconds": sum(parts)}


def _files(cache: Path) -> dict[str, list[Path]]:
    sets: dict[str, list[Path]] = {"baseline": [], "progressive": []}
    for folder in fetch(_PHOTOGRAPHS, cache).values():
        for path in sorted(folder.rglob("*.jpg")):
            if path.is_symlink():
                continue
            with Image.open(path) as image:
                if image.width * image.height >= _MIN_PIXELS:
                    sets["progressive" if image.info.get("progressive") else "baseline"].append(path)
    manual = fetch(["gimp-help-en"], cache)["gimp-help-en"]
    return {**sets, "pngs": [path for path in sorted(manual.rglob("*.png")) if not path.is_symlink()]}


def _row(ours: dict[str, Any], resizer: float, hasher: float, n_images: int) -> dict[str, float]:
    """Images per second and ratios; `floor_share`: of our decoding and resizing."""
    seconds = ours["seconds"]
    return {
        "header": n_images / seconds["check"],
        "resize": n_images / seconds["resize"],
        "img2dataset": n_images / resizer,
        "resize_ratio": resizer / seconds["resize"],
        "hash": n_images / seconds["hash"],
        "imagededup": n_images / hasher,
        "hash_ratio": hasher / seconds["hash"],
        "moved_bits": ours["moved_bits"] / n_images,
        "whole": n_images / seconds["whole"],
        "floor": n_images / seconds["floor"],
        "floor_share": seconds["floor"] / seconds["resize"],
        "bound": resizer / seconds["floor"],
    }
