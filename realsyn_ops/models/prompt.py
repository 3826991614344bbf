"""The versioned prompt that merges texts (paper section 3.3, in our words), and how a merge is written into it.

A prompt is never changed once used: write the next version's file and set ``VERSION``.
"""

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path

from realsyn_ops.kinds import Merge
from realsyn_ops.records import fold_space

VERSION = "merge-v1"
Message = dict[str, str]


@lru_cache
def _prompt() -> tuple[str, tuple[tuple[str, str], ...]]:
    text = (Path(__file__).parent / "prompts" / f"{VERSION}.txt").read_text(encoding="utf-8")
    turns = re.findall(r"^### (system|user|assistant)\n(.*?)(?=^### |\Z)", text, flags=re.DOTALL | re.MULTILINE)
    return hashlib.sha256(text.encode()).hexdigest()[:16], tuple((role, content.strip()) for role, content in turns)


def prompt_messages() -> list[Message]:
    """The turns before the merge: instruction and examples."""
    return [{"role": role, "content": content} for role, content in _prompt()[1][:-1]]


def merge_message(merge: Merge) -> Message:
    """The user's turn. Texts of documents are data: one line each, and no mark of a chat template survives in them."""
    role, template = _prompt()[1][-1]
    fields = {
        "realistic_text": _data(merge.realistic_text),
        "caption": _data(merge.caption),
        "tags": ", ".join(_data(tag) for tag in merge.tags),
    }
    return {"role": role, "content": re.sub(r"\{(\w+)\}", lambda field: fields[field[1]], template)}


def canonical_payload(merge: Merge, *, model: str, decoding: dict[str, object]) -> str:
    """JSON with sorted keys of everything that determines an answer: the key of the cache of answers."""
    what = {
        "model": model,
        "prompt": VERSION,
        "prompt_digest": _prompt()[0],
        "realistic_text": merge.realistic_text,
        "caption": merge.caption,
        "tags": list(merge.tags),
        "decoding": decoding,
    }
    return json.dumps(what, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _data(text: str) -> str:
    folded = fold_space(text)
    return folded.replace("<|", "< |").replace("|>", "| >").replace("[INST]", "(INST)").replace("[/INST]", "(/INST)")
