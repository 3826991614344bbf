"""Zero-shot classification and retrieval by clip-benchmark's own metrics, on a local set in its WebDataset layout."""

import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from clip_benchmark.datasets.builder import build_wds_dataset
from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval
from open_clip.model import CLIP
from sklearn.metrics import balanced_accuracy_score

if TYPE_CHECKING:
    from PIL.Image import Image

_BATCH = 64
_BEST = (1, 5)
Look = Callable[["list[Image]"], np.ndarray]
Tokenize = Callable[[list[str]], torch.Tensor]


class Evaluation:
    """A set, read once a run where its inputs fit into ``memory_bytes``, and decoded for every model where they do not.

    ``facts``: how many images, texts, classes it has, as clip-benchmark reads it.
    """

    def __init__(self, folder: Path, kind: str, look: Look, *, memory_bytes: int) -> None:
        self.kind = kind
        self.dataset = build_wds_dataset(folder.name, lambda image: image, data_dir=str(folder))
        self._look, self._kept = look, list[tuple[torch.Tensor, Any]]()
        n_images = n_texts = n_bytes = 0
        for images, answers in self._looked_at():
            n_images, n_bytes = n_images + len(images), n_bytes + images.nbytes
            n_texts += sum(map(len, answers)) if kind == "retrieval" else 0
            if n_bytes <= memory_bytes:
                self._kept.append((images, answers))
        if n_bytes > memory_bytes:
            self._kept = []
        of_kind = {"n_texts": n_texts} if kind == "retrieval" else {"n_classes": len(self.dataset.classes)}
        self.facts = {"n_images": n_images, **of_kind}

    def __iter__(self) -> Iterator[tuple[torch.Tensor, Any]]:
        """As a loader of clip-benchmark's: batches of inputs with their classes, or with the texts of each image."""
        return iter(self._kept) if self._kept else self._looked_at()

    def scores(self, model: CLIP, tokenize: Tokenize, device: str) -> dict[str, float]:
        """What clip-benchmark measures; without what a set is too small for (the best five of fewer)."""
        with redirect_stderr(io.StringIO()):  # its progress bars
            if self.kind == "retrieval":
                few = min(self.facts["n_images"], self.facts["n_texts"])
                found = zeroshot_retrieval.evaluate(
                    model, self, tokenize, device, amp=False, recall_k_list=[k for k in _BEST if k <= few]
                )
            else:
                found = self._classified(model, tokenize, device)
        return {metric: float(value) for metric, value in found.items()}

    def _classified(self, model: CLIP, tokenize: Tokenize, device: str) -> dict[str, float]:
        """As its `evaluate`, whose counting of the best k ends in an error under numpy 2.4: that line is ours."""
        classes, templates = self.dataset.classes, self.dataset.templates
        weights = zeroshot_classification.zero_shot_classifier(model, tokenize, classes, templates, device, amp=False)
        logits, truth = zeroshot_classification.run_classification(model, weights, self, device, amp=False)
        found = {
            f"acc{k}": float((logits.topk(k).indices == truth[:, None]).any(dim=1).double().mean())
            for k in _BEST
            if k <= len(classes)
        }
        return found | {"mean_per_class_recall": balanced_accuracy_score(truth, logits.argmax(dim=1))}

    def _looked_at(self) -> Iterator[tuple[torch.Tensor, Any]]:
        samples = iter(self.dataset)
        while some := list(islice(samples, _BATCH)):
            images, answers = zip(*some, strict=True)
            inputs = torch.from_numpy(np.ascontiguousarray(self._look(list(images)))).float()
            yield inputs, list(answers) if self.kind == "retrieval" else torch.tensor(answers)
