"""Searching images over sentences, a part of these at a time within the memory budget.

An image that is searched sees all sentences; one that is only updated sees its published texts and those new sentences
that are no worse than the last of them, and is searched after all where a new sentence, too like one of its texts,
would push that one out.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.corpus_rows import KeptRows, StoredAt
from realsyn_ops.operators.kept_arrays import KeptArrays
from realsyn_ops.operators.known_texts import (
    is_displaced,
    known_candidates,
    last_scores,
    published_pairs,
    refused_candidates,
)
from realsyn_ops.plans import PairPlan, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.operators.run import Work
    from realsyn_ops.stages.retrieve import Candidates, Texts

SPARE = 8
"""Candidates beyond those wanted: texts too like a better one are passed over."""
FIRST_SPARE = 2
"""So many beyond those wanted first: a search for few reads few, and nearly every image has its texts among them."""
READ_FOR_ONE = 100
"""Sentences that an image asks for which no other has asked for, about: few images read those alone."""
CALIBRATE_IMAGES, CALIBRATE_SENTENCES = 20_000, 500_000
RECALL_IMAGES = 500
HELD, _SCALED = 4, 12
"""Bytes a number of a vector may take: held as float16, with as much again for all else; in float32, which is read as
float16 and scaled in between, or has a head as long."""
PREPARE, RETRIEVE = "prepare", "retrieve"


class Search:
    """The sentences of a run as its images see them. Keys of candidates are positions among the sentences."""

    def __init__(self, staging: "Staging", chosen: PairPlan, sentences: KeptRows, sight: bytes) -> None:
        from safetensors.numpy import load

        from realsyn_ops.io.codebook import read_codebook
        from realsyn_ops.stages.cluster import Quantizer
        from realsyn_ops.stages.retrieve import Sight, listed

        self._chosen = chosen
        self._sentences = sentences
        self._quantizer = Quantizer(read_codebook(staging.bucket, chosen.codebook).centroids)
        k, dim = self._quantizer.centroids.shape
        self._sight = listed(k, dim) if chosen.n_probes else Sight.from_arrays(load(sight))
        name = hashlib.blake2b(sight, digest_size=8).hexdigest()
        self._sightings = KeptArrays(f"sightings/{name}", sentences.embeddings, self._seen)
        self._dim = dim

    @property
    def n_candidates(self) -> int:
        return self._chosen.n_texts + SPARE

    def clusters(self, images: "np.ndarray") -> "np.ndarray":
        """(m,) the codebook's cluster that each image is nearest to."""
        return self._quantizer.assign(images, n_probes=1)[0][:, 0]

    def candidates(
        self, images: "np.ndarray", among: "np.ndarray", *, least: "np.ndarray | None" = None, n: int = 0
    ) -> "Candidates":
        """Candidates for images (m, d) out of the sentences at positions ``among``, of the clusters that each probes.

        With a number of probes in the plan those are the codebook's nearest, as in the paper. least (m,): the scores
        below which an image wants none. n: how many, 0 for `n_candidates`.
        """
        import numpy as np

        from realsyn_ops.stages.retrieve import Rows, above, merge, probing, probing_of, search

        n_probes = self._chosen.n_probes
        n = n or self.n_candidates
        by_day = among[np.argsort(self._sentences.places[among], kind="stable")]
        by_part = list(_parts(by_day, (_SCALED if n_probes else HELD) * self._dim))
        probed = None
        if n_probes:
            probed = probing_of(list(self._quantizer.assign(images, n_probes=n_probes)[0]))
        elif len(by_part) > 1:
            probed = probing(self._sight, images)
        parts: list[Candidates] = []
        for positions in by_part:
            vectors: np.ndarray | Rows
            if n_probes:
                vectors = self._sentences.vectors(positions)
                clusters, heads = self._quantizer.assign(vectors, n_probes=1)[0][:, 0], None
            else:
                seen = self._sightings.of(self._sentences.places[positions])
                clusters, heads = seen["clusters"], seen["heads"]
                vectors = Rows(StoredAt(self._sentences, positions), len(positions))
                if READ_FOR_ONE * len(images) > len(positions):
                    vectors.read_all()
            found = search(
                self._sight, images, vectors, keys=positions, clusters=clusters, heads=heads, probed=probed,
                n_candidates=n, least=least,
            )  # fmt: skip
            parts = [merge([*parts, found], n_candidates=n)]
            least = above(least, parts[0])
        return parts[0]

    def best(self, images: "np.ndarray", among: "np.ndarray") -> "Candidates":
        """What `candidates` would be if nothing were passed over."""
        from realsyn_ops.stages.retrieve import merge, score_all

        parts: list[Candidates] = []
        for positions in _parts(among, _SCALED * self._dim):
            vectors = self._sentences.vectors(positions)
            found = score_all(images, vectors, keys=positions, n_candidates=self.n_candidates)
            parts = [merge([*parts, found], n_candidates=self.n_candidates)]
        return parts[0]

    def _seen(self, vectors: "np.ndarray") -> "dict[str, np.ndarray]":
        """How the sight sees sentences (n, d): clusters (n,), heads (n, e + 1) float16."""
        import numpy as np

        from realsyn_ops.heads import vector_heads
        from realsyn_ops.stages.retrieve import assign

        heads = vector_heads(vectors, self._sight.basis).astype(np.float16)
        return {"clusters": assign(self._sight, vectors).astype(np.int32), "heads": heads}

    def choose(self, candidates: "Candidates", refused: "np.ndarray | None" = None) -> "Texts":
        """The texts, as positions among the sentences."""
        import numpy as np

        from realsyn_ops.stages.retrieve import Texts, choose

        keys = np.unique(candidates.keys[np.isfinite(candidates.scores)])
        if not len(keys):
            shape = len(candidates.keys), self._chosen.n_texts
            return Texts(np.full(shape, -1, np.int64), np.zeros(shape, np.float32))
        texts = choose(
            candidates,
            keys=keys,
            vectors=self._sentences.vectors(keys),
            n_texts=self._chosen.n_texts,
            max_text_similarity=self._chosen.max_text_similarity,
            refused=refused,
            max_uses=self._chosen.max_uses or None,
        )
        return Texts(np.where(texts.positions >= 0, keys[texts.positions], -1), texts.similarities)


