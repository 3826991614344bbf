"""Mining: counts that merge in any order, candidates by stem, concreteness without hubs, and what is chosen."""

from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from realsyn_ops.stages.mine_tags import (
    COUNTS,
    Limits,
    MiningReason,
    candidates,
    choose,
    concreteness,
    count_phrases,
    merge_counts,
    stem,
)

SENTENCES = [
    ["bird", "red bird"], ["birds", "trees"], ["bird", "tree"], ["red bird", "bird"], ["idea"], ["ideas", "bird"],
    ["berries"], ["berry", "tree"], [],
]  # fmt: skip


def unit(rows: Any) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def table(*rows: tuple[str, int]) -> pa.Table:
    return pa.table([[stem(p) for p, _ in rows], [p for p, _ in rows], [n for _, n in rows]], schema=COUNTS)


def merged(*shards: list[list[str]], n_buckets: int = 3) -> list[pa.Table]:
    counted = [count_phrases(shard, n_buckets=n_buckets) for shard in shards]
    return [merge_counts(buckets[i] for buckets in counted) for i in range(n_buckets)]


def test_shards_in_any_order_and_cut_anyhow_have_the_same_counts() -> None:
    whole = merged(SENTENCES)
    for shards in permutations([SENTENCES[:2], SENTENCES[2:3], SENTENCES[3:], []]):
        assert merged(*shards) == whole
    order = [("stem", "ascending"), ("phrase", "ascending")]
    assert merged(SENTENCES, n_buckets=1) == [pa.concat_tables(whole).sort_by(order)]


def test_many_shards_are_merged_a_part_at_a_time_to_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [[sentence] for sentence in SENTENCES * 5]
    whole = merged(*shards)
    monkeypatch.setattr("realsyn_ops.stages.mine_tags._MERGED_ROWS", 2)
    assert merged(*shards) == whole


def test_forms_of_a_word_are_one_candidate_named_by_the_most_frequent() -> None:
    counts = pa.concat_tables(merged(SENTENCES))
    found, rejected = candidates(counts, min_sentences=2, n=10)
    rows = {row["phrase"]: row["n_sentences"] for row in found.to_pylist()}
    assert rows == {"bird": 5, "red bird": 2, "tree": 3, "idea": 2, "berries": 2}
    assert rejected == {}
    forms, _ = candidates(table(("gnome", 1), ("gnomes", 3), ("elf", 2)), min_sentences=1, n=10)
    assert forms.select(["phrase", "n_sentences"]).to_pylist() == [
        {"phrase": "elf", "n_sentences": 2}, {"phrase": "gnomes", "n_sentences": 4},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("min_sentences", "n", "phrases", "rejected"),
    [
        (3, 10, ["bird", "tree"], {MiningReason.TOO_RARE: 3}),
        (2, 1, ["bird"], {MiningReason.NOT_AMONG_MOST_FREQUENT: 4}),
        (3, 1, ["bird"], {MiningReason.TOO_RARE: 3, MiningReason.NOT_AMONG_MOST_FREQUENT: 1}),
        (6, 10, [], {MiningReason.TOO_RARE: 5}),
    ],
)
def test_the_most_frequent_stay_and_every_other_has_its_reason(
    min_sentences: int, n: int, phrases: list[str], rejected: dict[str, int]
) -> None:
    found, refused = candidates(pa.concat_tables(merged(SENTENCES)), min_sentences=min_sentences, n=n)
    assert (found["phrase"].to_pylist(), refused) == (phrases, rejected)


def test_candidates_of_buckets_together_are_those_of_all_at_once() -> None:
    found = COUNTS.empty_table()
    for bucket in merged(SENTENCES, n_buckets=4):
        some, _ = candidates(bucket, min_sentences=2, n=3)
        found, _ = candidates(pa.concat_tables([found, some]), min_sentences=2, n=3)
    assert found == candidates(pa.concat_tables(merged(SENTENCES)), min_sentences=2, n=3)[0]


def test_a_phrase_that_some_images_show_is_more_concrete_than_one_near_to_all_or_none() -> None:
    rng = np.random.default_rng(0)
    shown, abstract, hub = np.eye(24)[0], np.eye(24)[1], np.eye(24)[2]
    images = unit(0.1 * rng.standard_normal((200, 24)) + hub)
    images[:8] = unit(images[:8] + 2 * shown)
    others = rng.standard_normal((50, 24)) + hub
    values = concreteness(unit([shown + hub, abstract + hub, hub, *others]), images, n_top=8)
    assert values[0] > 2 * max(values[1], values[2])


