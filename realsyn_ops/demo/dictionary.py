"""The source `dictionary`: OBELICS-style parquet composed of pictures of things and sentences about things.

A subject takes its pictures from folders of stamps and its definitions from branches of WordNet's tree; it has several
pages, and a page holds both in mixed order, many definitions without a picture. A document is a page.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from realsyn_ops.demo.wordnet import Nouns, read_nouns, sentence
from realsyn_ops.records import hash_order

SOURCE = "dictionary"
PACKAGES = ("tuxpaint-stamps-default", "wordnet-base")
STAMPS = "usr/share/tuxpaint/stamps"
WORDNET = "usr/share/wordnet"

_SITE = "https://dictionary.example"
_SEED = 2502
_PICTURES_PER_PAGE = 5
_DEFINITIONS_PER_PAGE = 38
_SCHEMA = pa.schema(
    [
        ("images", pa.list_(pa.binary())),
        ("texts", pa.list_(pa.string())),
        ("metadata", pa.string()),
        ("general_metadata", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Subject:
    """``folders`` below the stamps' root; ``roots`` of WordNet's tree as ``word.sense``."""

    name: str
    folders: tuple[str, ...]
    roots: tuple[str, ...]


def _subject(name: str, folders: str, roots: str) -> Subject:
    return Subject(name, tuple(folders.split()), tuple(roots.split()))


SUBJECTS = (
    _subject("birds", "animals/birds", "bird.1"),
    _subject("buildings", "town/houses town/monuments town/cartoon", "building.1 monument.1"),
    _subject("clothes", "clothes", "clothing.1 footwear.2 jewelry.1"),
    _subject("fish-and-shellfish", "animals/fish animals/shellfish", "fish.1 mollusk.1 crustacean.1"),
    _subject("flowers", "plants/flowers", "flower.1"),
    _subject("food", "food/dessert food/spices food", "dish.2 dessert.1 baked_goods.1 condiment.1"),
    _subject("fruit-and-nuts", "food/fruit food/nuts", "edible_fruit.1 nut.1"),
    _subject("holidays", "seasonal", "holiday.2 decoration.1 toy.1 candy.1"),
    _subject(
        "household",
        "household hobbies",
        "furniture.1 home_appliance.1 kitchen_utensil.1 tableware.1 lamp.1 writing_implement.1 container.1",
    ),
    _subject("insects", "animals/insects", "insect.1 arachnid.1"),
    _subject("mammals", "animals/mammals animals/marsupials", "mammal.1"),
    _subject("mushrooms", "plants/mushrooms", "fungus.1"),
    _subject("music", "hobbies/music symbols/music", "musical_instrument.1"),
    _subject("people", "people", "worker.1 entertainer.1 child.1"),
    _subject("reptiles-and-amphibians", "animals/amphibians animals/lizards animals/dinosaur", "reptile.1 amphibian.3"),
    _subject(
        "shapes-and-money",
        "symbols/shapes symbols/money symbols/chess",
        "plane_figure.1 solid_figure.1 line.4 coin.1 chessman.1",
    ),
    _subject(
        "sky-and-weather", "space naturalforces", "celestial_body.1 atmospheric_phenomenon.1 geological_formation.1"
    ),
    _subject("sports", "sports", "sports_equipment.1 athlete.1 sport.1"),
    _subject("streets", "town/roadsigns town/flags town", "way.6 flag.1"),
    _subject("tools", "household/tools medical military", "tool.1 weapon.1 medical_instrument.1"),
    _subject("trees", "plants/trees plants", "tree.1 shrub.1"),
    _subject("vegetables", "food/vegetables", "vegetable.1"),
    _subject("vehicles", "vehicles military/vehicles", "vehicle.1"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A stamp. ``alt`` is the line that comes with it, ``path`` below the stamps' root is its name."""

    name: str
    path: Path
    alt: str


@dataclass(frozen=True, slots=True)
class DictionaryPage:
    """Pictures and paragraphs in reading order."""

    name: str
    nodes: tuple[Picture | str, ...]


def compose_pages(packages: Mapping[str, Path]) -> list[DictionaryPage]:
    """Every page of every subject, by name. ``packages`` are unpacked, as `packages.fetch` returns them."""
    stamps, wordnet = (packages[package] for package in PACKAGES)
    nouns = read_nouns(wordnet / WORDNET)
    pictures = assign_pictures(stamps / STAMPS, SUBJECTS)
    return [page for subject in SUBJECTS for page in compose_subject(subject, pictures[subject.name], nouns)]


