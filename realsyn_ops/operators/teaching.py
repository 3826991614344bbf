"""Tasks of `teach_rewriter`: triples are drawn from the published pairs, a teacher merges them, and what the grounding
gate accepts is published as lessons for a smaller model.

A version names its content: the same pairs with the same plan are the same lessons, which are then left alone. Answers
are kept where `pair_texts` keeps its own, so that a run that died pays for nothing twice.
"""

import json
import logging
from collections import Counter
from dataclasses import asdict
from itertools import compress
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import PermanentError
from realsyn_ops.operators import assets
from realsyn_ops.operators.lessons import ASK, DRAW, TRIPLE, accepted_lessons, identity, image_clusters, triples_of
from realsyn_ops.operators.lineage import tell_folder
from realsyn_ops.operators.places import with_models
from realsyn_ops.operators.rewriting import open_rewriter, write_texts
from realsyn_ops.operators.run import (
    Work,
    by_reason,
    digest,
    measured,
    open_bucket,
    open_staging,
    preset_models,
    resolved_preset,
    rewriter_key,
)
from realsyn_ops.operators.sampling import staged_files
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.plans import TeachPlan, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging

log = logging.getLogger(__name__)

ROOT = "lessons"
_TABLES = ("pairs", "curated_images")


@task
def plan(**context: Any) -> Work:
    """Decide on the pairs, as of now, and the teacher; skipped when their lessons are published already."""
    from realsyn_ops.io.corpus import Corpus, rows_digest
    from realsyn_ops.io.releases import is_published
    from realsyn_ops.io.shards import Staging

    bucket = open_bucket()
    corpus = Corpus(bucket)
    if not all(corpus.exists(table) for table in _TABLES):
        raise AirflowSkipException("no pairs are published yet: nothing to teach with")
    versions = {table: corpus.version(table) for table in _TABLES}
    pairs = corpus.read("pairs", TRIPLE, where="reason IS NULL", version=versions["pairs"])
    if not pairs.num_rows:
        raise AirflowSkipException("the pairs in force are none: nothing to teach with")
    clusters = corpus.read(
        "curated_images", ["key", "cluster"], where="reason IS NULL", version=versions["curated_images"]
    )
    params = dict(context["params"])
    chosen = TeachPlan(
        inputs=digest([rows_digest([rows], rows.schema, rows.column_names) for rows in (pairs, clusters)]),
        code=code_digest(),
        preset=settings().preset,
        models=_models(params.pop("teacher")),
        **params,
    )
    version = f"{max(pairs['day'].to_pylist())}-{chosen.digest[:8]}"
    if is_published(bucket, version, root=ROOT):
        raise AirflowSkipException(f"lessons {version} are of these pairs already: nothing new")
    staging = Staging.create(bucket, "teach_rewriter", version, chosen)
    staging.put("versions.json", json.dumps(versions, sort_keys=True).encode())
    return {"staging": staging.prefix, "shard": version}


@task
def draw(work: Work) -> list[Work]:
    """Draw the triples, from the image clusters as evenly as they allow; returns shards of them."""
    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.records import Reason
    from realsyn_ops.stages import sample

    staging = open_staging(work)
    chosen = TeachPlan.from_json(staging.plan_json())
    with measured(staging, DRAW):
        corpus, versions = Corpus(staging.bucket), json.loads(staging.get("versions.json"))
        keys = corpus.read("pairs", ["key"], where="reason IS NULL", version=versions["pairs"])["key"].to_pylist()
        clusters = image_clusters(corpus, versions["curated_images"])
        of_keys = np.array([clusters.get(key, 0) for key in keys], np.int32)
        drawn = sample.draw(keys, of_keys, size=chosen.size, seed=chosen.seed, memory_bytes=settings().memory_bytes)
        wanted = list(compress(keys, drawn))
        rows = triples_of(corpus, wanted, versions["pairs"])
        triples = {identity(row): row for row in reversed(rows)}  # of identical ones, the first
        kept = sorted(triples.values(), key=lambda row: row["key"])
        rejected = {Reason.CLUSTER_CAP: len(keys) - len(wanted), Reason.IDENTICAL: len(rows) - len(kept)}
        counts = by_reason("triples", len(keys), len(kept), {reason: n for reason, n in rejected.items() if n})
        staging.write(DRAW, "all", {"triples": pa.Table.from_pylist(kept)}, counts)
    shards = shard_bounds(len(kept), chosen.shard_triples)
    return [{"staging": staging.prefix, "shard": f"{start}-{stop}"} for start, stop in shards]


