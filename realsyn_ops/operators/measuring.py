"""Tasks of `measure_release`: a small CLIP is trained on each arm of a release from several seeds and evaluated.

A measurement names its content: the same release, sets and tables with the same plan are measured once.
"""

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import PermanentError
from realsyn_ops.operators import assets
from realsyn_ops.operators.lineage import tell_folder
from realsyn_ops.operators.measured_arms import COLUMNS, arm_texts
from realsyn_ops.operators.measured_inputs import arm_inputs
from realsyn_ops.operators.places import whole_corpus, with_models
from realsyn_ops.operators.run import (
    Work,
    by_reason,
    digest,
    measured,
    open_bucket,
    open_staging,
    preset_models,
)
from realsyn_ops.operators.shard_steps import shard_step
from realsyn_ops.plans import MeasurePlan, code_digest
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.stages.measure import Scores

log = logging.getLogger(__name__)

ROOT = "measures"
GATHER, TRAIN = "gather", "train"
_TABLES = ("image_nodes", "sentence_nodes", "sentences", "pairs", "image_embeddings")


@task
def plan(**context: Any) -> Work:
    """Decide on the release, the sets and the model; skipped when that is measured already."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.evaluation_sets import evaluation_sets
    from realsyn_ops.io.releases import is_published, newest, read_release
    from realsyn_ops.io.shards import Staging
    from realsyn_ops.presets import check_spec

    bucket = open_bucket()
    params = dict(context["params"])
    if not (version := params.pop("release") or newest(bucket)):
        raise AirflowSkipException("no release is published yet: nothing to measure")
    release, corpus = read_release(bucket, version), Corpus(bucket)
    if release.revoked:
        raise PermanentError(f"release {version} is revoked ({release.revoked['reason']}): nothing is trained on it")
    sets = evaluation_sets(bucket, params["evaluation"])
    read = [release.manifest["files"], [(one.name, one.files) for one in sets], [corpus.version(t) for t in _TABLES]]
    models = dict(preset_models(settings().preset)) | {"trainee": check_spec("trainee", settings().trainee)}
    chosen = MeasurePlan(
        inputs=digest(read),
        code=code_digest(),
        preset=settings().preset,
        models=tuple(sorted(models.items())),
        release=version,
        **params,
    )
    if is_published(bucket, _name(chosen), root=ROOT):
        raise AirflowSkipException(f"{ROOT}/{_name(chosen)} is there already: nothing new")
    return {"staging": Staging.create(bucket, "measure_release", version, chosen).prefix, "shard": version}


@task(**whole_corpus())
def gather(work: Work) -> list[Work]:
    """Find the texts of each arm; returns a training for each seed of those that there are."""
    import pyarrow as pa

    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.release_rows import scan_rows
    from realsyn_ops.io.releases import read_release

    staging = open_staging(work)
    chosen = MeasurePlan.from_json(staging.plan_json())
    with measured(staging, GATHER):
        corpus, release = Corpus(staging.bucket), read_release(staging.bucket, chosen.release)
        rows = pa.concat_tables([table for _, table in scan_rows(staging.bucket, chosen.release, COLUMNS)])
        days = dict(zip(rows["key"].to_pylist(), rows["day"].to_pylist(), strict=True))
        pairs = corpus.read("pairs", ["key", "day"])
        days = dict(zip(pairs["key"].to_pylist(), pairs["day"].to_pylist(), strict=True)) | days
        absent: dict[str, str] = {}
        for arm in chosen.arms:
            texts, why = arm_texts(arm, rows, corpus, release, chosen)
            if not why and len(texts) < 2:
                texts, why = {}, "only one of its images has a text"
            if why:
                absent[arm] = why
                log.warning("release %s cannot have the arm %s: %s", chosen.release, arm, why)
                continue
            listed = [{"key": key, "day": days[key], "texts": texts[key]} for key in sorted(texts)]
            counts = by_reason("pairs", rows.num_rows, len(texts), {"no_text": rows.num_rows - len(texts)})
            staging.write(GATHER, arm, {"pairs": pa.Table.from_pylist(listed, schema=_schema())}, counts)
            log.info("%s: %s", arm, counts)
        staging.put("absent.json", json.dumps(absent).encode())
    if not (arms := staging.shards(GATHER)):
        raise PermanentError(f"release {chosen.release} has none of the arms: {absent}")
    seeds = range(chosen.seed, chosen.seed + chosen.seeds)
    return [{"staging": staging.prefix, "shard": f"{arm}-{seed}"} for arm in arms for seed in seeds]


@shard_step(TRAIN, place=with_models())
def train(staging: "Staging", work: Work) -> dict[str, Any]:
    """A shard is a training: a model on an arm from a seed, evaluated on every set."""
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import numpy as np
    import pyarrow as pa

    from realsyn_ops.io.evaluation_sets import evaluation_sets, fetch_set
    from realsyn_ops.models.clip_metrics import Evaluation
    from realsyn_ops.models.clip_training import train as train_model
    from realsyn_ops.models.load import load_trainee
    from realsyn_ops.stages.measure import draw_batches

    chosen = MeasurePlan.from_json(staging.plan_json())
    arm, _, seed = work["shard"].rpartition("-")
    table = staging.read_shard(GATHER, arm, "pairs")
    texts = table["texts"].to_pylist()
    device = settings().device
    trainee = load_trainee(
        dict(chosen.models)["trainee"],
        encoder=dict(chosen.models)["encoder"],
        device=device,
        threads=settings().threads,
        models_path=settings().models_path,
    )
    model = trainee.fresh(int(seed))
    n_texts = np.array([len(some) for some in texts])
    draws = draw_batches(n_texts, n_steps=chosen.steps, batch_size=chosen.batch_size, seed=int(seed))
    keys = list(zip(table["key"].to_pylist(), table["day"].to_pylist(), strict=True))
    with arm_inputs(staging.bucket, chosen.release, keys, trainee) as inputs:
        batches = (
            (inputs(images), [texts[i][which] for i, which in zip(images.tolist(), drawn.tolist(), strict=True)])
            for images, drawn in draws
        )
        trained = train_model(model, trainee.tokenize, batches, n_steps=chosen.steps, device=device)
    rows, facts = [], {}
    with TemporaryDirectory() as folder:
        for one in evaluation_sets(staging.bucket, chosen.evaluation):
            local = fetch_set(staging.bucket, one, Path(folder))
            found = Evaluation(local, one.kind, trainee.look, memory_bytes=settings().memory_bytes)
            scores = found.scores(model, trainee.tokenize, device)
            rows += [{"set": one.name, "metric": metric, "value": value} for metric, value in sorted(scores.items())]
            facts[one.name] = {"kind": one.kind, **found.facts}
    about = {"model": trainee.name, "sets": facts, "losses": trained.losses, "temperature": trained.temperature}
    about |= {"n_images_seen": len(trained.losses) * min(chosen.batch_size, len(texts))}
    tables = {"scores": pa.Table.from_pylist(rows), "about": pa.table({"json": [json.dumps(about, sort_keys=True)]})}
    staging.write(TRAIN, work["shard"], tables, {"steps": len(trained.losses)})
    log.info(
        "%s: loss %.3f, %s", work["shard"], trained.losses[-1], {(r["set"], r["metric"]): r["value"] for r in rows}
    )
    return {}


@task(outlets=[assets.MEASURES])
def publish(shards: list[Work], *, outlet_events: Any) -> None:
    """Write the table, the plot and every score to `measures/RELEASE/PLAN/`; the manifest comes last."""
    from realsyn_ops.io.releases import publish_release
    from realsyn_ops.stages import measure

    staging = open_staging(next(iter(shards)))
    chosen = MeasurePlan.from_json(staging.plan_json())
    with measured(staging, "publish"):
        names = [work["shard"] for work in shards]
        staging.finish({GATHER: staging.shards(GATHER), TRAIN: names})
        about = {name: json.loads(staging.read_shard(TRAIN, name, "about")["json"][0].as_py()) for name in names}
        first = about[names[0]]
        scores = [_scores(staging, name) for name in names]
        facts = {
            "release": chosen.release,
            "model": first["model"],
            "plan": json.loads(chosen.to_json()),
            "sets": first["sets"],
            "absent": json.loads(staging.get("absent.json")),
            **measure.summarise(scores, first["sets"], chosen.arms),
        }
        each = {name: {k: v for k, v in one.items() if k not in ("model", "sets")} for name, one in about.items()}
        texts = {
            "README.md": measure.markdown(facts).encode(),
            "scores.svg": measure.draw_plot(chosen.release, facts["sets"], facts["results"]).encode(),
            "scores.json": json.dumps(facts | {"trainings": each}, sort_keys=True, indent=1).encode(),
        }
        publish_release(staging.bucket, _name(chosen), "", [], texts, facts, root=ROOT)
    tell_folder(staging, f"{ROOT}/{_name(chosen)}", len(scores), of_folder=f"releases/{chosen.release}")
    outlet_events[assets.MEASURES].extra = {"measurement": _name(chosen), "trainings": len(names)}
    log.info("published %s/%s: %d trainings", ROOT, _name(chosen), len(names))


def _name(chosen: MeasurePlan) -> str:
    return f"{chosen.release}/{chosen.digest[:8]}"


def _schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("key", pa.string()), ("day", pa.string()), ("texts", pa.list_(pa.string()))])


def _scores(staging: "Staging", name: str) -> "Scores":
    """What a training scored, as its shard keeps it."""
    from realsyn_ops.stages.measure import Scores

    arm, _, seed = name.rpartition("-")
    found: dict[str, dict[str, float]] = {}
    for row in staging.read_shard(TRAIN, name, "scores").to_pylist():
        found.setdefault(row["set"], {})[row["metric"]] = row["value"]
    return Scores(arm, int(seed), staging.read_shard(GATHER, arm, "pairs", columns=["key"]).num_rows, found)
