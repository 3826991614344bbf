"""The tasks of `maintain_tables`: dry, in earnest, beside a takedown, and with nothing to do."""

import json
import urllib.parse
from collections.abc import Iterator

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.errors import TransientError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedown_lock import hold
from realsyn_ops.operators import maintenance
from realsyn_ops.operators.maintenance_params import MAINTAIN
from realsyn_ops.operators.pair_rules import kept_keys
from realsyn_ops.settings import settings

DAY = "2025-02-18"
SCHEMA = pa.schema([("key", pa.string()), ("day", pa.string())])
FORM = {name: param.value for name, param in MAINTAIN.items()}
NO_AGE = {name: 0 for name in FORM if name.startswith("keep_")}
"""As if all that is there were old enough."""


@pytest.fixture
def kept(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A table with three versions, of which pairs were made from the second, and a staged run."""
    extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
    monkeypatch.setenv("REALSYN_BUCKET", bucket.name)
    settings.cache_clear()
    for n in (1, 2):
        rows = pa.table([[f"k{i}" for i in range(n)], [DAY] * n], schema=SCHEMA)
        Corpus(bucket).publish("images", SCHEMA, {DAY: lambda columns, rows=rows: [rows.select(columns)]})
    bucket.put("corpus/plans/rules/pairs.json", json.dumps({"rules": {}, "images": 2}).encode())
    bucket.put(f"staging/curate_images/{DAY}/plan/plan.json", b"{}")
    yield bucket
    settings.cache_clear()


def state(bucket: Bucket) -> set[str]:
    return {item.key for item in bucket.list("")}


def test_by_its_defaults_nothing_is_old_enough_and_the_run_is_skipped(kept: Bucket) -> None:
    before = state(kept)
    with pytest.raises(AirflowSkipException, match="nothing is old enough"):
        maintenance.look.function(params=FORM)
    assert state(kept) == before


def test_a_dry_run_only_says_what_would_go(kept: Bucket) -> None:
    before = state(kept)
    with pytest.raises(AirflowSkipException, match="dry run: nothing was changed"):
        maintenance.look.function(params=FORM | NO_AGE | {"dry_run": True})
    assert state(kept) == before


def test_old_versions_and_staging_go_but_not_what_pairs_were_made_from(kept: Bucket) -> None:
    corpus, keep = Corpus(kept), maintenance.look.function(params=FORM | NO_AGE)
    assert keep == NO_AGE
    wanted = corpus.digest("images")
    maintenance.sweep.function(maintenance.forget_versions.function(keep))
    assert not [key for key in state(kept) if key.startswith("staging/")]
    assert corpus.digest("images") == wanted
    assert corpus.read("images", ["key"], version=2)["key"].to_pylist() == ["k0"]
    assert [version for version in (1, 2, 3) if corpus.exists("images", version=version)] == [2, 3]
    with pytest.raises(AirflowSkipException, match="nothing is old enough"):
        maintenance.look.function(params=FORM | NO_AGE)


def test_a_version_that_is_gone_is_known_to_be_gone(kept: Bucket) -> None:
    """Pairs that were made from it are then searched anew, in place of an error."""
    corpus, schema = Corpus(kept), SCHEMA.append(pa.field("reason", pa.string()))
    for n in (1, 2):
        rows = pa.table([[f"s{i}" for i in range(n)], [DAY] * n, [None] * n], schema=schema)
        corpus.publish("sentence_clusters", schema, {DAY: lambda columns, rows=rows: [rows.select(columns)]})
    assert kept_keys(corpus, 2) == {"s0"}
    corpus.forget_versions("sentence_clusters")
    assert kept_keys(corpus, 2) is None
    assert kept_keys(corpus, 3) == {"s0", "s1"}


def test_beside_a_takedown_no_task_does_anything(kept: Bucket) -> None:
    before = state(kept)
    hold(kept, "t1")
    for task, given in ((maintenance.forget_versions, (NO_AGE,)), (maintenance.sweep, (NO_AGE,))):
        with pytest.raises(TransientError, match="takedown t1 is under way"):
            task.function(*given)
    with pytest.raises(TransientError, match="takedown t1 is under way"):
        maintenance.look.function(params=FORM | NO_AGE)
    assert state(kept) == before | {"takedowns/RUNNING"}
