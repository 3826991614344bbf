"""A writer that is killed by a real SIGKILL the moment it would create a given object."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from realsyn_ops.io.storage import Bucket

_DYING_BUCKET = """
import json, os, signal, sys
from realsyn_ops.io.storage import Bucket

class DyingBucket(Bucket):
    def put(self, key, data):
        die_at(key)
        super().put(key, data)

    def put_new(self, key, data):
        die_at(key)
        return super().put_new(key, data)

    def put_over(self, key, data, *, etag):
        die_at(key)
        return super().put_over(key, data, etag=etag)

def die_at(key):
    if key.endswith(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

bucket = DyingBucket(**json.loads(sys.argv[1]))
"""


def run_killed(bucket: Bucket, *, at: str, work: str) -> None:
    """Run `work`, Python that uses `bucket`, in a process of its own that dies before the key ending in `at`."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _DYING_BUCKET + work, json.dumps(asdict(bucket)), at]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
