"""Tasks of `maintain_tables`: what nobody needs any more is found, older versions of tables and old files go.

Nothing of it is needed for the rows: killed anywhere, the next run goes on. A takedown keeps it out, and waits for it.
"""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import task
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators.pair_rules import kept_versions
from realsyn_ops.operators.run import open_bucket

if TYPE_CHECKING:
    from realsyn_ops.io.maintenance import Garbage
    from realsyn_ops.io.storage import Bucket

log = logging.getLogger(__name__)


@task
def look(**context: Any) -> dict[str, int]:
    """Say in the log what would go; skipped when that is nothing, and in a dry run. Returns the days to keep."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.takedown_lock import check_no_takedown

    params = dict(context["params"])
    bucket = open_bucket()
    check_no_takedown(bucket)
    keep = {name: int(params[name]) for name in ("keep_versions_days", "keep_staging_days", "keep_unfinished_days")}
    corpus = Corpus(bucket)
    older = timedelta(days=keep["keep_versions_days"])
    kept = kept_versions(bucket)
    versions = {name: corpus.n_versions(name, older_than=older, keep=kept.get(name, ())) for name in corpus.tables()}
    garbage = _garbage(bucket, keep)
    uploads = list(bucket.open_uploads(before=_before(keep["keep_unfinished_days"])))
    for name, n in versions.items():
        log.info("%s: %d older versions", name, n)
    for one in garbage:
        log.info("%s: %s, %d objects, %d bytes", one.folder, one.why, one.n_objects, one.n_bytes)
    log.info("%d uploads that were never finished", len(uploads))
    if not any(versions.values()) and not garbage and not uploads:
        raise AirflowSkipException("nothing is old enough: nothing to do")
    if params["dry_run"]:
        raise AirflowSkipException("dry run: nothing was changed")
    return keep


@task
def forget_versions(keep: dict[str, int]) -> dict[str, int]:
    """Delete older versions of the tables, and files that no version names; what pairs were made from is kept."""
    from realsyn_ops.io.corpus import Corpus
    from realsyn_ops.io.takedown_lock import check_no_takedown

    bucket = open_bucket()
    corpus = Corpus(bucket)
    kept = kept_versions(bucket)
    older = timedelta(days=keep["keep_versions_days"])
    for name in corpus.tables():
        check_no_takedown(bucket)
        n_bytes = corpus.forget_versions(name, older_than=older, keep=kept.get(name, ()))
        log.info("%s: %d bytes of older versions are gone", name, n_bytes)
    return keep


@task
def sweep(keep: dict[str, int]) -> None:
    """Delete old staging and Data Docs, and what was never finished: releases, lessons, measures, uploads."""
    from realsyn_ops.io.maintenance import sweep as delete_folder
    from realsyn_ops.io.takedown_lock import check_no_takedown

    bucket = open_bucket()
    told = {"objects": 0, "bytes": 0}
    for one in _garbage(bucket, keep):
        check_no_takedown(bucket)
        told["objects"] += delete_folder(bucket, one.folder)
        told["bytes"] += one.n_bytes
    told["uploads"] = bucket.abort_uploads(before=_before(keep["keep_unfinished_days"]))
    log.info("%s", json.dumps(told))


def _garbage(bucket: "Bucket", keep: dict[str, int]) -> "list[Garbage]":
    from realsyn_ops.io.maintenance import find_garbage

    return find_garbage(
        bucket,
        staged_before=_before(keep["keep_staging_days"]),
        unfinished_before=_before(keep["keep_unfinished_days"]),
    )


def _before(days: int) -> float:
    return (datetime.now(UTC) - timedelta(days=days)).timestamp()
