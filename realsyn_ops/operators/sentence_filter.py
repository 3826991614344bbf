"""Tasks of `cluster_sentences` that judge sentences, a shard at a time: the quality filter and the semantic one."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from realsyn_ops.operators.measures import key_range, known_measures
from realsyn_ops.operators.places import with_models
from realsyn_ops.operators.run import Work, by_reason, resolved_preset
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.plans import ClusterPlan
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.shards import Staging

FILTER = "filter"
SCORE = "score"
SITES = "sites"

Row = dict[str, Any]


@shard_step(FILTER)
def filter_shard(staging: "Staging", work: Work) -> dict[str, int]:
    """The quality rules on a shard, cheap ones first, the parser last; and the words of what passes."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.stages.filter import word_tokens

    chosen = ClusterPlan.from_json(staging.plan_json())
    corpus = Corpus(staging.bucket)
    keys = shard_keys(staging, work["shard"])
    rows: list[Row] = corpus.read(
        "sentences", ["key", "day", "text", "n_nodes"], day=chosen.day, where=key_range(keys)
    ).to_pylist()
    _judge_texts(rows, chosen)
    _judge_language(rows, chosen)
    _judge_boilerplate(rows, chosen, staging, corpus, keys)
    cost = _judge_parses(rows, chosen, known_measures(corpus, chosen, "parsed_by", keys=keys))
    words: Counter[str] = Counter()
    for row in _passing(rows):
        for word in word_tokens(row["text"]):
            words[word] += row["n_nodes"]
    ordered = sorted(words.items())
    tables = {
        "sentences": pa.Table.from_pylist(rows, schema=_filtered_schema()),
        "words": pa.table({"word": [w for w, _ in ordered], "count": pa.array([c for _, c in ordered], pa.int64())}),
    }
    staging.write(FILTER, work["shard"], tables, _counts(rows))
    return cost


@shard_step(SCORE, place=with_models())
def score(staging: "Staging", work: Work) -> dict[str, int]:
    """Entropy and perplexity of a shard's sentences (the semantic filter), then embeddings of those that pass."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io import schemas
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.models.load import load_encoder
    from realsyn_ops.stages.dedup import N_BANDS, text_bands, text_identity, vector_identity

    chosen = ClusterPlan.from_json(staging.plan_json())
    rows: list[Row] = staging.read_shard(FILTER, work["shard"], "sentences").to_pylist()
    judged = _passing(rows)
    _judge_entropy(judged, chosen, json.loads(staging.get("words.json")))
    keys = shard_keys(staging, work["shard"])
    known = known_measures(Corpus(staging.bucket), chosen, "scored_by", keys=keys)
    cost = _judge_perplexity(judged, chosen, known)
    kept = _passing(judged)
    encoder = load_encoder(resolved_preset(chosen).encoder, **_where())
    vectors = encoder.encode_texts([row["text"] for row in kept]).astype(np.float16)
    texts = [row["text"] for row in kept]
    found = {
        "letters_hash": [text_identity(text) for text in texts],
        "bands": list(text_bands(texts)),
        "vector_hash": vector_identity(vectors).tolist(),
        "embedding": list(vectors),
    }
    embeddings = [row | {name: of[i] for name, of in found.items()} for i, row in enumerate(kept)]
    tables = {
        "scores": pa.Table.from_pylist(rows, schema=schemas.SENTENCE_SCORES),
        "embeddings": pa.Table.from_pylist(embeddings, schema=schemas.sentence_embeddings(encoder.dim, N_BANDS)),
    }
    staging.write(SCORE, work["shard"], tables, _counts(judged))
    return cost


def stage_ranges(staging: "Staging", keys: list[str], bounds: list[tuple[int, int]]) -> None:
    """Keep each shard's first and last key: a shard reads its own rows and no others."""
    staging.put("ranges.json", json.dumps([[keys[start], keys[stop - 1]] for start, stop in bounds]).encode())


def shard_keys(staging: "Staging", shard: str) -> tuple[str, str]:
    first, last = json.loads(staging.get("ranges.json"))[int(shard)]
    return first, last


def stage_sites(staging: "Staging", documents: list[Row]) -> None:
    """Keep which site each document of the day belongs to."""
    import pyarrow as pa

    from realsyn_ops.stages.boilerplate import site_of

    columns = {
        "document_key": [row["key"] for row in documents],
        "site": [site_of(row["url"] or "", row["source"]) for row in documents],
    }
    staging.write(SITES, "all", {"sites": pa.table(columns)}, {"pages": len(documents)})


def _judge_texts(rows: list[Row], chosen: ClusterPlan) -> None:
    from realsyn_ops.stages.filter import count_words, sentence_text_reason
    from realsyn_ops.stages.personal_data import personal_data_reason

    for row in rows:
        broken = sentence_text_reason(row["text"], min_words=chosen.min_words, max_words=chosen.max_words)
        if broken is None and chosen.drop_personal_data:
            broken = personal_data_reason(row["text"])
        row["reason"], row["value"] = broken or (None, None)
        row["n_words"] = count_words(row["text"])


