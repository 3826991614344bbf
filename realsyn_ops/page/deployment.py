"""The deployment's bucket as the API server sees it, by the same Connection as the tasks."""

import time
from functools import lru_cache

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators.run import open_bucket
from realsyn_ops.page.gallery_store import GalleryStore
from realsyn_ops.settings import settings

_KEEP_S = 60


def bucket() -> Bucket:
    """The bucket; a changed Connection is seen within a minute."""
    return _bucket(int(time.monotonic() // _KEEP_S))


def corpus() -> Corpus:
    return Corpus(bucket())


def gallery() -> GalleryStore:
    return _gallery(bucket())


@lru_cache(maxsize=1)
def _gallery(store: Bucket) -> GalleryStore:
    return GalleryStore(store, settings().gallery_path / store.name)


@lru_cache(maxsize=2)
def _bucket(minute: int) -> Bucket:
    return open_bucket()