def test_an_image_that_is_near_to_every_phrase_makes_none_of_them_concrete() -> None:
    rng = np.random.default_rng(0)
    common = np.eye(24)[0]
    phrases = unit(rng.standard_normal((100, 24)) + 3 * common)
    images = unit(rng.standard_normal((100, 24)))
    with_hub = np.vstack([images, unit([common])])
    assert (with_hub @ phrases.T)[-1].mean() > 0.5
    plain, hubbed = (concreteness(phrases, of, n_top=1) for of in (images, with_hub))
    assert np.abs(plain - hubbed).max() < 0.1


def test_concreteness_does_not_depend_on_the_order_of_images_or_the_size_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    phrases, images = unit(rng.standard_normal((30, 8))), unit(rng.standard_normal((40, 8)))
    whole = concreteness(phrases, images, n_top=4)
    assert concreteness(phrases, images[::-1], n_top=4) == pytest.approx(whole, abs=2e-6)
    monkeypatch.setattr("realsyn_ops.stages.mine_tags._BLOCK_BYTES", 700)
    assert concreteness(phrases, images, n_top=4) == pytest.approx(whole, abs=2e-6)


BASE = ["oak", "crow"]
FOUND = table(("crows", 9), ("thing", 8), ("bird", 7), ("magpie", 5), ("magpie bird", 6), ("nest", 1), ("egg", 7))
VECTORS = unit([*np.eye(9)[:2], *np.eye(9)[2:5], np.eye(9)[5], np.eye(9)[5] + 0.1 * np.eye(9)[6], *np.eye(9)[7:]])
CONCRETE = np.array([0.4, 0.5, 0.9, 0.1, 0.6, 0.8, 0.7, 0.9, 0.5])


def chosen(**limits: Any) -> tuple[list[str], dict[str, str | None]]:
    values = {"size": 100, "min_concreteness": 0.0, "max_similarity": 0.9} | limits
    taken, reasons = choose(BASE, FOUND, VECTORS, CONCRETE, Limits(**values))
    names = FOUND["phrase"].to_pylist()
    assert {names[i] for i in taken} == {n for n, r in zip(names, reasons, strict=True) if r is None}
    return [names[i] for i in taken], dict(zip(names, reasons, strict=True))


def test_frequency_and_concreteness_count_alike() -> None:
    """By hand, shares of smaller ones among five: bird .6 + .2, magpie .2 + .6, magpie bird .4 + .4, nest 0 + .8,
    egg .6 + 0."""
    assert chosen(max_similarity=1)[0] == ["bird", "magpie", "magpie bird", "nest", "egg"]


def test_every_phrase_that_is_no_tag_has_its_reason() -> None:
    tags, reasons = chosen(size=4)
    assert tags == ["bird", "magpie"]
    assert {name: reason for name, reason in reasons.items() if reason} == {
        "crows": MiningReason.KNOWN_WORD,
        "thing": MiningReason.NOT_CONCRETE,
        "magpie bird": MiningReason.NEAR_DUPLICATE,
        "nest": MiningReason.BEYOND_SIZE,
        "egg": MiningReason.BEYOND_SIZE,
    }


def test_the_floor_is_a_quantile_of_the_base_tags() -> None:
    assert chosen(min_concreteness=1.0)[1]["egg"] is None
    assert chosen(min_concreteness=0.0)[1]["thing"] == MiningReason.NOT_CONCRETE


def test_what_is_near_a_base_tag_is_a_near_duplicate_of_it() -> None:
    near = unit([VECTORS[0] + 0.1 * VECTORS[4]])[0]
    vectors = np.vstack([VECTORS[:4], near, VECTORS[5:]])
    _, reasons = choose(BASE, FOUND, vectors, CONCRETE, Limits(100, 0.0, 0.9))
    assert reasons[2] == MiningReason.NEAR_DUPLICATE


def test_near_duplicates_are_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = chosen()
    monkeypatch.setattr("realsyn_ops.stages.mine_tags._BLOCK", 1)
    assert chosen() == whole


def test_a_corpus_without_candidates_leaves_the_base_list() -> None:
    nothing = FOUND.slice(0, 0)
    assert choose(BASE, nothing, VECTORS[:2], CONCRETE[:2], Limits(100, 0.25, 0.9)) == ([], [])
