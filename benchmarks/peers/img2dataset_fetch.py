"""Fetch the URLs of a file with img2dataset as it comes, into parquet, nothing decoded; print seconds and outcomes."""

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path

import img2dataset
import pandas as pd

if __name__ == "__main__":
    urls_path, folder, timeout_s = sys.argv[1:4]
    started = time.perf_counter()
    img2dataset.download(
        url_list=urls_path,
        output_folder=folder,
        output_format="parquet",
        processes_count=1,
        thread_count=64,
        timeout=int(timeout_s),
        retries=2,
        disable_all_reencoding=True,
        compute_hash=None,
        extract_exif=False,
        disallowed_header_directives=["noai", "noimageai", "noindex", "noimageindex"],
    )
    seconds = time.perf_counter() - started
    rows = pd.concat([pd.read_parquet(path) for path in sorted(Path(folder).glob("*.parquet"))])
    done = rows[rows["status"] == "success"]
    answer = {
        "seconds": seconds,
        "n_answers": len(rows),
        "n_images": len(done),
        "reasons": rows.loc[rows["status"] != "success", "error_message"].str[:80].value_counts().head(20).to_dict(),
        "by_kind": done["url"].str.extract(r"//[^/]+/([^/]+)/")[0].value_counts().to_dict(),
        # The downloader is a child process: its peak is what counts.
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
        "version": version("img2dataset"),
    }
    print(json.dumps(answer))
