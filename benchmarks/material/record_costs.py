"""CPU-seconds of what the Dags do to each record by itself, once, with the `demo` encoder on one thread.

`python -m benchmarks.material.record_costs PICTURES SENTENCES HOME`: the first two name files, with a path and a
sentence a line. The last line of standard output is one JSON object. Of an image: read, decoded, its appearance judged,
hashed, embedded; of a sentence: embedded. Filters, perplexity and the synthetic text come on top.
"""

import json
import sys
import time
from pathlib import Path

from realsyn_ops.image_codec import decode_image
from realsyn_ops.models.load import load_encoder
from realsyn_ops.stages.embed import appearance, perceptual_hash

_SIDE_PX = 512
_SHARD = 64

if __name__ == "__main__":
    pictures, sentences = (Path(name).read_text().splitlines() for name in sys.argv[1:3])
    encoder = load_encoder("demo", device="cpu", threads=1, models_path=Path(sys.argv[3]) / "models")
    encoder.encode_texts(sentences[:2])
    started = time.process_time()
    for start in range(0, len(pictures), _SHARD):
        shard = [decode_image(Path(path).read_bytes(), max_side=_SIDE_PX) for path in pictures[start : start + _SHARD]]
        for picture in shard:
            appearance(picture)
            perceptual_hash(picture)
        encoder.encode_images(shard)
    image_seconds = time.process_time() - started
    started = time.process_time()
    encoder.encode_texts(sentences)
    sentence_seconds = time.process_time() - started
    print(
        json.dumps(
            {
                "image_seconds": image_seconds / max(1, len(pictures)),
                "sentence_seconds": sentence_seconds / max(1, len(sentences)),
            }
        )
    )
