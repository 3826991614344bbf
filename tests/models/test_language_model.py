"""Perplexity: the demo's model on real sentences, and GPT-2's format loaded from a folder."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

from realsyn_ops.kinds import LanguageModel
from realsyn_ops.models.language_model import MAX_TOKENS, CausalLanguageModel
from realsyn_ops.models.load import load_language_model

FLUENT = [
    "The cat sat on the warm stone wall and watched the birds in the garden.",
    "Before you save the picture, choose a format that keeps the colors as they are.",
    "Most of the island is covered by a forest of pine trees.",
]
SHUFFLED = [
    "stone the and cat garden watched sat in wall the on warm birds the the.",
    "a format before keeps the you picture as are choose save they that colors the.",
    "of by island trees the is pine of most covered a forest.",
]


def test_shuffled_words_are_far_more_surprising_than_fluent_ones(demo_language_model: LanguageModel) -> None:
    scores = demo_language_model.perplexity([*FLUENT, *SHUFFLED])
    assert scores.dtype == np.float64
    assert (scores[3:] > 4 * scores[:3]).all()
    assert (scores[:3] < 200).all()


def test_scores_do_not_depend_on_order_or_company(
    demo_language_model: CausalLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit: before two decimals are kept, which would hide all but the rarest difference."""
    monkeypatch.setattr("builtins.round", lambda value, digits: value)
    texts = [*FLUENT, *SHUFFLED, "It rains.", "It rains today.", "We all went home before it was dark.", ""]
    scores = demo_language_model.perplexity(texts)
    assert len(set(scores)) == len(texts)
    assert (demo_language_model.perplexity(texts[::-1])[::-1] == scores).all()
    assert [demo_language_model.perplexity([text])[0] for text in texts] == scores.tolist()
    company = [f"{text} And more of it, number {i}." for i in range(12) for text in FLUENT]
    assert (demo_language_model.perplexity([*company, *texts])[len(company) :] == scores).all()
    assert scores[-1] == math.inf
    assert demo_language_model.perplexity([]).shape == (0,)


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of random weights, as transformers saves it."""
    folder = tmp_path_factory.mktemp("gpt2")
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator([*FLUENT, *SHUFFLED], vocab_size=400, special_tokens=["<|endoftext|>"])
    trained.save_model(str(folder))
    GPT2TokenizerFast.from_pretrained(folder).save_pretrained(folder)
    torch.manual_seed(0)
    GPT2LMHeadModel(GPT2Config(vocab_size=400, n_positions=256, n_embd=32, n_layer=2, n_head=2)).save_pretrained(folder)
    return folder


def test_perplexity_is_transformers_own_loss_over_all_tokens_but_the_first(tiny_gpt2: Path) -> None:
    model = load_language_model(f"hf:{tiny_gpt2}", device="cpu", threads=1, models_path=Path())
    tokenizer, weights = GPT2TokenizerFast.from_pretrained(tiny_gpt2), GPT2LMHeadModel.from_pretrained(tiny_gpt2)
    expected = []
    for text in FLUENT:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            expected.append(math.exp(weights(input_ids=ids, labels=ids).loss))
    assert model.perplexity(FLUENT) == pytest.approx(expected, rel=1e-3)
    assert model.name == f"hf:{tiny_gpt2}"


def test_a_batchs_shape_follows_from_the_length_of_its_texts_alone(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A product may add up in another order for another number of rows; on some processors it does."""
    model = load_language_model(f"hf:{tiny_gpt2}", device="cpu", threads=1, models_path=Path())
    assert isinstance(model, CausalLanguageModel)
    forward, shapes = model._model.forward, set()

    def watched(**inputs: torch.Tensor) -> object:
        shapes.add(tuple(inputs["input_ids"].shape))
        return forward(**inputs)

    monkeypatch.setattr(model._model, "forward", watched)
    for texts in (FLUENT[:1], [*FLUENT, *SHUFFLED] * 9, ["cat " * n for n in range(2, 60)], SHUFFLED[1:]):
        model.perplexity(texts)
    rows = [n_rows for n_rows, _ in shapes]
    assert len({width for _, width in shapes}) == len(shapes) > 10
    assert all(n_rows == max(1, 256 // width) for n_rows, width in shapes)
    assert max(rows) > 1


def test_a_long_text_is_judged_by_its_beginning(tiny_gpt2: Path) -> None:
    model = load_language_model(f"hf:{tiny_gpt2}", device="cpu", threads=1, models_path=Path())
    long = "the cat " * MAX_TOKENS
    whole, longer, beginning = (model.perplexity([text])[0] for text in (long, f"{long} zebra quartz", long[:40]))
    assert whole == longer != beginning
