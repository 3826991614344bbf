"""The selection of a release: of every pair whether it is taken, by which scale, or why not; and what decided on it."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.balance import draws, image_clusters, released_pairs
from realsyn_ops.plans import ReleasePlan
from realsyn_ops.records import Reason
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.stages.sample import Bounds, Rows, Scale

log = logging.getLogger(__name__)

_BLOCK = 65_536
_OUTGROWN = 4
"""Clusters of so many times the images they were fitted for balance little."""


def select_pairs(bucket: "Bucket", chosen: ReleasePlan) -> "tuple[pa.Table, dict[str, Any]]":
    """All pairs in order of key, each with the smallest scale that takes it or the reason that none does; and figures:
    bounds, caps, scales, sizes of clusters, and what other bounds would leave."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.stages import sample

    pairs = released_pairs(bucket, ["syn_similarity", *(["tags"] if chosen.balance == "tags" else [])])
    similarities = pairs.table["syn_similarity"].to_numpy()
    clusters, n_clusters = image_clusters(bucket, pairs, chosen)
    rows = sample.Rows(*draws(pairs, chosen), clusters, similarities)
    bounds, what_if = _bounds(similarities, chosen)
    sizes = sample.cluster_sizes(_parts(clusters, similarities), bounds, n_clusters=n_clusters)
    scales = _scales(sizes, chosen)
    selection = sample.select(lambda: _blocks(rows), bounds, sizes, scales, memory_bytes=settings().memory_bytes)
    places = np.concatenate([np.empty(0, np.int8), *map(selection.places, _blocks(rows))])
    is_taken = (places >= 0) & (places < len(scales))
    reasons = np.full(len(pairs), None, object)
    for place, reason in (
        (len(scales), Reason.CLUSTER_CAP),
        (sample.TOO_LOW, Reason.SIMILARITY_TOO_LOW),
        (sample.TOO_HIGH, Reason.SIMILARITY_TOO_HIGH),
    ):
        reasons[places == place] = reason
    named = np.array([scale.size for scale in scales], np.int64)[np.where(is_taken, places, 0)]
    columns = {
        "key": pairs.table["key"],
        "day": pairs.table["day"],
        "cluster": pa.array(clusters),
        "similarity": pa.array(similarities),
        "reason": pa.array(reasons, pa.string()),
        "scale": pa.array(named, mask=~is_taken),
    }
    largest_first = np.argsort(-sizes, kind="stable")
    taken = np.bincount(clusters[is_taken], minlength=n_clusters)
    n_within = int(sizes.sum())
    is_outgrown = bool(chosen.codebook) and n_within > _OUTGROWN * chosen.images_per_cluster * n_clusters
    if is_outgrown:
        log.warning("%d pairs in %d clusters: too many for a balance; run with New codebook", n_within, n_clusters)
    return pa.table(columns), {
        "balance": chosen.balance,
        **bounds._asdict(),
        "cap": scales[-1].cap,
        "scales": [scale._asdict() for scale in scales],
        "n_clusters": n_clusters,
        "codebook": chosen.codebook,
        "n_candidates": len(pairs),
        "n_within": n_within,
        "n_wanted": scales[-1].size,
        "n_selected": int(is_taken.sum()),
        "rejected": {reason: int((reasons == reason).sum()) for reason in sorted({r for r in reasons if r})},
        "what_if": what_if,
        "cluster_sizes_before": sizes[largest_first].tolist(),
        "cluster_sizes_after": taken[largest_first].tolist(),
        "asks_for_refit": is_outgrown,
    }


def _bounds(similarities: "np.ndarray", chosen: ReleasePlan) -> "tuple[Bounds, list[dict[str, Any]]]":
    """The bounds, and what others would leave."""
    from realsyn_ops.stages import sample

    def blocks() -> "Iterator[np.ndarray]":
        return (part[0] for part in _parts(similarities))

    asked = [(chosen.lower_quantile, chosen.upper_quantile), *sample.QUANTILES]
    (lower, upper), *others = sample.similarity_bounds(blocks, asked)
    bounds = sample.Bounds(
        lower if chosen.min_similarity is None else chosen.min_similarity,
        upper if chosen.max_similarity is None else chosen.max_similarity,
    )
    return bounds, [
        {"quantiles": quantiles, **other._asdict(), "n_within": n}
        for quantiles, other, n in zip(sample.QUANTILES, others, sample.what_if(blocks, others), strict=True)
    ]


def _scales(sizes: "np.ndarray", chosen: ReleasePlan) -> "list[Scale]":
    from realsyn_ops.stages import sample

    if chosen.balance == "caps":
        return sample.fixed_scales(sizes, chosen.caps)
    return sample.solved_scales(sizes, chosen.scales or [chosen.size or round(chosen.share * int(sizes.sum()))])


def _blocks(rows: "Rows") -> "Iterator[Rows]":
    from realsyn_ops.stages.sample import Rows

    return (Rows(*part) for part in _parts(*rows))


def _parts(*columns: "np.ndarray") -> "Iterator[tuple[np.ndarray, ...]]":
    for start in range(0, len(columns[0]), _BLOCK):
        yield tuple(column[start : start + _BLOCK] for column in columns)
