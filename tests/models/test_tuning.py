"""Tuning with adapters on a model of random weights, small enough for a test and of the real classes."""

import copy
from collections.abc import Iterator

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from realsyn_ops.models.lora import add_adapters, merge_adapters
from realsyn_ops.models.tuning import Example, Recipe, complete, tune

TEXT = "ask : a magpie crow ferry boat is on the fence dock . big old"
WORDS = TEXT.split()
EXAMPLES = [
    Example(f"ask : {thing} {place} :", f"a {thing} is on the {place} .")
    for thing in ("magpie", "crow", "ferry", "boat")
    for place in ("fence", "dock")
]
RECIPE = Recipe(n_steps=60, batch_size=4, rank=4, learning_rate=2e-2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(["<end>", "<unknown>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(2502)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 2, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def logits(model: LlamaForCausalLM) -> torch.Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[2, 3, 4, 5, 6]])).logits


def test_fresh_adapters_change_nothing_and_only_they_are_trained(model: LlamaForCausalLM) -> None:
    before = logits(model)
    weights = add_adapters(model, rank=4, scale=2.0, n_blocks=2, seed=1)
    assert torch.equal(logits(model), before)
    assert len(weights) == 2 * 7 * 2
    assert {name.rsplit(".", 1)[1] for name, p in model.named_parameters() if p.requires_grad} == {"first", "second"}


def test_blocks_before_the_last_ones_get_no_adapters(model: LlamaForCausalLM) -> None:
    assert len(add_adapters(model, rank=4, scale=2.0, n_blocks=1, seed=1)) == 7 * 2
    assert not any(p.requires_grad for p in model.model.layers[0].parameters())


def test_merged_adapters_answer_as_adapters_do_and_leave_the_same_shape(model: LlamaForCausalLM) -> None:
    names = list(model.state_dict())
    weights = add_adapters(model, rank=4, scale=2.0, n_blocks=2, seed=1)
    with torch.no_grad():
        for i, weight in enumerate(weights):
            weight.add_(0.01 * (i + 1))
    adapted = logits(model)
    merge_adapters(model)
    torch.testing.assert_close(logits(model), adapted, rtol=1e-4, atol=1e-5)
    assert list(model.state_dict()) == names


def test_tuning_lowers_the_loss_and_teaches_the_answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    prompts = [example.prompt for example in EXAMPLES]
    wanted = [example.completion for example in EXAMPLES]
    before = complete(model, tokenizer, prompts, max_new_tokens=12)
    losses = tune(model, tokenizer, EXAMPLES, RECIPE)
    assert len(losses) == RECIPE.n_steps
    assert sum(losses[-5:]) < 0.2 * sum(losses[:5])
    after = complete(model, tokenizer, prompts, max_new_tokens=12)
    right = [sum(a == w for a, w in zip(answers, wanted, strict=True)) for answers in (before, after)]
    assert right[0] == 0
    assert right[1] >= 6


def test_the_same_seed_gives_the_same_weights_and_another_one_others(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    def tuned(seed: int) -> list[torch.Tensor]:
        some = copy.deepcopy(model)
        tune(some, tokenizer, EXAMPLES, Recipe(n_steps=4, batch_size=4, rank=4, seed=seed))
        return list(some.state_dict().values())

    first, again, other = tuned(1), tuned(1), tuned(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_the_prompt_is_not_learned(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
    """The loss of completions that are one and the same token for all falls to nothing, whatever the prompts are."""
    examples = [Example(example.prompt, "boat") for example in EXAMPLES]
    losses = tune(model, tokenizer, examples, RECIPE)
    assert losses[-1] < 0.05


def test_completions_do_not_depend_on_their_neighbours(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    tune(model, tokenizer, EXAMPLES, RECIPE)
    prompts = [example.prompt for example in EXAMPLES]
    together = complete(model, tokenizer, prompts, max_new_tokens=12, batch_size=8)
    assert [complete(model, tokenizer, [prompt], max_new_tokens=12)[0] for prompt in prompts] == together


def test_examples_that_are_all_too_long_are_an_error(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(ValueError, match="none of 8 examples"):
        tune(model, tokenizer, EXAMPLES, Recipe(n_steps=1, max_tokens=3))
