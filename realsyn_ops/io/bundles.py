"""Bundles: pages and their images in a zip, a tar or a folder, read in place. No member is trusted about its size.

Nothing is written to disk and no path of a bundle is ever opened as a path of this machine.
"""

import io
import posixpath
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, Generic, Protocol, TypeVar, runtime_checkable

from realsyn_ops.errors import BadDocumentError

BUNDLE_ERRORS = (
    zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError, struct.error,
)  # fmt: skip
MAX_MEMBERS = 200_000
"""Every shard lists its bundle anew: more members than this belong into several bundles."""

_MAX_NAME = 1_024
Member = TypeVar("Member")


class TooLargeError(BadDocumentError):
    """A member, image or line holds more bytes than its limit."""


@runtime_checkable
class Bundle(Protocol):
    """Files by their path: `names` in order, `sizes` as declared; `refused` says what is left out, and why."""

    names: list[str]
    sizes: dict[str, int]
    refused: list[str]

    def open(self, name: str) -> BinaryIO:
        """A member as a stream; reading it may raise one of BUNDLE_ERRORS."""
        ...


def read_member(bundle: Bundle, name: str, max_bytes: int) -> bytes:
    """A member's bytes. Reads at most one byte past the limit, whatever its size is said to be.

    Raises TooLargeError past the limit, BadDocumentError for an encrypted or damaged member.
    """
    if bundle.sizes[name] > max_bytes:
        raise TooLargeError(f"{bundle.sizes[name]} bytes, limit {max_bytes}")
    try:
        with bundle.open(name) as member:
            data = member.read(max_bytes + 1)
    except BUNDLE_ERRORS as error:
        raise BadDocumentError(f"damaged: {error}") from error
    if len(data) > max_bytes:
        raise TooLargeError(f"more than {max_bytes} bytes, {bundle.sizes[name]} declared")
    return data


class Contents(Generic[Member]):
    """Members by their plain path as an archive lists them, and what of it is not taken."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._refused: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, name: str, member: Member) -> None:
        """Takes a member unless its name leads out of the bundle; of two with one name the later counts."""
        plain = _plain_name(name)
        if len(plain) > _MAX_NAME:
            self.refuse(f"names of more than {_MAX_NAME} characters", plain)
        elif plain == ".." or plain.startswith("../"):
            self.refuse("paths that lead out of the bundle", plain)
        elif plain != "." and not plain.startswith("__MACOSX/"):
            if plain in self.members:
                self.refuse("names that come twice, the later counts", plain)
            self.members[plain] = member
            if len(self.members) > MAX_MEMBERS:
                raise BadDocumentError(f"more than {MAX_MEMBERS} members")

    def refuse(self, why: str, name: str = "") -> None:
        self._refused[why] += 1
        self._first.setdefault(why, name[:200])

    @property
    def names(self) -> list[str]:
        return sorted(self.members)

    @property
    def refused(self) -> list[str]:
        return [
            f"{n} {why}: {self._first[why]!r}" if self._first[why] else why for why, n in sorted(self._refused.items())
        ]


class FolderBundle:
    """Loose objects as one bundle: for each name its size and how it is opened."""

    def __init__(self, members: Mapping[str, tuple[int, Callable[[], BinaryIO]]]) -> None:
        contents: Contents[tuple[int, Callable[[], BinaryIO]]] = Contents()
        for name, member in members.items():
            contents.add(name, member)
        self._members = contents.members
        self.names = contents.names
        self.sizes = {name: size for name, (size, _) in self._members.items()}
        self.refused = contents.refused

    def open(self, name: str) -> BinaryIO:
        return self._members[name][1]()


class Window(io.RawIOBase):
    """The bytes `start` to `stop` of a file that others read as well, then `tail`."""

    def __init__(self, file: BinaryIO, start: int, stop: int, tail: bytes = b"") -> None:
        self._file = file
        self._start = start
        self._n_bytes = stop - start
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._n_bytes + len(self._tail)}[whence]
        if origin + offset < 0:
            raise OSError(f"seek to {origin + offset}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        left = self._n_bytes - self._position
        if left > 0:
            self._file.seek(self._start + self._position)
            data = self._file.read(min(len(buffer), left))
        else:
            data = self._tail[-left : -left + len(buffer)]
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def blocks(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    """The next `n_bytes` of a file, or what there is of them."""
    while n_bytes > 0 and (block := file.read(min(n_bytes, 2**16))):
        n_bytes -= len(block)
        yield block


def _plain_name(name: str) -> str:
    plain = posixpath.normpath(name.replace("\\", "/").replace("\0", "")).lstrip("/")
    return plain.encode("utf-8", "replace").decode() or "."
