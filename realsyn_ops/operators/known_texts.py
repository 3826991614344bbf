"""The texts that images have already: as candidates beside new ones, and what a new one does to them."""

from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.corpus_rows import KeptRows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.stages.retrieve import Candidates, Texts


def published_pairs(corpus: "Corpus", keys: list[str]) -> "pa.Table":
    """The pairs in force of these images, in their order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pairs = corpus.read("pairs", ["key", "cluster", "text_keys", "similarities"])
    return pairs.take(pc.index_in(pa.array(keys, pa.string()), pairs["key"].combine_chunks()))


def known_candidates(pairs: "pa.Table", sentences: KeptRows, n_candidates: int) -> "Candidates":
    """The texts of published pairs as candidates."""
    import numpy as np
    import pyarrow.compute as pc

    from realsyn_ops.stages.retrieve import Candidates

    keys = pairs["key"]
    lists = pairs["text_keys"].combine_chunks()
    counts = np.diff(lists.offsets.to_numpy())
    rows = np.repeat(np.arange(len(keys)), counts)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    known = Candidates(
        np.zeros((len(keys), n_candidates), np.int64),
        np.full((len(keys), n_candidates), -np.inf),
        np.zeros(len(keys), np.int64),
    )
    places = pc.index_in(lists.flatten(), sentences.table["key"].combine_chunks()).to_numpy()
    known.keys[rows, columns] = places
    scores = pairs["similarities"].combine_chunks().flatten().to_numpy().astype(np.float64)
    known.scores[rows, columns] = scores.round(6)
    return known


def last_scores(texts: "Texts") -> "np.ndarray":
    """(m,) scores of the last texts; -inf where one is missing."""
    import numpy as np

    last = texts.similarities[:, -1].astype(np.float64).round(6)
    return np.where(texts.positions[:, -1] >= 0, last, -np.inf)


def is_displaced(known: "Candidates", texts: "Texts") -> "np.ndarray":
    """(m,) whether a known text is out although it is better than the last that is in: a new one is too like it."""
    import numpy as np

    is_in = (known.keys[:, :, None] == texts.positions[:, None, :]).any(axis=2)
    return (np.isfinite(known.scores) & ~is_in & (known.scores > last_scores(texts)[:, None])).any(axis=1)


def refused_candidates(staging: "Staging", keys: list[str], sentences: KeptRows, found: "Candidates") -> "np.ndarray":
    """(m, k) whether a candidate stands in a document of the image."""
    from collections import defaultdict

    import numpy as np

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.stages.retrieve import own_documents

    corpus = Corpus(staging.bucket)
    places = {position: sentences.table["key"][position].as_py() for position in np.unique(found.keys).tolist()}
    wanted = {key: position for position, key in places.items()}
    of_images: dict[str, set[str]] = defaultdict(set)
    for row in corpus.read("image_nodes", ["key", "document_key"]).to_pylist():
        of_images[row["key"]].add(row["document_key"])
    of_sentences: dict[Any, set[str]] = defaultdict(set)
    for part in corpus.scan("sentence_nodes", ["key", "document_key"]):
        for row in part.to_pylist():
            if row["key"] in wanted:
                of_sentences[wanted[row["key"]]].add(row["document_key"])
    return own_documents(found, [of_images[key] for key in keys], of_sentences)
