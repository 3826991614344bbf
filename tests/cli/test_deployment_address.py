"""Which bucket a command reads: a deployment's, by the variable its Airflow has, or this home's own."""

import json
import os
from pathlib import Path

import pytest

from realsyn_ops.cli.deployment import bucket_of, open_bucket
from realsyn_ops.cli.doctor import look
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError, ServiceError
from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import settings

URI = "aws://KEY:sec%2Fret@/?endpoint_url=http%3A%2F%2Fhost%3A8333&region_name=eu-west-1"
JSON = {"conn_type": "aws", "login": "KEY", "password": "sec/ret"}
EXTRA = {"endpoint_url": "http://host:8333", "region_name": "eu-west-1"}
WANTED = Bucket("realsyn", "http://host:8333", "KEY", "sec/ret", "eu-west-1")


@pytest.fixture(autouse=True)
def _no_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRFLOW_CONN_REALSYN_S3", "REALSYN_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()


@pytest.mark.parametrize(
    "connection",
    [URI, json.dumps(JSON | {"extra": EXTRA}), json.dumps(JSON | {"extra": json.dumps(EXTRA)})],
    ids=["uri", "json", "json in json"],
)
def test_a_connection_is_read_as_airflow_reads_it(connection: str) -> None:
    assert bucket_of(connection) == WANTED


def test_without_keys_and_endpoint_it_is_aws_with_the_machines_own_role() -> None:
    assert bucket_of("aws://") == Bucket("realsyn", None, None, None, "us-east-1")


def test_what_is_no_connection_is_named() -> None:
    with pytest.raises(PermanentError, match="AIRFLOW_CONN_REALSYN_S3 is neither a URI nor JSON"):
        bucket_of("{not json")


def test_the_environment_goes_before_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_S3", URI)
    monkeypatch.setenv("REALSYN_BUCKET", "corpus-of-ours")
    settings.cache_clear()
    with open_bucket(Stack(tmp_path)) as bucket:
        assert (bucket.name, bucket.endpoint_url) == ("corpus-of-ours", "http://host:8333")
    settings.cache_clear()


def test_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"run ./realsyn demo first"), open_bucket(Stack(tmp_path)):
        pass
    assert not (tmp_path / "run").exists()


def test_the_store_of_a_home_is_left_as_it_was_found(store: Stack, tmp_path: Path) -> None:
    with open_bucket(store) as bucket:
        assert bucket == store.bucket
    assert store.seaweed.pid() is not None
    own = Stack(tmp_path / "home")
    (own.home / "seaweedfs").mkdir()
    with open_bucket(own) as bucket:
        bucket.put("there", b"1")
    assert own.seaweed.pid() is None


def test_a_store_that_has_stopped_beside_a_running_airflow_is_not_started_for_a_moment(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    (tmp_path / "seaweedfs").mkdir()
    stack.airflow.start(["sleep", "60"], env=os.environ, cwd=tmp_path)
    try:
        with pytest.raises(ServiceError, match=r"stopped while Airflow runs: ./realsyn up"), open_bucket(stack):
            pass
        assert stack.seaweed.pid() is None
        found = [f for f in look(stack, is_quick=True) if f.level == "bad"]
        assert ("store", True) in [(f.what, "./realsyn up" in f.seen) for f in found]
    finally:
        stack.airflow.stop()
