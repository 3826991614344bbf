"""A release's shards in a process of their own: ``python -m tests.operators.export_shards STAGING SHARD...``."""

import sys

from realsyn_ops.operators import sampling

if __name__ == "__main__":
    for name in sys.argv[2:]:
        sampling.export.function({"staging": sys.argv[1], "shard": name})
