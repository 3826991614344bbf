"""Tasks of `takedown`: what is asked for is found, barred from coming back, removed, and proved to be gone.

Each task may be cleared: what an earlier try has done is found done, and what it had found is kept under
``takedowns/ID/`` until the proof. Meanwhile no other run begins and none publishes.
"""

import datetime as dt
import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import PermanentError, TransientError
from realsyn_ops.operators.run import open_bucket

if TYPE_CHECKING:
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.takedown.find import Work
    from realsyn_ops.takedown.request import Request

log = logging.getLogger(__name__)

OTHERS = (
    "ingest_documents", "curate_images", "cluster_sentences", "pair_texts", "mine_tags", "release_dataset",
    "teach_rewriter", "measure_release", "maintain_tables",
)  # fmt: skip


@task
def find(**context: Any) -> str:
    """What is reached: a dry run says it and changes nothing. Otherwise the tombstone is set; returns the id."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.takedown_lock import hold
    from realsyn_ops.takedown.find import find as find_all
    from realsyn_ops.takedown.proof import reach

    params = dict(context["params"])
    request = request_of(params)
    corpus = Corpus(open_bucket())
    if not params["dry_run"]:
        check_alone(context)
        if not params["why"].strip():
            raise PermanentError("a takedown has a reason: say in *Why* who asked for it")
        hold(corpus.bucket, request.id)
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    found = find_all(corpus, request, when=when, by=params["by"], why=params["why"])
    told = reach(corpus, found)
    log.info("%s", json.dumps(told, indent=1))
    if params["dry_run"]:
        raise AirflowSkipException(f"dry run: {told['documents']} documents, {told['images']} images, "
                                   f"{told['sentences']} sentences would go; nothing was changed")  # fmt: skip
    keep(corpus, found, told, delete_raw=params["delete_raw"])
    return request.id


@task
def remove(takedown: str, **context: Any) -> str:
    """Take it out of all tables, and delete whatever else holds it and can be made again."""
    from realsyn_ops.takedown import remove as removal

    corpus, work, facts = _opened(takedown, context)
    texts, needles = _looked_for(corpus, takedown)
    removal.remove_rows(corpus, takedown, work, texts, log.info)
    removal.delete_answers(corpus.bucket, removal.removal_of(corpus, work, texts))
    removal.delete_objects(corpus.bucket, needles, work, log.info)
    if facts["delete_raw"]:
        removal.delete_raw(corpus.bucket, facts["places"], work, log.info)
    return takedown


@task
def clean(takedown: str, **context: Any) -> str:
    """Delete older versions of all tables: they hold it still."""
    from realsyn_ops.takedown.remove import forget_versions

    corpus, work, _ = _opened(takedown, context)
    forget_versions(corpus, work, log.info)
    return takedown


@task
def prove(takedown: str, **context: Any) -> None:
    """Look through the bucket for it and write the report. Red: something is left, and the log says where."""
    from realsyn_ops.io.takedown_lock import release
    from realsyn_ops.io.takedowns import needles_key, put_facts, read_needles
    from realsyn_ops.takedown import proof

    corpus, work, facts = _opened(takedown, context)
    report = proof.prove(corpus, work, facts, read_needles(corpus.bucket, takedown))
    put_facts(corpus.bucket, takedown, "report", report)
    log.info("%s", json.dumps(report, indent=1))
    if not report["is_gone"]:
        places = sorted({trace["place"] for trace in report["traces"]})
        raise PermanentError(
            f"takedown {takedown}: {report['n_traces']} traces are left, in {', '.join(places[:10])}; the report is "
            f"{corpus.bucket.uri(f'takedowns/{takedown}/report.json')}. Clear the run from *remove* on"
        )
    corpus.bucket.delete(needles_key(takedown))
    release(corpus.bucket)


def request_of(params: dict[str, Any]) -> "Request":
    """Raises BadPlanError for a value that is none."""
    from realsyn_ops.takedown.request import Request

    lists: dict[str, Any] = {name: tuple(params[name] or ()) for name in Request.lists()}
    return Request(**lists, max_hash_distance=params["max_hash_distance"])


def check_alone(context: Any) -> None:
    """Raises TransientError while a run of another Dag is active, which may hold what is to be removed."""
    count = context["ti"].get_dr_count
    active = [dag for dag in OTHERS if count(dag_id=dag, states=["running", "queued"])]
    if active:
        raise TransientError(
            f"runs of {', '.join(active)} are active: a takedown waits for them; clear it when they end"
        )


def keep(corpus: "Corpus", found: Any, told: dict[str, Any], *, delete_raw: bool) -> None:
    """Keep what is worked on and looked for, then set the tombstone: from then on nothing of it comes in."""
    import pyarrow as pa

    from realsyn_ops.io.takedowns import bury, find_facts, find_tombstone, put_facts, put_needles, read_needles

    bucket, takedown = corpus.bucket, found.tombstone.id
    before = find_facts(bucket, takedown, "work")
    known = read_needles(bucket, takedown)
    if known.num_rows or before is None:
        needles = pa.concat_tables([known, found.needles]).to_pylist()
        rows = {(row["kind"], row["key"], row["data"]): row for row in needles}
        put_needles(bucket, takedown, pa.Table.from_pylist([rows[k] for k in sorted(rows)], schema=known.schema))
    else:
        put_needles(bucket, takedown, found.needles)
    work = found.work.joined(before["work"] if before and known.num_rows else None)
    facts = before if before and known.num_rows else {"reach": told, "places": found.places}
    facts |= {"work": asdict(work), "delete_raw": delete_raw}
    facts.setdefault("rows", {name: corpus.n_rows(name) for name in corpus.tables()})
    put_facts(bucket, takedown, "work", facts)
    there = find_tombstone(bucket, takedown)
    bury(bucket, there.joined(found.tombstone) if there else found.tombstone)


def _opened(takedown: str, context: Any) -> "tuple[Corpus, Work, dict[str, Any]]":
    """The corpus, the keys to work on, and what was found; nobody else is at work."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.takedown_lock import hold
    from realsyn_ops.io.takedowns import find_facts
    from realsyn_ops.takedown.find import Work

    check_alone(context)
    bucket = open_bucket()
    hold(bucket, takedown)
    facts = find_facts(bucket, takedown, "work") or {}
    return Corpus(bucket), Work(**facts["work"]), facts


def _looked_for(corpus: "Corpus", takedown: str) -> Any:
    from realsyn_ops.io.takedowns import read_needles
    from realsyn_ops.takedown.needles import Needles
    from realsyn_ops.takedown.remove import texts_of

    table = read_needles(corpus.bucket, takedown)
    return texts_of(table), Needles(table)
