"""What the fetcher is told and what it answers: limits, policy, an answer for each address, and how a try can fail."""

import zlib
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from realsyn_ops.records import Reason

MAX_WAIT_S = 10.0
"""A server that asks for a longer wait is not waited for."""

_GONE = frozenset({204, 400, 401, 402, 403, 404, 405, 406, 410, 414, 451})
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""Statuses after which another try can help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLimits:
    """`timeout_s` is for one try with its redirects, `max_held_bytes` for all bodies not yet taken."""

    max_bytes: int
    timeout_s: float = 30.0
    connect_timeout_s: float = 10.0
    max_redirects: int = 5
    max_tries: int = 3
    max_connections: int = 64
    max_per_host: int = 8
    max_held_bytes: int = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """Who asks, what may be connected to besides the public internet, and who wants not to be asked.

    `opt_out_domains` hold for their subdomains too, `opt_out_keys` are keys of images.
    """

    user_agent: str
    allowed: tuple[str, ...] = ()
    opt_out_domains: tuple[str, ...] = ()
    opt_out_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a server said of an image that we have: it is asked only whether that still holds."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The answer to one address: `data`, or `reason` and `detail`, or `is_unchanged`. `status` is 0 for no answer."""

    url: str
    final_url: str = ""
    data: bytes | None = None
    reason: Reason | None = None
    detail: str = ""
    status: int = 0
    etag: str = ""
    last_modified: str = ""
    n_tries: int = 0
    is_unchanged: bool = False


class FailedError(Exception):
    """A try failed; `is_final` when another cannot help."""

    def __init__(
        self, reason: Reason, detail: str, *, status: int = 0, is_final: bool = False, wait_s: float = 0.0
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.status = status
        self.is_final = is_final
        self.wait_s = wait_s


def status_error(status: int, retry_after: str) -> FailedError:
    """The failure that a status other than 200 is."""
    if status in _GONE:
        return FailedError(Reason.FETCH_NOT_FOUND, f"status {status}", status=status, is_final=True)
    wait_s = _retry_after_s(retry_after)
    return FailedError(
        Reason.FETCH_FAILED, f"status {status}", status=status, is_final=status not in AGAIN, wait_s=wait_s
    )


def too_large(limit: int, status: int) -> FailedError:
    return FailedError(Reason.IMAGE_TOO_LARGE, f"more than {limit} bytes", status=status, is_final=True)


def decoded(data: bytes, encoding: str, limit: int, status: int) -> bytes:
    """A body that came packed although it was asked for plain."""
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return data
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        detail = f"content encoding {encoding[:50]!r} was not asked for"
        raise FailedError(Reason.FETCH_FAILED, detail, status=status, is_final=True)
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    try:
        plain = unpacker.decompress(data, limit + 1)
    except zlib.error as error:
        raise FailedError(Reason.FETCH_FAILED, f"content encoding {encoding}: {error}", status=status) from error
    if len(plain) > limit:
        raise too_large(limit, status)
    if not unpacker.eof:
        raise FailedError(Reason.FETCH_TRUNCATED, f"content encoding {encoding} ends early", status=status)
    return plain


def _retry_after_s(text: str) -> float:
    """Seconds of a Retry-After header: none for one that is missing or wrong, too many for any date ahead."""
    if text.isdecimal():
        return float(text[:9])
    try:
        parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    return MAX_WAIT_S + 1
