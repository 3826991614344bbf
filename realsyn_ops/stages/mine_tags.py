"""Tags mined from the corpus (paper section 3.3): which noun phrases of its sentences extend a list of tags.

Phrases are counted a shard at a time and merged a bucket at a time, by stem: what comes out depends on the sentences
and never on their order. What is a tag is decided by how often a phrase is said and by how well images agree with it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import pyarrow as pa
from nltk.stem import SnowballStemmer

COUNTS = pa.schema([("stem", pa.string()), ("phrase", pa.string()), ("n_sentences", pa.int64())])
"""Of each form of a stem, the sentences that have it."""
_MERGED_ROWS = 1_000_000
_BLOCK_BYTES = 64 * 2**20
_BLOCK = 256


class MiningReason(StrEnum):
    """Why a phrase is no tag, in the order the rules are tried."""

    TOO_RARE = "too_rare"
    NOT_AMONG_MOST_FREQUENT = "not_among_most_frequent"
    KNOWN_WORD = "known_word"
    NOT_CONCRETE = "not_concrete"
    NEAR_DUPLICATE = "near_duplicate"
    BEYOND_SIZE = "beyond_size"


@dataclass(frozen=True)
class Limits:
    """``size`` of the whole list, base tags included; ``min_concreteness``: a quantile of the base tags' own;
    ``max_similarity``: cosine from which two phrases are near-duplicates."""

    size: int
    min_concreteness: float
    max_similarity: float


@lru_cache(maxsize=100_000)
def stem(phrase: str) -> str:
    """The stems of its words (Snowball): one for singular and plural."""
    return " ".join(map(_stemmer().stem, phrase.lower().replace("-", " ").split()))


def count_phrases(of_sentences: Iterable[Iterable[str]], *, n_buckets: int) -> list[pa.Table]:
    """How many sentences have each phrase, as ``COUNTS``, a table for each bucket of stems."""
    counts = Counter(phrase for phrases in of_sentences for phrase in set(phrases))
    rows: list[list[tuple[str, str, int]]] = [[] for _ in range(n_buckets)]
    for phrase, n in sorted(counts.items()):
        of = stem(phrase)
        rows[int.from_bytes(hashlib.blake2b(of.encode(), digest_size=4).digest(), "big") % n_buckets].append(
            (of, phrase, n)
        )
    return [_counts(bucket) for bucket in rows]


def merge_counts(tables: Iterable[pa.Table]) -> pa.Table:
    """The counts of many shards together, sorted by stem and phrase; some million rows are held at a time."""
    merged, waiting = COUNTS.empty_table(), [COUNTS.empty_table()]
    for table in tables:
        waiting.append(table)
        if sum(part.num_rows for part in waiting) > max(_MERGED_ROWS, merged.num_rows):
            merged, waiting = _summed([merged, *waiting]), []
    return _summed([merged, *waiting]).sort_by([("stem", "ascending"), ("phrase", "ascending")])


def candidates(counts: pa.Table, *, min_sentences: int, n: int) -> tuple[pa.Table, dict[str, int]]:
    """The n most frequent stems, each by its most frequent form; and how many were refused, by reason.

    Ties go by the alphabet. Sorted by stem, as ``COUNTS``. A sentence with two forms of a stem counts for both.
    """
    forms = counts.sort_by([("stem", "ascending"), ("n_sentences", "descending"), ("phrase", "ascending")])
    names = forms["stem"].to_numpy(zero_copy_only=False)
    first = np.flatnonzero(np.r_[True, names[1:] != names[:-1]]) if len(names) else np.empty(0, np.int64)
    totals = np.add.reduceat(forms["n_sentences"].to_numpy(), first) if len(first) else first
    often = np.flatnonzero(totals >= min_sentences)
    kept = np.sort(often[np.argsort(-totals[often], kind="stable")[:n]])
    table = forms.take(pa.array(first[kept])).set_column(2, "n_sentences", pa.array(totals[kept], pa.int64()))
    rejected = {
        MiningReason.TOO_RARE: len(first) - len(often),
        MiningReason.NOT_AMONG_MOST_FREQUENT: len(often) - len(kept),
    }
    return table, {reason: n for reason, n in rejected.items() if n}


def concreteness(phrases: np.ndarray, images: np.ndarray, *, n_top: int) -> np.ndarray:
    """(n,) how well images agree with each phrase: the mean of its n_top best cosines above what is to be expected.

    Expected is the sum of what the phrase has with all images and what the image has with all phrases (both sides are
    taken from their mean): a phrase near to everything does not pass for concrete, nor does an image that is near to
    all phrases lend them its nearness. phrases (n, d), images (m, d): unit rows.
    """
    towards = phrases - phrases.mean(axis=0, dtype=np.float64).astype(np.float32)
    looks = images - images.mean(axis=0, dtype=np.float64).astype(np.float32)
    top = min(n_top, len(images))
    found = np.empty(len(phrases))
    rows = max(1, _BLOCK_BYTES // (4 * len(images)))
    for start in range(0, len(phrases), rows):
        cosines = towards[start : start + rows] @ looks.T
        found[start : start + rows] = np.partition(cosines, -top, axis=1)[:, -top:].mean(axis=1, dtype=np.float64)
    return found.round(6)


def choose(
    base: Sequence[str], phrases: pa.Table, vectors: np.ndarray, concrete: np.ndarray, limits: Limits
) -> tuple[list[int], list[str | None]]:
    """Which of the candidates extend the base list: their positions, best first, and each one's reason or None.

    vectors (b + n, d) and concrete (b + n,) are of the b base tags and then of the n candidates. A candidate's rank is
    the mean of its rank by frequency and its rank by concreteness among those concrete enough; ties go by the alphabet.
    """
    n_base, names = len(base), phrases["phrase"].to_pylist()
    known = {stem(tag) for tag in base}
    floor = np.quantile(concrete[:n_base], limits.min_concreteness)
    reasons: list[str | None] = [
        MiningReason.KNOWN_WORD if of in known else MiningReason.NOT_CONCRETE if value < floor else None
        for of, value in zip(phrases["stem"].to_pylist(), concrete[n_base:].tolist(), strict=True)
    ]
    left = np.array([i for i, reason in enumerate(reasons) if reason is None], np.int64)
    ranks = _rank(phrases["n_sentences"].to_numpy()[left]) + _rank(concrete[n_base:][left])
    order = sorted(range(len(left)), key=lambda i: (-ranks[i], names[left[i]]))
    chosen = _distinct(vectors, n_base, left[order], limits)
    for i in left[order].tolist():
        reasons[i] = MiningReason.NEAR_DUPLICATE
    for i in chosen[limits.size - n_base :]:
        reasons[i] = MiningReason.BEYOND_SIZE
    taken = chosen[: limits.size - n_base]
    for i in taken:
        reasons[i] = None
    return taken, reasons


def _distinct(vectors: np.ndarray, n_base: int, order: np.ndarray, limits: Limits) -> list[int]:
    """Those, in order, that are near neither a base tag nor one before them."""
    kept = np.empty((n_base + len(order), vectors.shape[1]), np.float32)
    kept[:n_base] = vectors[:n_base]
    chosen: list[int] = []
    for start in range(0, len(order), _BLOCK):
        rows = order[start : start + _BLOCK]
        block, before = vectors[n_base + rows], n_base + len(chosen)
        is_near = (block @ kept[:before].T >= limits.max_similarity).any(axis=1)
        among = block @ block.T >= limits.max_similarity
        new: list[int] = []
        for i in np.flatnonzero(~is_near).tolist():
            if not among[i, new].any():
                new.append(i)
        kept[before : before + len(new)] = block[new]
        chosen += rows[new].tolist()
    return chosen


def _rank(values: np.ndarray) -> np.ndarray:
    """(n,) the share of values that are smaller: equal ones have the same."""
    return np.searchsorted(np.sort(values), values) / max(1, len(values))


def _summed(tables: list[pa.Table]) -> pa.Table:
    grouped = pa.concat_tables(tables).group_by(["stem", "phrase"]).aggregate([("n_sentences", "sum")])
    return grouped.rename_columns({"n_sentences_sum": "n_sentences"}).select(COUNTS.names)


def _counts(rows: list[tuple[str, str, int]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [(), (), ()]
    return pa.table([pa.array(list(c), f.type) for c, f in zip(columns, COUNTS, strict=True)], schema=COUNTS)


@lru_cache(maxsize=1)
def _stemmer() -> SnowballStemmer:
    return SnowballStemmer("english")
