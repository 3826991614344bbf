"""The decisions of one run: frozen, validated, and hashed, so that staged work is bound to what made it.

A run's first task makes a plan out of params and what lies in the bucket; every later task reads it. Two runs with the
same plan make the same bytes and share their staging folder. Numbers named by the paper are the defaults.
"""

import datetime as dt
import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from realsyn_ops.errors import BadPlanError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
BALANCES = ("clusters", "caps", "tags", "uniform")
"""How a release is balanced: by image clusters to a size, by the paper's fixed caps, by counts of tags, not at all."""
MAX_SCALES = 16
HISTORY = ("off", "warn", "stop")
ARMS = (
    "one_realistic", "three_realistic", "synthetic", "three_and_synthetic", "alt", "same_document", "random",
)  # fmt: skip
"""What a release is measured by: the paper's ablations of its texts, texts of the image's own place, an even draw."""
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_VERSION = re.compile(r"([0-9a-f]{16})?")


def check_day(value: object) -> str:
    """The day as ``YYYY-MM-DD``; raises BadPlanError for a missing, malformed or future one."""
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise BadPlanError(
            "partition key", "a day as YYYY-MM-DD (the field 'Partition key' of the trigger form)", value
        )
    try:
        day = dt.date.fromisoformat(value)
    except ValueError as error:
        raise BadPlanError("partition key", "a day of the calendar", value) from error
    if day > dt.datetime.now(dt.UTC).date():
        raise BadPlanError("partition key", "today or earlier", value)
    return value


