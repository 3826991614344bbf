"""One S3 bucket as the project uses it: bytes by key, conditional creation, listing. Nothing here knows a data set."""

import io
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from boto3.exceptions import Boto3Error
from botocore.client import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from realsyn_ops.errors import PermanentError, TransientError

log = logging.getLogger(__name__)
_READ_AHEAD_BYTES = 2**22
_TRIES = 5
_CONNECT_TIMEOUT_S = 10
_ASK_AGAIN_S = 2.0
_READS = ("HeadObject", "GetObject", "ListObjectsV2")
_AWAY = (EndpointConnectionError, ConnectTimeoutError, ConnectionClosedError)
_FULL_CODES = {"InternalError", "500", "507"}
_TRANSIENT_CODES = {
    "507",
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "500",
    "502",
    "503",
    "504",
}

_ABSENT_CODES = {"404", "NoSuchKey", "NotFound"}
_REFUSED_CODES = {"PreconditionFailed", "412", "ConditionalRequestConflict", "409"}


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    n_bytes: int
    etag: str
    modified: float


@dataclass(frozen=True)
class Bucket:
    """A bucket behind an S3 endpoint. Calls raise TransientError when the service does not answer well, PermanentError
    when the object is not there or the credentials do not fit.

    A store that is away (nobody listens at its address) is waited for ``patience_s`` seconds, about; then a call is one
    that was not answered. A store that answers, but not well, is asked five times.
    """

    name: str
    endpoint_url: str | None = None
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    patience_s: float = 0

    @cached_property
    def _s3(self) -> Any:
        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
                retries={"mode": "standard", "max_attempts": _TRIES},
                connect_timeout=_CONNECT_TIMEOUT_S,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        if self.patience_s:
            client.meta.events.register_first("needs-retry.s3", self._wait_for_store)
        return client

    def _wait_for_store(
        self,
        *,
        attempts: int,
        request_dict: dict[str, Any],
        response: tuple[Any, Any] | None,
        caught_exception: Exception | None,
        operation: Any,
        **_: Any,
    ) -> float | None:
        """Seconds until botocore asks again, None to leave it to botocore's own rules.

        A store that has come back may answer 5xx until it knows all its volumes: who has waited, waits for that too.
        One that goes away may answer 5xx first: who reads, waits. Who writes does not: its disk may be full.
        """
        context = request_dict["context"]
        if isinstance(caught_exception, _AWAY):
            context["was_away"] = True
            is_away = True
        else:
            is_ill = response is not None and response[0].status_code >= 500
            is_away = is_ill and (context.get("was_away") or operation.name in _READS)
        if not is_away or attempts * _ASK_AGAIN_S > self.patience_s:
            return None
        if attempts == 1:
            where = self.endpoint_url or "AWS"
            log.warning(
                "%s at %s does not answer: it is waited for, %.0f s at most", self.uri(""), where, self.patience_s
            )
        return _ASK_AGAIN_S

    def __getstate__(self) -> dict[str, Any]:
        """Without the client, which belongs to its process: a copy for another one makes its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_s3"}

    def uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    @property
    def lance_options(self) -> dict[str, str]:
        """Storage options with which Lance opens tables of this bucket."""
        options = {"aws_region": self.region}
        if self.endpoint_url:
            options |= {"aws_endpoint": self.endpoint_url, "aws_virtual_hosted_style_request": "false"}
            if self.endpoint_url.startswith("http://"):
                options["allow_http"] = "true"
        if self.access_key and self.secret_key:
            options |= {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
        if self.patience_s:
            options |= {"client_retry_timeout": f"{self.patience_s:.0f}", "client_max_retries": "1000"}
        return options

    def create(self) -> None:
        """Make the bucket if it is not there."""
        try:
            self._call("head_bucket")
        except PermanentError:
            self._call("create_bucket")

    def put(self, key: str, data: bytes) -> None:
        self._call("put_object", Key=key, Body=data)

    def put_new(self, key: str, data: bytes) -> bool:
        """Create the object unless it exists: of several writers one gets True (``If-None-Match: *``)."""
        return self._put_if(key, data, IfNoneMatch="*")

    def put_over(self, key: str, data: bytes, *, etag: str) -> bool:
        """Replace the object if it still has that etag (`find_tagged`): of several writers one gets True
        (``If-Match``)."""
        return self._put_if(key, data, IfMatch=etag)

    def get(self, key: str) -> bytes:
        response = self._call("get_object", Key=key)
        try:
            return response["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error

    def get_range(self, key: str, start: int, stop: int, *, etag: str) -> bytes:
        """Bytes `start` to `stop` of the object, if it still has that etag; PermanentError otherwise."""
        response = self._call("get_object", Key=key, Range=f"bytes={start}-{stop - 1}", IfMatch=etag)
        try:
            return response["Body"].read()
        except (BotoCoreError, OSError) as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error

    def find(self, key: str) -> bytes | None:
        """The object's bytes, None when there is none."""
        return self.get(key) if self.exists(key) else None

    def find_tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object's bytes and their etag, None when there is none."""
        try:
            response = self._s3.get_object(Bucket=self.name, Key=key)
            return response["Body"].read(), response["ETag"]
        except ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return None
            raise _translated(error, self.uri(key)) from error
        except (BotoCoreError, OSError) as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error

    def exists(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if _code(error) in _ABSENT_CODES:
                return False
            raise _translated(error, self.uri(key)) from error
        except BotoCoreError as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error
        return True

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Objects under a prefix, in order of key."""
        token: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=prefix, **token)
            for item in page.get("Contents", ()):
                yield ObjectInfo(item["Key"], item["Size"], item["ETag"].strip('"'), item["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def open(self, key: str) -> BinaryIO:
        """An object as a seekable file that is read by ranges: what a reader skips is not transferred.

        Raises PermanentError when it is not there; reads raise as `get` does. An object that is replaced while it is
        read raises PermanentError, since its halves would not fit.
        """
        head = self._call("head_object", Key=key)
        raw = _RangeFile(self, key, int(head["ContentLength"]), head["ETag"])
        return io.BufferedReader(raw, buffer_size=_READ_AHEAD_BYTES)

    def delete(self, key: str) -> None:
        self._call("delete_object", Key=key)

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file, streamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._s3.download_file(self.name, key, str(path))
        except ClientError as error:
            raise _translated(error, self.uri(key)) from error
        except (BotoCoreError, Boto3Error) as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error

    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to an object, streamed."""
        try:
            self._s3.upload_file(str(path), self.name, key)
        except (BotoCoreError, Boto3Error) as error:
            if isinstance(error.__context__, ClientError):  # boto3 hides it behind an error of its own
                raise _translated(error.__context__, self.uri(key)) from error
            raise TransientError(f"{self.uri(key)}: {error}") from error

    def copy(self, source: str, target: str) -> None:
        """Copy an object inside the bucket, by the server."""
        self._call("copy_object", Key=target, CopySource={"Bucket": self.name, "Key": source})

    def open_uploads(self, *, before: float) -> Iterator[tuple[str, str]]:
        """Key and id of uploads in parts that were begun before this time and never finished: their writer died."""
        marker: dict[str, str] = {}
        while True:
            page = self._call("list_multipart_uploads", **marker)
            for upload in page.get("Uploads", ()):
                if upload["Initiated"].timestamp() < before:
                    yield upload["Key"], upload["UploadId"]
            if not page.get("IsTruncated"):
                return
            marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def abort_uploads(self, *, before: float) -> int:
        """Give up those uploads, and with them the space of their parts; how many there were."""
        uploads = list(self.open_uploads(before=before))
        for key, upload in uploads:
            self._call("abort_multipart_upload", Key=key, UploadId=upload)
        return len(uploads)

    def _put_if(self, key: str, data: bytes, **condition: str) -> bool:
        try:
            self._s3.put_object(Bucket=self.name, Key=key, Body=data, **condition)
        except ClientError as error:
            if _code(error) in _REFUSED_CODES:
                return False
            raise _translated(error, self.uri(key)) from error
        except BotoCoreError as error:
            raise TransientError(f"{self.uri(key)}: {error}") from error
        return True

    def _call(self, operation: str, **arguments: Any) -> Any:
        try:
            return getattr(self._s3, operation)(Bucket=self.name, **arguments)
        except ClientError as error:
            raise _translated(error, self.uri(arguments.get("Key", ""))) from error
        except BotoCoreError as error:
            raise TransientError(f"{self.uri(arguments.get('Key', ''))}: {error}") from error


class _RangeFile(io.RawIOBase):
    """The bytes of one version of an object, each read one ranged request."""

    def __init__(self, bucket: Bucket, key: str, n_bytes: int, etag: str) -> None:
        self._bucket = bucket
        self._key = key
        self._n_bytes = n_bytes
        self._etag = etag
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._n_bytes}[whence]
        if start + offset < 0:
            raise OSError(f"seek to {start + offset}")
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        stop = min(self._position + len(buffer), self._n_bytes)
        if stop <= self._position:
            return 0
        data = self._bucket.get_range(self._key, self._position, stop, etag=self._etag)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _translated(error: ClientError, uri: str) -> Exception:
    code = _code(error)
    kind = TransientError if code in _TRANSIENT_CODES else PermanentError
    hint = " (a store that answers so to every write: is its disk full?)" if code in _FULL_CODES else ""
    return kind(f"{uri}: {code} {error.response.get('Error', {}).get('Message', '')}".rstrip() + hint)
