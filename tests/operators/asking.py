"""A process that asks a rewriter about numbered merges and keeps what it is told, until it is done or killed."""

import json
import sys
from typing import Any

from realsyn_ops.io.answers import Batch
from realsyn_ops.io.storage import Bucket
from realsyn_ops.kinds import Merge, Question
from realsyn_ops.models.chat_endpoint import Limits
from realsyn_ops.models.endpoint_rewriter import EndpointRewriter
from realsyn_ops.operators.answering import ask_once
from realsyn_ops.presets import read_served


def ask(bucket: Bucket, url: str, n: int, **limits: Any) -> list[str]:
    rewriter = EndpointRewriter(read_served(f"{url}#m"), limits=Limits(**limits))
    questions = [
        Question(Merge(f"The boat number {i} carries forty passengers.", "a boat", ("dock",))) for i in range(n)
    ]
    return [answer.text for answer in ask_once(Batch(bucket, "2025-02-18", "b1"), rewriter, questions).answers]


if __name__ == "__main__":
    ask(Bucket(**json.loads(sys.argv[1])), sys.argv[2], int(sys.argv[3]), **json.loads(sys.argv[4]))
