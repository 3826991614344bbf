"""Encoded pictures of a release in one local file, read at random by key: what a training step asks for."""

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from realsyn_ops.io.releases import read_manifest
from realsyn_ops.io.storage import Bucket


class PictureFile:
    """Grows at its end; `close` it, or use it as a context."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._places: dict[str, tuple[int, int]] = {}

    def __enter__(self) -> "PictureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def __getitem__(self, key: str) -> bytes:
        """Safe to call from several threads once all is added."""
        offset, size = self._places[key]
        return os.pread(self._file.fileno(), size, offset)

    def add(self, pictures: Iterable[tuple[str, bytes]]) -> None:
        for key, data in pictures:
            self._places[key] = self._file.tell(), len(data)
            self._file.write(data)
        self._file.flush()

    def add_release(self, bucket: Bucket, version: str, wanted: set[str]) -> None:
        """The wanted ones of a release's tars, one tar at a time."""
        for file in read_manifest(bucket, version)["files"]:
            if file["path"].endswith(".tar"):
                with bucket.open(f"releases/{version}/{file['path']}") as raw, tarfile.open(fileobj=raw) as tar:
                    for member in tar:
                        key, _, kind = member.name.partition(".")
                        content = tar.extractfile(member) if kind == "jpg" and key in wanted else None
                        if content:
                            self.add([(key, content.read())])
