"""The versioned prompt that merges texts (paper section 3.3, in our words), and how a merge is written into it.

A prompt is never changed once used: write the next version's file and set ``VERSION``. Texts of documents are data:
each is one quoted line, cut between words to a stated length, and no mark of a chat template survives in it.
"""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from realsyn_ops.kinds import Merge, Question
from realsyn_ops.records import fold_space

VERSION = "merge-v2"
Message = dict[str, str]
_TEMPLATE_MARKS = ((re.compile(r"<(?=\S)"), "< "), (re.compile(r"\[(/?[A-Z_]{2,})\]"), r"(\1)"))
"""`<|im_end|>`, `</s>`, `<start_of_turn>`, `[INST]`: whatever a tokenizer may take for the end of a turn."""


@dataclass(frozen=True)
class Room:
    """The longest realistic text, caption and list of tags that go into a prompt, by ``count``.

    Bytes of UTF-8 are what is counted where there is no tokenizer: no text has more tokens than bytes.
    """

    realistic_text: int = 1_200
    caption: int = 400
    tags: int = 400
    count: Callable[[str], int] = lambda text: len(text.encode())

    def sizes(self) -> list[int]:
        return [self.realistic_text, self.caption, self.tags]


BYTES = Room()


@lru_cache
def read_prompt(version: str) -> tuple[str, dict[str, list[str]], tuple[tuple[str, str], ...]]:
    """Digest of a prompt's file, its parts by name, and those that are turns of a conversation, in order."""
    text = (Path(__file__).parent / "prompts" / f"{version}.txt").read_text(encoding="utf-8")
    found = re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    parts: dict[str, list[str]] = {}
    for name, content in found:
        parts.setdefault(name, []).append(content.strip())
    turns = tuple((name, content.strip()) for name, content in found if name in {"system", "user", "assistant"})
    return hashlib.sha256(text.encode()).hexdigest()[:16], parts, turns


def prompt_messages() -> list[Message]:
    """The turns before the merge: instruction and examples."""
    return [{"role": role, "content": content} for role, content in read_prompt(VERSION)[2][:-1]]


def question_messages(question: Question, room: Room = BYTES) -> list[Message]:
    """The turns of a question: the merge; where it is asked for once more, the refused answer and why it was."""
    _, parts, turns = read_prompt(VERSION)
    messages = [{"role": "user", "content": _filled(turns[-1][1], _fields(question.merge, room))}]
    if question.reason:
        reasons = dict(line.split(": ", 1) for line in parts["reasons"][0].splitlines())
        again = {"reason": reasons.get(question.reason, reasons["other"])}
        messages += [
            {"role": "assistant", "content": cut_words(_unmarked(question.refused), room.realistic_text, room.count)},
            {"role": "user", "content": _filled(parts["again"][0], again)},
        ]
    return messages


def canonical_payload(question: Question, *, model: str, decoding: dict[str, object], room: Room = BYTES) -> str:
    """JSON with sorted keys of everything that determines an answer: the key of the cache of answers."""
    merge = question.merge
    what = {
        "model": model,
        "prompt": VERSION,
        "prompt_digest": read_prompt(VERSION)[0],
        "realistic_text": merge.realistic_text,
        "caption": merge.caption,
        "tags": list(merge.tags),
        "room": room.sizes(),
        "decoding": decoding,
    }
    if question.reason:
        what |= {"refused": question.refused, "reason": question.reason}
    return json.dumps(what, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def cut_words(text: str, room: int, count: Callable[[str], int]) -> str:
    """The text's first words, as many as there is room for; a word is whole or not there."""
    if count(text) <= room:
        return text
    words = text.split()
    fits, too_many = 0, len(words) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        fits, too_many = (middle, too_many) if count(" ".join(words[:middle])) <= room else (fits, middle)
    return " ".join(words[:fits])


def _fields(merge: Merge, room: Room) -> dict[str, str]:
    tags: list[str] = []
    for tag in merge.tags:
        if room.count(", ".join([*tags, _quoted(tag)])) > room.tags:
            break
        tags.append(_quoted(tag))
    return {
        "realistic_text": _quoted(cut_words(fold_space(merge.realistic_text), room.realistic_text, room.count)),
        "caption": _quoted(cut_words(fold_space(merge.caption), room.caption, room.count)),
        "tags": ", ".join(tags),
    }


def _filled(template: str, fields: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda field: fields[field[1]], template)


def _quoted(text: str) -> str:
    """One line in quotation marks that it cannot close itself."""
    return json.dumps(_unmarked(text), ensure_ascii=False)


def _unmarked(text: str) -> str:
    for mark, harmless in _TEMPLATE_MARKS:
        text = mark.sub(harmless, text)
    return fold_space(text)
