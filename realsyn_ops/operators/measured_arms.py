"""The texts that each arm gives the images of a release, and what an arm cannot be made of.

Texts of a release are in its files. Texts of the places where its images stand, and the pairs that it did not take,
are in the corpus as it is now.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from realsyn_ops.plans import MeasurePlan

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.releases import Release

Texts = dict[str, list[str]]
"""By key of the image, one at least."""

COLUMNS = ["key", "day", "text1", "text2", "text3", "syn_text", "document_key", "node"]


def arm_texts(
    arm: str, rows: "pa.Table", corpus: "Corpus", release: "Release", chosen: MeasurePlan
) -> tuple[Texts, str]:
    """An arm's texts by image; none, and why, for one that this release cannot have. ``rows``: all of the release."""
    from realsyn_ops.stages import measure

    other = {"alt": _alt_texts, "same_document": _same_document, "random": _even_draw}.get(arm)
    if other is not None:
        return other(rows, corpus, release, chosen)
    return {row["key"]: measure.release_texts(arm, row) for row in rows.to_pylist()}, ""


def _alt_texts(rows: "pa.Table", corpus: "Corpus", release: "Release", chosen: MeasurePlan) -> tuple[Texts, str]:
    """The alternative text of the image's first place that has one."""
    found = _of(corpus, "image_nodes", ["key", "day", "document_key", "node", "alt"], "key", rows["key"], "alt != ''")
    table = found.sort_by([(name, "ascending") for name in ("key", "day", "document_key", "node")]).to_pylist()
    texts = {row["key"]: [alt] for row in reversed(table) if (alt := row["alt"].strip())}
    return texts, "" if texts else "none of its images has an alternative text where it stands"


def _same_document(rows: "pa.Table", corpus: "Corpus", release: "Release", chosen: MeasurePlan) -> tuple[Texts, str]:
    """The sentence nearest to the image's first place, whether it passes any filter or not."""
    from realsyn_ops.stages import measure

    columns = ["key", "document_key", "node", "position"]
    places = _of(corpus, "sentence_nodes", columns, "document_key", rows["document_key"])
    images = rows.select(["key", "document_key", "node"])
    nearest = measure.nearest_sentences(images.to_pandas(), places.to_pandas())
    wanted = _of(corpus, "sentences", ["key", "text"], "key", set(nearest.values()))
    texts = dict(zip(wanted["key"].to_pylist(), wanted["text"].to_pylist(), strict=True))
    found = {key: [texts[sentence]] for key, sentence in nearest.items() if sentence in texts}
    return found, "" if found else "no document with one of its images has a sentence"


def _even_draw(rows: "pa.Table", corpus: "Corpus", release: "Release", chosen: MeasurePlan) -> tuple[Texts, str]:
    """As many pairs as the release has, of those of its days within its bounds, each as likely as the others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.stages.sample import high_draws, key_words

    selection = release.manifest["selection"]
    within = f"reason IS NULL AND syn_similarity >= {selection['lower']} AND syn_similarity <= {selection['upper']}"
    pairs = corpus.read("pairs", ["key", "day", "texts", "syn_text"], where=within)
    pairs = pairs.filter(pc.is_in(pairs["day"], pa.array(release.manifest["days"], pa.string())))
    if pairs.num_rows <= release.n_pairs:
        return {}, f"the release takes all {pairs.num_rows} pairs that the corpus has within its bounds"
    draws = high_draws(key_words(pairs["key"].to_pylist())[:, 0], seed=chosen.seed)
    drawn = pairs.take(np.argsort(draws, kind="stable")[: release.n_pairs])
    return {row["key"]: [*row["texts"], row["syn_text"]] for row in drawn.to_pylist()}, ""


def _of(
    corpus: "Corpus", table: str, columns: list[str], name: str, values: Iterable[Any], where: str | None = None
) -> "pa.Table":
    """The rows of a table with one of these values; of the others no more than some thousand are held at once."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted({str(value) for value in values}), pa.string())
    parts = [part.filter(pc.is_in(part[name], wanted)) for part in corpus.scan(table, columns, where=where)]
    if not parts:
        return pa.table({column: pa.array([], pa.string()) for column in columns})
    return pa.concat_tables(parts)
