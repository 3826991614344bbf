"""imagededup's PHash on a list of files, hashed and searched with its default distance: CPU-seconds and pairs."""

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

if __name__ == "__main__":
    files = [Path(line) for line in Path(sys.argv[1]).read_text().splitlines()]
    hasher = PHash(verbose=False)
    started = time.process_time()
    codes = {str(number): hasher.encode_image(image_file=path) for number, path in enumerate(files)}
    found = hasher.find_duplicates(
        encoding_map={number: code for number, code in codes.items() if code},
        search_method="bktree",
        num_dist_workers=0,
    )
    seconds = time.process_time() - started
    pairs = sorted({(*sorted((int(one), int(other))),) for one, others in found.items() for other in others})
    peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
    answer = {"seconds": seconds, "pairs": pairs, "peak_rss_bytes": peak, "version": version("imagededup")}
    print(json.dumps(answer))
