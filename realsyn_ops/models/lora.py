"""Low-rank adapters (LoRA, Hu et al. 2021) on a causal model's linear layers: the few weights that tuning changes.

An adapter adds ``scale * B(A(x))`` to a frozen layer. B starts at zero, so that a model with fresh adapters answers as
before. `merge_adapters` puts them into the layers: what is left is a plain checkpoint of the same shape.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Adapted(nn.Module):
    """A frozen linear layer and its adapter."""

    def __init__(self, layer: nn.Linear, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        self.layer = layer
        self.scale = scale
        first = torch.randn(rank, layer.in_features, generator=generator) / layer.in_features**0.5
        self.first = nn.Parameter(first.to(layer.weight))
        self.second = nn.Parameter(torch.zeros(layer.out_features, rank).to(layer.weight))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.scale * ((x @ self.first.T) @ self.second.T)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        self.layer.weight += self.scale * (self.second @ self.first)
        return self.layer


def add_adapters(model: PreTrainedModel, *, rank: int, scale: float, n_blocks: int, seed: int) -> list[nn.Parameter]:
    """Freeze the model and give every projection of its last blocks an adapter; returns what is to be trained.

    Gradients go no deeper than the first block with adapters: half of the blocks are a third of the time less.
    """
    generator = torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for block in model.model.layers[-n_blocks:]:
        for parent, name, layer in list(_children(block, nn.Linear)):
            if name in _TARGETS:
                setattr(parent, name, Adapted(layer, rank, scale, generator))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def merge_adapters(model: PreTrainedModel) -> None:
    """Put the adapters into the layers they stand on."""
    for parent, name, adapted in list(_children(model, Adapted)):
        setattr(parent, name, adapted.merged())


def _children(model: nn.Module, kind: type) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    for parent in model.modules():
        for name, child in parent.named_children():
            if isinstance(child, kind):
                yield parent, name, child
