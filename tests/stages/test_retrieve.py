"""The search through a frozen sight: against one written the slow way, and against itself in other parts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realsyn_ops.heads import unit_rows, vector_heads
from realsyn_ops.stages.retrieve import (
    Candidates,
    Rows,
    Sight,
    above,
    assign,
    calibrate,
    choose,
    listed,
    merge,
    own_documents,
    probes,
    probing,
    probing_of,
    recall_at,
    recall_interval,
    search,
    touched,
)
from realsyn_ops.stages.retrieve.probing import BLOCK
from realsyn_ops.stages.retrieve.sight import BEST_REACH, score_moments

DIM = 64


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def corpus(n_images: int, n_sentences: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images in few directions, sentences in groups and in all directions; some sentences twice."""
    draw = np.random.default_rng(seed)
    topics = np.random.default_rng(99).standard_normal((40, DIM))
    strength = np.exp(-np.arange(DIM) / 4)
    images = topics[draw.integers(0, 40, n_images)] * strength + 0.3 * draw.standard_normal((n_images, DIM)) * strength
    sentences = topics[draw.integers(0, 40, n_sentences)] + 0.8 * draw.standard_normal((n_sentences, DIM))
    sentences[n_sentences // 2 : n_sentences // 2 + n_sentences // 20] = sentences[: n_sentences // 20]
    return unit(images), unit(sentences)


@pytest.fixture(scope="module")
def sight() -> Sight:
    """Probing a part of the clusters, by a basis of half the directions."""
    images, sentences = corpus(1_500, 24_000, seed=1)
    made = calibrate(images, sentences, target_recall=0.9, n_texts=3, seed=7)
    assert 0 < made.basis.shape[1] < DIM
    assert made.n_clusters > 1
    return made


@pytest.fixture(scope="module")
def plain() -> Sight:
    """For clusters and probes from outside."""
    return listed(8, DIM)


def found_in(
    sight: Sight, images: np.ndarray, sentences: np.ndarray, positions: np.ndarray, n: int = 6,
    least: np.ndarray | None = None,
) -> Candidates:  # fmt: skip
    part, probed = sentences[positions], None
    if sight.means.shape[1]:
        clusters = assign(sight, part)
    else:
        probed, clusters = probing_of(list(_octants(images)[:, None])), _octants(part)
    return search(sight, images, part, keys=positions, clusters=clusters, n_candidates=n, probed=probed, least=least)


def _octants(vectors: np.ndarray) -> np.ndarray:
    return (vectors[:, :3] > 0) @ np.array([1, 2, 4])


def same(one: Candidates, other: Candidates) -> bool:
    full = np.isfinite(one.scores)
    return (
        one.scores.tobytes() == other.scores.tobytes()
        and (one.keys[full] == other.keys[full]).all()
        and (one.n_scored == other.n_scored).all()
    )


@pytest.mark.parametrize("kind", ["sight", "plain"])
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), n_parts=st.integers(1, 5), n=st.sampled_from([1, 3, 11]))
def test_parts_in_any_order_merge_to_the_whole(
    kind: str, seed: int, n_parts: int, n: int, request: pytest.FixtureRequest
) -> None:
    frozen = request.getfixturevalue(kind)
    images, sentences = corpus(60, 3_000, seed=seed % 5)
    draw = np.random.default_rng(seed)
    positions = draw.permutation(3_000)
    whole = found_in(frozen, images, sentences, positions, n)
    days = np.split(positions, np.sort(draw.integers(0, 3_000, n_parts - 1)))
    merged = merge([found_in(frozen, images, sentences, day, n) for day in days], n_candidates=n)
    assert same(whole, merged)
    merged = found_in(frozen, images, sentences, days[0], n)
    for day in days[1:]:
        found = found_in(frozen, images, sentences, day, n, least=above(None, merged))
        merged = merge([merged, found], n_candidates=n)
    assert same(whole, replace(merged, n_scored=whole.n_scored))


@pytest.mark.parametrize("kind", ["sight", "plain"])
def test_images_one_by_one_get_what_they_get_together(kind: str, request: pytest.FixtureRequest) -> None:
    frozen = request.getfixturevalue(kind)
    images, sentences = corpus(40, 2_000, seed=3)
    together = found_in(frozen, images, sentences, np.arange(2_000))
    alone = [found_in(frozen, images[i : i + 1], sentences, np.arange(2_000)) for i in range(40)]
    assert np.concatenate([a.keys for a in alone]).tobytes() == together.keys.tobytes()
    assert np.concatenate([a.scores for a in alone]).tobytes() == together.scores.tobytes()


