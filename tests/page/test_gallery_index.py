"""The gallery's index against a plain look through all cards; and what becomes of an older one."""

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.material.many_pairs import SOURCES, ManyPairs
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.io.takedowns import bury
from realsyn_ops.page.gallery_index import write_index
from realsyn_ops.page.gallery_search import PAGE_PAIRS, Asked, GalleryIndex
from realsyn_ops.page.gallery_store import GalleryStore
from realsyn_ops.tombstones import Tombstone

Cards = list[tuple[dict[str, Any], int]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ManyPairs, Cards, GalleryIndex]:
    material = ManyPairs(1_500)
    cards = list(material.cards())
    path = tmp_path_factory.mktemp("gallery") / "1.sqlite"
    assert write_index(path, {}, iter(cards), list(SOURCES), n_rows=1_500) == 1_500
    return material, cards, GalleryIndex(path)


def fits(card: dict[str, Any], source: int, asked: Asked) -> bool:
    texts = [text["text"] for text in card["texts"]]
    told = " ".join([*texts, card["caption"], card["syn_text"], *card["tags"]]).lower()
    words = told.replace(".", " ").replace(":", " ")
    best = round(1000 * max(text["similarity"] for text in card["texts"]))
    return (
        all(word in words.split() for word in asked.words.lower().split())
        and (asked.cluster is None or card["cluster"] == asked.cluster)
        and (not asked.source or SOURCES[source] == asked.source)
        and round(1000 * asked.min_similarity) <= best <= round(1000 * asked.max_similarity)
    )


def every(index: GalleryIndex, **values: Any) -> list[str]:
    """The keys of all pages."""
    keys: list[str] = []
    after: int | None = -1
    while after is not None:
        cards, after = index.find_page(Asked(after=after, **values))
        assert len(cards) <= PAGE_PAIRS
        keys += [json.loads(card)["key"] for card in cards]
    return keys


@pytest.mark.parametrize("seed", range(30))
def test_a_page_holds_what_fits_in_order_of_key(made: tuple[ManyPairs, Cards, GalleryIndex], seed: int) -> None:
    material, cards, index = made
    draw = random.Random(seed)
    values: dict[str, Any] = {}
    if seed % 2:
        values["words"] = " ".join(material.words[int(100 ** draw.random()) - 1] for _ in range(draw.randint(1, 2)))
    if seed % 3 == 0:
        values["cluster"] = draw.randrange(20)
    if seed % 5 == 0:
        values["source"] = draw.choice(SOURCES)
    if seed % 4 == 1:
        values |= {"min_similarity": 0.3, "max_similarity": 0.4}
    wanted = [card["key"] for card, source in cards if fits(card, source, Asked(**values))]
    assert every(index, **values) == wanted


def test_marks_and_operators_of_a_search_are_words_like_others(made: tuple[ManyPairs, Cards, GalleryIndex]) -> None:
    index = made[2]
    for words in ('"', "a OR b", "NEAR(", "*", "text:x", "'; DROP TABLE cards; --", "-", "(((", "\x00"):
        index.find_page(Asked(words=words))
    assert len(every(index)) == 1_500


def wait_for(store: GalleryStore) -> GalleryIndex:
    deadline = time.monotonic() + 200
    while (index := store.index()) is None and time.monotonic() < deadline:
        time.sleep(0.3)
    assert index is not None
    return index


def test_what_was_taken_down_is_not_shown_from_an_older_index(bucket: Bucket, tmp_path: Path) -> None:
    ManyPairs(30).write(Corpus(bucket))
    store = GalleryStore(bucket, tmp_path, look_every_s=0)
    first = wait_for(store)
    assert len(every(first)) == first.about["n_rows"] == 30
    assert store.index() is first
    bury(bucket, Tombstone(id="t" + 16 * "0", when="", by="", why=""))
    assert store.index() is None
    assert not first.path.exists()
    assert len(every(wait_for(store))) == 30
