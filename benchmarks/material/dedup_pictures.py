"""Pictures with planted near-duplicates, and our answer for them, as the flow decodes, hashes, embeds and links them.

`python -m benchmarks.material.dedup_pictures LIST SIDE HOME`: LIST names a file with one path a line; SIDE is
`hash` (perceptual hash alone) or `flow` (with the demo encoder's visual embedding). The last line of standard output
is one JSON object: CPU-seconds, and the linked pairs as positions in the list.
"""

import hashlib
import io
import json
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from realsyn_ops.image_codec import decode_image
from realsyn_ops.models.load import load_encoder
from realsyn_ops.plans import CuratePlan
from realsyn_ops.stages.dedup import cosine_links, hash_links
from realsyn_ops.stages.embed import perceptual_hash

CHANGES = ("re-encoded", "halved", "cropped")
MAX_DISTANCE = CuratePlan.__dataclass_fields__["max_hash_distance"].default
MIN_SIMILARITY = CuratePlan.__dataclass_fields__["min_visual_similarity"].default
_DECODED_SIDE_PX = 512


def plant(originals: Iterable[Path], folder: Path) -> tuple[list[Path], np.ndarray]:
    """Each original and, beside it, as JPEG: of quality 40; at half its sides; a crop of 80 to 95% of each side.

    The files, and the number of the original that each comes from.
    """
    files, groups = [], []
    for number, path in enumerate(originals):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        rng = np.random.default_rng(list(hashlib.blake2b(path.name.encode(), digest_size=8).digest()))
        share = rng.uniform(0.8, 0.95)
        width, height = round(picture.width * share), round(picture.height * share)
        left = int(rng.integers(0, picture.width - width + 1))
        top = int(rng.integers(0, picture.height - height + 1))
        changed = {
            "re-encoded": (picture, 40),
            "halved": (picture.resize((picture.width // 2, picture.height // 2)), 90),
            "cropped": (picture.crop((left, top, left + width, top + height)), 90),
        }
        files.append(path)
        for change, (result, quality) in changed.items():
            content = io.BytesIO()
            result.save(content, "JPEG", quality=quality)
            files.append(folder / f"{number:04d}-{change}.jpg")
            files[-1].write_bytes(content.getvalue())
        groups += [number] * (1 + len(changed))
    return files, np.array(groups)


def links_of(files: list[Path], *, embed: bool, models_path: Path) -> tuple[float, np.ndarray]:
    """CPU-seconds, and the linked pairs (m, 2)."""
    everything = np.ones(len(files), bool)
    encoder = load_encoder("demo", device="cpu", threads=1, models_path=models_path) if embed else None
    side = _DECODED_SIDE_PX if embed else 64
    started = time.process_time()
    hashes, visual = [], []
    for path in files:
        picture = decode_image(path.read_bytes(), max_side=side)
        hashes.append(perceptual_hash(picture))
        if encoder:
            visual.append(encoder.encode_images([picture])[1])
    values = np.array(hashes, np.uint64)
    links = [hash_links(values, everything, max_distance=MAX_DISTANCE)]
    if encoder:
        one_cell = np.arange(len(files) + 1), np.zeros(len(files), np.int32)
        links.append(cosine_links(np.concatenate(visual), *one_cell, everything, min_similarity=MIN_SIMILARITY))
    pairs = {pair for part in links for pair in zip(part.first.tolist(), part.second.tolist(), strict=True)}
    seconds = time.process_time() - started
    same = values[:, None] == values
    pairs |= set(zip(*(part.tolist() for part in np.nonzero(np.triu(same, 1))), strict=True))
    return seconds, np.array(sorted(pairs)).reshape(-1, 2)


if __name__ == "__main__":
    listed, kind, home = sys.argv[1:]
    seconds, pairs = links_of(
        [Path(line) for line in Path(listed).read_text().splitlines()],
        embed=kind == "flow",
        models_path=Path(home) / "models",
    )
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    print(json.dumps({"seconds": seconds, "pairs": pairs.tolist(), "peak_rss_bytes": peak}))
