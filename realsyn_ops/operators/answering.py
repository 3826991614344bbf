"""Asking a model whose answers cost: what is known is not asked, and what arrives is kept before anything else."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from realsyn_ops.kinds import Answer, Answerer

if TYPE_CHECKING:
    from realsyn_ops.io.answers import Batch

Asked = TypeVar("Asked")


@dataclass
class Spent:
    """What a model's new answers cost: numbers of this run. ``seconds``: how long the task waited for them."""

    n_answers: int = 0
    n_accepted: int = 0
    n_prompt_tokens: int = 0
    n_answer_tokens: int = 0
    n_bytes: int = 0
    seconds: float = 0.0


@dataclass
class Paid:
    """Answers in the order of the questions, the keys they are known by, and the rows that the table has not."""

    answers: list[Answer]
    keys: list[str]
    rows: dict[str, dict[str, Any]]
    spent: Spent = field(default_factory=Spent)


def ask_once(batch: "Batch", model: Answerer[Asked], questions: list[Asked], *, n_try: int = 1) -> Paid:
    """Every question's answer: from the table, from what an earlier try of this batch was told, or from the model."""
    from realsyn_ops.io.answers import answer_key, known_answers

    keys = [answer_key(model.payload(question)) for question in questions]
    known = known_answers(batch.bucket, keys)
    rows = {key: row for key, row in batch.arrived().items() if key in set(keys) - set(known)}
    asked = {key: q for key, q in zip(keys, questions, strict=True) if key not in known and key not in rows}
    asked_keys = list(asked)

    def row(place: int, answer: Answer) -> dict[str, Any]:
        return {
            "key": asked_keys[place],
            "day": batch.day,
            "model": model.name,
            "prompt": model.prompt,
            "n_try": n_try,
            "answer": answer.text,
            "finish": answer.finish,
            "n_prompt_tokens": answer.n_prompt_tokens,
            "n_answer_tokens": answer.n_answer_tokens,
            "n_bytes": answer.n_bytes,
        }

    def keep(arrived: list[tuple[int, Answer]]) -> None:
        batch.keep([row(place, answer) for place, answer in arrived])

    started = time.monotonic()
    told = dict(zip(asked_keys, model.answer(list(asked.values()), keep), strict=True)) if asked else {}
    spent = Spent(seconds=time.monotonic() - started if asked else 0.0)
    rows |= {key: row(place, told[key]) for place, key in enumerate(asked_keys) if told[key].is_paid}
    spent.n_answers = len(rows)
    for name in ("n_prompt_tokens", "n_answer_tokens", "n_bytes"):
        setattr(spent, name, sum(row[name] for row in rows.values()))
    answers = [told.get(key) or _answer(rows.get(key) or known[key]) for key in keys]
    return Paid(answers, keys, rows, spent)


def _answer(row: dict[str, Any]) -> Answer:
    return Answer(row["answer"], row["finish"], row["n_prompt_tokens"], row["n_answer_tokens"], row.get("n_bytes", 0))
