"""Encoded images to pixels, JPEG and hash: images per CPU second, beside img2dataset's Resizer and imagededup's PHash.

Each side in a process of its own, one thread, from files to the result, the better of two passes. Ours judges the
header first, follows EXIF and colour profiles, and refuses damage; the peers do not. Resizing is to a shorter side of
224 and a JPEG of quality 95, as the RealSyn handbook calls img2dataset. `hash` decodes
to 128 px, as much as a hash needs; the flow hashes what it decodes to 512 for the encoder (`moved_bits`: the mean
difference, of 64). `floor` is what no decoder of ours can save:
for PNG a bare inflate of the image data, for JPEG the decoding at an eighth, which is entropy decoding and little else.
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
MIN_RATIO = {"photographs": 2.0, "pngs": 1.3}
_PHOTOGRAPHS = ["mate-backgrounds", "lomiri-wallpapers-16.04", "plasma-workspace-wallpapers"]
_MIN_PIXELS = 1_000_000

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
    perceptual_hash(decode_image(data, max_side=128))

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
    small, usual = (perceptual_hash(decode_image(data, max_side=side)) for side in (128, 512))
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
    moved[Path(listed).name] = sum(moved_bits(path.read_bytes()) for path in files) / len(files)
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
        name: _row(len(files), ours["seconds"][name], resizer["seconds"][name], hasher["seconds"][name])
        | {"moved_bits": ours["moved_bits"][name]}
        for name, files in sets.items()
    }
    figures["failed at the peers"] = sum(sum(peer["n_failed"].values()) for peer in (resizer, hasher))
    for name, peer in (("ours", ours), ("img2dataset", resizer), ("imagededup", hasher)):
        figures[f"{name}, peak MB"] = peer["peak_rss_bytes"] / 2**20
    figures["peers"] = f"img2dataset {resizer['version']}, imagededup {hasher['version']}"
    n_bytes = sum(path.stat().st_size for path in sets["photographs"])
    return Measurement(
        f"{len(sets['photographs'])} JPEG wallpapers of a megapixel and more ({n_bytes / 1e6:.0f} MB, "
        f"{len(sets['progressive'])} of them progressive), {len(sets['pngs'])} PNGs of GIMP's manual",
        figures,
        [
            Check(f"{name}: times {peer}'s speed", figures[name][f"{task}_ratio"], ">=", bar)
            for name, bar in MIN_RATIO.items()
            for task, peer in (("resize", "img2dataset"), ("hash", "imagededup"))
        ],
    )


def _files(cache: Path) -> dict[str, list[Path]]:
    """Lists by name; `baseline` and `progressive` are the parts of `photographs`."""
    photographs, progressive = [], []
    for folder in fetch(_PHOTOGRAPHS, cache).values():
        for path in sorted(folder.rglob("*.jpg")):
            if path.is_symlink():
                continue
            with Image.open(path) as image:
                if image.width * image.height >= _MIN_PIXELS:
                    photographs.append(path)
                    progressive += [path] if image.info.get("progressive") else []
    manual = fetch(["gimp-help-en"], cache)["gimp-help-en"]
    return {
        "photographs": photographs,
        "baseline": [path for path in photographs if path not in progressive],
        "progressive": progressive,
        "pngs": [path for path in sorted(manual.rglob("*.png")) if not path.is_symlink()],
    }


def _row(n: int, ours: dict[str, float], resizer: float, hasher: float) -> dict[str, float]:
    """Images per second, and ratios; `resize_floor`: the floor's share of our decoding and resizing."""
    return {
        "header": n / ours["check"],
        "resize": n / ours["resize"],
        "img2dataset": n / resizer,
        "resize_ratio": resizer / ours["resize"],
        "hash": n / ours["hash"],
        "imagededup": n / hasher,
        "hash_ratio": hasher / ours["hash"],
        "whole": n / ours["whole"],
        "floor": n / ours["floor"],
        "resize_floor": ours["floor"] / ours["resize"],
    }
