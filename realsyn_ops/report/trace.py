"""Provenance: where an image, a sentence, a pair or a tar's sample comes from, and what every step said of it.

Read from tables, recorded plans and releases alone, as plain values that are JSON as they stand; how it is shown
belongs to `render_trace`.
"""

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.report.trace_keys import Asked, find_asked, not_known
from realsyn_ops.report.trace_pairs import pair_in_force, texts_of
from realsyn_ops.report.trace_records import Facts, trace_image, trace_refused, trace_sentence
from realsyn_ops.report.trace_releases import (
    find_sample,
    image_in_releases,
    pairs_with,
    release_step,
    sentence_in_releases,
)


def trace(corpus: Corpus, text: str) -> Facts:
    """All that is known of what ``text`` names. Raises PermanentError for what is no key, several or unknown."""
    asked = find_asked(corpus, text)
    found = {"image": _image, "sentence": _sentence, "sample": _sample}.get(asked.kind, trace_refused)(corpus, asked)
    if not any(found.get(name) for name in ("sample", "days", "releases", "rejects")):
        raise not_known(corpus, asked)
    return found


def _image(corpus: Corpus, asked: Asked) -> Facts:
    """An image, its pair in force with the provenance of every text, and the releases that have it."""
    found = trace_image(corpus, asked.key)
    last = release_step(corpus, asked.key)
    return found | {
        "steps": [*found["steps"], *([last] if last else [])],
        "pair": pair_in_force(corpus, asked.key),
        "releases": image_in_releases(corpus, asked.key),
    }


def _sentence(corpus: Corpus, asked: Asked) -> Facts:
    """A sentence, the pairs in force that have it as a text, and the releases that do."""
    return trace_sentence(corpus, asked.key) | {
        "pairs": pairs_with(corpus, asked.key),
        "releases": sentence_in_releases(corpus, asked.key),
    }


def _sample(corpus: Corpus, asked: Asked) -> Facts:
    """A sample as its release has it: its image, and the release's texts whatever the pair has become since."""
    sample = find_sample(corpus, asked)
    if sample is None:
        raise not_known(corpus, asked)
    row = sample["row"]
    image = _image(corpus, asked)
    pair = image["pair"]
    is_in_force = pair is not None and pair["synthetic"]["syn_text"] == row["syn_text"]
    ranked = [(row[f"text{i}_key"], row[f"text{i}"], row[f"text{i}_similarity"]) for i in (1, 2, 3)]
    return {
        "kind": "sample",
        "key": asked.key,
        "sample": sample,
        "image": image,
        "texts": texts_of(corpus, ranked),
        "synthetic": {name: row[name] for name in ("syn_text", "syn_origin", "syn_similarity", "caption", "tags")}
        | ({name: pair["synthetic"][name] for name in ("model", "prompt", "answers")} if is_in_force else {}),
    }
