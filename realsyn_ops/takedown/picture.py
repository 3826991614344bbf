"""A picture that someone holds up: which images of the corpus are it, or look like it."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from realsyn_ops.errors import PermanentError
from realsyn_ops.image_codec import decode_image
from realsyn_ops.image_header import DECODED_SIDE_PX
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.kinds import Encoder
from realsyn_ops.records import image_key
from realsyn_ops.stages.embed import picture_hash


def asked_by(path: Path) -> tuple[str, str]:
    """Key and perceptual hash of a picture. Raises PermanentError for what is none."""
    try:
        data = path.read_bytes()
        return image_key(data), f"{picture_hash(data):016x}"
    except (OSError, ValueError) as error:
        raise PermanentError(f"{path} cannot be read as a picture: {error}") from error


def seen_by(path: Path, encoder: Encoder) -> np.ndarray:
    """(d,) float32 unit vector by which a picture is compared with images."""
    return encoder.encode_images([decode_image(path.read_bytes(), max_side=DECODED_SIDE_PX)])[1][0]


def similar_images(corpus: Corpus, vector: np.ndarray, *, min_similarity: float) -> list[str]:
    """Keys of the images whose vectors are so near."""
    found: list[str] = []
    for part in corpus.scan("image_embeddings", ["key", "visual"]):
        values = part["visual"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        rows = values.reshape(-1, len(vector)).astype(np.float32)
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        found += part["key"].filter(pc.greater_equal(rows @ vector, min_similarity)).to_pylist()
    return sorted(set(found))
