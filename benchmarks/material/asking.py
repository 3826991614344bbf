"""A process that asks a rewriter about numbered merges and keeps what it is told, until it is done or killed.

``python -m benchmarks.material.asking BUCKET SPEC FIRST N LIMITS``, where bucket and limits are JSON; prints what it
took.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.material.serving import numbered_merges
from realsyn_ops.io.answers import Batch
from realsyn_ops.io.storage import Bucket
from realsyn_ops.kinds import Question
from realsyn_ops.models.chat_endpoint import Limits
from realsyn_ops.models.endpoint_rewriter import EndpointRewriter
from realsyn_ops.operators.answering import Paid, ask_once
from realsyn_ops.presets import read_served


def batch_of(bucket: Bucket, first: int) -> Batch:
    return Batch(bucket, "2025-02-18", f"merges-{first}")


def ask(bucket: Bucket, spec: str, first: int, n: int, **limits: Any) -> Paid:
    rewriter = EndpointRewriter(read_served(spec), limits=Limits(**limits))
    questions = [Question(merge) for merge in numbered_merges(n, first=first)]
    return ask_once(batch_of(bucket, first), rewriter, questions)


if __name__ == "__main__":
    started = time.monotonic()
    spec, first, n, limits = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5])
    paid = ask(Bucket(**json.loads(sys.argv[1])), spec, first, n, **limits)
    texts = [answer.text for answer in paid.answers]
    took = {
        "seconds": time.monotonic() - started,
        "asking_seconds": paid.spent.seconds,
        "cpu_seconds": time.process_time(),
        "peak_rss_bytes": int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024,  # type: ignore[index]
        "n_whole": sum(text.startswith("Heard ") and text.endswith(".") for text in texts),
        "n_different": len({*texts}),
        "digest": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    }
    print(json.dumps(took))