def shard_bounds(n_rows: int, max_rows: int) -> list[tuple[int, int]]:
    """Start and stop of even runs of at most ``max_rows`` rows; none for no rows."""
    n_shards = -(-n_rows // max_rows)
    return [(i * n_rows // n_shards, (i + 1) * n_rows // n_shards) for i in range(n_shards)]


@lru_cache
def code_digest() -> str:
    """Digest of the package's own sources: staged work is not reused across a change of code."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".yaml", ".txt"}:
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every plan has. ``inputs`` is a digest of what the run reads; ``code`` of what reads it."""

    inputs: str
    code: str
    preset: str = "demo"
    models: tuple[tuple[str, str], ...] = ()
    seed: int = 2502

    def __post_init__(self) -> None:
        self.require("preset", self.preset in {"demo", "clip", "paper"}, "demo, clip or paper")
        self.require("seed", 0 <= self.seed < 2**31, "from 0 to 2^31 - 1")

    def require(self, field: str, holds: bool, rule: str) -> None:
        if not holds:
            raise BadPlanError(field, rule, getattr(self, field))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        values: dict[str, Any] = json.loads(text)
        values["models"] = tuple((kind, name) for kind, name in values.get("models", ()))
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise BadPlanError(sorted(unknown)[0], f"a field of {cls.__name__}", values[sorted(unknown)[0]])
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class DayPlan(Plan):
    """What a Dag that makes a day has. ``history``: what the gate does about a day that is not like the last
    ``history_days`` published ones (off, warn, stop); the others: how far from them it may be."""

    day: str
    history: str = "warn"
    history_days: int = 7
    max_count_change: float = 5.0
    max_share_change: float = 0.3
    max_length_change: float = 2.0
    min_likeness: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("history", self.history in HISTORY, ", ".join(HISTORY))
        self.require("history_days", 3 <= self.history_days <= 365, "from 3 to 365")
        self.require("max_count_change", self.max_count_change >= 1, "at least 1")
        self.require("max_share_change", 0 < self.max_share_change <= 1, "above 0 and at most 1")
        self.require("max_length_change", self.max_length_change >= 1, "at least 1")
        self.require("min_likeness", -1 <= self.min_likeness <= 1, "from -1 to 1")


@dataclass(frozen=True, kw_only=True)
class IngestPlan(DayPlan):
    """``refetch``: which image URLs whose answers are known are asked for again. ``opt_out``: digest of the lists.
    ``taken_down``: of the tombstones."""

    max_shard_documents: int = 200
    max_shard_bytes: int = 256 * 2**20
    fetch_images: bool = False
    refetch: str = "failed"
    opt_out: str = ""
    taken_down: str = ""
    max_nodes: int = 5_000
    max_document_bytes: int = 64 * 2**20
    max_image_bytes: int = 32 * 2**20
    max_image_pixels: int = 100_000_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_shard_documents", "max_shard_bytes", "max_nodes", "max_document_bytes", "max_image_bytes",
                     "max_image_pixels"):  # fmt: skip
            self.require(name, getattr(self, name) >= 1, "at least 1")
        self.require("refetch", self.refetch in {"nothing", "failed", "all"}, "nothing, failed or all")


@dataclass(frozen=True, kw_only=True)
class CuratePlan(DayPlan):
    """Sides in pixels, aspect as the longer side over the shorter; thresholds of redundancy are not in the paper.

    ``image_policies``: names of the deployment's own policies, blanks between.
    """

    shard_images: int = 512
    min_side_px: int = 100
    max_aspect: float = 3.0
    max_hash_distance: int = 4
    min_visual_similarity: float = 0.9
    max_source_loss: float = 0.95
    max_group_share: float = 0.2
    images_per_cluster: int = 420
    codebook: str = ""
    refit: bool = False
    image_policies: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("shard_images", self.shard_images >= 1, "at least 1")
        self.require("min_side_px", self.min_side_px >= 1, "at least 1")
        self.require("max_aspect", self.max_aspect >= 1, "at least 1")
        self.require("max_hash_distance", 0 <= self.max_hash_distance <= 16, "from 0 to 16 bits")
        self.require("min_visual_similarity", 0 < self.min_visual_similarity <= 1, "above 0 and at most 1")
        self.require("max_source_loss", 0 < self.max_source_loss <= 1, "above 0 and at most 1")
        self.require("max_group_share", 0 < self.max_group_share <= 1, "above 0 and at most 1")
        self.require("images_per_cluster", self.images_per_cluster >= 1, "at least 1")


@dataclass(frozen=True, kw_only=True)
class ClusterPlan(DayPlan):
    """``parsed_by`` and ``scored_by``: what made the measures that this run may take from an earlier one."""

    parsed_by: str = ""
    scored_by: str = ""
    shard_sentences: int = 1_500
    min_words: int = 3
    max_words: int = 81
    drop_personal_data: bool = True
    language: str = "en"
    min_language_score: float = 0.05
    max_site_share: float = 0.1
    min_site_pages: int = 30
    min_relations: int = 1
    min_actions: int = 1
    min_entropy: float = 0.3
    min_perplexity: float = 30.0
    max_perplexity: float = 200.0
    min_similarity: float = 0.9
    min_jaccard: float = 0.8
    max_source_loss: float = 0.95
    max_group_share: float = 0.2
    sentences_per_cluster: int = 420
    codebook: str = ""
    refit: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("shard_sentences", self.shard_sentences >= 1, "at least 1")
        self.require("max_words", self.max_words >= self.min_words >= 1, "at least min_words, both at least 1")
        self.require("language", not self.language or bool(_LANGUAGE.fullmatch(self.language)), "empty or as in en")
        self.require("min_language_score", 0 <= self.min_language_score <= 1, "from 0 to 1")
        self.require("max_site_share", 0 < self.max_site_share <= 1, "above 0 and at most 1")
        self.require("min_site_pages", self.min_site_pages >= 1, "at least 1")
        self.require(
            "max_perplexity", self.max_perplexity > self.min_perplexity >= 0, "above min_perplexity, both at least 0"
        )
        self.require("min_similarity", 0 < self.min_similarity <= 1, "above 0 and at most 1")
        self.require("min_jaccard", 0 < self.min_jaccard <= 1, "above 0 and at most 1")
        self.require("sentences_per_cluster", self.sentences_per_cluster >= 1, "at least 1")
        self.require("max_source_loss", 0 < self.max_source_loss <= 1, "above 0 and at most 1")
        self.require("max_group_share", 0 < self.max_group_share <= 1, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class PairPlan(DayPlan):
    """``target_recall``: share of the texts of an exact search that the probes must find; decides how many clusters an
    image probes, unless ``n_probes`` is above 0 (the paper: 1). ``tag_list``: version of a mined list of tags, empty:
    the tagger's own."""

    codebook: str = ""
    shard_images: int = 256
    search_images: int = 100_000
    n_texts: int = 3
    n_probes: int = 0
    target_recall: float = 0.95
    max_text_similarity: float = 0.95
    own_document: bool = True
    max_uses: int = 0
    max_synthetic_words: int = 60
    max_synonyms: int = 2
    max_fallback_share: float = 0.9
    max_unanswered_share: float = 0.05
    max_opening_share: float = 0.5
    tag_list: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("shard_images", self.shard_images >= 1, "at least 1")
        self.require("n_texts", self.n_texts == 3, "3 (the RealSyn schema)")
        self.require("search_images", self.search_images >= 1, "at least 1")
        self.require("n_probes", self.n_probes >= 0, "0 (as many as the target recall needs) or more")
        self.require("target_recall", 0 < self.target_recall <= 1, "above 0 and at most 1")
        self.require("max_uses", self.max_uses >= 0, "0 (no limit) or more")
        self.require("max_text_similarity", 0 < self.max_text_similarity <= 1, "above 0 and at most 1")
        self.require("max_synthetic_words", self.max_synthetic_words >= 5, "at least 5")
        self.require("max_synonyms", self.max_synonyms >= 0, "0 or more")
        self.require("max_fallback_share", 0 < self.max_fallback_share <= 1, "above 0 and at most 1")
        self.require("max_unanswered_share", 0 < self.max_unanswered_share <= 1, "above 0 and at most 1")
        self.require("max_opening_share", 0 < self.max_opening_share <= 1, "above 0 and at most 1")
        self.require("tag_list", bool(_VERSION.fullmatch(self.tag_list)), "empty or 16 digits of 0-9 and a-f")


@dataclass(frozen=True, kw_only=True)
class MinePlan(Plan):
    """``size`` of the whole list (the paper: 8,000). ``min_concreteness``: a quantile of the base tags' concreteness;
    ``top_images``: how many of the images that agree most with a phrase tell it, out of a sample of ``max_images``."""

    size: int = 8_000
    min_sentences: int = 2
    min_concreteness: float = 0.25
    max_similarity: float = 0.9
    top_images: int = 8
    max_images: int = 50_000
    shard_sentences: int = 20_000
    shard_phrases: int = 4_000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("min_sentences", "top_images", "max_images", "shard_sentences", "shard_phrases"):
            self.require(name, getattr(self, name) >= 1, "at least 1")
        self.require("size", self.size >= 2, "at least 2")
        self.require("min_concreteness", 0 <= self.min_concreteness <= 1, "from 0 to 1")
        self.require("max_similarity", 0 < self.max_similarity <= 1, "above 0 and at most 1")


@dataclass(frozen=True, kw_only=True)
class ReleasePlan(Plan):
    """``size`` is the wanted number of pairs (0: ``share`` of those within the similarity bounds), ``scales`` are
    several, of which a smaller one lies within a larger; ``caps`` are in their place for the balance ``caps``.

    ``min_similarity`` and ``max_similarity`` are bounds in place of their quantiles. ``codebook``: the image clusters.
    """

    size: int = 0
    share: float = 0.7
    scales: tuple[int, ...] = ()
    balance: str = "clusters"
    caps: tuple[int, ...] = (20, 35, 180)
    lower_quantile: float = 0.075
    upper_quantile: float = 0.925
    min_similarity: float | None = None
    max_similarity: float | None = None
    images_per_cluster: int = 16
    codebook: str = ""
    shard_pairs: int = 10_000
    image_side_px: int = 224

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scales", "caps"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
            self.require(name, all(n >= 1 for n in getattr(self, name)), "numbers of at least 1")
        self.require("size", self.size >= 0, "0 or more")
        self.require("scales", not (self.size and self.scales), "empty where a size is given")
        self.require("scales", len(self.scales) <= MAX_SCALES, f"at most {MAX_SCALES}")
        self.require("caps", 1 <= len(self.caps) <= MAX_SCALES, f"1 to {MAX_SCALES}")
        self.require("share", 0 < self.share <= 1, "above 0 and at most 1")
        self.require("balance", self.balance in BALANCES, ", ".join(BALANCES))
        self.require("lower_quantile", 0 <= self.lower_quantile < 0.5, "from 0 to below 0.5")
        self.require("upper_quantile", 0.5 < self.upper_quantile <= 1, "above 0.5 and at most 1")
        for name in ("min_similarity", "max_similarity"):
            value = getattr(self, name)
            self.require(name, value is None or -1 <= value <= 1, "empty or from -1 to 1")
        self.require("images_per_cluster", self.images_per_cluster >= 1, "at least 1")
        self.require("shard_pairs", self.shard_pairs >= 1, "at least 1")
        self.require("image_side_px", self.image_side_px >= 16, "at least 16")


@dataclass(frozen=True, kw_only=True)
class TeachPlan(Plan):
    """``size``: triples that the teacher is asked about; ``min_accepted_share``: of its answers by the grounding gate,
    below which nothing is published."""

    size: int = 100_000
    held_out_share: float = 0.05
    max_opening_share: float = 0.02
    min_accepted_share: float = 0.3
    max_synthetic_words: int = 60
    max_synonyms: int = 2
    shard_triples: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("size", self.size >= 1, "at least 1")
        self.require("held_out_share", 0 < self.held_out_share < 1, "above 0 and below 1")
        self.require("max_opening_share", 0 < self.max_opening_share <= 1, "above 0 and at most 1")
        self.require("min_accepted_share", 0 <= self.min_accepted_share <= 1, "from 0 to 1")
        self.require("max_synthetic_words", self.max_synthetic_words >= 5, "at least 5")
        self.require("max_synonyms", self.max_synonyms >= 0, "0 or more")
        self.require("shard_triples", self.shard_triples >= 1, "at least 1")


@dataclass(frozen=True, kw_only=True)
class MeasurePlan(Plan):
    """``release``: its version; ``seeds``: how many trainings each of the ``arms`` has, all of the same budget of
    ``steps`` times ``batch_size``; ``evaluation``: where in the bucket the evaluation sets lie."""

    release: str = ""
    arms: tuple[str, ...] = ARMS
    seeds: int = 3
    steps: int = 300
    batch_size: int = 64
    evaluation: str = "evaluation/"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require("arms", bool(self.arms) and set(self.arms) <= set(ARMS), f"some of {', '.join(ARMS)}")
        object.__setattr__(self, "arms", tuple(arm for arm in ARMS if arm in self.arms))
        self.require("seeds", self.seeds >= 1, "at least 1")
        self.require("steps", self.steps >= 20, "at least 20: a tenth of them warm up")
        self.require("batch_size", self.batch_size >= 2, "at least 2")
        self.require("evaluation", bool(self.evaluation.strip("/")), "a folder of the bucket")
