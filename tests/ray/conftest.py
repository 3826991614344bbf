"""One cluster of two nodes for all tests of jobs. The last of them kills a node."""

import urllib.parse
from collections.abc import Iterator

import pytest

from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import settings
from tests.ray.cluster import Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("ray"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture
def deployed(bucket: Bucket, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The environment of an Airflow worker whose shards go to the cluster."""
    extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
    monkeypatch.setenv("REALSYN_BUCKET", bucket.name)
    monkeypatch.setenv("REALSYN_RAY_ADDRESS", cluster.address)
    for name, value in cluster.credentials.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield bucket
    monkeypatch.undo()
    settings.cache_clear()
