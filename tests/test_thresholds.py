"""Every reason has a home, and every limit it names is a field of that home's plan."""

from dataclasses import fields
from itertools import combinations

import pytest

from realsyn_ops.plans import ClusterPlan
from realsyn_ops.records import Reason
from realsyn_ops.thresholds import CLUSTER, CURATE, INGEST, PAIR, PLANS, RELEASE, STEPS, Step, limits_of, threshold_of

BOUNDS = {"lower", "upper", "cap"}


def step(stage: str, of: str, part: str = "") -> Step:
    (found,) = [s for s in STEPS if (s.stage, s.of, s.part) == (stage, of, part)]
    return found


def test_every_reason_has_a_home() -> None:
    assert {reason for s in STEPS for reason in s.limits} == set(Reason)


@pytest.mark.parametrize("found", STEPS, ids=lambda s: f"{s.stage}-{s.of}-{s.part}")
def test_a_limit_is_a_field_of_its_steps_plan(found: Step) -> None:
    known = BOUNDS if found.dag == RELEASE else {field.name for field in fields(PLANS[found.dag])}
    assert {name for name in found.limits.values() if name} <= known


@pytest.mark.parametrize(
    ("where", "reason", "field"),
    [
        (("fetch", "URLs"), "image_too_large", "max_image_bytes"),
        (("extract", "documents"), "too_many_nodes", "max_nodes"),
        (("extract", "documents"), "document_too_large", "max_document_bytes"),
        (("extract", "images"), "image_too_large", "max_image_bytes"),
        (("extract", "images"), "image_too_many_pixels", "max_image_pixels"),
        (("curate", "images", "quality"), "image_too_small", "min_side_px"),
        (("curate", "images", "quality"), "image_aspect", "max_aspect"),
        (("curate", "images", "redundancy"), "perceptual_duplicate", "max_hash_distance"),
        (("curate", "images", "redundancy"), "semantic_duplicate", "min_visual_similarity"),
        (("cluster", "sentences", "quality"), "too_few_words", "min_words"),
        (("cluster", "sentences", "quality"), "too_many_words", "max_words"),
        (("cluster", "sentences", "quality"), "language", "min_language_score"),
        (("cluster", "sentences", "quality"), "boilerplate", "max_site_share"),
        (("cluster", "sentences", "quality"), "low_complexity", "min_relations"),
        (("cluster", "sentences", "quality"), "no_action", "min_actions"),
        (("cluster", "sentences", "quality"), "low_entropy", "min_entropy"),
        (("cluster", "sentences", "quality"), "low_perplexity", "min_perplexity"),
        (("cluster", "sentences", "quality"), "high_perplexity", "max_perplexity"),
        (("cluster", "sentences", "redundancy"), "semantic_duplicate", "min_similarity"),
        (("pair", "images"), "too_few_texts", "n_texts"),
    ],
)
def test_a_reasons_threshold_is_the_plans_value(where: tuple[str, ...], reason: str, field: str) -> None:
    found = step(*where)
    assert threshold_of(found, reason, {field: 17}) == (field, 17)
    assert {f.name for f in fields(PLANS[found.dag])} >= {field}


@pytest.mark.parametrize("reason", ["emoji", "url", "email", "phone", "ip_address"])
def test_a_rule_by_form_has_no_threshold(reason: str) -> None:
    values = {field.name: 1 for field in fields(ClusterPlan)}
    assert threshold_of(step("cluster", "sentences", "quality"), reason, values) is None


def test_a_sentence_that_is_the_same_but_for_its_case_has_no_distance() -> None:
    assert (
        threshold_of(step("cluster", "sentences", "redundancy"), "perceptual_duplicate", {"max_hash_distance": 4})
        is None
    )


def test_without_a_recorded_plan_and_for_an_unknown_reason_there_is_no_threshold() -> None:
    assert threshold_of(step("curate", "images", "quality"), "image_too_small", None) is None
    assert threshold_of(step("curate", "images", "quality"), "of_another_version", {"min_side_px": 1}) is None


def test_no_limit_belongs_to_two_dags() -> None:
    for one, other in combinations((INGEST, CURATE, CLUSTER, PAIR), 2):
        assert set(limits_of(one)) & set(limits_of(other)) == set()


def test_what_decides_no_record_is_no_limit() -> None:
    assert limits_of(INGEST) == ("max_nodes", "max_document_bytes", "max_image_bytes", "max_image_pixels")
    assert limits_of(CURATE) == ("min_side_px", "max_aspect", "max_hash_distance", "min_visual_similarity")
    assert not {"seed", "preset", "shard_sentences", "max_source_loss", "codebook"} & set(limits_of(CLUSTER))
