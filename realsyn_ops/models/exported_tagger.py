"""A tagger that looks at the images, from a folder: any network that `torch.export` wrote, as RAM++ of the paper.

RAM++ is in no kept package; whoever has its weights exports it once where its own program runs. The folder holds
``model.pt2``, an exported program from pictures (b, 3, h, w), b and size fixed, to a probability for each tag (b, t);
``tags.txt``, a tag a line; and, where they are not 0.68 for each, RAM's, the least probabilities in ``thresholds.txt``.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch.export.passes import move_to_device_pass

from realsyn_ops.errors import PermanentError
from realsyn_ops.models.batches import map_rows
from realsyn_ops.models.tagger import read_tags

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_TAGS = 10
_THRESHOLD = 0.68
_MEAN, _DEVIATION = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], np.float32)


class ExportedTagger:
    """Known by the bytes of its files. Pictures are resized without cropping and scaled as ImageNet's are."""

    def __init__(self, folder: Path, device: str) -> None:
        self._tags = read_tags(str(folder / "tags.txt"))
        self._least = _read_thresholds(folder / "thresholds.txt", len(self._tags))
        try:
            program = torch.export.load(folder / "model.pt2")
        except BadZipFile as error:
            raise PermanentError(f"{folder / 'model.pt2'} is no exported program: {error}") from error
        (example,) = program.example_inputs[0]
        self._batch, _, *self._sides = example.shape
        self._module: Any = move_to_device_pass(program, device).module()
        self._device = device
        digest = hashlib.sha256()
        for name in ("model.pt2", "tags.txt", "thresholds.txt"):
            if (folder / name).exists():
                with (folder / name).open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        self.name = f"exported:{folder.name} {digest.hexdigest()[:16]}"

    def tag(self, images: "list[Image]", vectors: np.ndarray) -> list[list[str]]:
        """At most ten tags of each image, likeliest first; the vectors are ignored."""
        if not images:
            return []
        height, width = self._sides
        pixels = [np.asarray(image.convert("RGB").resize((width, height)), np.float32) / 255 for image in images]
        scaled = ((np.stack(pixels) - _MEAN) / _DEVIATION).transpose(0, 3, 1, 2)
        probabilities = map_rows(np.ascontiguousarray(scaled), self._batch, self._module, self._device)
        if probabilities.shape[1] != len(self._tags):
            raise PermanentError(f"{self.name} has {probabilities.shape[1]} outputs for {len(self._tags)} tags")
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :MAX_TAGS]
        return [
            [self._tags[i] for i in order if row[i] >= self._least[i]]
            for order, row in zip(best, probabilities, strict=True)
        ]


def _read_thresholds(path: Path, n_tags: int) -> np.ndarray:
    if not path.exists():
        return np.full(n_tags, _THRESHOLD, np.float32)
    try:
        least = np.array([float(line) for line in path.read_text().split()], np.float32)
    except ValueError as error:
        raise PermanentError(f"{path}: {error}; a number a line is wanted") from error
    if len(least) != n_tags:
        raise PermanentError(f"{path} holds {len(least)} numbers for {n_tags} tags")
    return least
