"""A step as a Dag has it, small enough to watch: how often each shard was tried is left in the bucket.

What a shard's name begins with says what becomes of it: ``held`` ones wait until the test lets them go.
"""

import time
import uuid
from typing import TYPE_CHECKING

from realsyn_ops.errors import CorruptShardError, TransientError
from realsyn_ops.operators.run import Work
from realsyn_ops.operators.shard_steps import shard_step

if TYPE_CHECKING:
    from realsyn_ops.io.shards import Staging

SECRET = "a word that no file may hold"


@shard_step("squares", secret=lambda: SECRET)
def squares(staging: "Staging", work: Work, *, secret: str) -> dict[str, int]:
    """The squares of ten numbers."""
    import pyarrow as pa

    shard = work["shard"]
    staging.put(f"tries/{shard}/{uuid.uuid4().hex}", b"")
    n_tries = len(list(staging.bucket.list(f"{staging.prefix}/tries/{shard}/")))
    if shard.startswith("corrupt"):
        raise CorruptShardError("some/key", "this", "that")
    if shard.startswith("flaky") and n_tries == 1:
        raise TransientError("the service is away")
    while shard.startswith("held") and not staging.bucket.exists(f"{staging.prefix}/let-go"):
        time.sleep(0.1)
    start = sum(secret.encode()) + int(shard[-2:])
    table = pa.table({"square": [n * n for n in range(start, start + 10)]})
    staging.write("squares", shard, {"squares": table}, {"rows": 10})
    return {"tries": n_tries}
