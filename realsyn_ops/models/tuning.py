"""Tuning a small causal model on prompts and completions with adapters, on whatever device it is, a CPU too.

The loss is that of the completions' tokens alone. The order of the examples follows the seed; on as many threads the
same examples give the same weights.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from torch.optim import AdamW
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from realsyn_ops.models.batches import fixed_batches
from realsyn_ops.models.lora import add_adapters, merge_adapters


@dataclass(frozen=True)
class Example:
    """``prompt`` ends where the model is to go on; the end of a turn is added to the completion."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Recipe:
    """``n_blocks``: how many of the model's last blocks get adapters. ``share_warming``: of the steps, until the
    learning rate is reached; from there it falls to nothing."""

    n_steps: int
    batch_size: int = 8
    n_blocks: int = 16
    rank: int = 16
    scale: float = 2.0
    learning_rate: float = 1e-3
    share_warming: float = 0.1
    max_tokens: int = 192
    seed: int = 2502


def tune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    recipe: Recipe,
    *,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> list[float]:
    """Tune the model in place; returns the loss of each step. An example of too many tokens is left out.

    Raises ValueError when none is left.
    """
    rows = [row for row in (_row(tokenizer, example) for example in examples) if len(row[0]) <= recipe.max_tokens]
    if not rows:
        raise ValueError(f"none of {len(examples)} examples has {recipe.max_tokens} tokens or fewer")
    weights = add_adapters(model, rank=recipe.rank, scale=recipe.scale, n_blocks=recipe.n_blocks, seed=recipe.seed)
    optimizer = AdamW(weights, lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.n_steps + 1, pct_start=recipe.share_warming
    )
    model.train()
    losses: list[float] = []
    for step, batch in zip(range(recipe.n_steps), _batches(rows, recipe), strict=False):
        loss = _loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        report(step, losses[-1])
    model.eval()
    merge_adapters(model)
    return losses


@torch.inference_mode()
def complete(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int = 16,
) -> list[str]:
    """The model's greedy completions in order, special tokens and the space around left out."""
    encoded = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (len(encoded[i]), encoded[i]))
    completions = [""] * len(prompts)
    end = int(tokenizer.eos_token_id)
    for rows in fixed_batches(len(order), batch_size):
        batch = [encoded[i] for i in order[rows]]
        width = max(map(len, batch))
        ids = torch.tensor([[end] * (width - len(row)) + row for row in batch], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in batch], device=model.device)
        written = model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=max_new_tokens,
            eos_token_id=end,
            pad_token_id=end,
        )
        for i, tokens in zip(order[rows], written[:, width:].tolist(), strict=True):
            completions[i] = tokenizer.decode(tokens, skip_special_tokens=True).strip()
    return completions


def _row(tokenizer: PreTrainedTokenizerBase, example: Example) -> tuple[list[int], int]:
    """Token ids, and how many of them are the prompt's."""
    prompt = tokenizer(example.prompt, add_special_tokens=False)["input_ids"]
    completion = tokenizer(example.completion, add_special_tokens=False)["input_ids"]
    return [*prompt, *completion, int(tokenizer.eos_token_id)], len(prompt)


def _batches(rows: list[tuple[list[int], int]], recipe: Recipe) -> Iterator[list[tuple[list[int], int]]]:
    """Batches without end, all examples once an epoch, those of one batch about as long as each other."""
    draw = random.Random(recipe.seed)  # noqa: S311
    size = min(recipe.batch_size, len(rows))
    while True:
        shuffled = draw.sample(rows, len(rows))
        window = size * 16
        batches = [
            batch
            for start in range(0, len(rows), window)
            for batch in _runs(sorted(shuffled[start : start + window], key=lambda row: len(row[0])), size)
        ]
        yield from draw.sample(batches, len(batches))


def _runs(rows: list[tuple[list[int], int]], size: int) -> list[list[tuple[list[int], int]]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _loss(model: PreTrainedModel, batch: list[tuple[list[int], int]]) -> torch.Tensor:
    """Mean over the completions' tokens. Padding on the right needs no mask: a causal model only looks back."""
    width = max(len(ids) for ids, _ in batch)
    ids = torch.tensor([row + row[-1:] * (width - len(row)) for row, _ in batch], device=model.device)
    is_asked = torch.tensor(
        [[n - 1 <= place < len(row) - 1 for place in range(width - 1)] for row, n in batch], device=model.device
    )
    states = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state[is_asked]
    return cross_entropy(model.lm_head(states), ids[:, 1:][is_asked])