def test_clusters_and_probes_do_not_depend_on_the_rest_of_the_call(sight: Sight) -> None:
    images, sentences = corpus(50, 500, seed=4)
    assert [assign(sight, s[None])[0] for s in sentences] == assign(sight, sentences).tolist()
    assert [probes(sight, i[None])[0].tolist() for i in images] == [p.tolist() for p in probes(sight, images)]


def slowly_found(sight: Sight, images: np.ndarray, sentences: np.ndarray, n: int) -> list[list[tuple[float, int]]]:
    clusters, found = assign(sight, sentences), []
    for image, probed in zip(images, probes(sight, images), strict=True):
        scores = (sentences.astype(np.float64) @ image.astype(np.float64)).round(6)
        found.append(sorted((-scores[s], s) for s in range(len(sentences)) if clusters[s] in probed)[:n])
    return found


@pytest.mark.parametrize("n", [1, 5, 40])
def test_it_finds_what_the_slow_search_finds(sight: Sight, n: int) -> None:
    images, sentences = corpus(50, 2_000, seed=5)
    found = found_in(sight, images, sentences, np.arange(2_000), n)
    for i, wanted in enumerate(slowly_found(sight, images, sentences, n)):
        assert np.isfinite(found.scores[i]).sum() == len(wanted)
        assert found.keys[i][: len(wanted)].tolist() == [s for _, s in wanted]
        assert found.scores[i][: len(wanted)] == pytest.approx([-score for score, _ in wanted], abs=1e-9)


def test_the_most_promising_cluster_is_first_and_none_is_there_twice(sight: Sight) -> None:
    images, _ = corpus(50, 40, seed=5)
    for image, probed in zip(images, probes(sight, images), strict=True):
        assert len(set(probed.tolist())) == len(probed)
        assert (np.diff(probed[1:]) > 0).all()
        mean, spread = score_moments(sight, image[None])
        assert probed[0] == (mean + BEST_REACH * spread).argmax()


def test_the_probes_lose_no_more_than_the_target_allows(sight: Sight) -> None:
    images, sentences = corpus(1_000, 24_000, seed=6)
    found = found_in(sight, images, sentences, np.arange(24_000), 3)
    exact = found_in(replace(sight, reach=np.inf), images, sentences, np.arange(24_000), 3)
    assert (exact.n_scored == 24_000).all()
    shares = recall_at(found, exact, n=3)
    assert recall_interval(shares)[1] >= 0.9
    assert found.n_scored.mean() < 24_000


def test_a_sample_beside_everything_reaches_no_farther_than_needed() -> None:
    images, sentences = corpus(1_500, 24_000, seed=1)
    sample = sentences[::6]
    rules = {"target_recall": 0.9, "n_texts": 3, "seed": 7, "n_sentences": len(sentences)}
    alone = calibrate(images, sample, **rules)
    informed = calibrate(images, sample, everything=iter(np.array_split(sentences, 4)), **rules)
    assert informed.reach < alone.reach
    asked, _ = corpus(1_000, 40, seed=6)
    found = found_in(informed, asked, sentences, np.arange(24_000), 3)
    exact = found_in(replace(informed, reach=np.inf), asked, sentences, np.arange(24_000), 3)
    assert recall_interval(recall_at(found, exact, n=3))[1] >= 0.9


class ReadRows:
    """Sentences that count the rows read of them."""

    def __init__(self, sentences: np.ndarray) -> None:
        self.sentences, self.n_read = sentences, 0

    def __getitem__(self, positions: np.ndarray) -> np.ndarray:
        self.n_read += len(positions)
        return self.sentences[positions]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_kept_heads_and_probes_find_what_is_found_without_and_read_few_sentences(sight: Sight, dtype: type) -> None:
    images, sentences = corpus(3, 3_000, seed=8)
    keys, clusters = np.arange(3_000), assign(sight, sentences)
    heads = vector_heads(sentences, sight.basis).astype(dtype)
    source = ReadRows(sentences)
    rows = Rows(source, len(sentences))
    rules = {"keys": keys, "clusters": clusters, "n_candidates": 6}
    known = search(sight, images, rows, heads=heads, probed=probing(sight, images), **rules)
    assert same(known, search(sight, images, sentences, **rules))
    assert 0 < source.n_read < 1_000


