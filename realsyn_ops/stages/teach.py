"""What a small rewriter is taught with: lessons, split into parts, as the files that trainers read, with their card.

A lesson is a question as the rewriter will be asked it, and a teacher's answer that the grounding gate accepted. Files
are the same bytes for the same lessons: no clock, no machine.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from realsyn_ops.records import hash_order

TRAIN, HELD_OUT = "train", "held_out"
_NAME = "realsyn_merge"


@dataclass(frozen=True, slots=True)
class Lesson:
    """``key``: the image's; ``part``: train or held_out."""

    key: str
    part: str
    system: str
    question: str
    answer: str


def part_of(text_key: str, *, share: float, seed: int) -> str:
    """The part of all lessons about a realistic text, so that none is learnt from and examined: by its hash."""
    place = int.from_bytes(hash_order(f"{text_key}/part", seed)[:8]) / 2**64
    return HELD_OUT if place < share else TRAIN


def lesson_files(lessons: Sequence[Lesson]) -> dict[str, bytes]:
    """Paths and contents: LLaMA-Factory's two formats with their `dataset_info.json`, and TRL's.

    A part without lessons has its files too.
    """
    files: dict[str, bytes] = {}
    info: dict[str, Any] = {}
    for part in (TRAIN, HELD_OUT):
        mine = [lesson for lesson in lessons if lesson.part == part]
        files[f"llamafactory/alpaca_{part}.json"] = _json([_alpaca(lesson) for lesson in mine])
        files[f"llamafactory/sharegpt_{part}.json"] = _json([_sharegpt(lesson) for lesson in mine])
        files[f"trl/{part}.jsonl"] = "".join(
            json.dumps(_prompt_completion(lesson), ensure_ascii=False) + "\n" for lesson in mine
        ).encode()
        info[f"{_NAME}_alpaca_{part}"] = {
            "file_name": f"alpaca_{part}.json",
            "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"},
        }
        info[f"{_NAME}_sharegpt_{part}"] = {
            "file_name": f"sharegpt_{part}.json",
            "formatting": "sharegpt",
            "columns": {"messages": "conversations", "system": "system"},
        }
    files["llamafactory/dataset_info.json"] = _json(info)
    return files


def _alpaca(lesson: Lesson) -> dict[str, str]:
    return {"instruction": lesson.question, "input": "", "output": lesson.answer, "system": lesson.system}


def _sharegpt(lesson: Lesson) -> dict[str, Any]:
    turns = [{"from": "human", "value": lesson.question}, {"from": "gpt", "value": lesson.answer}]
    return {"conversations": turns, "system": lesson.system}


def _prompt_completion(lesson: Lesson) -> dict[str, Any]:
    prompt = [{"role": "system", "content": lesson.system}, {"role": "user", "content": lesson.question}]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": lesson.answer}]}


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()


_FRONT = """---
license: other
task_categories:
- text-generation
language:
- en
tags:
- instruction-tuning
- image-text-pairs
pretty_name: "RealSyn ops lessons {version}"
configs:
- config_name: default
  data_files:
  - split: train
    path: trl/train.jsonl
  - split: test
    path: trl/held_out.jsonl
---

# RealSyn ops lessons {version}

{n_train} lessons to train on and {n_held_out} held out, to teach a small language model what the paper *RealSyn* (Gu et
al., arXiv 2502.12513) has a large one do: merge a realistic text, a caption and tags into one sentence.

- **Questions** are triples of published pairs, drawn from the image clusters as evenly as they allow ({n_drawn} of
  {n_candidates}), lowest hashes of (key, seed {seed}) first. Realistic texts of the two parts are distinct.
- **Answers** are the teacher's, `{teacher}`, to prompt `{prompt}`. An answer is a lesson only if the grounding gate
  accepted it: its words, numbers and names come from the triple. Refused ones were asked for once more with the reason.
- An opening of {n_words} words begins no more than {max_opening_share:.0%} of the lessons.

## Refused

| why | n |
|---|---|
{refused}

## To train with

The system turn is the prompt's instruction without its examples, the user's turn is the question as the rewriter's
client writes it.

- LLaMA-Factory: `dataset_dir: .../llamafactory`, `dataset: {name}_sharegpt_train` (or `_alpaca_train`), `eval_dataset:
  {name}_sharegpt_held_out`, `stage: sft`. The paper's student is LLaMA3-8B.
- TRL: `load_dataset("json", data_files={{"train": "trl/train.jsonl", "test": "trl/held_out.jsonl"}})` for `SFTTrainer`;
  the rows are conversational prompt-completion: the loss is the answers' alone.

## Files

| file | bytes | sha256 |
|---|---|---|
{files}

## Limits

- The teacher's terms may restrict what its answers are used for, training another model among it. This card grants
  nothing; texts keep the licences of the documents they come from.
- The gate judges words, numbers, names, negations and what stands beside them, not truth: see `docs/decisions/` of the
  project. It prefers answers near their sources, and so does who learns from it.
"""


def card(facts: Mapping[str, Any], files: Sequence[Mapping[str, Any]]) -> str:
    """The set's card in Markdown. ``facts``: what its manifest holds; ``files``: path, bytes and sha256 of each."""
    refused = "\n".join(f"| {reason} | {n} |" for reason, n in sorted(facts["refused"].items())) or "| nothing | 0 |"
    listed = "\n".join(f"| `{file['path']}` | {file['bytes']} | `{file['sha256']}` |" for file in files)
    return _FRONT.format_map({**facts, "refused": refused, "files": listed, "name": _NAME})
