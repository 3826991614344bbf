"""Perplexity of sentences under a causal language model: GPT-2, GPT-2 large (the paper's) or the demo's SmolLM2."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

MAX_TOKENS = 128
"""A longer sentence is judged by its beginning (the paper names no truncation)."""

_BATCH_TOKENS = 256


class CausalLanguageModel:
    def __init__(self, name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: str) -> None:
        self.name = name
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        self._start = int(start if start is not None else model.config.bos_token_id)

    def perplexity(self, texts: list[str]) -> np.ndarray:
        """Each text after the model's start token; two decimals. A text without tokens has perplexity infinity.

        Only texts of the same number of tokens share a batch, so nothing is padded, and batches follow from the set of
        texts, not from their order.
        """
        scores = np.full(len(texts), np.inf)
        encoded = self._tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        tokens = [ids[:MAX_TOKENS] for ids in encoded]
        for positions in _even_batches(tokens):
            batch = torch.tensor([[self._start, *tokens[position]] for position in positions], device=self._device)
            scores[positions] = [round(math.exp(min(nll, 700.0)), 2) for nll in self._mean_nll(batch)]
        return scores

    @torch.inference_mode()
    def _mean_nll(self, ids: torch.Tensor) -> list[float]:
        logits = self._model(input_ids=ids[:, :-1], use_cache=False).logits
        targets = ids[:, 1:]
        chosen = logits.gather(2, targets[..., None])[..., 0].float()
        return (torch.logsumexp(logits, dim=2).float() - chosen).double().mean(dim=1).tolist()


def _even_batches(tokens: list[list[int]]) -> Iterator[list[int]]:
    """Positions of texts with equally many tokens, at most ``_BATCH_TOKENS`` tokens a batch; empty texts left out."""
    order = sorted((len(ids), ids, position) for position, ids in enumerate(tokens) if ids)
    batch: list[int] = []
    for length, _, position in order:
        if batch and (len(tokens[batch[0]]) != length or (len(batch) + 1) * (length + 1) > _BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(position)
    if batch:
        yield batch


def load_transformers_model(model: str, device: str) -> CausalLanguageModel:
    """A causal model of transformers by hub name or path; with a path nothing is looked up."""
    weights = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval().to(device)
    return CausalLanguageModel(f"hf:{model}", weights, AutoTokenizer.from_pretrained(model), device)
