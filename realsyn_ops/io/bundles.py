"""Bundles: pages and their images in a zip, a tar or a folder, read in place. No member is trusted about its size.

Nothing is written to disk and no path of a bundle is ever opened as a path of this machine.
"""

import io
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO, Protocol, runtime_checkable

from realsyn_ops.errors import BadDocumentError

BUNDLE_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, EOFError, ValueError, RuntimeError, OverflowError,
    struct.error,
)  # fmt: skip
MAX_MEMBERS = 500_000
_MAX_DIRECTORY_BYTES = 128 * 2**20
_MAX_TAR_HEADER_BYTES = 2**20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_ENCRYPTED = 0x1
_UNIX_LINK = 0o120000


class TooLargeError(BadDocumentError):
    """A member, image or line holds more bytes than its limit."""


@runtime_checkable
class Bundle(Protocol):
    """Files by their path in a bundle; `names` in order, `sizes` as declared."""

    names: list[str]
    sizes: dict[str, int]

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


class ZipBundle:
    """Raises BadDocumentError for a file that is no zip, or whose directory is beyond reason. Links are left out."""

    def __init__(self, file: BinaryIO) -> None:
        _check_directory(file)
        try:
            self._zip = zipfile.ZipFile(file)
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"not a readable zip: {error}") from error
        self._members = {
            _plain_name(info.filename): info
            for info in self._zip.infolist()
            if not info.is_dir() and (info.external_attr >> 16) & 0o170000 != _UNIX_LINK
        }
        self.names = _listed(self._members)
        self.sizes = {name: info.file_size for name, info in self._members.items()}

    def open(self, name: str) -> BinaryIO:
        info = self._members[name]
        if info.flag_bits & _ENCRYPTED:
            raise BadDocumentError("encrypted")
        if info.compress_type not in _METHODS:
            raise BadDocumentError(f"compression method {info.compress_type}; stored and deflated are read")
        try:
            return self._zip.open(info)  # type: ignore[return-value]
        except BUNDLE_ERRORS as error:
            raise BadDocumentError(f"damaged: {error}") from error


class TarBundle:
    """Regular files of a tar; links and devices are left out. A truncated tar gives the members before its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._tar = tarfile.TarFile.taropen("", "r", fileobj=file, tarinfo=_CheckedTarInfo, ignore_zeros=False)  # noqa: SIM115
            while (info := self._tar.next()) is not None:
                self._tar.members.clear()  # type: ignore[attr-defined] # else it keeps every header it has seen
                if info.isreg():
                    self._members[_plain_name(info.name)] = info
                if len(self._members) > MAX_MEMBERS:
                    raise BadDocumentError(f"more than {MAX_MEMBERS} members")
        except BUNDLE_ERRORS as error:
            if not self._members:
                raise BadDocumentError(f"not a readable tar: {error}") from error
        self.names = _listed(self._members)
        self.sizes = {name: info.size for name, info in self._members.items()}

    def open(self, name: str) -> BinaryIO:
        found = self._tar.extractfile(self._members[name])
        if found is None:
            raise BadDocumentError("no regular file")
        return io.BufferedReader(found)  # type: ignore[type-var]


class FolderBundle:
    """Loose objects as one bundle: for each name its size and how it is opened."""

    def __init__(self, members: Mapping[str, tuple[int, Callable[[], BinaryIO]]]) -> None:
        self._openers = {_plain_name(name): opener for name, (_, opener) in members.items()}
        self.names = _listed(self._openers)
        self.sizes = {_plain_name(name): size for name, (size, _) in members.items()}

    def open(self, name: str) -> BinaryIO:
        return self._openers[name]()


class _CheckedTarInfo(tarfile.TarInfo):
    """Refuses extended headers that would be read into memory whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if not self.isreg() and self.type not in {tarfile.DIRTYPE} and self.size > _MAX_TAR_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def _plain_name(name: str) -> str:
    return posixpath.normpath(name.replace("\\", "/").replace("\0", "")).lstrip("/")


def _listed(members: Mapping[str, object]) -> list[str]:
    """Names in order, without what leads out of the bundle and what archivers add."""
    return sorted(n for n in members if n != ".." and not n.startswith(("../", "__MACOSX/")) and n not in {"", "."})


def _check_directory(file: BinaryIO) -> None:
    """Refuses a zip whose central directory would fill the memory: it is read whole."""
    end = file.seek(0, io.SEEK_END)
    file.seek(max(0, end - 66_000))
    tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or len(tail) < place + 22:
        raise BadDocumentError("not a readable zip: no end of its directory")
    n_members, n_bytes = struct.unpack_from("<HI", tail, place + 10)
    wide = tail.rfind(b"PK\x06\x06")
    if wide >= 0 and len(tail) >= wide + 56:
        n_members, n_bytes = struct.unpack_from("<QQ", tail, wide + 32)
    if n_members > MAX_MEMBERS or (n_bytes > _MAX_DIRECTORY_BYTES and n_bytes != 0xFFFFFFFF):
        raise BadDocumentError(f"a zip of {n_members} members, its directory {n_bytes} bytes")
    file.seek(0)