def compose_subject(
    subject: Subject, pictures: Sequence[Picture], nouns: Nouns, *, page_definitions: int = _DEFINITIONS_PER_PAGE
) -> list[DictionaryPage]:
    """The subject's pages: its pictures dealt out five a page, each page filled up with definitions.

    Definitions of what a picture shows come first, whatever else lies below the subject's roots fills the pages.
    """
    n_pages = max(1, -(-len(pictures) // _PICTURES_PER_PAGE))
    definitions: dict[str, str] = {}
    for synset in nouns.kinds(subject.roots):
        if text := sentence(synset):
            for lemma in synset.lemmas:
                definitions.setdefault(lemma.lower(), text)
    lemmas = [_shown_lemma(picture.alt, definitions) for picture in pictures]
    shown = dict.fromkeys(definitions[lemma] for lemma in lemmas if lemma)
    others = _shuffled(set(definitions.values()) - set(shown), subject.name)
    texts = _shuffled([*shown, *others][: n_pages * page_definitions], subject.name)
    ordered = sorted(pictures, key=lambda picture: hash_order(picture.name, _SEED))
    return [
        _compose_page(f"{SOURCE}/{subject.name}/{i + 1}", ordered[i::n_pages], texts[i::n_pages])
        for i in range(n_pages)
    ]


def write_dictionary(pages: Iterable[DictionaryPage], path: Path) -> None:
    """One parquet file with a row a page, in the order given; the pictures' bytes are unchanged."""
    rows = [_row(page) for page in pages]
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    pq.write_table(table, path, row_group_size=200, compression="none", use_dictionary=False)


def find_pictures(root: Path, folder: str) -> list[Picture]:
    """The stamps below a folder in raster form; drawn ones (SVG) and mirror images are left out."""
    return [
        Picture(path.relative_to(root).as_posix(), path, _alt(path))
        for path in sorted((root / folder).rglob("*.png"))
        if not path.stem.endswith("_mirror")
    ]


def assign_pictures(root: Path, subjects: Iterable[Subject]) -> dict[str, list[Picture]]:
    """Each stamp goes to the subject with the longest folder above it."""
    owners = [(folder, subject.name) for subject in subjects for folder in subject.folders]
    assigned: dict[str, list[Picture]] = {subject.name: [] for subject in subjects}
    taken: set[str] = set()
    for folder, subject_name in sorted(owners, key=lambda owner: -len(owner[0])):
        for picture in find_pictures(root, folder):
            if picture.name not in taken:
                taken.add(picture.name)
                assigned[subject_name].append(picture)
    return assigned


def _alt(path: Path) -> str:
    description = path.with_suffix(".txt")
    if description.is_file():
        return description.read_text("utf-8", errors="replace").partition("\n")[0].strip()
    return path.stem.replace("_", " ").replace("-", " ")


def _shown_lemma(alt: str, definitions: Mapping[str, str]) -> str | None:
    """The longest end of the description's first phrase that is defined: 'A red apple, cut.' shows an apple."""
    phrase = re.split(r"[,;:(]| (?:on|with|in|from|for|of) ", alt.lower().rstrip(".!"))[0]
    words = phrase.replace("-", " ").split()
    return next((" ".join(words[i:]) for i in range(len(words)) if " ".join(words[i:]) in definitions), None)


def _shuffled(texts: Iterable[str], salt: str) -> list[str]:
    return sorted(texts, key=lambda text: hash_order(f"{salt}/{text}", _SEED))


def _compose_page(name: str, pictures: Sequence[Picture], texts: Sequence[str]) -> DictionaryPage:
    paragraphs = []
    start = 0
    while start < len(texts):
        end = start + 1 + hash_order(f"{name}/{start}", _SEED)[0] % 3
        paragraphs.append(" ".join(texts[start:end]))
        start = end
    nodes: list[Picture | str] = [*pictures, *paragraphs]
    nodes.sort(key=lambda node: hash_order(f"{name}/{node if isinstance(node, str) else node.name}", _SEED))
    return DictionaryPage(name, tuple(nodes))


def _row(page: DictionaryPage) -> dict[str, object]:
    place = page.name.removeprefix(SOURCE + "/")
    metadata = [
        None if isinstance(node, str) else {"src": f"{_SITE}/stamps/{node.name}", "alt_text": node.alt}
        for node in page.nodes
    ]
    return {
        "images": [node.path.read_bytes() if isinstance(node, Picture) else None for node in page.nodes],
        "texts": [None if isinstance(node, Picture) else node for node in page.nodes],
        "metadata": json.dumps(metadata, ensure_ascii=False),
        "general_metadata": json.dumps({"url": f"{_SITE}/{place}", "title": f"Dictionary: {place}"}),
    }
