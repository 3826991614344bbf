"""Vectors like those of a sentence encoder, with near-duplicates planted among them that are known by construction.

Spectrum and crowding are those measured on MiniLM embeddings of 78,270 dictionary sentences: variance falls by e every
80 dimensions, a common mean holds 11% of it, topics within topics hold most of the rest, so that a sentence's nearest
neighbour is typically at a cosine of 0.75. Topics grow in number with the records, as clusters do.

Planted, always beside an original that is an ordinary record:
- groups: two to four copies, half of them within 0.01 of the threshold, the others anywhere up to 1;
- equal: a copy to the bit;
- chains: six records, each just within the threshold of the next, the ends far apart;
- near-misses: just below the threshold, by 0.00002 to 0.01.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

_SHARES = {"mean": 0.115, "topic": 0.22, "part": 0.20, "detail": 0.15}
_DECAY = 80.0
_BLOCK = 50_000
_LINKS_OF_CHAIN = 5


@dataclass(frozen=True)
class Planted:
    """n vectors (n, d) float32; pairs (m, 2) that are near-duplicates, and pairs (k, 2) that just are not."""

    vectors: np.ndarray
    near: np.ndarray
    missed: np.ndarray


def planted_vectors(n: int, *, dim: int, threshold: float, seed: int) -> Planted:
    """A tenth of the records is planted, scattered over all of them."""
    rng = np.random.default_rng([seed, n])
    spectrum = np.exp(-np.arange(dim) / _DECAY / 2)
    spectrum /= np.linalg.norm(spectrum)
    vectors = _ordinary(n, spectrum, rng)
    places = rng.permutation(n)
    kinds = {"group": n // 40, "equal": n // 200, "chain": n // 400, "miss": n // 40}
    near, missed, used = [], [], 0

    def draw(count: int) -> np.ndarray:
        nonlocal used
        used += count
        return places[used - count : used]

    originals = draw(kinds["group"])
    for copy in range(3):
        taking = originals[: len(originals) // (copy + 1)]
        cosine = np.where(
            rng.random(len(taking)) < 0.5,
            threshold + 0.01 * rng.random(len(taking)),
            rng.uniform(threshold, 1, len(taking)),
        )
        copies = draw(len(taking))
        _turn(vectors, taking, copies, np.maximum(cosine, threshold + 1e-6), spectrum, rng)
        near.append((taking, copies))
    originals, copies = draw(kinds["equal"]), draw(kinds["equal"])
    vectors[copies] = vectors[originals]
    near.append((originals, copies))
    links = [draw(kinds["chain"]) for _ in range(_LINKS_OF_CHAIN + 1)]
    _chain(vectors, links, threshold + 0.002, spectrum, rng)
    near.extend(pairwise(links))
    originals, copies = draw(kinds["miss"]), draw(kinds["miss"])
    below = 2e-5 + 0.01 * rng.random(len(originals)) ** 3
    _turn(vectors, originals, copies, threshold - below, spectrum, rng)
    missed.append((originals, copies))
    return Planted(vectors, *(np.concatenate([np.stack(pair, axis=1) for pair in pairs]) for pairs in (near, missed)))


def _ordinary(n: int, spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    def draw(count: int) -> np.ndarray:
        rows = rng.standard_normal((count, len(spectrum)), dtype=np.float32)
        rows *= spectrum.astype(np.float32)
        return rows

    mean = draw(1) / np.linalg.norm(spectrum)
    levels = {"topic": draw(150), "part": draw(max(1, n // 400)), "detail": draw(max(1, n // 20))}
    rest = np.sqrt(1 - sum(_SHARES.values()))
    vectors = np.empty((n, len(spectrum)), np.float32)
    for start in range(0, n, _BLOCK):
        stop = min(n, start + _BLOCK)
        detail = (len(levels["detail"]) * rng.random(stop - start) ** 1.3).astype(np.int64)
        part = detail % len(levels["part"])
        chosen = {"topic": part % 150, "part": part, "detail": detail}
        rows = rest * draw(stop - start) + np.sqrt(_SHARES["mean"]) * mean
        for level, number in chosen.items():
            rows += np.sqrt(_SHARES[level]) * levels[level][number]
        vectors[start:stop] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return vectors


def _aside(rows: np.ndarray, spectrum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(m, d) float64 unit vectors at right angles to the rows, otherwise of the spectrum."""
    moves = rng.standard_normal(rows.shape) * spectrum
    moves -= np.einsum("ij,ij->i", moves, rows)[:, None] * rows
    return moves / np.linalg.norm(moves, axis=1, keepdims=True)


def _turn(
    vectors: np.ndarray,
    originals: np.ndarray,
    copies: np.ndarray,
    cosine: np.ndarray,
    spectrum: np.ndarray,
    rng: np.random.Generator,
) -> None:
    rows = vectors[originals].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    turned = cosine[:, None] * rows + np.sqrt(1 - cosine**2)[:, None] * _aside(rows, spectrum, rng)
    vectors[copies] = turned


def _chain(
    vectors: np.ndarray, links: list[np.ndarray], cosine: float, spectrum: np.ndarray, rng: np.random.Generator
) -> None:
    rows = vectors[links[0]].astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    aside = _aside(rows, spectrum, rng)
    for step, link in enumerate(links):
        angle = step * np.arccos(cosine)
        vectors[link] = np.cos(angle) * rows + np.sin(angle) * aside
