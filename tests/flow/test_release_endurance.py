"""Releases that are killed, refused or left without room: never half there, and the same bytes when they run again."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from realsyn_ops.cli.services import PROJECT, Stack
from realsyn_ops.errors import TransientError
from realsyn_ops.io.releases import versions
from realsyn_ops.io.storage import Bucket
from tests.flow.refusing_proxy import refusing

N_KILLS = 20
PARAMS: dict[str, Any] = {"seed": 20, "shard_pairs": 10}
HASTY = {"REALSYN_STORE_PATIENCE_S": "2"}
"""For a store that will not come back."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


class Releases:
    """Makes releases in processes of their own, with the tasks' environment."""

    def __init__(self, env: dict[str, str], errors: Path) -> None:
        self.errors = errors
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.flow.release_tasks"],
            env=env, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors.open("w"), text=True,
        )  # fmt: skip

    def start(self) -> int:
        """The id of a process that makes the release."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(PARAMS) + "\n")
        self._process.stdin.flush()
        return self._line()

    def ended(self) -> int:
        """How the process ended that was started last."""
        return self._line()

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def _line(self) -> int:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, self.errors.read_text()[-2000:]
        return int(line)


@contextmanager
def releases(env: dict[str, str], folder: Path) -> Iterator[Releases]:
    made = Releases(env, folder / "errors.txt")
    try:
        yield made
    finally:
        made.close()


def contents(bucket: Bucket, version: str) -> dict[str, bytes]:
    return {item.key: bucket.get(item.key) for item in bucket.list(f"releases/{version}/")}


def forget(bucket: Bucket, version: str) -> None:
    for prefix in (f"releases/{version}/", f"staging/release_dataset/{version}/"):
        for item in list(bucket.list(prefix)):
            bucket.delete(item.key)


@pytest.fixture(scope="module")
def stack(calm: Path) -> Iterator[Stack]:
    """A finished demo's store, without its Airflow."""
    stack = Stack(calm)
    stack.up_store()
    yield stack
    stack.down()


@pytest.fixture(scope="module")
def release(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, bytes], float]]:
    """Version and content of a release that nothing disturbed, and how long it took; gone from the bucket."""
    bucket, known = stack.bucket, versions(stack.bucket)
    with releases(stack.airflow_env(), tmp_path_factory.mktemp("undisturbed")) as made:
        made.start()
        started = time.monotonic()
        assert made.ended() == 0, made.errors.read_text()[-2000:]
        took = time.monotonic() - started
    (version,) = set(versions(bucket)) - set(known)
    whole = contents(bucket, version)
    assert len([key for key in whole if key.endswith(".tar")]) > 1
    forget(bucket, version)
    yield version, whole, took
    forget(bucket, version)


def test_a_release_killed_at_any_moment_is_never_half_there_and_runs_again_to_the_same_bytes(
    stack: Stack, release: tuple[str, dict[str, bytes], float], tmp_path: Path
) -> None:
    (version, whole, took), bucket = release, stack.bucket
    draw, n_unseen = random.Random(2502), 0
    with releases(stack.airflow_env(), tmp_path) as made:
        while n_unseen < N_KILLS:
            pid, moment = made.start(), draw.uniform(0.02, 1) * took
            time.sleep(moment)
            with suppress(ProcessLookupError):  # it was faster
                os.kill(pid, signal.SIGKILL)
            how = made.ended()
            if version in versions(bucket):
                took = min(took, moment)  # so much is enough for a whole release
                assert contents(bucket, version) == whole
            else:
                assert how == -signal.SIGKILL, made.errors.read_text()[-2000:]
                n_unseen += 1
                made.start()
                assert made.ended() == 0, made.errors.read_text()[-2000:]
                assert contents(bucket, version) == whole
            forget(bucket, version)


def test_a_store_that_answers_503_ends_in_a_clear_error_and_a_clean_rerun(
    stack: Stack, release: tuple[str, dict[str, bytes], float], tmp_path: Path
) -> None:
    (version, whole, _), bucket = release, stack.bucket
    n_puts, after = [0], 5

    def refuses(method: str, path: str) -> bool:
        n_puts[0] += method == "PUT" and "release" in path
        return n_puts[0] > after

    with refusing(stack.endpoints.s3_port, refuses) as url:
        env = stack.airflow_env()
        behind = env["AIRFLOW_CONN_REALSYN_S3"].replace(str(stack.endpoints.s3_port), url.rsplit(":", 1)[1])
        with releases({**env, **HASTY, "AIRFLOW_CONN_REALSYN_S3": behind}, tmp_path) as made:
            made.start()
            assert made.ended() == 1
            assert n_puts[0] > after
            last = made.errors.read_text().strip().splitlines()[-1]
    assert "TransientError: s3://" in last
    assert "SlowDown Please reduce your request rate" in last
    assert version not in versions(bucket)
    with releases(stack.airflow_env(), tmp_path) as made:
        made.start()
        assert made.ended() == 0
    assert contents(bucket, version) == whole
    forget(bucket, version)


def test_a_full_disk_ends_in_a_clear_error_and_with_more_room_in_the_same_bytes(
    stack: Stack, release: tuple[str, dict[str, bytes], float], tmp_path: Path
) -> None:
    version, whole, _ = release
    full = store_of(stack, tmp_path / "store", max_volumes=64)
    roomy = store_of(stack, tmp_path / "store", max_volumes=128)
    full.up_store()
    try:
        changelog = whole[f"releases/{version}/CHANGELOG.jsonl"].splitlines()
        previous = json.loads(changelog[0])["previous"]
        for prefix in ("corpus/", f"releases/{previous}/", f"staging/release_dataset/{previous}/"):
            for item in list(stack.bucket.list(prefix)):
                full.bucket.put(item.key, stack.bucket.get(item.key))
        fill(full.bucket)
        with releases(full.airflow_env() | HASTY, tmp_path) as made:
            made.start()
            assert made.ended() == 1
            last = made.errors.read_text().strip().splitlines()[-1]
            assert "TransientError: s3://" in last
            assert "is its disk full?" in last
            assert version not in versions(full.bucket)
            full.down()
            roomy.up_store()
            made.start()
            assert made.ended() == 0, made.errors.read_text()[-2000:]
        assert contents(roomy.bucket, version) == whole
    finally:
        roomy.down()


def store_of(of: Stack, home: Path, *, max_volumes: int) -> Stack:
    """A store of so many files of a megabyte; it may be started again with more of them."""
    stack = Stack(home, volume_mb=1, max_volumes=max_volumes)
    stack.use_bucket(of.bucket_name)
    return stack


def fill(bucket: Bucket) -> None:
    """Leaves no room in the store."""
    store, n = replace(bucket), 0
    for size in (2**19, 2**16, 2**10):
        with suppress(TransientError):
            while True:
                store.put(f"filler/{n}", os.urandom(size))
                n += 1
