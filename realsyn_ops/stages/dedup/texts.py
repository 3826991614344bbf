"""Sentences that are the same to the letter, or but for a few letters.

Three ways of being near-duplicates, each of which finds what the others miss. `text_identity` finds what differs in
case, punctuation and white space alone, whatever its length. The embedding finds what says the same in other words.
`text_links` finds long sentences that share nearly all their letters and yet are apart for the encoder: with typing
errors, with words run together, cut or continued, in a language or with names that it does not know.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from realsyn_ops.stages.dedup.links import Links, distinct_values, joined_pairs, make_links

N_BANDS = 20
"""Keys of a text. Texts of Jaccard similarity s share at least one but for (1 - s^4)^20: 3 in 100,000 at 0.8."""

_ROWS = 4
_SHINGLE = 5
_BLOCK = 4_096
_HASHED = 1_024
"""Texts whose shingles stay in the processor's cache while they are hashed."""
_SEED = 2502


def text_identity(text: str) -> int:
    """64-bit hash of a sentence without case, punctuation and white space: equal for what only looks different."""
    return int.from_bytes(hashlib.blake2b(_letters(text).encode(), digest_size=8).digest(), "big")


def text_bands(texts: Sequence[str]) -> np.ndarray:
    """(n, N_BANDS) uint64 MinHash keys of each text, for `text_links`: once a text, worth keeping."""
    bands = np.empty((len(texts), N_BANDS), np.uint64)
    salts = _mix(np.arange(_SEED, _SEED + N_BANDS * _ROWS, dtype=np.uint64)).reshape(N_BANDS, _ROWS)
    for start in range(0, len(texts), _HASHED):
        shingles, limits = _shingles(texts[start : start + _HASHED])
        salted, scratch = np.empty_like(shingles), np.empty_like(shingles)
        for band in range(N_BANDS):
            key = np.full(len(limits) - 1, band, np.uint64)
            for salt in salts[band]:
                np.bitwise_xor(shingles, salt, out=salted)
                _mix_here(salted, scratch)
                key = _mix(key ^ np.minimum.reduceat(salted, limits[:-1]))
            bands[start : start + _HASHED, band] = key
    return bands


def text_links(
    texts: Sequence[str],
    bands: np.ndarray,
    is_new: np.ndarray,
    *,
    min_jaccard: float,
    identities: np.ndarray | None = None,
) -> Links:
    """Links of new texts with all whose Jaccard similarity with them is at least `min_jaccard`, which is theirs.

    Compared are runs of five letters or digits, case and all else left out, each as often as it occurs. One changed
    letter changes five of them: at 0.8 a sentence may have one such change per 45 letters, so short ones are linked by
    `text_identity` alone. Texts are compared when they share one of their `text_bands`, and equal ones need no link.
    """
    if identities is None:
        identities = np.array([text_identity(text) for text in texts], np.uint64)
    records, is_fresh = distinct_values(identities, is_new)
    codes = [np.empty(0, np.int64)]
    for band in range(N_BANDS):
        for one, other in joined_pairs(bands[records, band], is_fresh):
            first, second = records[np.minimum(one, other)], records[np.maximum(one, other)]
            codes.append(np.unique(first << 32 | second))
    pairs = np.unique(np.concatenate(codes))
    first, second = pairs >> 32, pairs & 0xFFFFFFFF
    similarity = np.empty(len(pairs))
    for start in range(0, len(pairs), _BLOCK):
        some = slice(start, start + _BLOCK)
        similarity[some] = _jaccard([texts[i] for i in first[some]], [texts[i] for i in second[some]])
    near = similarity >= min_jaccard
    return make_links(first[near], second[near], similarity[near])


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


def _shingles(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (m,) uint64 of all runs of five letters, text i's at limits[i] : limits[i + 1]; a shorter text is one."""
    padded = [_letters(text).ljust(_SHINGLE, "\0") for text in texts]
    points = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded], np.int64)
    n_starts = max(0, len(points) - _SHINGLE + 1)
    hashes = np.zeros(n_starts, np.uint64)
    for place in range(_SHINGLE):
        hashes = _mix(hashes + points[place : place + n_starts])
    ends = np.cumsum(lengths)
    left = np.repeat(ends, lengths)[:n_starts] - np.arange(n_starts)
    return hashes[left >= _SHINGLE], np.r_[0, np.cumsum(lengths - _SHINGLE + 1)]


def _mix(values: np.ndarray) -> np.ndarray:
    """Scrambled 64-bit values (the finalizer of splitmix64)."""
    mixed = values.copy()
    _mix_here(mixed, np.empty_like(mixed))
    return mixed


def _mix_here(values: np.ndarray, scratch: np.ndarray) -> None:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values ^= np.right_shift(values, np.uint64(shift), out=scratch)
        values *= np.uint64(factor)
    values ^= np.right_shift(values, np.uint64(31), out=scratch)


def _jaccard(ones: list[str], others: list[str]) -> np.ndarray:
    """(m,) Jaccard similarities of pairs of texts, as bags of shingles."""
    (left, left_limits), (right, right_limits) = _shingles(ones), _shingles(others)
    n_left, n_right = np.diff(left_limits), np.diff(right_limits)
    pair = np.r_[np.repeat(np.arange(len(ones)), n_left), np.repeat(np.arange(len(ones)), n_right)]
    side = np.r_[np.zeros(len(left), np.int8), np.ones(len(right), np.int8)]
    shingle = np.r_[left, right]
    order = np.lexsort((side, shingle, pair))
    pair, shingle, side = pair[order], shingle[order], side[order]
    starts = np.flatnonzero(np.r_[True, (pair[1:] != pair[:-1]) | (shingle[1:] != shingle[:-1])])
    n_right_here = np.add.reduceat(side.astype(np.int64), starts)
    n_here = np.diff(np.r_[starts, len(pair)])
    shared = np.bincount(pair[starts], np.minimum(n_right_here, n_here - n_right_here), minlength=len(ones))
    return shared / (n_left + n_right - shared)
