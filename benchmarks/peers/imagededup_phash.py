"""imagededup's PHash on each list of files: seconds of CPU, the better of two passes, read to hash."""

import importlib.util
import json
import re
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path

# The packages' own `__init__` would import torch and matplotlib, for methods that are not raced.
spec = importlib.util.find_spec("imagededup")
[root] = spec.submodule_search_locations or [] if spec else []
for name in ("methods", "utils"):
    package = types.ModuleType(f"imagededup.{name}")
    package.__path__ = [f"{root}/{name}"]
    sys.modules[package.__name__] = package

from imagededup.methods.hashing import PHash  # noqa: E402

hasher = PHash(verbose=False)
seconds: dict[str, float] = {}
n_failed: dict[str, int] = {}
for listed in sys.argv[1:]:
    files = [Path(line) for line in Path(listed).read_text().splitlines()]
    passes = []
    for _ in range(2):
        started = time.process_time()
        n_failed[Path(listed).name] = sum(hasher.encode_image(image_file=path) is None for path in files)
        passes.append(time.process_time() - started)
    seconds[Path(listed).name] = min(passes)
peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
answer = {"seconds": seconds, "n_failed": n_failed, "peak_rss_bytes": peak, "version": version("imagededup")}
print(json.dumps(answer))
