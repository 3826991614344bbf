"""RealSyn ops: web documents in, image-text pairs for CLIP pre-training out (arXiv 2502.12513)."""

__version__ = "0.1.0"
