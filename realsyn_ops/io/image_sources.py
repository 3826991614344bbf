"""Where the images of a document are: in its bundle, in its archive, in the page itself, or only at an address.

Nothing is fetched here. An image that is only an address says which one (`ImageNode.url`).
"""

import base64
import binascii
import posixpath
import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, unquote, unquote_to_bytes, urljoin, urlsplit, urlunsplit

from realsyn_ops.errors import BadDocumentError
from realsyn_ops.io.bundles import Bundle, TooLargeError, read_member
from realsyn_ops.records import ImageNode, Reason

MAX_SRC = 2_048

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_REMOTE = re.compile(r"(?:https?|ftp):|//", re.I)
_SPACES = re.compile(r"[\t\n\r]")
_SAFE = "%/:=&?~#+!$,;'@()*[]|"

Archived = Callable[[str, int], bytes | None]
"""The bytes of an image by address and limit, None where the archive has it not. Raises as `read_member`."""


class RefusedImageError(Exception):
    """An image's bytes are not to be had; its node says why."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ImageReader:
    """Gives the image nodes of one document their bytes, or the reason why not.

    `name` is the document's path in its bundle, `url` its own address, `base` what its page says addresses resolve
    against. The bytes of all images of a document share one budget, each counted once, so that no document holds more
    than `max_total_bytes`.
    """

    def __init__(
        self,
        bundle: Bundle | None,
        name: str,
        *,
        url: str = "",
        base: str = "",
        archived: Archived | None = None,
        max_image_bytes: int,
        max_total_bytes: int,
    ) -> None:
        self._bundle = bundle
        self._name = name
        self._base = absolute_url(base, url) or url
        self._is_based = bool(base)
        self._prefix = base if base and not _REMOTE.match(base) and not _SCHEME.match(base) else ""
        self._archived = archived
        self._max_bytes = max_image_bytes
        self._left = max_total_bytes
        self._read: dict[str, bytes] = {}

    def read(self, node: ImageNode) -> ImageNode:
        """The node with `data`, or with `reason` and `detail`. A node that brings its own bytes is only measured.

        Of an image's addresses the first whose bytes are here wins; else the first that can be fetched is its `url`.
        """
        refused: RefusedImageError | None = None
        for src in (node.src, *node.others):
            try:
                data = self._bytes(node, src)
                return replace(node, src=short_src(src), data=data, others=())
            except RefusedImageError as error:
                refused = _better(refused, error)
        url = next((u for src in (node.src, *node.others) if (u := absolute_url(src, self._base))), "")
        assert refused is not None  # noqa: S101 - every address was refused
        reason, detail = refused.reason, refused.detail
        if url and reason is Reason.IMAGE_MISSING and not _SCHEME.match(node.src):
            reason, detail = Reason.IMAGE_REMOTE, url  # relative to a page of the web
        return ImageNode(
            short_src(node.src),
            node.alt,
            None,
            reason,
            detail,
            node.caption,
            url if reason is Reason.IMAGE_REMOTE else "",
        )

    def _bytes(self, node: ImageNode, src: str) -> bytes:
        data = node.data if node.data is not None else self._find(src)
        if node.data is not None or src.startswith("data:"):
            self._charge(len(data))
        return data

    def _find(self, src: str) -> bytes:
        if src.startswith("data:"):
            return _decode_data_uri(src, self._max_bytes)
        if self._archived is not None and (url := absolute_url(src, self._base)):
            return self._held(url, lambda: self._archived(url, self._max_bytes))  # type: ignore[misc]
        name = resolve_src(self._prefix + src if self._prefix and not src.startswith("/") else src, self._name)
        bundle = self._bundle
        if bundle is None or name not in bundle.sizes:
            raise RefusedImageError(Reason.IMAGE_MISSING, f"{name[:MAX_SRC]} is not in the bundle")
        return self._held(name, lambda: read_member(bundle, name, self._max_bytes))

    def _held(self, name: str, read: Callable[[], bytes | None]) -> bytes:
        if name in self._read:
            return self._read[name]
        try:
            data = read()
        except TooLargeError as error:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, str(error)) from error
        except BadDocumentError as error:
            raise RefusedImageError(Reason.IMAGE_BROKEN, str(error)) from error
        if data is None:
            raise RefusedImageError(Reason.IMAGE_REMOTE, name[:MAX_SRC])
        self._charge(len(data))
        self._read[name] = data
        return data

    def _charge(self, n_bytes: int) -> None:
        if n_bytes > self._max_bytes:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, f"{n_bytes} bytes, limit {self._max_bytes}")
        if n_bytes > self._left:
            raise RefusedImageError(Reason.IMAGE_TOO_LARGE, f"{n_bytes} bytes, {self._left} left to this document")
        self._left -= n_bytes


def absolute_url(src: str, base: str) -> str:
    """The http(s) address that `src` means on a page at `base`, escaped and without its fragment; empty for none."""
    src = _SPACES.sub("", src.strip())
    if not src or len(src) > MAX_SRC or src.startswith("#"):
        return ""
    try:
        parts = urlsplit(urljoin(base, src) if base else "https:" + src if src.startswith("//") else src)
        if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
            return ""
        return quote(urlunsplit(parts._replace(fragment="")), safe=_SAFE)
    except ValueError:
        return ""


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


def _better(first: RefusedImageError | None, second: RefusedImageError) -> RefusedImageError:
    """The refusal to tell of two addresses of one image: what can be fetched before what is merely missing."""
    if first is None or (first.reason is Reason.IMAGE_MISSING and second.reason is Reason.IMAGE_REMOTE):
        return second
    return first
