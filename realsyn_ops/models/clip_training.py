"""Training a CLIP made of open_clip's parts from nothing, with the paper's optimiser and schedule (PAPER.md section 8).

Which texts a batch has is decided by the caller. On as many threads of a CPU the same batches give the same weights.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from open_clip.loss import ClipLoss
from open_clip.model import CLIP
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

LEARNING_RATE, WEIGHT_DECAY, BETAS, EPSILON, SHARE_WARMING = 1e-3, 0.2, (0.9, 0.98), 1e-6, 0.1
_MAX_SCALE = math.log(100)

Batch = tuple[np.ndarray, list[str]]
"""What the image tower takes, a row an image, and a text each."""


@dataclass(frozen=True)
class Trained:
    """Loss and learning rate of each step, and the temperature that came out (it begins at 0.07)."""

    losses: list[float]
    rates: list[float]
    temperature: float


def train(
    model: CLIP, tokenize: Callable[[list[str]], torch.Tensor], batches: Iterable[Batch], *, n_steps: int, device: str
) -> Trained:
    """Train in place on ``n_steps`` batches. Gains and biases do not decay, and the scale of the logits stays at or
    below 100, both as in open_clip's own training. On a GPU activations are bfloat16."""
    optimizer, schedule = _optimizer(model, n_steps)
    loss_of, trained = ClipLoss(), Trained([], [], 0.0)
    model.train()
    for images, texts in batches:
        inputs, tokens = torch.from_numpy(images).to(device).float(), tokenize(texts).to(device)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=device != "cpu"):
            seen, read = model.encode_image(inputs, normalize=True), model.encode_text(tokens, normalize=True)
            loss = loss_of(seen.float(), read.float(), model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        trained.rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, _MAX_SCALE)
        trained.losses.append(float(loss.detach()))
    model.eval()
    return Trained(trained.losses, trained.rates, float((-model.logit_scale.detach()).exp()))


def _optimizer(model: CLIP, n_steps: int) -> tuple[AdamW, OneCycleLR]:
    """The betas stay as they are: unless it is told not to, OneCycleLR moves the first one with the learning rate."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.ndim >= 2], "weight_decay": WEIGHT_DECAY},
        {"params": [weight for weight in weights if weight.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    schedule = OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps, pct_start=SHARE_WARMING, cycle_momentum=False)
    return optimizer, schedule
