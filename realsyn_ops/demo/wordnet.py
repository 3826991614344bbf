"""WordNet's nouns as readable sentences: the files' format, the tree of kinds, and the grammar of a definition.

Which nouns make a document is decided in `dictionary`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Synset:
    """A sense: its words, best first, its gloss, and the senses that are kinds (or instances) of it."""

    offset: str
    lemmas: tuple[str, ...]
    gloss: str
    hyponyms: tuple[str, ...]
    is_instance: bool


@dataclass(frozen=True, slots=True)
class Nouns:
    """``senses``: a word (lower case, underscores) -> its senses' offsets, most frequent first."""

    synsets: dict[str, Synset]
    senses: dict[str, tuple[str, ...]]

    def kinds(self, roots: Iterable[str]) -> list[Synset]:
        """Everything below the roots, themselves included, by offset. A root is ``word.sense``, as in ``bird.1``."""
        pending = []
        for root in roots:
            word, sense = root.rsplit(".", 1)
            pending.append(self.senses[word][int(sense) - 1])
        found: set[str] = set()
        while pending:
            offset = pending.pop()
            if offset not in found:
                found.add(offset)
                pending.extend(self.synsets[offset].hyponyms)
        return [self.synsets[offset] for offset in sorted(found)]


def read_nouns(folder: Path) -> Nouns:
    """Reads ``data.noun`` and ``index.noun`` (format: wndb(5WN))."""
    synsets = {}
    for line in _lines(folder / "data.noun"):
        data, _, gloss = line.partition("|")
        fields = data.split()
        n_words = int(fields[3], 16)
        pointers = fields[5 + 2 * n_words :]
        kinds = [(pointers[i], pointers[i + 1]) for i in range(0, 4 * int(fields[4 + 2 * n_words]), 4)]
        synsets[fields[0]] = Synset(
            offset=fields[0],
            lemmas=tuple(word.replace("_", " ") for word in fields[4 : 4 + 2 * n_words : 2]),
            gloss=gloss.strip(),
            hyponyms=tuple(offset for symbol, offset in kinds if symbol in {"~", "~i"}),
            is_instance=any(symbol == "@i" for symbol, _ in kinds),
        )
    senses = {}
    for line in _lines(folder / "index.noun"):
        fields = line.split()
        senses[fields[0]] = tuple(fields[-int(fields[2]) :])
    return Nouns(synsets, senses)


def _lines(path: Path) -> Iterable[str]:
    """The file's records: its licence stands in front, indented."""
    return (line for line in path.read_text("latin-1").split("\n") if line and not line.startswith(" "))


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DETERMINER = re.compile(
    r"(an?|the|any|one|some|each|either|both|various|several|many|all|two|three|four|someone|"
    r"something|somebody|anyone|anything)\b",
    re.IGNORECASE,
)
_NO_NOUN_FIRST = _words(
    "used of in on at that which what when where who whoever not to having being made by for as it this with from "
    "usually often primarily relating resembling similar"
)
_HEAD_ENDS = re.compile(
    r"[,:]| (?:of|with|without|that|which|who|whose|where|when|used|made|having|in|on|at|for|to|from|by|and|or|as|worn|"
    r"consisting|containing|resembling|growing|living|found|native|cultivated|designed|usually|especially|between|under|"
    r"following|after|during) "
)
_UNCOUNTED = _words(
    "water meat bread wood food cloth fabric clothing flour wine cheese milk flesh snow ice rice pasta dough equipment "
    "furniture armor paper leather jewelry coffee tea beer ale beef pork veal wheat sugar butter cream chocolate fur "
    "wool cotton silk glass metal footwear headgear underwear apparel attire ammunition weather wind rain"
)


def sentence(synset: Synset) -> str | None:
    """The gloss's first part as a sentence about the first lemma, or None where that makes no sentence.

    >>> sentence(Synset("0", ("magpie",), "long-tailed crow that utters a raucous call; \\"a magpie\\"", (), False))
    'A magpie is a long-tailed crow that utters a raucous call.'
    """
    lemma = synset.lemmas[0]
    gloss = re.sub(r"\s*\([^)]*\)", "", synset.gloss)
    gloss = re.split(r"\s*[;:\"]", gloss)[0].replace("`", "'").strip(" .,:")
    words = gloss.split()
    if len(words) < 4 or words[0].lower() in _NO_NOUN_FIRST or re.search(r"\d|\(|\)|\w\.", lemma + gloss):
        return None
    if _is_plural(lemma.split()[-1]) and not synset.is_instance:
        return None
    is_counted = True
    if not _DETERMINER.match(gloss):
        head = _HEAD_ENDS.split(gloss)[0].split()[-1].lower()
        if _is_plural(head):
            return None
        is_counted = head not in _UNCOUNTED
        gloss = with_article(gloss) if is_counted else gloss
    subject = with_article(lemma) if is_counted and not synset.is_instance else lemma
    return f"{subject[0].upper()}{subject[1:]} is {gloss}."


_VOWEL_SOUND = re.compile(r"(?!uni(?!n|m)|use|usu|eu|ewe|one\b|once|uk)[aeiou]|hour|honest|heir", re.IGNORECASE)


def with_article(noun: str) -> str:
    """``a`` or ``an`` by the sound the spelling suggests."""
    return f"{'an' if _VOWEL_SOUND.match(noun) else 'a'} {noun}"


def _is_plural(word: str) -> bool:
    return word.endswith("s") and not word.endswith(("ss", "us", "is", "os", "as"))
