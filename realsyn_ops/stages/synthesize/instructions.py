"""Sentences of a document that address a model instead of a reader: they are no source, and no answer may hold one."""

import re

_INSTRUCTION = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.!?]{0,40}\b(?:instructions?|prompts?|directions|rules above)\b"
    r"|\byou are (?:now )?an? (?:\w+ )?(?:ai|assistant|chat ?bot|bot|language model|pirate|persona)\b"
    r"|\b(?:answer|reply|respond|speak|write) only (?:in|with|as)\b"
    r"|\b(?:reply|respond|answer|output|print) (?:with (?:the|only|exactly)|exactly|nothing but|the word)\b"
    r"|\b(?:system|developer) (?:prompt|message)\b|\bnew instructions?\b|\bas (?:you were )?instructed\b"
    r"|<\|?\w+\|>|\[/?inst\]|^\s*(?:system|assistant|user)\s*:",
    re.IGNORECASE,
)
_HINTS = (
    "ignore", "disregard", "forget", "override", "you are", "only", "reply", "respond", "answer", "output", "print",
    "prompt", "message", "instruct", "<", "[", ":",
)  # fmt: skip
"""One of these stands in each of them: a look that costs little."""
_END = re.compile(r"(?<=[.!?])\s+")


def is_instruction(text: str) -> bool:
    lower = text.lower()
    return any(hint in lower for hint in _HINTS) and bool(_INSTRUCTION.search(text))


def without_instructions(text: str) -> str:
    """The text without its sentences that address a model; the same object when there are none."""
    if not is_instruction(text):
        return text
    return " ".join(sentence for sentence in _END.split(text) if not _INSTRUCTION.search(sentence))
