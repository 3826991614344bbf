"""Perplexity of sentences under a causal language model: GPT-2, GPT-2 large (the paper's) or the demo's SmolLM2."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 128
"""A longer sentence is judged by its beginning (the paper names no truncation)."""

DEMO_MAX_TOKENS = 16
"""The same for the demo's model, which would be most of the demo's time on a slow CPU otherwise."""

_BATCH_TOKENS = 256
_WIDTH_STEP = 4


class CausalLanguageModel:
    def __init__(
        self,
        name: str,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        device: str,
        *,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self._max_tokens = max_tokens

    def perplexity(self, texts: list[str]) -> np.ndarray:
        """Over each text's tokens but the first, as GPT-2's own loss counts; two decimals. A text of fewer than two
        tokens has perplexity infinity.

        A text's score does not depend on the texts it is scored with, to the last bit: a batch's shape follows from
        the lengths of its texts alone, the last batch of a length is filled up, and a product of one shape computes
        its rows alike. So a score may come from an earlier run. Padding on the right needs no mask: a causal model
        does not look ahead.
        """
        scores = np.full(len(texts), np.inf)
        encoded = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        tokens = [ids[: self._max_tokens] for ids in encoded]
        for width, positions in self._batches(tokens):
            nlls = self._mean_nll([tokens[position] for position in positions], width)
            scores[positions] = [round(math.exp(min(nll, 700.0)), 2) for nll in nlls]
        return scores

    def _batches(self, tokens: list[list[int]]) -> Iterator[tuple[int, list[int]]]:
        """(padded length, positions), shortest texts first, about ``_BATCH_TOKENS`` predicted tokens a batch; texts of
        one token left out."""
        of_width: dict[int, list[int]] = {}
        for position, ids in sorted(enumerate(tokens), key=lambda item: (len(item[1]), item[1])):
            if len(ids) > 1:
                n_steps = -(-(len(ids) - 1) // _WIDTH_STEP)
                of_width.setdefault(min(n_steps * _WIDTH_STEP + 1, self._max_tokens), []).append(position)
        for width, positions in of_width.items():
            n_rows = _n_rows(width)
            for start in range(0, len(positions), n_rows):
                yield width, positions[start : start + n_rows]

    @torch.inference_mode()
    def _mean_nll(self, rows: list[list[int]], width: int) -> list[float]:
        n_texts = len(rows)
        rows = rows + rows[:1] * (_n_rows(width) - n_texts)
        ids = torch.tensor([row + [row[0]] * (width - len(row)) for row in rows], device=self._device)
        n_targets = torch.tensor([len(row) - 1 for row in rows], device=self._device)
        logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits
        nll = torch.logsumexp(logits, dim=2) - logits.gather(2, ids[:, 1:, None])[..., 0]
        is_real = torch.arange(width - 1, device=self._device) < n_targets[:, None]
        return ((nll.double() * is_real).sum(dim=1) / n_targets).tolist()[:n_texts]


def _n_rows(width: int) -> int:
    return max(1, _BATCH_TOKENS // (width - 1))


def load_transformers_model(model: str, device: str) -> CausalLanguageModel:
    """A causal model of transformers by hub name or path; with a path nothing is looked up."""
    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval().to(device)
    return CausalLanguageModel(f"hf:{model}", weights, AutoTokenizer.from_pretrained(model), device)
