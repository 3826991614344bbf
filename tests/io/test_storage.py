"""A bucket of a real S3 server: conditional creation, listing beyond a page, and errors that say what to do."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from realsyn_ops.cli.processes import free_ports
from realsyn_ops.cli.services import Stack
from realsyn_ops.errors import PermanentError, RealSynError, TransientError
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket

CALLS: dict[str, Callable[[Bucket, Path], object]] = {
    "get": lambda bucket, _: bucket.get("a/key"),
    "put": lambda bucket, _: bucket.put("a/key", b""),
    "put_new": lambda bucket, _: bucket.put_new("a/key", b""),
    "exists": lambda bucket, _: bucket.exists("a/key"),
    "find": lambda bucket, _: bucket.find("a/key"),
    "delete": lambda bucket, _: bucket.delete("a/key"),
    "copy": lambda bucket, _: bucket.copy("a/source", "a/key"),
    "download": lambda bucket, path: bucket.download("a/key", path / "downloaded"),
    "upload": lambda bucket, path: bucket.upload(path / "local", "a/key"),
    "list": lambda bucket, _: list(bucket.list("a/key")),
    "create": lambda bucket, _: bucket.create(),
}


def raised(call: Callable[[], object]) -> RealSynError | None:
    try:
        call()
    except RealSynError as error:
        return error
    return None


def test_bytes_come_back_as_they_went(bucket: Bucket) -> None:
    for data in (b"", b"\0\xff" * 1_000, "täxt".encode()):
        bucket.put("folder/a name with blanks+ünïcode.bin", data)
        assert bucket.get("folder/a name with blanks+ünïcode.bin") == data
    assert bucket.uri("folder/x") == f"s3://{bucket.name}/folder/x"


def test_creating_a_bucket_that_is_there_keeps_it(bucket: Bucket) -> None:
    bucket.put("a", b"1")
    bucket.create()
    assert bucket.get("a") == b"1"


def test_of_many_threads_one_creates_the_object(bucket: Bucket) -> None:
    assert bucket.put_new("warm", b"") is True
    for n in range(2):
        start = threading.Barrier(8)

        def create(writer: int, key: str = f"key-{n}", start: threading.Barrier = start) -> bool:
            start.wait()
            return bucket.put_new(key, str(writer).encode())

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(create, range(8)))
        assert won.count(True) == 1
        assert bucket.get(f"key-{n}") == str(won.index(True)).encode()


def test_put_new_leaves_what_is_there(bucket: Bucket) -> None:
    assert bucket.put_new("a", b"first") is True
    assert bucket.put_new("a", b"second") is False
    assert bucket.get("a") == b"first"


def test_find_tells_an_empty_object_from_none(bucket: Bucket) -> None:
    bucket.put("empty", b"")
    assert bucket.find("empty") == b""
    assert bucket.find("none") is None
    assert (bucket.exists("empty"), bucket.exists("none")) == (True, False)


def test_a_listing_beyond_one_page_is_whole_and_in_order(bucket: Bucket) -> None:
    keys = sorted(f"many/{n:04d}/{n % 7}" for n in range(1_100))
    bucket.put("other/0", b"")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: bucket.put(key, key.encode()), reversed(keys)))
    listed = list(bucket.list("many/"))
    assert [item.key for item in listed] == keys
    assert {item.n_bytes for item in listed} == {11}
    assert len({item.etag for item in listed}) == 1_100


def test_a_listing_tells_changed_contents_by_their_etag(bucket: Bucket) -> None:
    bucket.put("a", b"one")
    (before,) = bucket.list("a")
    bucket.put("a", b"two")
    (after,) = bucket.list("a")
    assert before.etag != after.etag
    assert (list(bucket.list("nothing/")), before.modified <= after.modified) == ([], True)


def test_files_go_up_come_down_and_are_copied_by_the_server(bucket: Bucket, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    (tmp_path / "large").write_bytes(data)
    bucket.upload(tmp_path / "large", "a/large")
    bucket.copy("a/large", "b/large")
    bucket.download("b/large", tmp_path / "new" / "folder" / "large")
    assert (tmp_path / "new" / "folder" / "large").read_bytes() == data


def test_deleting_twice_is_no_error(bucket: Bucket) -> None:
    bucket.put("a", b"")
    bucket.delete("a")
    bucket.delete("a")
    assert not bucket.exists("a")


@pytest.mark.parametrize("call", ["get", "download", "copy"])
def test_a_missing_object_is_permanent_and_named(bucket: Bucket, tmp_path: Path, call: str) -> None:
    error = raised(lambda: CALLS[call](bucket, tmp_path))
    assert isinstance(error, PermanentError)
    assert bucket.uri("a/key") in str(error)


@pytest.mark.parametrize("call", [call for call in CALLS if call != "create"])
def test_wrong_credentials_are_permanent(bucket: Bucket, tmp_path: Path, call: str) -> None:
    (tmp_path / "local").write_bytes(b"1")
    error = raised(lambda: CALLS[call](replace(bucket, access_key="nobody"), tmp_path))
    assert isinstance(error, PermanentError), error
    assert bucket.uri("") in str(error)


def test_a_server_that_does_not_answer_is_transient_for_every_call(tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(b"1")
    nobody = [Bucket("b", f"http://127.0.0.1:{port}", "key", "secret") for port in free_ports(len(CALLS))]
    for bucket in nobody:
        bucket._s3  # noqa: B018 (clients are not made safely by several threads at once)
    with ThreadPoolExecutor(len(CALLS)) as pool:
        calls = zip(CALLS.values(), nobody, strict=True)
        errors = list(pool.map(lambda pair: raised(lambda: pair[0](pair[1], tmp_path)), calls))
    assert {name: type(error) for name, error in zip(CALLS, errors, strict=True)} == dict.fromkeys(
        CALLS, TransientError
    )
    assert all("s3://b/" in str(error) for error in errors)


def test_a_store_that_comes_back_is_waited_for_by_those_who_have_patience(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stack = Stack(tmp_path)
    stack.up_store()
    try:
        bucket = replace(stack.bucket, patience_s=60)
        bucket.put("a/source", b"1")
        bucket.put("a/key", b"2")
        (tmp_path / "local").write_bytes(b"1")
        stack.seaweed.stop(grace_s=3)
        with ThreadPoolExecutor(len(CALLS) + 1) as pool:
            waiting = [pool.submit(raised, partial(call, bucket, tmp_path)) for call in CALLS.values()]
            waiting.append(pool.submit(Corpus(bucket).exists, "documents"))
            assert isinstance(raised(lambda: stack.bucket.get("a/key")), TransientError)
            time.sleep(5)
            assert not any(call.done() for call in waiting)
            stack.up_store()
            errors = [call.result(timeout=120) for call in waiting]
    finally:
        stack.down()
    # `delete` comes before or after the others: what they miss then is no failure of the store.
    assert not [error for error in errors if isinstance(error, TransientError)], errors
    told = [record.getMessage() for record in caplog.records if record.name == "realsyn_ops.io.storage"]
    assert f"{bucket.uri('')} at {bucket.endpoint_url} does not answer: it is waited for, 60 s at most" in told
    # Some calls are two requests (create, copy, download), and the second one may find a store that is not well yet.
    assert len(told) <= 2 * len(waiting), "a request says it once, not each second"


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (Bucket("b"), {"aws_region": "us-east-1"}),
        (
            Bucket("b", "http://127.0.0.1:1", "key", "secret", "eu"),
            {
                "aws_region": "eu",
                "aws_endpoint": "http://127.0.0.1:1",
                "aws_virtual_hosted_style_request": "false",
                "allow_http": "true",
                "aws_access_key_id": "key",
                "aws_secret_access_key": "secret",
            },
        ),
        (
            Bucket("b", patience_s=90),
            {"aws_region": "us-east-1", "client_retry_timeout": "90", "client_max_retries": "1000"},
        ),
        (
            Bucket("b", "https://s3.example"),
            {
                "aws_region": "us-east-1",
                "aws_endpoint": "https://s3.example",
                "aws_virtual_hosted_style_request": "false",
            },
        ),
    ],
    ids=["aws", "local", "patient", "https without keys"],
)
def test_lance_is_given_the_same_endpoint_and_keys(bucket: Bucket, expected: dict[str, str]) -> None:
    assert bucket.lance_options == expected


def test_an_object_opened_as_a_file_reads_and_seeks_like_one(bucket: Bucket) -> None:
    data = bytes(range(256)) * 40_000
    bucket.put("raw/ranges", data)
    with bucket.open("raw/ranges") as file:
        assert file.read(10) == data[:10]
        assert file.seek(-7, 2) == len(data) - 7
        assert file.read() == data[-7:]
        assert file.read(1) == b""
        file.seek(5_000_000)
        assert file.read(3) == data[5_000_000:5_000_003]
        file.seek(0)
        assert file.read() == data


def test_an_object_replaced_while_it_is_read_is_an_error(bucket: Bucket) -> None:
    bucket.put("raw/replaced", b"a" * 10_000_000)
    with bucket.open("raw/replaced") as file:
        file.read(1)
        bucket.put("raw/replaced", b"b" * 10_000_000)
        file.seek(8_000_000)
        with pytest.raises(PermanentError, match="raw/replaced"):
            file.read(1)


def test_opening_what_is_not_there_names_it(bucket: Bucket) -> None:
    with pytest.raises(PermanentError, match="raw/nothing"):
        bucket.open("raw/nothing")
