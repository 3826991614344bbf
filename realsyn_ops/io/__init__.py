"""Where data lives and how it is laid out: the bucket, shards and manifests, corpus tables, readers, tars."""
