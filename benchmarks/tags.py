"""Tags mined from the demo's documents: do pictures get the right word more often than by the base list alone?

The pictures are Tux Paint's natural stamps, each labelled by the word of its own line of text that WordNet knows;
those lines are never mined. A stamp is hit when a tag among its best k has all words of the label, by their stems. Half
of the stamps are tagged from a list that was ranked without having looked at them, then the other half. The demo's
dictionary pages were composed around these stamps, so many of its sentences are about what they show: `mined, no
definitions` is mined without the sentences whose subject has a label's word. `given` are the tags that the tagger of a
mined list gives, at most five.
"""

import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from benchmarks.material.demo_corpus import DemoCorpus, demo_corpus
from benchmarks.material.stamp_labels import read_definitions, read_stamps
from realsyn_ops.cli.bench import Check, Measurement
from realsyn_ops.demo.packages import fetch
from realsyn_ops.io.tag_lists import TagList
from realsyn_ops.plans import MinePlan
from realsyn_ops.records import hash_order, image_key
from realsyn_ops.stages.mine_tags import Limits, candidates, choose, concreteness, count_phrases, merge_counts, stem

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.kinds import Encoder

SUMMARY = "tags mined from the demo's documents: right words for pictures, beside the base list alone"
PLACES = (1, 3, 5)
_PLAN = MinePlan(inputs="", code="")
_N_SHARDS, _N_BUCKETS = 7, 16
_SHOWN = 60


@dataclass(frozen=True)
class Labelled:
    """Pictures with their label, as stems, and their joint vectors; ``halves``: which half each belongs to."""

    keys: list[str]
    labels: list[str]
    vectors: np.ndarray
    class_tags: list[list[str]]

    @property
    def halves(self) -> np.ndarray:
        return np.array([hash_order(key, _PLAN.seed)[0] % 2 for key in self.keys])


class Miner:
    """The stages of `mine_tags` over the demo's documents; phrases are parsed and embedded once."""

    def __init__(self, corpus: DemoCorpus, phrases: list[list[str]], base: tuple[str, ...], encoder: "Encoder") -> None:
        self._corpus, self._phrases, self.base, self._encoder = corpus, phrases, base, encoder
        self._known: dict[str, np.ndarray] = {}

    def mine(self, *, without_images: set[str], without_words: set[str], backwards: bool = False) -> TagList:
        """The list of the demo's documents without some images and without sentences about some words."""
        pairs = zip(self._corpus.sentences, self._phrases, strict=True)
        said = [phrases for text, phrases in pairs if not without_words or not _is_about(text, without_words)]
        cut = [said[i::_N_SHARDS] for i in range(_N_SHARDS)][:: -1 if backwards else 1]
        shards = [count_phrases(shard, n_buckets=_N_BUCKETS) for shard in cut]
        merged = [merge_counts(shard[i] for shard in shards) for i in range(_N_BUCKETS)]
        found, rejected = _candidates(merged)
        is_seen = np.array([key not in without_images for key in self._corpus.image_keys])
        vectors = self.vectors([*self.base, *found["phrase"].to_pylist()])
        images = self._corpus.images[is_seen].astype(np.float32)
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        concrete = concreteness(vectors, images, n_top=_PLAN.top_images)
        limits = Limits(_PLAN.size, _PLAN.min_concreteness, _PLAN.max_similarity)
        taken, reasons = choose(self.base, found, vectors, concrete, limits)
        judged = [*zip(self.base, concrete.tolist(), [None] * len(self.base), strict=False)]
        judged += zip(
            found["phrase"].to_pylist(),
            concrete[len(self.base) :].tolist(),
            found["n_sentences"].to_pylist(),
            strict=True,
        )
        order = [*range(len(self.base)), *(len(self.base) + i for i in taken)]
        tags = [dict(zip(("tag", "concreteness", "n_sentences"), judged[i], strict=True)) for i in order]
        refused = {str(reason): reasons.count(reason) for reason in sorted({r for r in reasons if r})}
        counts = {"sentences": len(said), "images": int(is_seen.sum()), **rejected, **refused}
        return TagList(tags, asdict(limits) | {"min_sentences": _PLAN.min_sentences}, counts)

    def vectors(self, phrases: list[str]) -> np.ndarray:
        from realsyn_ops.models.tagger import encode_tags

        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        self._known |= dict(zip(new, encode_tags(self._encoder, new), strict=True))
        return np.array([self._known[phrase] for phrase in phrases])