@pytest.mark.parametrize("read_first", [False, True])
def test_rows_kept_as_float16_are_found_as_their_unit_rows_are(sight: Sight, read_first: bool) -> None:
    images, sentences = corpus(300, 3_000, seed=8)
    stored = (1.01 * sentences).astype(np.float16)
    whole = unit_rows(stored)
    assert whole[5:9].tobytes() == unit_rows(stored[5:9]).tobytes()
    rules = {"keys": np.arange(3_000), "clusters": assign(sight, whole), "n_candidates": 6}
    rules["heads"] = vector_heads(whole, sight.basis).astype(np.float16)
    source = ReadRows(stored)
    rows = Rows(source, len(stored))
    if read_first:
        rows.read_all()
    assert same(search(sight, images, rows, **rules), search(sight, images, whole, **rules))
    assert (source.n_read == 3_000) is read_first


def test_rows_are_asked_for_their_heads(sight: Sight) -> None:
    images, sentences = corpus(3, 30, seed=8)
    with pytest.raises(ValueError, match="heads"):
        search(
            sight, images, Rows(sentences, 30), keys=np.arange(30), clusters=assign(sight, sentences), n_candidates=6
        )


def test_probing_turns_lists_round() -> None:
    lists = [np.array([3, 1]), np.array([1]), np.array([4, 0, 1])]
    (probing,) = probing_of(lists)
    assert probing.first.tolist() == [3, 1, 4]
    turned = {cluster: rows.tolist() for cluster, rows in probing.by_cluster(np.array([0, 2]))}
    assert turned == {0: [2], 1: [0, 2], 3: [0], 4: [2]}
    assert probing.sizes(np.array([5, 7, 100, 0, 1, 100])).tolist() == [7, 7, 13]
    assert [len(block.first) for block in probing_of([np.array([0])] * (BLOCK + 1))] == [BLOCK, 1]


def test_heads_that_fall_short_of_the_cosine_lose_sentences(sight: Sight) -> None:
    """What the tests beside this one would see if the bound were none."""
    images, sentences = corpus(60, 3_000, seed=8)
    rules = {"keys": np.arange(3_000), "clusters": assign(sight, sentences), "n_candidates": 6}
    short = vector_heads(sentences, sight.basis)
    short[:, -1] = -short[:, -1]
    assert not same(search(sight, images, sentences, heads=short, **rules), search(sight, images, sentences, **rules))


@pytest.mark.parametrize("n_sentences", [3_000, 300])
@pytest.mark.parametrize("kept_as", [np.float32, np.float16])
def test_no_candidate_is_below_what_an_image_has_and_all_others_are_there(
    sight: Sight, n_sentences: int, kept_as: type
) -> None:
    """Whether few sentences meet all images at once, or more of them cluster by cluster."""
    images, sentences = corpus(1_500, n_sentences, seed=9)
    rules = {"keys": np.arange(n_sentences), "clusters": assign(sight, sentences), "n_candidates": 6}
    whole = search(sight, images, sentences, **rules)
    assert (whole.n_scored < n_sentences).any()
    least = whole.scores[:, 2] + np.where(np.arange(1_500) % 3 == 0, 1.0, 0.0)
    least[1::3] = -np.inf
    heads = vector_heads(sentences, sight.basis).astype(kept_as)
    found = search(sight, images, sentences, least=least, heads=heads, **rules)
    wanted = np.isfinite(whole.scores) & (whole.scores >= least[:, None])
    assert (found.scores == np.where(wanted, whole.scores, -np.inf)).all()
    assert (found.keys == whole.keys)[wanted].all()
    assert wanted[1::3].sum() > wanted[2::3].sum() > 1_000
    assert not wanted[::3][np.isfinite(least[::3])].any()


@pytest.mark.parametrize(("n_images", "n_sentences"), [(0, 5), (4, 0), (0, 0)])
def test_nothing_to_search_is_no_error(sight: Sight, n_images: int, n_sentences: int) -> None:
    images, sentences = corpus(4, 100, seed=1)
    found = found_in(sight, images[:n_images], sentences, np.arange(n_sentences), 3)
    assert found.scores.shape == (n_images, 3)
    assert not np.isfinite(found.scores).any() or n_sentences


def test_a_hundred_equal_sentences_are_taken_by_key(sight: Sight) -> None:
    images, sentences = corpus(3, 1_000, seed=8)
    sentences[100:900] = images[0]
    found = found_in(sight, images, sentences, np.random.default_rng(0).permutation(1_000), 4)
    assert found.keys[0].tolist() == [100, 101, 102, 103]


@pytest.mark.parametrize(("n_images", "n_sentences"), [(0, 0), (3, 2), (30, 500), (120, 900)])
def test_few_images_or_sentences_make_a_sight_that_loses_nothing(n_images: int, n_sentences: int) -> None:
    images, sentences = corpus(max(n_images, 40), max(n_sentences, 40), seed=9)
    made = calibrate(images[:n_images], sentences[:n_sentences], target_recall=0.99, n_texts=3, seed=1)
    asked, _ = corpus(20, 40, seed=10)
    found = found_in(made, asked, sentences, np.arange(40), 3)
    exact = np.sort((asked.astype(np.float64) @ sentences[:40].T.astype(np.float64)).round(6), axis=1)[:, :-4:-1]
    assert found.scores == pytest.approx(exact, abs=1e-9)


