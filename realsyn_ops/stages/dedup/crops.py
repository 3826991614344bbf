"""Links between pictures of which one is a crop of the other, by hashes of windows of the larger.

One hash of a whole picture is lost with a twentieth of its sides. Here a picture is also hashed through windows of 80
to 95% of its sides, at nine places each; what was cropped about there has the hash of a window. Every whole is held
against every window: that is for thousands of pictures that nothing has encoded. Among millions, crops are found by
`cosine_links` of visual embeddings.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from realsyn_ops.stages.dedup.links import Links, make_links

_SHARES = (0.95, 0.9, 0.85, 0.8)
_PLACES = (0.0, 0.5, 1.0)
_N_BITS = 64
_MAX_PRODUCTS = 1 << 24


def crop_windows(image: Image.Image) -> Iterator[Image.Image]:
    """The whole picture in grey, then 36 windows of it, large ones first: what to hash. 128 px are enough."""
    grey = image.convert("L")
    yield grey
    for share in _SHARES:
        width, height = max(1, round(grey.width * share)), max(1, round(grey.height * share))
        for down in _PLACES:
            for right in _PLACES:
                left, top = round((grey.width - width) * right), round((grey.height - height) * down)
                yield grey.crop((left, top, left + width, top + height))


def crop_links(hashes: np.ndarray, is_new: np.ndarray, *, max_distance: int) -> Links:
    """Links of new pictures with all, where the whole of one is like a window (or the whole) of the other.

    hashes: (n, w) uint64 of `crop_windows`, the whole's first. Equal ones are linked too: a picture's value is itself.
    Similarity is the share of equal bits.
    """
    n, n_windows = hashes.shape
    wholes = np.ascontiguousarray(hashes[:, 0])
    step = max(1, _MAX_PRODUCTS // max(1, n * n_windows))
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for start in range(0, n, step):
        windows = hashes[start : start + step]
        nearest = np.bitwise_count(windows[:, :, None] ^ wholes).min(axis=1)
        rows, columns = np.nonzero(nearest <= max_distance)
        some = (is_new[rows + start] | is_new[columns]) & (rows + start != columns)
        found.append((rows[some] + start, columns[some], nearest[rows, columns][some]))
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.uint8))
    first, second, distance = (np.concatenate(part) for part in zip(none, *found, strict=True))
    order = np.argsort(distance, kind="stable")
    return make_links(first[order], second[order], 1 - distance[order] / _N_BITS)
