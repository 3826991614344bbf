"""What a change of limits would do, told from stored values: exact where they are there, unknown where not."""

from dataclasses import replace
from typing import Any

import pytest

from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.storage import Bucket
from realsyn_ops.plans import ClusterPlan, CuratePlan
from realsyn_ops.report.what_if import WhatIf, what_if
from realsyn_ops.thresholds import CLUSTER, CURATE
from tests.report.small_corpus import FIRST, MEASURED, SECOND, publish, sentence, write_corpus

CLUSTERED = ClusterPlan(inputs="in", code="c0de", day=FIRST)
CURATED = CuratePlan(inputs="in", code="c0de", day=FIRST)


@pytest.fixture(scope="module")
def corpus(store: object) -> Corpus:
    bucket: Bucket = replace(store.bucket, name="test-what-if")  # type: ignore[attr-defined]
    bucket.create()
    return write_corpus(bucket)


def sides(found: WhatIf) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    return dict(found.freed), dict(found.refused), dict(found.unknown)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, ({}, {}, {})),
        ({"min_side_px": 50}, ({}, {}, {})),
        ({"min_side_px": 250}, ({}, {"image_too_small": 2}, {})),
        ({"max_aspect": 4.0}, ({"image_aspect": 1}, {}, {})),
        ({"min_side_px": 50, "max_aspect": 5.0}, ({"image_aspect": 1, "image_too_small": 1}, {}, {})),
    ],
)
def test_images_are_told_exactly(
    corpus: Corpus, limits: dict[str, Any], expected: tuple[dict[str, int], dict[str, int], dict[str, int]]
) -> None:
    found = what_if(corpus, CURATE, CURATED, replace(CURATED, **limits))
    assert (found.n_kept, found.n_rejected) == (3, 2)
    assert sides(found) == expected


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, ({}, {}, {})),
        ({"max_words": 8}, ({}, {"too_many_words": 2}, {})),
        ({"max_words": 100}, ({}, {}, {"too_many_words": 1})),
        ({"min_perplexity": 10.0}, ({"low_perplexity": 1}, {}, {})),
        ({"max_perplexity": 60.0}, ({}, {"high_perplexity": 2}, {})),
        ({"min_entropy": 0.6}, ({}, {"low_entropy": 2}, {})),
        ({"min_actions": 0}, ({}, {}, {"no_action": 1})),
        ({"min_relations": 3}, ({}, {"low_complexity": 2}, {})),
        ({"min_language_score": 0.85, "min_actions": 0}, ({}, {}, {})),
        ({"min_language_score": 0.95}, ({}, {"language": 2}, {})),
        ({"max_site_share": 0.6}, ({}, {}, {"boilerplate": 1})),
        ({"language": "de"}, ({}, {}, {"kept": 2, "boilerplate": 1, "low_perplexity": 1, "no_action": 1})),
        ({"language": ""}, ({}, {}, {})),
        ({"drop_personal_data": False}, ({}, {}, {})),
    ],
)
def test_sentences_are_told_as_far_as_they_were_measured(
    corpus: Corpus, limits: dict[str, Any], expected: tuple[dict[str, int], dict[str, int], dict[str, int]]
) -> None:
    found = what_if(corpus, CLUSTER, CLUSTERED, replace(CLUSTERED, **limits))
    assert (found.n_kept, found.n_rejected) == (2, 5)
    assert sides(found) == expected


def test_personal_data_comes_back_unmeasured_and_goes_unknown(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    rows = [sentence("s-mail", FIRST, 9, "email", 1.0), sentence("s-good", FIRST, 9, **MEASURED)]
    publish(corpus, "sentence_scores", rows)
    kept = replace(CLUSTERED, drop_personal_data=False)
    assert sides(what_if(corpus, CLUSTER, CLUSTERED, kept)) == ({}, {}, {"email": 1})
    assert sides(what_if(corpus, CLUSTER, kept, CLUSTERED))[2] == {"kept": 1}


def test_boilerplate_of_other_sites_is_unknown_where_a_sentence_stands_twice(bucket: Bucket) -> None:
    corpus = Corpus(bucket)
    rows = [sentence("s-once", FIRST, 9, **MEASURED), sentence("s-twice", FIRST, 9, **MEASURED) | {"n_nodes": 2}]
    publish(corpus, "sentence_scores", rows)
    assert sides(what_if(corpus, CLUSTER, CLUSTERED, replace(CLUSTERED, min_site_pages=5)))[2] == {"kept": 1}
    assert sides(what_if(corpus, CLUSTER, CLUSTERED, replace(CLUSTERED, max_site_share=1.0))) == ({}, {}, {})


def test_near_duplicates_are_told_by_their_distance_to_the_survivor(corpus: Corpus) -> None:
    found = what_if(corpus, CURATE, CURATED, replace(CURATED, min_visual_similarity=0.86))
    assert (dict(found.loosened), found.compared_anew) == ({"semantic_duplicate": 1}, ("min_visual_similarity",))
    found = what_if(corpus, CURATE, CURATED, replace(CURATED, min_visual_similarity=0.85, max_hash_distance=1))
    assert (dict(found.loosened), found.compared_anew) == ({}, ("max_hash_distance", "min_visual_similarity"))
    late = replace(CLUSTERED, day=SECOND)
    assert what_if(corpus, CLUSTER, late, replace(late, min_similarity=0.83)).loosened == {"semantic_duplicate": 1}