def _judge_language(rows: list[Row], chosen: ClusterPlan) -> None:
    from realsyn_ops.models.load import load_language_identifier
    from realsyn_ops.stages.filter import language_reason

    if not chosen.language:
        return
    judged = _passing(rows)
    found = load_language_identifier().identify([row["text"] for row in judged], chosen.language)
    for row, (language, likelihood) in zip(judged, found, strict=True):
        row["language"], row["language_score"] = language, likelihood
        broken = language_reason(likelihood, min_language_score=chosen.min_language_score)
        row["reason"], row["value"] = broken or (None, None)


def _judge_boilerplate(
    rows: list[Row], chosen: ClusterPlan, staging: "Staging", corpus: "Corpus", keys: tuple[str, str]
) -> None:
    """Only what stands at several places can be boilerplate; the others' share is not computed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.stages.boilerplate import boilerplate_reason, site_shares

    repeated = [row for row in _passing(rows) if row["n_nodes"] > 1]
    if chosen.max_site_share >= 1 or not repeated:
        return
    nodes = corpus.read("sentence_nodes", ["key", "document_key"], day=chosen.day, where=key_range(keys))
    nodes = nodes.filter(pc.is_in(nodes["key"], pa.array([row["key"] for row in repeated])))
    sites = staging.read_shard(SITES, "all", "sites")
    shares = site_shares(nodes, sites, min_site_pages=chosen.min_site_pages)
    for row in repeated:
        if row["key"] in shares:
            row["site_share"] = shares[row["key"]]
            broken = boilerplate_reason(row["site_share"], max_site_share=chosen.max_site_share)
            row["reason"], row["value"] = broken or (None, None)


def _judge_parses(rows: list[Row], chosen: ClusterPlan, known: dict[str, Row]) -> dict[str, int]:
    from realsyn_ops.models.load import load_parser
    from realsyn_ops.stages.filter import parse_reason

    judged = _passing(rows)
    new = [row for row in judged if row["key"] not in known]
    if new:
        parses = load_parser(resolved_preset(chosen).parser, **_where()).parse([row["text"] for row in new])
        for row, parse in zip(new, parses, strict=True):
            row["n_relations"], row["n_actions"] = parse.n_relations, parse.n_actions
    for row in judged:
        if row["key"] in known:
            row["n_relations"], row["n_actions"] = (known[row["key"]][name] for name in ("n_relations", "n_actions"))
        broken = parse_reason(
            row["n_relations"], row["n_actions"], min_relations=chosen.min_relations, min_actions=chosen.min_actions
        )
        row["reason"], row["value"] = broken or (None, None)
    return {"measured": len(new), "cached": len(judged) - len(new)}


def _judge_entropy(rows: list[Row], chosen: ClusterPlan, words: dict[str, int]) -> None:
    from realsyn_ops.stages.filter import entropy, entropy_reason, word_tokens

    total = sum(words.values())
    for row in rows:
        row["entropy"] = entropy(word_tokens(row["text"]), words, total)
        row["reason"], row["value"] = entropy_reason(row["entropy"], min_entropy=chosen.min_entropy) or (None, None)


def _judge_perplexity(rows: list[Row], chosen: ClusterPlan, known: dict[str, Row]) -> dict[str, int]:
    from realsyn_ops.models.load import load_language_model
    from realsyn_ops.stages.filter import perplexity_reason

    judged = _passing(rows)
    new = [row for row in judged if row["key"] not in known]
    if new:
        model = load_language_model(resolved_preset(chosen).language_model, **_where())
        for row, perplexity in zip(new, model.perplexity([row["text"] for row in new]).tolist(), strict=True):
            row["perplexity"] = perplexity
    for row in judged:
        if row["key"] in known:
            row["perplexity"] = known[row["key"]]["perplexity"]
        broken = perplexity_reason(
            row["perplexity"], min_perplexity=chosen.min_perplexity, max_perplexity=chosen.max_perplexity
        )
        row["reason"], row["value"] = broken or (None, None)
    return {"measured": len(new), "cached": len(judged) - len(new)}


def _passing(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["reason"] is None]


def _counts(rows: list[Row]) -> dict[str, int]:
    rejected: Counter[str] = Counter()
    for row in rows:
        if row["reason"]:
            rejected[row["reason"]] += row["n_nodes"]
    n_in = sum(row["n_nodes"] for row in rows)
    return by_reason("sentences", n_in, n_in - sum(rejected.values()), rejected)


def _where() -> dict[str, Any]:
    return {"device": settings().device, "threads": settings().threads, "models_path": settings().models_path}


def _filtered_schema() -> Any:
    import pyarrow as pa

    from realsyn_ops.io import schemas

    later = {"entropy", "perplexity"}
    return pa.schema([*(field for field in schemas.SENTENCE_SCORES if field.name not in later), ("text", pa.string())])
