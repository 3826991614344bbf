"""The paper's quality and semantic rules for images and sentences (section 3.1 to 3.3): values in, a reason out.

Each rule gives the first limit a record breaks and the value that broke it, or None; the cheap ones come first. What
the values cost (parsing, perplexity) is computed elsewhere and stored, so that a limit can change without it.
"""

import math
import re
from collections.abc import Mapping, Sequence

from realsyn_ops.records import Reason

Broken = tuple[Reason, float] | None

# Emoji_Presentation of Unicode, the pictographs beyond the basic plane and the faces and hearts that are text by
# default, or any character that asks for emoji form (U+FE0F). Digits, arrows, ©, ® and ™ alone are text.
_EMOJI = re.compile(
    "[\u231a\u231b\u23e9-\u23ec\u23f0\u23f3\u25fd\u25fe\u2614\u2615\u2639\u263a\u2648-\u2653\u267f\u2693\u26a1\u26aa\u26ab"
    "\u26bd\u26be\u26c4\u26c5\u26ce\u26d4\u26ea\u26f2\u26f3\u26f5\u26fa\u26fd\u2705\u270a\u270b\u2728\u274c\u274e"
    "\u2753-\u2755\u2757\u2763\u2764\u2795-\u2797\u27b0\u27bf\u2b1b\u2b1c\u2b50\u2b55\U0001f004\U0001f0cf\U0001f18e"
    "\U0001f191-\U0001f19a\U0001f1e6-\U0001f1ff\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236\U0001f238-\U0001f23a"
    "\U0001f250\U0001f251\U0001f300-\U0001f64f\U0001f680-\U0001f6ff\U0001f7e0-\U0001f7eb\U0001f7f0\U0001f900-\U0001faff]"
    "(?!\ufe0e)|.\ufe0f"
)
_URL = re.compile(
    r"\b(?:https?|ftps?|sftp|ssh|git|file|svn|rsync|mailto|data):(?=\S)|\w://\S|\bwww\d?\.\S"
    r"|(?<![\w.@-])(?:[a-z0-9-]++\.)++[a-z]{2,24}(?::\d+)?/[\w~%?#-]",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]")
_TOKEN = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")


def image_reason(width: int, height: int, *, min_side_px: int, max_aspect: float) -> Broken:
    """Shorter side below `min_side_px`, or longer side over shorter above `max_aspect` (paper section 3.1)."""
    shorter, longer = sorted((width, height))
    if shorter < min_side_px:
        return Reason.IMAGE_TOO_SMALL, float(shorter)
    if longer > max_aspect * shorter:
        return Reason.IMAGE_ASPECT, longer / shorter
    return None


def sentence_text_reason(text: str, *, min_words: int, max_words: int) -> Broken:
    """Emoji or URLs in it (value: how many), too few or too many words."""
    if not text.isascii() and (n_emoji := len(_EMOJI.findall(text))):
        return Reason.EMOJI, float(n_emoji)
    if ("." in text or ":" in text) and (n_urls := len(_URL.findall(text))):
        return Reason.URL, float(n_urls)
    n_words = count_words(text)
    if n_words < min_words:
        return Reason.TOO_FEW_WORDS, float(n_words)
    if n_words > max_words:
        return Reason.TOO_MANY_WORDS, float(n_words)
    return None


def count_words(text: str) -> int:
    """Runs between white space that hold a letter or digit: "state-of-the-art" is one word, a dash none."""
    return sum(_WORD.search(run) is not None for run in text.split())


def language_reason(score: float, *, min_language_score: float) -> Broken:
    """The wanted language is less likely than this. What is short is hard to tell: the limit is far below one half."""
    return None if score >= min_language_score else (Reason.LANGUAGE, score)


def parse_reason(n_relations: int, n_actions: int, *, min_relations: int, min_actions: int) -> Broken:
    """Complexity below C1 (no relation attached to an object), or no action (paper section 3.1)."""
    if n_relations < min_relations:
        return Reason.LOW_COMPLEXITY, float(n_relations)
    if n_actions < min_actions:
        return Reason.NO_ACTION, float(n_actions)
    return None


def word_tokens(text: str) -> list[str]:
    """Lower-cased words and single punctuation marks in order: what the corpus counts and `entropy` sums over."""
    return _TOKEN.findall(text.lower())


def entropy(tokens: Sequence[str], counts: Mapping[str, int], total: int) -> float:
    """The paper's theta: -sum p(x) log2 p(x) over the words of the sentence, p a word's share in the whole corpus.

    A word that occurs twice counts twice, as the paper sums over positions; a word the corpus has not (or a corpus of
    nothing) adds 0, the limit of p log p.
    """
    if total <= 0:
        return 0.0
    shares = (counts.get(token, 0) / total for token in tokens)
    return math.fsum(-share * math.log2(share) for share in shares if share > 0)


def entropy_reason(value: float, *, min_entropy: float) -> Broken:
    return None if value >= min_entropy else (Reason.LOW_ENTROPY, value)


def perplexity_reason(value: float, *, min_perplexity: float, max_perplexity: float) -> Broken:
    """Outside the bounds, which are kept themselves; what is no number is too high."""
    if value < min_perplexity:
        return Reason.LOW_PERPLEXITY, value
    return None if value <= max_perplexity else (Reason.HIGH_PERPLEXITY, value)