@shard_step(ASK, place=with_models(), api_key=rewriter_key)
def ask(staging: "Staging", work: Work, *, api_key: str) -> dict[str, Any]:
    """Ask the teacher about a shard of triples; the grounding gate says which answers are lessons."""
    import pyarrow as pa

    from realsyn_ops.io.answers import Batch
    from realsyn_ops.kinds import Merge

    chosen = TeachPlan.from_json(staging.plan_json())
    start, stop = map(int, work["shard"].split("-"))
    rows = staging.read_shard(DRAW, "all", "triples").to_pylist()[start:stop]
    teacher = open_rewriter(
        resolved_preset(chosen).rewriter,
        api_key=api_key,
        device=settings().device,
        threads=settings().threads,
        models_path=settings().models_path,
    )
    merges = [Merge(row["text"], row["caption"], tuple(row["tags"])) for row in rows]
    batch = Batch(staging.bucket, max(row["day"] for row in rows), digest(sorted(row["key"] for row in rows)))
    limits = {"max_words": chosen.max_synthetic_words, "max_synonyms": chosen.max_synonyms}
    made, paid = write_texts(batch, teacher, merges, **limits)
    answers = [
        {"key": row["key"], "answer": text.text if text.origin == "rewriter" else None, "reason": text.reason or None}
        for row, text in zip(rows, made, strict=True)
    ]
    refused = Counter(text.reason for text in made if text.reason)
    schema = pa.schema([("key", pa.string()), ("answer", pa.string()), ("reason", pa.string())])
    counts = by_reason("answers", len(made), len(made) - refused.total(), refused)
    staging.write(ASK, work["shard"], {"answers": pa.Table.from_pylist(answers, schema=schema)}, counts)
    batch.compact()
    return {"spent": [{"model": teacher.name, "prompt": teacher.prompt, **asdict(some.spent)} for some in paid]}


@task(outlets=[assets.LESSONS])
def publish(shards: list[Work], *, outlet_events: Any) -> None:
    """Write the lessons in the trainers' formats to `lessons/VERSION/` with a card; the manifest comes last."""
    from realsyn_ops.io.releases import publish_release
    from realsyn_ops.stages.synthesize import N_WORDS
    from realsyn_ops.stages.teach import HELD_OUT, TRAIN, card, lesson_files

    staging = open_staging(next(iter(shards)))
    chosen = TeachPlan.from_json(staging.plan_json())
    version = staging.partition
    with measured(staging, "publish"):
        lessons, refused, prompt = accepted_lessons(staging, chosen)
        drawn = staging.counts(DRAW)
        share = len(lessons) / max(1, drawn["triples.kept"])
        if share < chosen.min_accepted_share or not lessons:
            raise PermanentError(
                f"{len(lessons)} of {drawn['triples.kept']} answers may be taught, less than the share "
                f"min_accepted_share={chosen.min_accepted_share} asks for; refused: {dict(refused)}; is "
                f"{resolved_preset(chosen).rewriter} the teacher that you mean?"
            )
        for path, data in lesson_files(lessons).items():
            staging.put(f"release/{path}", data)
        staging.finish({DRAW: ["all"], ASK: staging.shards(ASK)})
        files = staged_files(staging)
        facts = {
            "version": version,
            "n_candidates": drawn["triples.in"],
            "n_drawn": drawn["triples.kept"],
            "n_train": sum(lesson.part == TRAIN for lesson in lessons),
            "n_held_out": sum(lesson.part == HELD_OUT for lesson in lessons),
            "n_words": N_WORDS,
            "refused": dict(sorted(refused.items())),
            "teacher": resolved_preset(chosen).rewriter.partition("#")[2] or resolved_preset(chosen).rewriter,
            "prompt": prompt,
            "seed": chosen.seed,
            "max_opening_share": chosen.max_opening_share,
            "plan": json.loads(chosen.to_json()),
        }
        readme = card(facts, files).encode()
        publish_release(
            staging.bucket, version, f"{staging.prefix}/release", files, {"README.md": readme}, facts, root=ROOT
        )
    tell_folder(staging, f"{ROOT}/{version}", len(lessons), files)
    outlet_events[assets.LESSONS].extra = {"version": version, "lessons": len(lessons)}
    log.info("published %d lessons as %s, refused %s", len(lessons), version, dict(refused))


def _models(teacher: str) -> tuple[tuple[str, str], ...]:
    """The preset's models, with the teacher in the rewriter's place."""
    from realsyn_ops.presets import check_spec

    models = dict(preset_models(settings().preset))
    if teacher:
        models["rewriter"] = check_spec("rewriter", teacher)
    return tuple(sorted(models.items()))
