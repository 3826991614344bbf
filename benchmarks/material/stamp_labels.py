"""Pictures whose sentence is known: Tux Paint's stamps (Debian packages) and WordNet's definitions.

A stamp comes with a line of text ("An Adelaide Rosella."); its longest ending that WordNet knows in a sense of the
stamp's category names the definition that describes it. Natural PNG stamps only. Nothing may be fitted on them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

MIN_SIDE_PX = 64
# Positions in WordNet's list of lexicographer files (lexnames(5WN)).
_ANIMAL, _FOOD, _OBJECT, _PHENOMENON, _PLANT, _ARTIFACT = 5, 13, 17, 19, 20, 6
_SENSES = {
    "animals": (_ANIMAL,),
    "food": (_FOOD, _PLANT, _ANIMAL),
    "plants": (_PLANT, _FOOD),
    "space": (_OBJECT, _ARTIFACT),
    "naturalforces": (_PHENOMENON, _OBJECT),
}
# Reviewed by hand: words in the definition of the sense that is meant, where it is not the first of the category.
_MEANT = {
    "peacock": "male peafowl", "seahorse": "small fish", "dolphin": "toothed whales", "hedgehog": "protective spines",
    "ferret": "polecat", "blackbird": "European thrush", "lark": "noted for their singing",
    "butterflyfish": "narrow deep bodies", "bat": "nocturnal mouselike", "spider": "arachnid",
    "holm_oak": "evergreen oak", "cake": "mixture of flour",
}  # fmt: skip
# Reviewed by hand: words whose definition does not describe the stamp.
_NOT_MEANT = re.compile(
    "drone|duck|water|tails|beetle|trash|earth|cylinder|treat|food|hunter|dock|stand|slice|bulb|fruit|prickle|pepper|"
    "balsam|planet|egg|space_probe|stone"
)


@dataclass(frozen=True)
class Definitions:
    """`texts` by synset; `senses`: a word -> its synsets, likeliest first; `kinds`: synset -> lexicographer file."""

    texts: dict[str, str]
    senses: dict[str, list[str]]
    kinds: dict[str, int]


@dataclass(frozen=True)
class Stamp:
    """``picture`` on white; ``word``: the longest ending of its text that WordNet knows, and ``synset`` what describes
    it, both None where nothing does."""

    path: Path
    picture: Image.Image
    word: str | None
    synset: str | None


def read_definitions(wordnet: Path) -> Definitions:
    """WordNet's nouns (wndb(5WN)): the definition of each without its examples."""
    texts, kinds, senses = {}, {}, {}
    for line in _lines(wordnet / "data.noun"):
        fields, _, gloss = line.partition("|")
        synset, kind = fields.split()[:2]
        texts[synset], kinds[synset] = re.split(r';\s*"', gloss.strip())[0].strip(), int(kind)
    for line in _lines(wordnet / "index.noun"):
        words = line.split()
        senses[words[0]] = words[-int(words[2]) :]
    return Definitions(texts, senses, kinds)


def read_stamps(stamps: Path, definitions: Definitions) -> Iterator[Stamp]:
    """In order of the files."""
    for path in sorted(path for category in _SENSES for path in (stamps / category).rglob("*.png")):
        description = path.with_suffix(".txt")
        if not description.exists():
            continue
        picture = flat(Image.open(path))
        if min(picture.size) >= MIN_SIDE_PX:
            line = description.read_text("utf-8", "replace").split("\n")[0]
            word, synset = _described(line, path.relative_to(stamps).parts[0], definitions)
            yield Stamp(path, picture, word if synset else None, synset)


def flat(picture: Image.Image) -> Image.Image:
    """On white."""
    layered = picture.convert("RGBA")
    ground = Image.new("RGBA", layered.size, "white")
    ground.alpha_composite(layered)
    return ground.convert("RGB")


def _described(line: str, category: str, definitions: Definitions) -> tuple[str, str | None]:
    text = re.sub(r"\(.*?\)|[“”]", "", line).strip().rstrip(".!").lower().replace("’", "'")
    text = re.split(r"[,;:—]| on | with | in | from | for | covered ", text)[0]
    text = re.sub(r"^(an?|the|some|two|three)\s+", "", text).strip()
    text = re.sub(r"^(pair|piece|slice|bunch|head|string|cluster|cup|glass|loaf|bag|set) of (an? )?", "", text)
    words = text.replace("-", " ").split()
    for start in range(len(words)):
        word = _known("_".join(words[start:]), definitions)
        if word is None:
            continue
        if _NOT_MEANT.fullmatch(word):
            return word, None
        senses = definitions.senses[word]
        if word in _MEANT:
            return word, next((s for s in senses if _MEANT[word] in definitions.texts[s]), None)
        return word, next((s for kind in _SENSES[category] for s in senses if definitions.kinds[s] == kind), None)
    return "", None


def _known(word: str, definitions: Definitions) -> str | None:
    endings = (("", ""), ("ies", "y"), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("shes", "sh"), ("s", ""))
    forms = (word[: len(word) - len(end)] + singular for end, singular in endings if word.endswith(end))
    return next((form for form in forms if form in definitions.senses), None)


def _lines(path: Path) -> Iterator[str]:
    return (line for line in path.read_text("latin-1").split("\n") if line and not line.startswith(" "))
