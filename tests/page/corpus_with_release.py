"""Two days from raw documents to a release, through the Dags' own tasks, in a bucket of their own."""

import urllib.parse
from collections.abc import Callable
from dataclasses import replace

import pytest

from realsyn_ops.cli.services import Stack
from realsyn_ops.gates import audit as gates
from realsyn_ops.io.storage import Bucket
from realsyn_ops.settings import settings
from tests.operators import takedown_corpus as made


def write_corpus(store: Stack, name: str, put_day: Callable[[Bucket, int], None]) -> tuple[Bucket, str]:
    """The bucket and its release. Great Expectations, which takes longest, is left out."""
    bucket = replace(store.bucket, name=name)
    bucket.create()
    extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gates, "audit", lambda frames, docs, **how: [])
        patch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
        patch.setenv("REALSYN_BUCKET", bucket.name)
        settings.cache_clear()
        for number, day in enumerate(made.DAYS):
            put_day(bucket, number)
            made.run_day(bucket, day)
        release = made.make_release()
    settings.cache_clear()
    return bucket, release
