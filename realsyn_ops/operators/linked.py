"""What is linked with its like: images and sentences, where each kind lies, and the rules that links are made by."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realsyn_ops.operators.corpus_rows import CorpusRows, corpus_rows

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging

FIT, ASSIGN, ARRANGE, LINK, GROUP = "fit", "assign", "arrange", "link", "deduplicate"


@dataclass(frozen=True)
class Kind:
    """Where a kind of record lies: the stage that embeds a day of it, its tables, and the columns that decide on it.

    The larger ``size`` survives; equal ``identity`` (a perceptual hash, a hash of the letters) is a perceptual link.
    """

    name: str
    stage: str
    embeddings: str
    groups: str
    links: str
    nodes: str
    vector: str
    size: str
    identity: str
    further: tuple[str, ...] = ()

    def rows(self, staging: "Staging") -> CorpusRows:
        """The records of all days."""
        return corpus_rows(
            staging,
            self.stage,
            self.embeddings,
            vector=self.vector,
            columns=[self.size, self.identity, *self.further, "vector_hash"],
        )


IMAGES = Kind(
    name="images", stage="embed", embeddings="image_embeddings", groups="curated_images", links="image_links",
    nodes="image_nodes", vector="visual", size="n_pixels", identity="phash",
)  # fmt: skip
SENTENCES = Kind(
    name="sentences", stage="score", embeddings="sentence_embeddings", groups="sentence_clusters",
    links="sentence_links", nodes="sentence_nodes", vector="embedding", size="text", identity="letters_hash",
    further=("bands",),
)  # fmt: skip


@dataclass(frozen=True)
class Rules:
    """What links depend on besides the two records; kept beside the groups that were made by them."""

    codebook: str
    code: str
    min_similarity: float
    perceptual: float

    def made(self, kind: Kind, staging: "Staging") -> bool:
        """Whether the published groups were made by these rules."""
        return staging.bucket.find(rules_key(kind)) == self._json()

    def keep(self, kind: Kind, staging: "Staging") -> None:
        """Say that the published groups are made by these rules from now on."""
        staging.bucket.put(rules_key(kind), self._json())

    def forget_others(self, kind: Kind, staging: "Staging") -> None:
        """Before groups by other rules are replaced: a run that dies halfway leaves groups by no known rules."""
        if not self.made(kind, staging):
            staging.bucket.delete(rules_key(kind))

    def _json(self) -> bytes:
        return json.dumps(self.__dict__, sort_keys=True).encode()


def rules_key(kind: Kind) -> str:
    """Where the rules lie by which a kind's published groups were made."""
    return f"corpus/plans/rules/{kind.groups}.json"
