"""`realsyn answers`: what was paid for goes from one bucket to another, named as a deployment's tasks name theirs."""

import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.io.answers import answer_key, known_answers, take_in
from realsyn_ops.io.schemas import ANSWERS
from realsyn_ops.io.storage import Bucket
from tests.io.test_answer_batches import row, table


def answers(bucket: Bucket, *arguments: str) -> subprocess.CompletedProcess[str]:
    query = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url, "region_name": "us-east-1"})
    env = {
        **os.environ,
        "AIRFLOW_CONN_REALSYN_S3": f"aws://{bucket.access_key}:{bucket.secret_key}@/?{query}",
        "REALSYN_BUCKET": bucket.name,
        "PYTHONPATH": str(PROJECT),
    }
    command = [sys.executable, "-m", "realsyn_ops.cli", "answers", *arguments]
    return subprocess.run(command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)


def test_answers_are_exported_and_imported(bucket: Bucket, tmp_path: Path) -> None:
    other = Bucket(f"{bucket.name}-c", bucket.endpoint_url, bucket.access_key, bucket.secret_key)
    other.create()
    take_in(bucket, table(row("one"), row("two", "2025-02-19")))
    file = str(tmp_path / "answers.parquet")
    assert "2 answers to" in answers(bucket, "export", file).stdout
    assert "new ones on 2025-02-18, 2025-02-19" in answers(other, "import", file).stdout
    assert "new ones on no day" in answers(other, "import", file).stdout
    assert known_answers(other, [answer_key("one")])[answer_key("one")] == {
        **dict.fromkeys(ANSWERS.names),
        **row("one"),
    }


def test_a_file_that_is_none_is_one_line_of_error(bucket: Bucket, tmp_path: Path) -> None:
    done = answers(bucket, "import", str(tmp_path / "missing.parquet"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("realsyn: ")
    assert "missing.parquet cannot be read as parquet" in line
