"""What the pairs in force were made by, and what has changed since: the work list of `pair_texts`.

Kept beside the corpus: the rules (codebook, code, params), how images see sentences (calibrated by a codebook's first
pairing), and the versions of the two tables that were paired. An asset event is never the work list.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.run import digest
from realsyn_ops.plans import PairPlan

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.operators.corpus_rows import KeptRows

_RULES_KEY = "corpus/plans/rules/pairs.json"
_FIELDS = (
    "codebook",
    "code",
    "n_texts",
    "n_probes",
    "target_recall",
    "max_text_similarity",
    "own_document",
    "max_uses",
)


@dataclass(frozen=True)
class Changes:
    """Keys: images to search over everything, images to show the new sentences, the new sentences."""

    searched: list[str]
    updated: list[str]
    new_sentences: list[str]


def changes(staging: "Staging", chosen: PairPlan, images: "KeptRows", sentences: "KeptRows") -> Changes:
    """New images and those that have lost a text are searched; the others are shown what sentences are new.

    Everything is searched where other rules made the pairs in force, where a limit on a sentence's uses or the image's
    own documents bind images to more than the sentences, and where the version that was paired is no longer kept.
    """
    from realsyn_ops.io.corpus import Corpus

    keys = images["key"]
    everything = Changes(keys, [], [])
    corpus = Corpus(staging.bucket)
    found = staging.bucket.find(_RULES_KEY)
    made = json.loads(found) if found else {}
    if made.get("rules") != rules(chosen) or chosen.max_uses or not chosen.own_document or not corpus.exists("pairs"):
        return everything
    before = kept_keys(corpus, made["sentence_clusters"])
    if before is None:
        return everything
    now = sentences["key"]
    new, gone = set(now) - before, before - set(now)
    pairs = corpus.read("pairs", ["key", "text_keys"])
    texts = dict(zip(pairs["key"].to_pylist(), pairs["text_keys"].to_pylist(), strict=True))
    searched = [key for key in keys if key not in texts or not gone.isdisjoint(texts[key])]
    is_searched = set(searched)
    return Changes(searched, [key for key in keys if key not in is_searched], [key for key in now if key in new])


def known_sight(staging: "Staging", chosen: PairPlan) -> bytes | None:
    """How images see sentences (`Sight`) for these rules; None before their first pairing."""
    return staging.bucket.find(_sight_key(chosen))


def _sight_key(chosen: PairPlan) -> str:
    of = [getattr(chosen, name) for name in ("codebook", "target_recall", "seed")]
    return f"corpus/sights/{digest(of)}"


def rules(chosen: PairPlan) -> dict[str, Any]:
    """What the realistic texts depend on besides images and sentences."""
    return {name: getattr(chosen, name) for name in _FIELDS}


def keep(staging: "Staging", chosen: PairPlan, prepared: str) -> None:
    """Say what the published pairs are made by, after they are; the first sight of these rules stays in force."""
    staging.bucket.put_new(_sight_key(chosen), staging.get(f"sight-{prepared}"))
    versions = json.loads(staging.get("versions.json"))
    data = json.dumps({"rules": rules(chosen), **versions}, sort_keys=True).encode()
    staging.bucket.put(_RULES_KEY, data)


def forget(staging: "Staging") -> None:
    """Before pairs are replaced: a run that dies halfway leaves pairs of no known rules, and the next searches all."""
    staging.bucket.delete(_RULES_KEY)


def kept_versions(bucket: "Bucket") -> dict[str, list[int]]:
    """The versions, by table, that the pairs in force were made from: with them the next run finds what is new."""
    found = bucket.find(_RULES_KEY)
    return {name: [version] for name, version in json.loads(found).items() if name != "rules"} if found else {}


def kept_keys(corpus: "Corpus", version: int) -> set[str] | None:
    """The sentences that a version of their clusters kept; None when that version is gone."""
    if not corpus.exists("sentence_clusters", version=version):
        return None
    return set(corpus.read("sentence_clusters", ["key"], where="reason IS NULL", version=version)["key"].to_pylist())
