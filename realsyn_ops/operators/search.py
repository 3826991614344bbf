"""Searching a shard of images: the sentences of the clusters that they probe, within the memory budget.

An image that is searched sees all sentences; one that is only updated sees its published texts and the new sentences,
and is searched after all where a new sentence, too like one of its texts, would push that one out.
"""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.corpus_rows import KeptRows
from realsyn_ops.plans import PairPlan
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.operators.run import Work
    from realsyn_ops.stages.retrieve import Candidates, Texts

SPARE = 8
"""Candidates beyond those wanted: texts too like a better one are passed over."""
CALIBRATE_IMAGES = 500
RECALL_IMAGES = 500


class Search:
    """The sentences of a run, searched range by range of clusters."""

    def __init__(self, staging: "Staging", chosen: PairPlan, sentences: KeptRows) -> None:
        from realsyn_ops.io.codebook import read_codebook

        self._chosen = chosen
        self._sentences = sentences
        self._clusters = sentences.table["cluster"].to_numpy()
        self.centroids = read_codebook(staging.bucket, chosen.codebook).centroids

    def probes(self, images: "np.ndarray", n_probes: int) -> "np.ndarray":
        """(m, p) clusters that images (m, d) probe."""
        from realsyn_ops.stages.cluster import assign

        return assign(images, self.centroids, n_probes=n_probes)[0]

    def candidates(self, images: "np.ndarray", probes: "np.ndarray", among: "np.ndarray") -> "Candidates":
        """Candidates for images (m, d) out of the sentences at positions ``among``."""
        import numpy as np

        from realsyn_ops.stages.retrieve import Candidates, merge, search

        n = self._chosen.n_texts + SPARE
        parts = [Candidates(np.full((len(images), n), -1, np.int64), np.full((len(images), n), -np.inf))]
        among = among[np.isin(self._clusters[among], probes)]
        for positions in self._ranges(among):
            found = search(
                images, probes, self._sentences.vectors(positions), self._clusters[positions], n_candidates=n
            )
            parts = [merge([*parts, found.at(positions)], n)]
        return parts[0]

    def choose(self, candidates: "Candidates") -> "Texts":
        from realsyn_ops.stages.retrieve import choose

        rules: dict[str, Any] = {
            "n_texts": self._chosen.n_texts, "max_text_similarity": self._chosen.max_text_similarity,
        }  # fmt: skip
        return choose(candidates, self._sentences.vectors, **rules)

    def _ranges(self, among: "np.ndarray") -> Iterator["np.ndarray"]:
        """Positions cluster by cluster, cut where the budget is reached; vectors are held twice while they are read."""
        import numpy as np

        order = among[np.argsort(self._clusters[among], kind="stable")]
        rows = max(1, settings().memory_bytes // 3 // (4 * self.centroids.shape[1]))
        for start in range(0, len(order), rows):
            yield np.sort(order[start : start + rows])


def calibrate(staging: "Staging", chosen: PairPlan, images: KeptRows, sentences: KeptRows) -> bytes:
    """How images are searched from now on: the fewest probes that meet the target recall on a sample of images."""
    import numpy as np

    from realsyn_ops.stages.retrieve import recall

    search = Search(staging, chosen, sentences)
    k = len(search.centroids)
    if chosen.n_probes:
        return json.dumps({"n_probes": min(chosen.n_probes, k)}).encode()
    vectors = images.vectors(_sample(images["key"], chosen.seed, CALIBRATE_IMAGES))
    everything = np.arange(len(sentences))
    exact = search.choose(search.candidates(vectors, search.probes(vectors, k), everything))
    low, high = 1, k
    while low < high:
        middle = (low + high) // 2
        found = search.choose(search.candidates(vectors, search.probes(vectors, middle), everything))
        low, high = (low, middle) if recall(found, exact) >= chosen.target_recall else (middle + 1, high)
    return json.dumps({"n_probes": low}).encode()


def measure_recall(staging: "Staging", chosen: PairPlan, work: "Work") -> dict[str, Any]:
    """Recall of the run's probes on a sample of images beside the exact search, with its 95% interval."""
    import numpy as np

    from realsyn_ops.operators.retrieval import paired_rows
    from realsyn_ops.stages.retrieve import recall, recall_interval

    images, sentences = paired_rows(staging)
    search = Search(staging, chosen, sentences)
    n_probes = json.loads(staging.get(f"searcher-{work['prepared']}"))["n_probes"]
    vectors = images.vectors(_sample(images["key"], chosen.seed + 1, RECALL_IMAGES))
    everything = np.arange(len(sentences))
    exact = search.choose(search.candidates(vectors, search.probes(vectors, len(search.centroids)), everything))
    found = search.choose(search.candidates(vectors, search.probes(vectors, n_probes), everything))
    return {
        "recall": round(recall(found, exact), 4),
        "recall_interval": [round(end, 4) for end in recall_interval(found, exact)],
        "n_images": len(vectors),
        "n_probes": n_probes,
        "n_clusters": len(search.centroids),
    }


def shard_texts(staging: "Staging", chosen: PairPlan, work: "Work") -> None:
    """Stage the realistic texts of a shard of images."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.operators.retrieval import (
        PREPARE,
        RETRIEVE,
        made_by,
        paired_rows,
        published_pairs,
        retrieved_schema,
    )
    from realsyn_ops.stages.retrieve import merge

    images, sentences = paired_rows(staging)
    start, stop = map(int, work["shard"].split("-")[:2])
    keys = staging.read_shard(PREPARE, work["prepared"], "images")["key"].slice(start, stop - start)
    mine = pc.index_in(keys, images.table["key"].combine_chunks()).to_numpy()
    n_searched = json.loads(staging.get(f"{PREPARE}-{work['prepared']}.json"))["searched"]
    search = Search(staging, chosen, sentences)
    n_probes = json.loads(staging.get(f"searcher-{work['prepared']}"))["n_probes"]
    vectors = images.vectors(mine)
    probes = search.probes(vectors, n_probes)
    positions = np.full((len(mine), chosen.n_texts), -1, np.int64)
    similarities = np.zeros((len(mine), chosen.n_texts), np.float32)
    searched = np.flatnonzero(np.arange(start, stop) < n_searched)
    updated = np.flatnonzero(np.arange(start, stop) >= n_searched)
    if len(updated):
        new = staging.read_shard(PREPARE, work["prepared"], "sentences")["key"].combine_chunks()
        among = np.flatnonzero(pc.is_in(sentences.table["key"], new).to_numpy())
        pairs = published_pairs(Corpus(staging.bucket))
        known = _known([pairs[keys[i].as_py()] for i in updated.tolist()], sentences, chosen.n_texts)
        found = merge([known, search.candidates(vectors[updated], probes[updated], among)], chosen.n_texts + SPARE)
        texts = search.choose(found)
        positions[updated], similarities[updated] = texts.positions, texts.similarities
        searched = np.concatenate([searched, updated[_is_displaced(known, texts)]])
    if len(searched):
        everything = np.arange(len(sentences))
        texts = search.choose(search.candidates(vectors[searched], probes[searched], everything))
        positions[searched], similarities[searched] = texts.positions, texts.similarities
    text_keys, text_column = sentences.table["key"], sentences.table["text"]
    rows = []
    for i, (key, image) in enumerate(zip(keys.to_pylist(), mine.tolist(), strict=True)):
        there = positions[i][positions[i] >= 0].tolist()
        rows.append(
            {
                "key": key,
                "day": images.table["day"][image].as_py(),
                "cluster": int(probes[i, 0]),
                "text_keys": [text_keys[p].as_py() for p in there],
                "texts": [text_column[p].as_py() for p in there],
                "similarities": similarities[i, : len(there)].tolist(),
                "reason": None if len(there) == chosen.n_texts else "too_few_texts",
                "made_by": made_by(chosen),
            }
        )
    table = pa.Table.from_pylist(rows, schema=retrieved_schema())
    staging.write(RETRIEVE, work["shard"], {"texts": table}, {"images": len(rows), "searched": len(searched)})


def _known(pairs: list[dict[str, Any]], sentences: KeptRows, n_texts: int) -> "Candidates":
    """The texts of published pairs as candidates."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.stages.retrieve import Candidates

    positions = np.full((len(pairs), n_texts), -1, np.int64)
    scores = np.full((len(pairs), n_texts), -np.inf)
    flat = pa.array([key for pair in pairs for key in pair["text_keys"]], pa.string())
    places = pc.index_in(flat, sentences.table["key"].combine_chunks()).to_numpy()
    rows = np.repeat(np.arange(len(pairs)), [len(pair["text_keys"]) for pair in pairs])
    columns = np.concatenate([np.empty(0, np.int64), *(np.arange(len(pair["text_keys"])) for pair in pairs)])
    positions[rows, columns] = places
    scores[rows, columns] = np.array([s for pair in pairs for s in pair["similarities"]], np.float64).round(6)
    return Candidates(positions, scores)


def _is_displaced(known: "Candidates", texts: "Texts") -> "np.ndarray":
    """(m,) whether a known text is out although it is better than the last that is in: a new one is too like it."""
    import numpy as np

    last = np.where(texts.positions[:, -1] >= 0, texts.similarities[:, -1].astype(np.float64).round(6), -np.inf)
    is_in = (known.positions[:, :, None] == texts.positions[:, None, :]).any(axis=2)
    return ((known.positions >= 0) & ~is_in & (known.scores > last[:, None])).any(axis=1)


def _sample(keys: list[str], seed: int, n: int) -> "np.ndarray":
    """Positions of ``n`` keys, drawn by hash."""
    import numpy as np

    from realsyn_ops.records import hash_order

    return np.sort(np.array(sorted(range(len(keys)), key=lambda i: hash_order(keys[i], seed))[:n], np.int64))
