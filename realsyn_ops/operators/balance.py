"""What a release is balanced over: image clusters frozen as a codebook of their own, or the counts of tags.

The cells in which near-duplicates are looked for are too large for it. A codebook is fitted by the first release, and
from then on an image's cluster is its own affair: nothing that is added or removed moves another image. What each day's
images are in is kept (`KeptArrays`).
"""

from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.corpus_rows import KeptRows, kept_rows
from realsyn_ops.operators.kept_arrays import KeptArrays
from realsyn_ops.plans import ReleasePlan

if TYPE_CHECKING:
    import numpy as np

    from realsyn_ops.io.storage import Bucket

CODEBOOK = "balance"
OVER_CLUSTERS = ("clusters", "caps")
"""Balances that need image clusters; for the others all pairs are in one."""


def fit_balance(bucket: "Bucket", params: dict[str, Any]) -> str:
    """The version of the codebook in force; where there is none, or a new one is asked for, one is fitted."""
    import numpy as np

    from realsyn_ops.io.codebook import Codebook, current_version, publish_codebook
    from realsyn_ops.stages.cluster import fit_centroids, n_clusters, n_fitted
    from realsyn_ops.stages.sample import high_draws, key_words

    in_force = current_version(bucket, CODEBOOK)
    if in_force and not params["refit"]:
        return in_force
    pairs = released_pairs(bucket, [])
    seed = params["seed"]
    k = n_clusters(len(pairs), rows_per_cluster=params["images_per_cluster"])
    drawn = np.argsort(high_draws(key_words(pairs["key"])[:, 0], seed=seed), kind="stable")[: n_fitted(k)]
    centroids = fit_centroids(pairs.vectors(np.sort(drawn)), k=k, seed=seed)
    return publish_codebook(
        bucket,
        Codebook({}, centroids),
        CODEBOOK,
        replaces=in_force,
        when=max(pairs["day"]),
        why="refit" if in_force else "first release",
    )


def released_pairs(bucket: "Bucket", columns: list[str]) -> KeptRows:
    """All pairs that a release may take, with their images' vectors."""
    from realsyn_ops.io.corpus import Corpus

    corpus = Corpus(bucket)
    versions = {name: corpus.version(name) for name in ("pairs", "image_embeddings")}
    return kept_rows(corpus, "pairs", "image_embeddings", columns, versions, vector="visual")


def image_clusters(bucket: "Bucket", pairs: KeptRows, chosen: ReleasePlan) -> "tuple[np.ndarray, int]":
    """Of each pair (n,) int32 the cluster of its image, and how many clusters there are."""
    import numpy as np

    from realsyn_ops.io.codebook import read_codebook
    from realsyn_ops.stages.cluster import Quantizer

    if not chosen.codebook:
        return np.zeros(len(pairs), np.int32), 1
    centroids = read_codebook(bucket, chosen.codebook, CODEBOOK).centroids
    quantizer = Quantizer(centroids)

    def make(vectors: "np.ndarray") -> "dict[str, np.ndarray]":
        return {"clusters": quantizer.assign(vectors)[0][:, 0].astype(np.int32)}

    clusters = KeptArrays(f"balance-{chosen.codebook}", pairs.embeddings, make).of(pairs.places)["clusters"]
    return clusters, len(centroids)


def draws(pairs: KeptRows, chosen: ReleasePlan) -> "tuple[np.ndarray, np.ndarray]":
    """(n,) high and low words of what each pair draws."""
    import numpy as np

    from realsyn_ops.stages.sample import high_draws, key_words, tag_draws, tag_hashes

    words = key_words(pairs["key"])
    high = high_draws(words[:, 0], seed=chosen.seed)
    if chosen.balance != "tags":
        return high, np.ascontiguousarray(words[:, 1])
    tags = pairs.table["tags"].combine_chunks()
    names = tags.flatten().dictionary_encode()
    hashes = tag_hashes(names.dictionary.to_pylist())
    of_tags = names.indices.to_numpy()
    counts = np.bincount(of_tags, minlength=len(hashes))
    limits = np.r_[0, np.cumsum(tags.value_lengths().fill_null(0).to_numpy())]
    return tag_draws(high, limits, hashes[of_tags], counts[of_tags]), high
