"""``takedowns/RUNNING`` names the takedown that is under way: meanwhile no run begins, and none publishes."""

from realsyn_ops.errors import TransientError
from realsyn_ops.io.storage import Bucket

_RUNNING = "takedowns/RUNNING"


def hold(bucket: Bucket, takedown: str) -> None:
    """Keep others out until `release`; raises TransientError while another takedown does."""
    if not bucket.put_new(_RUNNING, takedown.encode()):
        check_no_takedown(bucket, but=takedown)


def release(bucket: Bucket) -> None:
    bucket.delete(_RUNNING)


def check_no_takedown(bucket: Bucket, *, but: str = "") -> None:
    """Raises TransientError while a takedown is under way."""
    running = bucket.find(_RUNNING)
    if running and running.decode() != but:
        raise TransientError(
            f"takedown {running.decode()} is under way: wait for its run, or clear its red task if it has failed"
        )
