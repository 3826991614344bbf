"""A zip of pages and their images, read in place: nothing is written to disk, no member is trusted about its size.

Also where an image's `src` leads: inside the bundle, out of it, to the network (never followed), or into the page.
"""

import base64
import binascii
import posixpath
import re
import zipfile
import zlib
from typing import BinaryIO
from urllib.parse import unquote, unquote_to_bytes

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.records import ImageNode, Reason

MAX_SRC = 2_048

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_REMOTE = re.compile(r"(?:https?|ftp):|//", re.I)
_SPACES = re.compile(r"[\t\n\r]")


class TooLargeError(BadDocumentError):
    """A member, image or line holds more bytes than its limit."""


class RefusedImageError(Exception):
    """An image's bytes are not to be had; its node says why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Bundle:
    """The members of an open zip by their path. Raises BadDocumentError for a file that is no zip."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except ZIP_ERRORS as error:
            raise BadDocumentError(f"not a readable zip: {error}") from error
        infos = [info for info in self._zip.infolist() if not info.is_dir()]
        self._members = {posixpath.normpath(info.filename.replace("\\", "/")): info for info in infos}
        self.names = sorted(name for name in self._members if not name.startswith("__MACOSX/"))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def read(self, name: str, max_bytes: int) -> bytes:
        """A member's bytes, its checksum verified. Reads at most one byte past the limit, whatever the header says.

        Raises TooLargeError past the limit, BadDocumentError for an encrypted or damaged member.
        """
        info = self._members[name]
        if info.file_size > max_bytes:
            raise TooLargeError(f"{info.file_size} bytes, limit {max_bytes}")
        try:
            with self.open(name) as member:
                data = member.read(max_bytes + 1)
        except ZIP_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error
        if len(data) > max_bytes:
            raise TooLargeError(f"more than {max_bytes} bytes, {info.file_size} declared")
        return data

    def open(self, name: str) -> BinaryIO:
        """A member as a stream; reading it may raise one of ZIP_ERRORS."""
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            raise BadDocumentError("encrypted")
        if info.compress_type not in _METHODS:
            raise BadDocumentError(f"compression method {info.compress_type}; stored and deflated are read")
        try:
            return self._zip.open(info)  # type: ignore[return-value]
        except ZIP_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error


class ImageReader:
    """Gives the image nodes of one document their bytes or the reason why not.

    `name` is the document's path in the bundle. The bytes of all images of a document share one budget, each counted
    once, so that no document holds more than `max_total_bytes`.
    """

    def __init__(self, bundle: Bundle | None, name: str, *, max_image_bytes: int, max_total_bytes: int) -> None:
        self._bundle = bundle
        self._name = name
        self._max_bytes = max_image_bytes
        self._left = max_total_bytes
        self._read: dict[str, bytes] = {}

    def read(self, node: ImageNode) -> ImageNode:
        """The node with `data`, or with `reason` and `detail`. A node that brings its own bytes is only measured."""
        src = node.src
        try:
            data = node.data if node.data is not None else self._find(src)
            if node.data is not None or src.startswith("data:"):
                self._charge(len(data))
            return ImageNode(short_src(src), node.alt, data)
        except RefusedImageError as error:
            return ImageNode(short_src(src), node.alt, None, error.reason, error.detail)

    def _find(self, src: str) -> bytes:
        if src.startswith("data:"):
            return _decode_data_uri(src, self._max_bytes)
        name = resolve_src(src, self._name)
        if name in self._read:
            return self._read[name]
        if self._bundle is None or name not in self._bundle:
            raise RefusedImageError(Reason.IMAGE_MISSING, f"{name[:MAX_SRC]} is not in the bundle")
        try:
            data = self._bundle.read(name, self._max_bytes)
        except TooLargeError as error:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, str(error)) from error
        except BadDocumentError as error:
            raise RefusedImageError(Reason.IMAGE_BROKEN, str(error)) from error
        self._charge(len(data))
        self._read[name] = data
        return data

    def _charge(self, n_bytes: int) -> None:
        if n_bytes > self._max_bytes:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, f"{n_bytes} bytes, limit {self._max_bytes}")
        if n_bytes > self._left:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, f"{n_bytes} bytes, {self._left} left to this document")
        self._left -= n_bytes


def resolve_src(src: str, name: str) -> str:
    """The member that `src` names on the page `name`; `/x` starts at the bundle's root.

    Raises RefusedImageError when it leads elsewhere.
    """
    src = _SPACES.sub("", src.strip())
    if _REMOTE.match(src):
        raise RefusedImageError(Reason.IMAGE_REMOTE, src[:MAX_SRC])
    if _SCHEME.match(src):
        raise RefusedImageError(Reason.IMAGE_OUTSIDE_BUNDLE, src[:MAX_SRC])
    path = unquote(src.partition("#")[0].partition("?")[0]).replace("\\", "/")
    if not path.strip("/ "):
        raise RefusedImageError(Reason.IMAGE_MISSING, "empty src")
    if path.startswith("//") or _SCHEME.match(path):
        raise RefusedImageError(Reason.IMAGE_OUTSIDE_BUNDLE, src[:MAX_SRC])
    folder = "" if path.startswith("/") else posixpath.dirname(name)
    found = posixpath.normpath(posixpath.join(folder, path.lstrip("/")))
    if found == ".." or found.startswith(("../", "/")):
        raise RefusedImageError(Reason.IMAGE_OUTSIDE_BUNDLE, src[:MAX_SRC])
    return found


def short_src(src: str) -> str:
    """An src as it is stored: a data URI without its data, and never longer than MAX_SRC."""
    return src.partition(",")[0][:100] if src.startswith("data:") else src[:MAX_SRC]


def _decode_data_uri(src: str, max_bytes: int) -> bytes:
    header, _, payload = src.partition(",")
    if len(payload) > max_bytes * 4:
        raise RefusedImageError(Reason.IMAGE_TOO_LARGE, f"{len(payload)} characters, limit {max_bytes} bytes")
    data = unquote_to_bytes(payload)
    if not header.rstrip().endswith(";base64"):
        return data
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4))
    except (binascii.Error, ValueError) as error:
        raise RefusedImageError(Reason.IMAGE_BROKEN, f"data URI: {error}") from error
