"""Captions without a captioner: a few words made of the tags. No library is imported."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_BARE_NOUNS = frozenset({
    "broccoli", "carbonara", "cauliflower", "chocolate sauce", "consomme", "corn", "dough", "espresso", "guacamole",
    "hay", "ice cream", "mashed potato", "red wine", "toilet tissue",
})  # fmt: skip
_VOWEL_SOUND = ("a", "e", "i", "o", "u", "hourglass", "x-ray")
_CONSONANT_SOUND = ("eu", "uni", "use", "usa", "ute", "one", "ukulele")
_SINGULAR_ENDINGS = ("ss", "us", "is", "ops", "lens", "bass", "abacus", "rhinoceros", "albatross", "dingbats")


DOUBT = "a picture"
"""How a caption begins that does not know what it sees."""


class TemplateCaptioner:
    """Sure of one tag: "a photo of a golden retriever"; in doubt: "a picture that may show a wolf or a husky"."""

    name = "template-v1"

    def caption(self, images: "list[Image]", tags: list[list[str]]) -> list[str]:
        return [caption_tags(some) for some in tags]


def caption_tags(tags: list[str]) -> str:
    if not tags:
        return DOUBT
    if len(tags) == 1:
        return f"a photo of {with_article(tags[0])}"
    return f"{DOUBT} that may show {with_article(tags[0])} or {with_article(tags[1])}"


def with_article(noun: str) -> str:
    """The noun with a or an, or bare when it is plural or a mass noun."""
    lower = noun.lower()
    if lower in _BARE_NOUNS or (lower.endswith("s") and not lower.endswith(_SINGULAR_ENDINGS)):
        return noun
    is_vowel = lower.startswith(_VOWEL_SOUND) and not lower.startswith(_CONSONANT_SOUND)
    return f"{'an' if is_vowel else 'a'} {noun}"