def test_a_sight_survives_its_arrays(sight: Sight) -> None:
    again = Sight.from_arrays(sight.to_arrays())
    images, sentences = corpus(20, 500, seed=11)
    assert same(*(found_in(s, images, sentences, np.arange(500)) for s in (sight, again)))


def test_only_images_whose_candidate_is_taken_down_are_touched() -> None:
    found = Candidates(
        np.array([[1, 2], [3, 0], [4, 5]]), np.array([[0.9, 0.8], [0.7, -np.inf], [0.6, 0.5]]), np.zeros(3)
    )
    assert touched(found, np.array([2, 0])).tolist() == [True, False, False]


def test_a_takedown_changes_only_the_images_it_touched(sight: Sight) -> None:
    images, sentences = corpus(200, 3_000, seed=12)
    before = found_in(sight, images, sentences, np.arange(3_000))
    gone = np.random.default_rng(1).choice(3_000, 60, replace=False)
    after = found_in(sight, images, sentences, np.setdiff1d(np.arange(3_000), gone))
    again = touched(before, gone)
    assert 0 < again.sum() < 200
    assert before.scores[~again].tobytes() == after.scores[~again].tobytes()
    assert (before.keys[~again] == after.keys[~again])[np.isfinite(after.scores[~again])].all()
    assert not np.isin(after.keys[np.isfinite(after.scores)], gone).any()


def _candidates(scores: list[list[float]]) -> Candidates:
    array = np.array(scores)
    return Candidates(np.tile(np.arange(array.shape[1]), (len(array), 1)), array, np.zeros(len(array)))


def test_chosen_texts_are_distinct_and_not_the_own_documents() -> None:
    vectors = unit(np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0, 0, 1]]))
    candidates = _candidates([[0.9, 0.8, 0.7, 0.6], [0.9, 0.8, 0.7, -np.inf]])
    rules = {"keys": np.arange(4), "vectors": vectors, "n_texts": 2, "max_text_similarity": 0.95}
    assert choose(candidates, **rules).positions.tolist() == [[0, 2], [0, 2]]
    refused = own_documents(candidates, [{"a"}, set()], {2: {"a", "b"}, 3: {"b"}})
    assert choose(candidates, **rules, refused=refused).positions.tolist() == [[0, 3], [0, 2]]
    assert choose(candidates, **rules, refused=refused).similarities[0].tolist() == pytest.approx([0.9, 0.6])


def test_a_sentence_is_used_no_more_often_than_allowed() -> None:
    vectors = np.eye(4, dtype=np.float32)
    candidates = _candidates([[0.9, 0.5, 0.4, 0.3], [0.95, 0.6, 0.2, 0.1], [0.8, 0.1, 0.1, 0.1]])
    rules = {"keys": np.arange(4), "vectors": vectors, "n_texts": 2, "max_text_similarity": 0.95}
    assert choose(candidates, **rules, max_uses=1).positions.tolist() == [[2, 3], [0, 1], [-1, -1]]
    assert (choose(candidates, **rules, max_uses=9).positions == choose(candidates, **rules).positions).all()


@pytest.mark.parametrize(
    ("found", "exact", "expected"),
    [
        ([[0.9, 0.8, 0.7]], [[0.9, 0.8, 0.7]], 1.0),
        ([[0.9, 0.7, 0.6]], [[0.9, 0.8, 0.7]], 2 / 3),
        ([[0.9, -np.inf, -np.inf]], [[0.9, -np.inf, -np.inf]], 1.0),
        ([[-np.inf] * 3], [[-np.inf] * 3], 1.0),
        ([[-np.inf] * 3], [[0.5, 0.4, -np.inf]], 0.0),
    ],
)
def test_recall_is_the_share_of_the_exact_best_that_were_found(
    found: list[list[float]], exact: list[list[float]], expected: float
) -> None:
    assert recall_at(_candidates(found), _candidates(exact), n=3) == pytest.approx([expected])


def test_the_interval_narrows_with_images() -> None:
    few, many = recall_interval(np.full(20, 0.95)), recall_interval(np.full(2_000, 0.95))
    assert few[0] < many[0] < 0.95 < many[1] < few[1]
    assert recall_interval(np.zeros(0)) == (0.0, 1.0)
