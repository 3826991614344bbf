"""Text vectors kept in a file among the models: made by the first process that asks, read by all others."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def kept_vectors(path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
    """What `make` gives, from the file where it is there. The file's name must say all that the vectors depend on."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}-", delete=False) as file:
            np.save(file, make())
        Path(file.name).replace(path)
    return np.load(path, allow_pickle=False)


def texts_digest(*parts: str, texts: Sequence[str]) -> str:
    """A name for the vectors of these texts by what the parts name."""
    digest = hashlib.sha256()
    for part in (*parts, *texts):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]
