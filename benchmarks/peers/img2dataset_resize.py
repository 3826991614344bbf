"""The Resizer as the RealSyn handbook calls it, on each list of files: CPU seconds, the better of two passes."""

import io
import json
import os
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

from img2dataset.resizer import Resizer

resize = Resizer(224, "keep_ratio", resize_only_if_bigger=True)
seconds: dict[str, float] = {}
n_failed: dict[str, int] = {}
for listed in sys.argv[1:]:
    files = [Path(line) for line in Path(listed).read_text().splitlines()]
    passes = []
    for _ in range(2):
        started = time.process_time()
        n_failed[Path(listed).name] = sum(resize(io.BytesIO(path.read_bytes()))[-1] is not None for path in files)
        passes.append(time.process_time() - started)
    seconds[Path(listed).name] = min(passes)
peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
answer = {"seconds": seconds, "n_failed": n_failed, "peak_rss_bytes": peak, "version": version("img2dataset")}
print(json.dumps(answer))
