"""The codebooks of images and of sentences: put in force, and held against what came since."""

import io
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realsyn_ops.errors import TransientError
from realsyn_ops.operators.linked import GROUP, SENTENCES, Kind, rules_key
from realsyn_ops.operators.run import Work

if TYPE_CHECKING:
    import numpy as np

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.plans import ClusterPlan, CuratePlan

log = logging.getLogger(__name__)


def published_codebook(bucket: "Bucket", kind: Kind) -> str:
    """The codebook by which the published groups were made. Raises TransientError while they are being replaced."""
    found = bucket.find(rules_key(kind))
    if found is None:
        raise TransientError(f"{kind.groups} is being made by another codebook, or such a run failed: see its Dag")
    return str(json.loads(found)["codebook"])


def publish_centroids(staging: "Staging", kind: Kind, work: Work, chosen: "CuratePlan | ClusterPlan") -> str:
    """Put the run's centroids in force where they are new; returns the version of the codebook in force."""
    from realsyn_ops.io.codebook import Codebook, publish_codebook, read_codebook
    from realsyn_ops.stages.drift import fit_statistics

    replaces = chosen.codebook
    if replaces and not chosen.refit:
        return replaces
    words = json.loads(staging.get("words.json")) if kind is SENTENCES else {}
    if replaces:
        words = read_codebook(staging.bucket, replaces, kind.name).words
    centroids = read_centroids(staging, work)
    fitted = fit_statistics(*_clusters(staging, work), k=len(centroids), seed=chosen.seed)
    return publish_codebook(
        staging.bucket,
        Codebook(words, centroids),
        kind.name,
        replaces=replaces,
        statistics=asdict(fitted),
        when=staging.partition,
        why="refit" if replaces else "first day",
    )


def drift(staging: "Staging", kind: Kind, work: Work, codebook: str, words: dict[str, int]) -> dict[str, Any]:
    """How far the day's records have drifted from those that the codebook in force was fitted on, and whether that
    asks for a new one; kept as ``corpus/drift/KIND.json`` for whoever looks. Nothing when the fit left no statistics.
    """
    import numpy as np

    from realsyn_ops.io.codebook import read_codebook, read_statistics
    from realsyn_ops.stages.drift import DriftLimits, Fit, drift_reasons
    from realsyn_ops.stages.drift import drift as measure

    fitted = read_statistics(staging.bucket, codebook, kind.name)
    if fitted is None:
        return {}
    clusters, similarities = _clusters(staging, work, day=staging.partition)
    fit = Fit(**{**fitted, "sizes": tuple(fitted["sizes"])})
    known = read_codebook(staging.bucket, codebook, kind.name).words
    found = measure(fit, clusters, np.asarray(similarities), words=words, fitted_words=known)
    reasons = drift_reasons(found, DriftLimits())
    figures = {"day": staging.partition, "codebook": codebook, **asdict(found), "asks_for_refit": reasons}
    staging.bucket.put(f"corpus/drift/{kind.name}.json", json.dumps(figures, sort_keys=True).encode())
    if reasons:
        log.warning("the codebook of %s no longer fits: %s; run a day with New codebook", kind.name, "; ".join(reasons))
    return figures


def _clusters(staging: "Staging", work: Work, *, day: str | None = None) -> "tuple[np.ndarray, np.ndarray]":
    """Clusters and similarities to their centroids of the run's records: all, or those of a day."""
    import pyarrow.compute as pc

    groups = staging.read_shard(GROUP, work["shard"], "groups")
    groups = groups if day is None else groups.filter(pc.equal(groups["day"], day))
    return groups["cluster"].to_numpy(), groups["centroid_similarity"].to_numpy()


def read_centroids(staging: "Staging", work: Work) -> "np.ndarray":
    """(k, d) centroids that the run assigns to."""
    import numpy as np

    return np.load(io.BytesIO(staging.get(f"centroids-{work['fit']}.npy")), allow_pickle=False)


def npy(array: "np.ndarray") -> bytes:
    import numpy as np

    content = io.BytesIO()
    np.save(content, np.ascontiguousarray(array, np.float32))
    return content.getvalue()
