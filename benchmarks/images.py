"""Encoded images to pixels, JPEG and hash: images per CPU second, beside img2dataset's Resizer and imagededup's PHash.

Each side in a process of its own, one thread, from files to the result, the better of two passes. Ours judges the
header first and follows EXIF and colour profiles; the peers do not. All of an image is looked at once, for damage, when
its document is read (`read_image`); what is timed is what each later step does with it, as the peers' calls do.
Resizing is to a shorter side of 224 and a JPEG of quality 95, as the RealSyn handbook calls img2dataset. `hash` decodes
to 64 px, as much as a hash needs; the flow hashes what it decodes to 512 for the encoder (`moved_bits`: the mean
difference, of 64).

`floor` is what decoding a whole file cannot save: for PNG an inflate of the image data by Python's zlib, for JPEG the
decoding of all scans at an eighth, which is entropy decoding and little else; a file set's `bound` is the ratio to
img2dataset if nothing but that were left. Ours goes below it, `floor_share` above 1, where a faster inflate or fewer
scans do. What the scans that are left out change is measured too: `worst_db` is the peak signal-to-noise ratio between
a file with and without them, of the worst file at the worst of the scales 1/2, 1/4 and 1/8 (100: no difference).
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
MIN_DB = 46.0
_PHOTOGRAPHS = ["mate-backgrounds", "lomiri-wallpapers-16.04", "plasma-workspace-wallpapers"]
_MIN_PIXELS = 1_000_000
_ROWS = {name: (name,) for name in ("baseline", "progressive", "pngs")} | {"all jpeg": ("baseline", "progressive")}

_OURS = r"""
import json, re, sys, time, zlib
from pathlib import Path
import numpy as np
import simplejpeg
from realsyn_ops.image_codec import decode_image, image_format
from realsyn_ops.image_header import header_reason, read_header
from realsyn_ops.progressive import lighter_jpeg
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

def worst_db(data):
    if data[:2] != b"\xff\xd8":
        return 100.0
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    found = [100.0]
    for scale in (2, 4, 8):
        sides = {"min_width": -(-width // scale), "min_height": -(-height // scale), "fastdct": False}
        light = simplejpeg.decode_jpeg(lighter_jpeg(data, scale), "RGB", **sides).astype(np.int16)
        lost = float(np.mean((light - simplejpeg.decode_jpeg(data, "RGB", **sides)) ** 2))
        found.append(10 * np.log10(255**2 / lost) if lost else 100.0)
    return float(min(found))

seconds, moved, worst = {}, {}, {}
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
for listed in sys.argv[1:]:
    files = [Path(line) for line in Path(listed).read_text().splitlines()]
    worst[Path(listed).name] = min(worst_db(path.read_bytes()) for path in files)
print(json.dumps({"seconds": seconds, "moved_bits": moved, "worst_db": worst, "peak_rss_bytes": peak}))
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
    progressive = figures["progressive"]
    checks = [
        Check(f"{row}: times {peer}'s speed", figures[row][f"{task}_ratio"], ">=", bar)
        for row, bar in MIN_RATIO.items()
        for task, peer in (("resize", "img2dataset"), ("hash", "imagededup"))
    ]
    checks += [
        Check(
            "progressive: dB between files with and without the scans left out", progressive["worst_db"], ">=", MIN_DB
        ),
    ]
    return Measurement(
        f"{len(sets['baseline'])} baseline and {len(sets['progressive'])} progressive JPEG wallpapers of a megapixel "
        f"and more, {len(sets['pngs'])} PNGs of GIMP's manual",
        figures,
        checks,
    )


def _total(answer: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The answer's figures over several lists: what is per list is added up, task by task where there are tasks."""
    parts = [answer["seconds"][name] for name in names]
    if isinstance(parts[0], dict):
        seconds: Any = {task: sum(part[task] for part in parts) for task in parts[0]}
        moved, worst = ([answer[kind][name] for name in names] for kind in ("moved_bits", "worst_db"))
        return {"seconds": seconds, "moved_bits": sum(moved), "worst_db": min(worst)}
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
        "worst_db": ours["worst_db"],
        "whole": n_images / seconds["whole"],
        "floor": n_images / seconds["floor"],
        "floor_share": seconds["floor"] / seconds["resize"],
        "bound": resizer / seconds["floor"],
    }
