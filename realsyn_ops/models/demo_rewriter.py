"""The demo's rewriter: SmolLM2, greedy, and bound to the words of its sources.

A model of 135M parameters invents. So at each step it may choose only tokens that occur in the raw text, caption and
tags of the merge or in function words; the grounding gate still judges what comes out.
"""

import copy
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import DynamicCache

from realsyn_ops.kinds import FUNCTION_WORDS, Answer, Keep, Merge, Question
from realsyn_ops.models.batches import fixed_batches
from realsyn_ops.models.prompt import (
    VERSION,
    Message,
    Room,
    canonical_payload,
    prompt_messages,
    question_messages,
)
from realsyn_ops.models.smollm2 import load_smollm2, smollm2_revision
from realsyn_ops.models.template_captioner import DOUBT

_BATCH, _MAX_NEW_TOKENS = 16, 60
_ROOM = {"realistic_text": 100, "caption": 30, "tags": 30}
_ANSWER_START = "<|im_start|>assistant\n"
_PUNCTUATION = (",", ".", "'s", "-")
_SENTENCE_END = re.compile(r"[a-z]{3,}[.!?]$")


class DemoRewriter:
    prompt = VERSION
    takes_reasons = False  # of 135M parameters: what it is told of an answer changes nothing in the next

    def __init__(self, models_path: Path, device: str) -> None:
        self.name = smollm2_revision()
        self._device = device
        self._model, self._tokenizer = load_smollm2(models_path, device)
        self._end = int(self._tokenizer.eos_token_id)
        self._room = Room(**_ROOM, count=lambda text: len(self._encode(text)))
        self._prefix = self._read_prefix(self._encode(_chat(prompt_messages())))
        self._common = self._word_tokens(FUNCTION_WORDS)

    def payload(self, question: Question) -> str:
        decoding: dict[str, object] = {"greedy": True, "max_new_tokens": _MAX_NEW_TOKENS, "vocabulary": "sources"}
        return canonical_payload(question, model=self.name, decoding=decoding, room=self._room)

    def answer(self, questions: Sequence[Question], keep: Keep) -> list[Answer]:
        """Answers in order, each ending at its first sentence; batches follow from the questions' lengths.

        A merge whose caption only supposes is not asked, its answer is empty: this model drops the doubt, and the gate
        would refuse what it wrote.
        """
        asked = [i for i, question in enumerate(questions) if not question.merge.caption.startswith(DOUBT)]
        texts = {i: self._encode(_chat(question_messages(questions[i], self._room)) + _ANSWER_START) for i in asked}
        order = sorted(asked, key=lambda i: (len(texts[i]), texts[i]))
        answers = [Answer("", "unasked") for _ in questions]
        for rows in fixed_batches(len(order), _BATCH):
            written = self._generate([questions[i].merge for i in order[rows]], [texts[i] for i in order[rows]])
            for i, tokens in zip(order[rows], written, strict=True):
                text = self._tokenizer.decode(tokens, skip_special_tokens=True).strip()
                n_prompt = self._prefix.get_seq_length() + len(texts[i])
                answers[i] = Answer(text, "stop", n_prompt, len(tokens))
            keep([(i, answers[i]) for i in order[rows]])
        return answers

    @torch.inference_mode()
    def _generate(self, merges: list[Merge], questions: list[list[int]]) -> list[list[int]]:
        """Greedy decoding of one batch behind the shared prefix; finished rows leave the batch."""
        vocabulary, first, later = self._vocabulary(merges)
        head = self._model.lm_head.weight[vocabulary]
        ids, mask = self._pad_left(questions)
        cache = copy.deepcopy(self._prefix)
        cache.batch_repeat_interleave(len(merges))
        rows = list(range(len(merges)))
        written: list[list[int]] = [[] for _ in merges]
        for step in range(_MAX_NEW_TOKENS):
            positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
            states = self._model.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            ).last_hidden_state[:, -1]
            allowed = (later if step else first)[rows]
            chosen = vocabulary[(states @ head.T).masked_fill(~allowed, -torch.inf).argmax(dim=1)].tolist()
            for row, token in zip(rows, chosen, strict=True):
                written[row].append(token)
            going = [place for place, row in enumerate(rows) if not self._is_finished(written[row])]
            if not going:
                break
            if len(going) < len(rows):
                cache.batch_select_indices(torch.tensor(going, device=self._device))
            rows = [rows[place] for place in going]
            ids = torch.tensor([[chosen[place]] for place in going], device=self._device)
            mask = torch.cat([mask[going], torch.ones_like(mask[going][:, :1])], dim=1)
        return written

    def _is_finished(self, tokens: list[int]) -> bool:
        """At the model's end, the end of a sentence, or when it goes in circles (the gate refuses that)."""
        fours = [tuple(tokens[i : i + 4]) for i in range(len(tokens) - 3)]
        is_circling = len(set(fours)) < len(fours)
        return tokens[-1] == self._end or is_circling or bool(_SENTENCE_END.search(self._tokenizer.decode(tokens[-8:])))

    def _vocabulary(self, merges: list[Merge]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Token ids the batch may use, and per merge which of them may begin and which may go on."""
        own = [self._word_tokens(_words(merge)) for merge in merges]
        firsts = [self._common[0] | first for first, _ in own]
        laters = [self._common[1] | later | {self._end} for _, later in own]
        tokens = sorted(set().union(*firsts, *laters))
        first, later = (
            torch.tensor([[token in some for token in tokens] for some in sets], device=self._device)
            for sets in (firsts, laters)
        )
        return torch.tensor(tokens, device=self._device), first, later

    def _word_tokens(self, words: frozenset[str]) -> tuple[set[int], set[int]]:
        """Tokens that may begin a sentence made of these words, and tokens that may follow."""
        first: set[int] = set()
        later = {token for mark in _PUNCTUATION for token in self._encode(mark)}
        for word in words:
            start, *rest = self._encode(word[:1].upper() + word[1:])
            first.add(start)
            later.update(rest, self._encode(f" {word}"), self._encode(f" {word.lower()}"))
        return first, later

    def _read_prefix(self, ids: list[int]) -> DynamicCache:
        """Keys and values of the instruction and examples, read once for all merges."""
        cache = DynamicCache(config=self._model.config)
        with torch.inference_mode():
            self._model.model(input_ids=torch.tensor([ids], device=self._device), past_key_values=cache, use_cache=True)
        return cache

    def _pad_left(self, questions: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        n_prefix, width = self._prefix.get_seq_length(), max(map(len, questions))
        ids = torch.tensor([[self._end] * (width - len(question)) + question for question in questions])
        real = [[1] * n_prefix + [0] * (width - len(question)) + [1] * len(question) for question in questions]
        return ids.to(self._device), torch.tensor(real, device=self._device)

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]


def _chat(messages: list[Message]) -> str:
    """The model's own chat template, written out: its parts are encoded apart."""
    return "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)


def _words(merge: Merge) -> frozenset[str]:
    return frozenset(re.findall(r"\w+(?:['’-]\w+)*", " ".join((merge.realistic_text, merge.caption, *merge.tags))))
