"""A corpus as the steps over all days find it in the tables, generated: vectors in float16, texts, hashes, days.

Sentences are `planted_vectors` of 384. There is an image to ten sentences, with two vectors: a visual one of 1,280 (the
demo's encoder), planted as well, and a joint one of 384 that shows a sentence of the corpus, yet lies where no sentence
does: a direction common to all images holds half of it, the rest is in the leading directions. Of texts, one in fifty
is another one with a letter changed; of perceptual hashes, one in fifty is another one with a few bits changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.material.planted_vectors import planted_vectors

DIM, VISUAL_DIM = 384, 1_280
SENTENCES_PER_IMAGE = 10
_THRESHOLD = 0.9
_SLAB = 65_536
_LEADING, _GAP, _SHOWN = 40.0, 0.7, 0.55
_WORDS, _MIN_WORDS, _MAX_WORDS = 30_000, 6, 22
_SEED = 2502


@dataclass(frozen=True)
class Vectors:
    """Rows of float16 on disk, of which those at some `places` (n,), ascending, are this corpus: a day may be out."""

    path: Path
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def dim(self) -> int:
        return int(np.load(self.path, mmap_mode="r").shape[1])

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        return self.unit(positions)

    def at(self, positions: np.ndarray) -> "Vectors":
        """The rows at ascending positions, as a corpus of their own."""
        return Vectors(self.path, self.places[positions])

    def stored(self, positions: np.ndarray) -> np.ndarray:
        """(m, d) float16 rows at ascending positions. No more of the file is mapped at once than a slab."""
        places = self.places[positions]
        file = np.load(self.path, mmap_mode="r")
        rows = np.empty((len(places), file.shape[1]), np.float16)
        for start in range(0, len(file), _SLAB):
            first, last = np.searchsorted(places, [start, start + _SLAB])
            if first < last:
                slab = np.load(self.path, mmap_mode="r")[start : start + _SLAB]
                np.take(slab, places[first:last] - start, axis=0, out=rows[first:last])
        return rows

    def unit(self, positions: np.ndarray) -> np.ndarray:
        """(m, d) float32 unit rows: scaled to unit length again after float16, as `corpus_rows.unit_matrix` does."""
        rows = self.stored(positions).astype(np.float32)
        rows /= np.sqrt(np.maximum(np.einsum("ij,ij->i", rows, rows), 1e-24))[:, None]
        return rows


def make(folder: Path, *, n_sentences: int, n_images: int) -> None:
    """`sentences`, `visual`, `images` (float16), `hashes`, `pixels` as .npy, and `texts.txt`."""
    rng = np.random.default_rng([_SEED, n_sentences])
    sentences = planted_vectors(n_sentences, dim=DIM, threshold=_THRESHOLD, seed=_SEED).vectors
    np.save(folder / "sentences.npy", sentences.astype(np.float16))
    np.save(folder / "images.npy", _joint(sentences, n_images, rng).astype(np.float16))
    del sentences
    visual = planted_vectors(n_images, dim=VISUAL_DIM, threshold=_THRESHOLD, seed=_SEED + 1).vectors
    np.save(folder / "visual.npy", visual.astype(np.float16))
    np.save(folder / "hashes.npy", _hashes(n_images, rng))
    np.save(folder / "pixels.npy", rng.integers(100 * 100, 4_000 * 3_000, n_images))
    with (folder / "texts.txt").open("w") as file:
        for text in _texts(n_sentences, rng):
            file.write(f"{text}\n")


def _joint(sentences: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    leading = np.exp(-np.arange(DIM) / _LEADING).astype(np.float32)
    gap = rng.standard_normal(DIM).astype(np.float32)
    shown = sentences[rng.integers(0, len(sentences), n)] - sentences[:_SLAB].mean(axis=0)
    own = rng.standard_normal((n, DIM), np.float32)
    images = _SHOWN * _unit(shown * leading) + np.sqrt(1 - _GAP**2 - _SHOWN**2) * _unit(own * leading)
    images += _GAP * gap / np.linalg.norm(gap)
    return _unit(images)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _hashes(n: int, rng: np.random.Generator) -> np.ndarray:
    hashes = rng.integers(0, 2**63, n, np.uint64) << np.uint64(1) | rng.integers(0, 2, n, np.uint64)
    copies, originals = rng.permutation(n)[: n // 50 * 2].reshape(2, -1)
    hashes[copies] = hashes[originals]
    for _ in range(3):
        hashes[copies] ^= np.uint64(1) << rng.integers(0, 64, len(copies)).astype(np.uint64)
    return hashes


def _texts(n: int, rng: np.random.Generator) -> Iterator[str]:
    """Words of three to eleven letters, rare ones rarer; a copy follows at some distance from what it copies."""
    letters = rng.integers(ord("a"), ord("z") + 1, (_WORDS, 11)).astype(np.uint8)
    lengths = rng.integers(3, 12, _WORDS).tolist()
    words = [row.tobytes().decode()[:length] for row, length in zip(letters, lengths, strict=True)]
    copied = ""
    for _ in range(0, n, _SLAB):
        block = min(_SLAB, n - _)
        drawn = (_WORDS * rng.random((block, _MAX_WORDS)) ** 2).astype(np.int64).tolist()
        n_words = rng.integers(_MIN_WORDS, _MAX_WORDS + 1, block).tolist()
        for i, (row, count) in enumerate(zip(drawn, n_words, strict=True)):
            text = " ".join([words[word] for word in row[:count]])
            if i % 50 == 7:
                copied = text
            yield copied[:20] + "q" + copied[21:] if i % 50 == 43 else text
