"""A policy for images that refuses nothing and does not answer before the test lets it: it keeps shards in the making.

`HELD_FOLDER` is where a process leaves `first-PID` when it is asked the first time and `waiting-PID` from the second
time on, and where it looks for `first` and `let-go`.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from realsyn_ops.kinds import Verdict


class Held:
    name = "held@1"

    def judge(self, images: Sequence[Any]) -> list[Verdict | None]:
        folder = Path(os.environ["HELD_FOLDER"])
        is_first = not (folder / f"first-{os.getpid()}").exists()
        sign, allowed = ("first", "first") if is_first else ("waiting", "let-go")
        (folder / f"{sign}-{os.getpid()}").touch()
        while not (folder / allowed).exists():
            time.sleep(0.1)
        return [None] * len(images)


def factory() -> Held:
    return Held()
