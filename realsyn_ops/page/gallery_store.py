"""The index that a gallery is read from: looked for once in a while, made anew in a process of its own when tables have
changed. Meanwhile the older one serves, unless something was taken down since: then nothing does.
"""

import json
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.page.gallery_index import MAX_PAIRS, state_of
from realsyn_ops.page.gallery_search import GalleryIndex

log = logging.getLogger(__name__)
LOOK_EVERY_S = 10.0
_BUILD_TIMEOUT_S = 3600


class GalleryStore:
    """Indexes of one bucket in one folder. Safe to be asked from many threads."""

    def __init__(self, bucket: Bucket, folder: Path, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._bucket = bucket
        self._folder = folder
        self._look_every_s = look_every_s
        self._lock = threading.Lock()
        self._index: GalleryIndex | None = None
        self._looked = -look_every_s
        self._builder: threading.Thread | None = None

    def index(self) -> GalleryIndex | None:
        """The index to read; None while the first one is being made."""
        if time.monotonic() - self._looked >= self._look_every_s and self._lock.acquire(blocking=self._index is None):
            try:
                self._look()
            finally:
                self._lock.release()
        return self._index

    def _look(self) -> None:
        if time.monotonic() - self._looked < self._look_every_s or self._is_building():
            return
        state = state_of(Corpus(self._bucket))
        self._looked = time.monotonic()
        if self._index is not None and not self._index.path.exists():
            self._index = None  # another process of this server has made a newer one
        if self._index is None and (path := self._newest()) is not None:
            self._index = GalleryIndex(path)
        if self._index is None or not _is_of(self._index, state):
            if self._index is not None and self._index.about["taken_down"] != state["taken_down"]:
                self._index.path.unlink(missing_ok=True)
                self._index = None
            self._builder = threading.Thread(target=self._build, daemon=True, name="gallery index")
            self._builder.start()

    def _is_building(self) -> bool:
        return self._builder is not None and self._builder.is_alive()

    def _build(self) -> None:
        """In a process of its own: it takes a core for some minutes, and memory that Airflow gets back."""
        path = self._folder / f"{time.time_ns()}.sqlite"
        bucket = {n: getattr(self._bucket, n) for n in ("name", "endpoint_url", "access_key", "secret_key", "region")}
        asked = json.dumps({"bucket": bucket, "path": str(path), "max_pairs": MAX_PAIRS})
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = subprocess.run(
            [sys.executable, "-m", "realsyn_ops.page.gallery_index"],
            input=asked, capture_output=True, text=True, check=False, timeout=_BUILD_TIMEOUT_S,
        )  # fmt: skip
        if done.returncode:
            log.error("the gallery's index could not be made: %s", done.stderr.strip()[-2000:])
            return
        self._index = GalleryIndex(path)
        for other in self._folder.glob("*.sqlite"):
            if other != path:
                other.unlink(missing_ok=True)

    def _newest(self) -> Path | None:
        return max(self._folder.glob("*.sqlite"), default=None, key=lambda path: int(path.stem))


def _is_of(index: GalleryIndex, state: dict[str, Any]) -> bool:
    return all(index.about[name] == value for name, value in state.items())
