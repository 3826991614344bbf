"""imagededup's PHash on each list of files: seconds of CPU, read to hash."""

import importlib.util
import json
import re
import sys
import time
import types
from importlib.metadata import version
from pathlib import Path

# The packages' own `__init__` would import torch and matplotlib, for methods that are not raced.
root = Path(importlib.util.find_spec("imagededup").origin).parent
for name in ("methods", "utils"):
    package = types.ModuleType(f"imagededup.{name}")
    package.__path__ = [str(root / name)]
    sys.modules[package.__name__] = package

from imagededup.methods.hashing import PHash

hasher = PHash(verbose=False)
answer = {"seconds": {}, "n_failed": {}, "version": version("imagededup")}
for listed in sys.argv[1:]:
    files = [Path(line) for line in Path(listed).read_text().splitlines()]
    for path in files[:3]:
        hasher.encode_image(image_file=path)
    started = time.process_time()
    failed = sum(hasher.encode_image(image_file=path) is None for path in files)
    answer["seconds"][Path(listed).name] = time.process_time() - started
    answer["n_failed"][Path(listed).name] = failed
peak = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]
print(json.dumps(answer | {"peak_rss_bytes": int(peak) * 1024}))
