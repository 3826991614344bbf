"""What a model that is trained looks at: the corpus' own vectors of images, or pictures of the release's tars.

Inputs are made once where all of them fit into `REALSYN_MEMORY_BYTES`, and for each batch where they do not.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from realsyn_ops.errors import PermanentError
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from realsyn_ops.io.picture_file import PictureFile
    from realsyn_ops.io.storage import Bucket
    from realsyn_ops.models.trainees import Trainee

Inputs = Callable[["np.ndarray"], "np.ndarray"]
"""Of positions (b,) among an arm's images the rows that the image tower takes."""

_LOOKED_AT, _READ = 64, 2_000


@contextmanager
def arm_inputs(bucket: "Bucket", release: str, rows: list[tuple[str, str]], trainee: "Trainee") -> "Iterator[Inputs]":
    """Inputs of images, ``rows`` being their keys and days."""
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from realsyn_ops.io.picture_file import PictureFile

    if not trainee.side_px:
        yield _vectors(bucket, rows).__getitem__
        return
    with (
        TemporaryDirectory() as folder,
        PictureFile(Path(folder) / "pictures") as pictures,
        ThreadPoolExecutor(settings().threads) as pool,
    ):
        _collect(bucket, release, rows, pictures)
        yield _kept([key for key, _ in rows], pictures, trainee, pool)


def _vectors(bucket: "Bucket", rows: list[tuple[str, str]]) -> "np.ndarray":
    """(n, d) float16 rows: what the corpus holds of these images."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from realsyn_ops.io.corpus import Corpus

    corpus, places = Corpus(bucket), {row: place for place, row in enumerate(rows)}
    vectors = np.zeros((len(rows), corpus.dim("image_embeddings", "visual")), np.float16)
    missing = set(rows)
    wanted = pa.array([key for key, _ in rows], pa.string())
    for part in corpus.scan("image_embeddings", ["key", "day", "visual"]):
        mine = part.filter(pc.is_in(part["key"], wanted))
        lists = mine["visual"].combine_chunks()
        values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(mine), vectors.shape[1])
        for row, vector in zip(zip(mine["key"].to_pylist(), mine["day"].to_pylist(), strict=True), values, strict=True):
            if row in places:
                vectors[places[row]] = vector
                missing.discard(row)
    if missing:
        raise PermanentError(
            f"{len(missing)} images of the release have no vector in image_embeddings any more, one is "
            f"{min(missing)[0]}: run curate_images for their days, or train from pixels (REALSYN_TRAINEE=tiny)"
        )
    return vectors


def _collect(bucket: "Bucket", release: str, rows: list[tuple[str, str]], pictures: "PictureFile") -> None:
    """The release's pictures of its tars; those of an even draw that it has not, of the corpus."""
    from realsyn_ops.operators.synthesis import image_bytes

    pictures.add_release(bucket, release, {key for key, _ in rows})
    others = [{"key": key, "day": day} for key, day in rows if key not in pictures]
    for start in range(0, len(others), _READ):
        pictures.add(sorted(image_bytes(bucket, others[start : start + _READ]).items()))
    if missing := [key for key, _ in rows if key not in pictures]:
        raise PermanentError(f"{len(missing)} pictures are in the release's tars no more nor in images: {missing[0]}")


def _kept(keys: list[str], pictures: "PictureFile", trainee: "Trainee", pool: "ThreadPoolExecutor") -> Inputs:
    import numpy as np

    from realsyn_ops.image_codec import decode_image

    def look(positions: "np.ndarray") -> "np.ndarray":
        chosen = [keys[position] for position in positions.tolist()]
        opened = pool.map(lambda key: decode_image(pictures[key], shorter_side=trainee.side_px), chosen)
        return trainee.look(list(opened))

    everything = np.arange(len(keys))
    if look(everything[:1]).nbytes * len(keys) > settings().memory_bytes:
        return look
    kept = np.concatenate([look(part) for part in np.split(everything, range(_LOOKED_AT, len(keys), _LOOKED_AT))])
    return kept.__getitem__
