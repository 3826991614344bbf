"""trafilatura on HTML files, one core: pages per second and, for the pages of a second folder, the text it keeps."""

import json
import re
import sys
import time
from pathlib import Path

import trafilatura

files = [Path(line) for line in Path(sys.argv[1]).read_text().splitlines()]
judged = [Path(line) for line in Path(sys.argv[2]).read_text().splitlines()]
pages = [path.read_bytes() for path in files]
for page in pages[:5]:
    trafilatura.extract(page)
started = time.process_time()
for page in pages:
    trafilatura.extract(page)
seconds = time.process_time() - started
texts = {path.name: trafilatura.extract(path.read_bytes()) or "" for path in judged}
peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak, "version": trafilatura.__version__, "texts": texts}))
