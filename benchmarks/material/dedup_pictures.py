"""Pictures with planted near-duplicates, and our answers for them.

`python -m benchmarks.material.dedup_pictures LIST WAY HOME`: LIST names a file with one path a line; WAY is `hash`
(perceptual hash alone), `crops` (hashes of windows) or `flow` (hash and the demo encoder's visual embedding, linked as
in `curate_images`). The last line of standard output is one JSON object: CPU-seconds, and the linked pairs.
"""

import hashlib
import io
import json
import re
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from realsyn_ops.image_codec import decode_image
from realsyn_ops.kinds import Encoder
from realsyn_ops.models.load import load_encoder
from realsyn_ops.plans import CuratePlan
from realsyn_ops.stages.dedup import Links, cosine_links, crop_links, crop_windows, hash_links, vector_identity
from realsyn_ops.stages.embed import perceptual_hash

CHANGES = ("re-encoded", "halved", "cropped")
MAX_DISTANCE = CuratePlan.max_hash_distance
MIN_SIMILARITY = CuratePlan.min_visual_similarity
MAX_CROP_DISTANCE = 10
_SHARD = 64


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


def by_hash(files: list[Path]) -> set[tuple[int, int]]:
    hashes = np.array([perceptual_hash(_decode(path, 64)) for path in files], np.uint64)
    return _pairs(hash_links(hashes, np.ones(len(files), bool), max_distance=MAX_DISTANCE)) | _equal(hashes)


def by_crops(files: list[Path]) -> set[tuple[int, int]]:
    hashes = [[perceptual_hash(window) for window in crop_windows(_decode(path, 128))] for path in files]
    everything = np.ones(len(files), bool)
    return _pairs(crop_links(np.array(hashes, np.uint64), everything, max_distance=MAX_CROP_DISTANCE))


def by_flow(files: list[Path], encoder: Encoder) -> set[tuple[int, int]]:
    hashes, visual = [], []
    for start in range(0, len(files), _SHARD):
        pictures = [_decode(path, 512) for path in files[start : start + _SHARD]]
        hashes += [perceptual_hash(picture) for picture in pictures]
        visual.append(encoder.encode_images(pictures)[1])
    values, vectors = np.array(hashes, np.uint64), np.concatenate(visual)
    one_cell, everything = (np.arange(len(files) + 1), np.zeros(len(files), np.int32)), np.ones(len(files), bool)
    semantic = cosine_links(vectors, *one_cell, everything, min_similarity=MIN_SIMILARITY)
    perceptual = hash_links(values, everything, max_distance=MAX_DISTANCE)
    return _pairs(semantic) | _pairs(perceptual) | _equal(values) | _equal(vector_identity(vectors))


def _decode(path: Path, side: int) -> Image.Image:
    return decode_image(path.read_bytes(), max_side=side)


def _pairs(links: Links) -> set[tuple[int, int]]:
    return set(zip(links.first.tolist(), links.second.tolist(), strict=True))


def _equal(values: np.ndarray) -> set[tuple[int, int]]:
    first, second = np.nonzero(np.triu(values[:, None] == values, 1))
    return set(zip(first.tolist(), second.tolist(), strict=True))


if __name__ == "__main__":
    listed, way, home = sys.argv[1:]
    paths = [Path(line) for line in Path(listed).read_text().splitlines()]
    ways: dict[str, Callable[[list[Path]], set[tuple[int, int]]]] = {"hash": by_hash, "crops": by_crops}
    if way == "flow":
        loaded = load_encoder("demo", device="cpu", threads=1, models_path=Path(home) / "models")
        ways["flow"] = partial(by_flow, encoder=loaded)
    started = time.process_time()
    pairs = ways[way](paths)
    seconds = time.process_time() - started
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    print(json.dumps({"seconds": seconds, "pairs": sorted(pairs), "peak_rss_bytes": peak}))