def measure(home: Path, console: Console) -> Measurement:
    from realsyn_ops.models.load import load_encoder, load_parser
    from realsyn_ops.models.tagger import base_tags

    where: dict[str, Any] = {"device": "cpu", "threads": 1, "models_path": home / "models"}
    encoder, parser = load_encoder("demo", **where), load_parser("demo", **where)
    console.print("reading the demo's documents, and the stamps: some minutes", highlight=False)
    corpus = demo_corpus(home / "cache", parser, encoder)
    stamps = _labelled(home / "cache", encoder)
    started = time.process_time()
    phrases = parser.noun_phrases(corpus.sentences)
    parsed = time.process_time() - started
    console.print("mining", highlight=False)
    miner = Miner(corpus, phrases, base_tags("demo"), encoder)
    whole = miner.mine(without_images=set(), without_words=set())
    again = miner.mine(without_images=set(), without_words=set(), backwards=True)
    started = time.process_time()
    lists = {
        name: [
            miner.mine(without_images={k for k, h in zip(stamps.keys, stamps.halves, strict=True) if h == half},
                       without_words=words)
            for half in (0, 1)
        ]
        for name, words in (("mined", set()), ("mined, no definitions", set(stamps.labels)))
    }  # fmt: skip
    ranked = time.process_time() - started
    hits = {"base": _hits(miner, stamps, [miner.base] * 2)}
    hits |= {name: _hits(miner, stamps, [found.names for found in of]) for name, of in lists.items()}
    given = np.array([_is_hit(tags, label) for tags, label in zip(stamps.class_tags, stamps.labels, strict=True)])
    figures: dict[str, Any] = {name: _row(of, hits["base"]) for name, of in hits.items()}
    figures["the demo's tagger"] = {
        "given_hit": float(given.mean()), "tags_given": float(np.mean([len(tags) for tags in stamps.class_tags])),
    }  # fmt: skip
    mined = [row for row in whole.tags if row["n_sentences"] is not None]
    figures |= {
        "version": whole.version,
        "tags": len(whole.tags),
        "mined_tags": len(mined),
        "counts": ", ".join(f"{name} {n}" for name, n in whole.counts.items()),
        "best_mined": ", ".join(row["tag"] for row in mined[:_SHOWN]),
        "sentences_parsed_per_cpu_second": len(corpus.sentences) / parsed,
        "cpu_seconds_of_four_lists": ranked,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    more = {
        "best": int(hits["mined"]["hit"][5].sum() - hits["base"]["hit"][5].sum()),
        "given": sum(hits["mined"]["given_hit"]) - sum(hits["base"]["given_hit"]),
    }
    return Measurement(
        f"{corpus.n_documents} documents: {len(corpus.sentences)} sentences, {len(corpus.image_keys)} images; "
        f"{len(stamps.keys)} labelled stamps",
        figures,
        [
            Check("stamps that five tags of mined lists hit more than the base list's", more["best"], ">=", 1),
            Check("the same of the tags that the tagger gives", more["given"], ">=", 1),
            Check("other shards in another order give the same version", int(again.version == whole.version), ">=", 1),
            Check("mined tags", len(mined), ">=", 1),
        ],
    )


def _candidates(merged: "list[pa.Table]") -> "tuple[pa.Table, dict[str, int]]":
    import pyarrow as pa

    found, rejected = candidates(pa.concat_tables(merged), min_sentences=_PLAN.min_sentences, n=5 * _PLAN.size)
    return found, {str(reason): n for reason, n in rejected.items()}


def _labelled(cache: Path, encoder: "Encoder") -> Labelled:
    from realsyn_ops.models.tagger import ClassTagger

    packages = fetch(["tuxpaint-stamps-default", "wordnet-base"], cache)
    definitions = read_definitions(packages["wordnet-base"] / "usr/share/wordnet")
    found = read_stamps(packages["tuxpaint-stamps-default"] / "usr/share/tuxpaint/stamps", definitions)
    stamps = [(stamp.path, stamp.word, stamp.picture) for stamp in found if stamp.word]
    pictures = [picture for _, _, picture in stamps]
    vectors, _ = encoder.encode_images(pictures)
    return Labelled(
        [image_key(path.read_bytes()) for path, _, _ in stamps],
        [stem(word.replace("_", " ")) for _, word, _ in stamps],
        vectors,
        ClassTagger("cpu").tag(pictures, vectors),
    )


def _hits(miner: Miner, stamps: Labelled, lists: list[Any]) -> dict[str, Any]:
    """Per stamp whether its best k tags hit, and what the tagger of a mined list gives; the n-th list is the n-th
    half's."""
    from realsyn_ops.models.tagger import outstanding

    is_hit = {k: np.zeros(len(stamps.keys), bool) for k in PLACES}
    given: list[list[str]] = [[] for _ in stamps.keys]
    for half, tags in enumerate(lists):
        rows = np.flatnonzero(stamps.halves == half)
        cosines = stamps.vectors[rows].astype(np.float64) @ miner.vectors(list(tags)).T.astype(np.float64)
        for row, best in zip(rows, np.argsort(-cosines, axis=1, kind="stable"), strict=True):
            for k in PLACES:
                is_hit[k][row] = _is_hit([tags[i] for i in best[:k]], stamps.labels[row])
        for row, some in zip(rows, outstanding(cosines, list(tags)), strict=True):
            given[row] = some
    return {"hit": is_hit, "given": given, "given_hit": [*map(_is_hit, given, stamps.labels)]}


def _row(found: dict[str, Any], base: dict[str, Any]) -> dict[str, float]:
    """``gained`` and ``lost``: stamps that the best five hit and the base list's do not, and the other way round."""
    ours, theirs = found["hit"][max(PLACES)], base["hit"][max(PLACES)]
    return {
        **{f"at_{k}": float(found["hit"][k].mean()) for k in PLACES},
        "gained": int((ours & ~theirs).sum()),
        "lost": int((theirs & ~ours).sum()),
        "given_hit": float(np.mean(found["given_hit"])),
        "tags_given": float(np.mean([len(tags) for tags in found["given"]])),
    }


def _is_hit(tags: list[str], label: str) -> bool:
    return any(f" {label} " in f" {stem(tag)} " for tag in tags)


def _is_about(text: str, words: set[str]) -> bool:
    """Whether the subject of a sentence "A rhea is ..." has one of these words."""
    subject = f" {stem(text.partition(' is ')[0])} "
    return any(f" {word} " in subject for word in words)
