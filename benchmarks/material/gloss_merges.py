"""Triples to merge, and merges made by rules: WordNet's definitions as realistic texts, with captions made for them.

A definition ("A magpie is a long-tailed crow that utters a raucous call.") is given in one of the forms of text on the
web, with a caption of the thing and a scene, or of its kind, or one that only supposes. The merge follows from the
caption's form and the definition's grammar. Captions of the stamps are not made: a stamp comes with a line of text, and
what it shows is no part of what merges are made for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from realsyn_ops.demo.dictionary import STAMPS, SUBJECTS, WORDNET, find_pictures
from realsyn_ops.demo.wordnet import Nouns, Synset, read_nouns, sentence, with_article
from realsyn_ops.kinds import Merge
from realsyn_ops.records import hash_order

_SEED = 2502
_SCENES = (
    "on a wooden table", "in a garden", "on a street", "in the snow", "near a river", "in front of a window",
    "on a shelf", "in a field", "beside a lamp", "on a rock", "in a museum", "against a brick wall", "on the grass",
    "in a basket", "under a tree", "at a market", "behind a fence", "next to a chair", "on a blue cloth",
    "in a kitchen",
)  # fmt: skip
_ROOTS = ("artifact.1", "animal.1", "plant.2", "food.1", "geological_formation.1", "worker.1")
"""Of things that stand somewhere."""
_FORMS = ("{text}", "{lemma}: {gloss}", "{lower}", "{lemma} - {gloss}.")
_IS = re.compile(r"^(?P<subject>.+?) is (?P<gloss>.+)\.$")
_DOES = re.compile(r"^(?P<kind>[^,]+?) that (?P<rest>(?:[a-z]+s|is|has|was) .+)$")


@dataclass(frozen=True)
class Case:
    """A triple, the merge that the rules make of it (empty where they make none), and the synset it is about."""

    merge: Merge
    answer: str
    synset: str


def made_cases(nouns: Nouns, shown: frozenset[str]) -> Iterator[Case]:
    """One case a definition of a thing, in an order drawn by hash; none about a synset of ``shown``."""
    kinds = {below: above for above, synset in nouns.synsets.items() for below in synset.hyponyms}
    for synset in sorted(nouns.kinds(_ROOTS), key=lambda synset: hash_order(synset.offset, _SEED)):
        above = nouns.synsets.get(kinds.get(synset.offset, ""))
        text = sentence(synset)
        if synset.is_instance or synset.offset in shown or above is None or text is None:
            continue
        if 8 <= len(text.split()) <= 30:
            yield _case(synset, above, text)


def stamp_cases(packages: Mapping[str, Path], nouns: Nouns) -> list[Case]:
    """A case for each stamp whose line of text ends in a word that a definition of its subject has."""
    root = packages["tuxpaint-stamps-default"] / STAMPS
    found: dict[str, Case] = {}
    for subject in SUBJECTS:
        defined = {
            lemma.lower(): synset
            for synset in nouns.kinds(subject.roots)
            if sentence(synset)
            for lemma in synset.lemmas
        }
        for folder in subject.folders:
            for picture in find_pictures(root, folder):
                phrase = re.split(r"[,;:(]| (?:on|with|in|from|for|of) ", picture.alt.lower().rstrip(".!"))[0].split()
                lemma = next((" ".join(phrase[i:]) for i in range(len(phrase)) if " ".join(phrase[i:]) in defined), "")
                if lemma and len(picture.alt.split()) > 1:
                    synset = defined[lemma]
                    caption = picture.alt[:1].lower() + picture.alt[1:].rstrip(".! ")
                    merge = Merge(
                        sentence(synset) or "", f"a photo of {caption}", (lemma, subject.name.replace("-", " "))
                    )
                    found.setdefault(picture.name, Case(merge, "", synset.offset))
    return [found[name] for name in sorted(found, key=lambda name: hash_order(name, _SEED))]


def read_cases(packages: Mapping[str, Path]) -> tuple[list[Case], list[Case]]:
    """Cases made of definitions, and cases of stamps, which share no synset."""
    nouns = read_nouns(packages["wordnet-base"] / WORDNET)
    stamps = stamp_cases(packages, nouns)
    return list(made_cases(nouns, frozenset(case.synset for case in stamps))), stamps


def _case(synset: Synset, above: Synset, text: str) -> Case:
    draw = hash_order(f"{synset.offset}/form", _SEED)
    scene = _SCENES[draw[0] % len(_SCENES)]
    match = _IS.match(text)
    subject, gloss = (match["subject"], match["gloss"]) if match else (text, "")
    lemma, kind = synset.lemmas[0], above.lemmas[0]
    bare = re.sub(r"^(?:an?|the) ", "", gloss)
    realistic = _FORMS[draw[1] % len(_FORMS)].format(
        text=text, lemma=lemma, gloss=bare, lower=text[:1].lower() + text[1:].rstrip(".")
    )
    thing = subject[:1].lower() + subject[1:]
    tags = (lemma, kind, scene.split()[-1])
    form = draw[2] % 4
    of_kind = re.match(rf"(?P<first>[^,;]*?\b)?{re.escape(kind)}(?P<rest> .+)$", bare)
    does = _DOES.match(gloss)
    if form == 0:
        caption = f"a picture that may show {thing} or {with_article(kind)}"
        answer = f"{subject}, which may be shown in the picture, is {gloss}."
    elif form == 1 and of_kind:
        caption = f"a photo of {with_article(kind)} {scene}"
        answer = f"The {of_kind['first'] or ''}{kind} {scene} is {thing}{of_kind['rest']}."
    elif does:
        caption = f"a photo of {thing} {scene}"
        answer = f"{subject}, {does['kind']} {scene}, {does['rest']}."
    elif form == 2:
        caption = f"{thing} {scene}"
        answer = f"{subject} {scene} is {gloss}."
    else:
        caption = f"a photo of {thing} {scene}"
        answer = f"This photo shows {thing} {scene}, {gloss}."
    return Case(Merge(realistic, caption, tags), answer, synset.offset)
