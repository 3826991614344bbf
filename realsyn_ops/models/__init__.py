"""Models with weights and a lifetime, one wrapper per kind (`realsyn_ops.kinds`); the only place that imports torch."""
