"""scikit-learn's MiniBatchKMeans on rows of a file, one thread: its centroids, made unit rows, go into another file."""

import json
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans
from threadpoolctl import threadpool_limits

vectors = np.load(sys.argv[1])
k = int(sys.argv[2])
kmeans = MiniBatchKMeans(n_clusters=k, batch_size=max(1024, 8 * k), n_init=1, random_state=1)
with threadpool_limits(1):
    wall, started = time.perf_counter(), time.process_time()
    kmeans.fit(vectors)
    seconds, wall = time.process_time() - started, time.perf_counter() - wall
centroids = kmeans.cluster_centers_
np.save(sys.argv[3], centroids / np.linalg.norm(centroids, axis=1, keepdims=True))
peak = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) * 1024
answer = {"cpu_s": seconds, "wall_s": wall, "peak_rss_bytes": peak, "version": version("scikit-learn")}
print(json.dumps(answer))