def _parts(among: "np.ndarray", row_bytes: int) -> Iterator["np.ndarray"]:
    """At least one part, all of a size, within the budget."""
    for start, stop in shard_bounds(len(among), max(1, settings().memory_bytes // row_bytes)) or [(0, 0)]:
        yield among[start:stop]


def calibrate(chosen: PairPlan, images: KeptRows, sentences: KeptRows) -> bytes:
    """How images see sentences from now on, so that the target recall is met: frozen by the first run."""
    import numpy as np
    from safetensors.numpy import save

    from realsyn_ops.stages.retrieve import calibrate as calibrate_sight

    everything = (sentences.vectors(part) for part in _parts(np.arange(len(sentences)), _SCALED * sentences.dim))
    sight = calibrate_sight(
        images.vectors(_sample(images["key"], chosen.seed, CALIBRATE_IMAGES)),
        sentences.vectors(_sample(sentences["key"], chosen.seed, CALIBRATE_SENTENCES)),
        target_recall=chosen.target_recall,
        n_texts=chosen.n_texts,
        seed=chosen.seed,
        n_sentences=len(sentences),
        everything=everything if len(sentences) > CALIBRATE_SENTENCES else None,
    )
    return bytes(save(sight.to_arrays()))


def measure_recall(staging: "Staging", chosen: PairPlan, work: "Work") -> dict[str, Any]:
    """Recall of the run's search on a sample of images beside the exact one, with its 95% interval."""
    import numpy as np

    from realsyn_ops.stages.retrieve import recall_at, recall_interval

    images, sentences = paired_rows(staging)
    search = Search(staging, chosen, sentences, staging.get(f"sight-{work['prepared']}"))
    vectors = images.vectors(_sample(images["key"], chosen.seed + 1, RECALL_IMAGES))
    everything = np.arange(len(sentences))
    found = search.candidates(vectors, everything)
    shares = recall_at(found, search.best(vectors, everything), n=chosen.n_texts)
    scored = float(found.n_scored.mean() / max(1, len(sentences))) if len(vectors) else 1.0
    return {
        "recall": round(float(shares.mean()), 4) if len(shares) else 1.0,
        "recall_interval": [round(end, 4) for end in recall_interval(shares)],
        "share_of_sentences_scored": round(scored, 4),
        "n_images": len(vectors),
    }


def shard_texts(staging: "Staging", chosen: PairPlan, work: "Work") -> "tuple[np.ndarray, np.ndarray, Texts, int]":
    """Of a shard of images: positions among the images, codebook clusters, texts, and how many were searched."""
    import numpy as np
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.stages.retrieve import Texts, merge

    images, sentences = paired_rows(staging)
    start, stop = map(int, work["shard"].split("-")[:2])
    keys = staging.read_shard(PREPARE, work["prepared"], "images")["key"].slice(start, stop - start)
    mine = pc.index_in(keys, images.table["key"].combine_chunks()).to_numpy()
    is_searched = np.arange(start, stop) < json.loads(staging.get(f"{PREPARE}-{work['prepared']}.json"))["searched"]
    search = Search(staging, chosen, sentences, staging.get(f"sight-{work['prepared']}"))
    vectors = images.vectors(mine)
    shape = len(mine), chosen.n_texts
    texts = Texts(np.full(shape, -1, np.int64), np.zeros(shape, np.float32))
    clusters = np.empty(len(mine), np.int64)
    least = np.full(len(mine), -np.inf)
    updated = np.flatnonzero(~is_searched)
    if len(updated):
        new = staging.read_shard(PREPARE, work["prepared"], "sentences")["key"].combine_chunks()
        among = np.flatnonzero(pc.is_in(sentences.table["key"], new).to_numpy())
        pairs = published_pairs(Corpus(staging.bucket), keys.take(updated).to_pylist())
        clusters[updated] = pairs["cluster"].to_numpy()
        known = known_candidates(pairs, sentences, search.n_candidates)
        had = known.keys[:, : chosen.n_texts], known.scores[:, : chosen.n_texts]
        texts.positions[updated] = np.where(np.isfinite(had[1]), had[0], -1)
        texts.similarities[updated] = np.where(np.isfinite(had[1]), had[1], 0)
        found = search.candidates(vectors[updated], among, least=had[1][:, -1])
        better = np.flatnonzero(np.isfinite(found.scores).any(axis=1))
        known, found = known.of(better), found.of(better)
        some, rows = search.choose(merge([known, found], n_candidates=search.n_candidates)), updated[better]
        texts.positions[rows], texts.similarities[rows] = some.positions, some.similarities
        is_searched[rows] = is_displaced(known, some)
        least[rows] = last_scores(some)
    searched = np.flatnonzero(is_searched)
    clusters[searched] = search.clusters(vectors[searched])
    for n in [search.n_candidates] if chosen.max_uses else [chosen.n_texts + FIRST_SPARE, search.n_candidates]:
        if not len(searched):
            break
        found = search.candidates(vectors[searched], np.arange(len(sentences)), least=least[searched], n=n)
        refused = (
            None
            if chosen.own_document
            else refused_candidates(staging, keys.take(searched).to_pylist(), sentences, found)
        )
        some = search.choose(found, refused)
        texts.positions[searched], texts.similarities[searched] = some.positions, some.similarities
        searched, least[:] = searched[some.positions[:, -1] < 0], -np.inf
    return mine, clusters, texts, int(is_searched.sum())


def paired_rows(staging: "Staging") -> tuple[KeptRows, KeptRows]:
    """The images and the sentences that this run pairs."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.operators.corpus_rows import kept_rows

    versions = json.loads(staging.get("versions.json"))
    corpus = Corpus(staging.bucket)
    return (
        kept_rows(corpus, "curated_images", "image_embeddings", [], versions),
        kept_rows(corpus, "sentence_clusters", "sentence_embeddings", ["text", "cluster"], versions),
    )


def _sample(keys: list[str], seed: int, n: int) -> "np.ndarray":
    """Positions of ``n`` keys, drawn by hash, ascending."""
    import numpy as np

    from realsyn_ops.records import hash_order

    return np.sort(np.array(sorted(range(len(keys)), key=lambda i: hash_order(keys[i], seed))[:n], np.int64))
