"""Plans: what they accept, what they refuse and by which name, and that their digest is bound to every decision."""

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realsyn_ops.errors import BadPlanError, PermanentError
from realsyn_ops.plans import (
    ClusterPlan,
    CuratePlan,
    IngestPlan,
    MeasurePlan,
    MinePlan,
    PairPlan,
    Plan,
    ReleasePlan,
    check_day,
    code_digest,
    shard_bounds,
)

ROOT = Path(__file__).parents[1]
UNDATED = (MeasurePlan, MinePlan, ReleasePlan)
PLANS: dict[type[Plan], Plan] = {
    kind: kind(
        inputs="in", code="c0de", **({} if kind in (MeasurePlan, MinePlan, ReleasePlan) else {"day": "2025-02-18"})
    )
    for kind in (IngestPlan, CuratePlan, ClusterPlan, PairPlan, MeasurePlan, MinePlan, ReleasePlan)
}
EVERY = [pytest.param(plan, id=kind.__name__) for kind, plan in PLANS.items()]


def other_value(name: str, value: Any) -> Any:
    """Another value of the kind, within every rule of every plan."""
    match value:
        case int():
            return value + 1
        case float():
            return value + 0.01 if value < 1 else value + 1
        case tuple():
            return {"models": (("encoder", "demo"),), "arms": ("alt",)}.get(name, (7,))
        case None:
            return 0.5
        case _:
            known = {
                "demo": "clip",
                "failed": "all",
                "en": "de",
                "clusters": "tags",
                "warn": "stop",
                "": "0123456789abcdef",
            }
            return known.get(value, "2025-02-19")


@pytest.mark.parametrize("day", ["2025-02-18", "2024-02-29", "1999-12-31"])
def test_a_day_of_the_calendar_is_a_partition_key(day: str) -> None:
    assert check_day(day) == day


def test_today_is_a_partition_key() -> None:
    today = dt.datetime.now(dt.UTC).date()
    assert check_day((today - dt.timedelta(days=1)).isoformat()) < check_day(today.isoformat())


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        (None, "a day as YYYY-MM-DD"),
        ("", "a day as YYYY-MM-DD"),
        (20250218, "a day as YYYY-MM-DD"),
        ("20250218", "a day as YYYY-MM-DD"),
        ("2025-2-18", "a day as YYYY-MM-DD"),
        ("2025-02-18T00:00:00", "a day as YYYY-MM-DD"),
        ("2025-02-18\n", "a day as YYYY-MM-DD"),
        (" 2025-02-18", "a day as YYYY-MM-DD"),
        ("18.02.2025", "a day as YYYY-MM-DD"),
        ("../2025-02-18", "a day as YYYY-MM-DD"),
        ("2025-02-29", "a day of the calendar"),
        ("2025-13-01", "a day of the calendar"),
        ("0000-01-01", "a day of the calendar"),
        ((dt.datetime.now(dt.UTC).date() + dt.timedelta(days=2)).isoformat(), "today or earlier"),
        ("9999-12-31", "today or earlier"),
    ],
)
def test_any_other_key_is_refused_by_its_rule(key: object, rule: str) -> None:
    with pytest.raises(BadPlanError, match=f"partition key must be {rule}") as raised:
        check_day(key)
    assert raised.value.value == key
    assert repr(key) in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "field", "bad", "good"),
    [
        *[(kind, "preset", ["", "Demo", "huge"], ["demo", "clip", "paper"]) for kind in PLANS],
        *[(kind, "seed", [-1, 2**31], [0, 2**31 - 1]) for kind in PLANS],
        (IngestPlan, "max_shard_documents", [0, -1], [1]),
        (IngestPlan, "max_nodes", [0], [1]),
        (IngestPlan, "max_document_bytes", [0], [1]),
        (IngestPlan, "max_image_bytes", [0], [1]),
        (IngestPlan, "max_image_pixels", [0], [1]),
        (CuratePlan, "shard_images", [0], [1]),
        (CuratePlan, "min_side_px", [0], [1]),
        (CuratePlan, "max_aspect", [0.9], [1.0]),
        (CuratePlan, "max_hash_distance", [-1, 17], [0, 16]),
        (CuratePlan, "min_visual_similarity", [0, 1.01, -0.9], [0.01, 1]),
        (CuratePlan, "max_source_loss", [0, 1.01], [0.01, 1]),
        (CuratePlan, "max_group_share", [0, 1.01], [0.01, 1]),
        (CuratePlan, "history", ["", "loud"], ["off", "stop"]),
        (CuratePlan, "history_days", [2, 366], [3, 365]),
        (CuratePlan, "max_count_change", [0.99], [1]),
        (CuratePlan, "max_share_change", [0, 1.01], [0.01, 1]),
        (CuratePlan, "max_length_change", [0.99], [1]),
        (CuratePlan, "min_likeness", [-1.01, 1.01], [-1, 1]),
        (ClusterPlan, "shard_sentences", [0], [1]),
        (ClusterPlan, "max_words", [2, 0], [3]),
        (ClusterPlan, "language", ["English", "EN", "e", "en-US"], ["", "de", "ceb"]),
        (ClusterPlan, "min_language_score", [-0.01, 1.01], [0, 1]),
        (ClusterPlan, "max_site_share", [0, 1.01], [0.01, 1]),
        (ClusterPlan, "min_site_pages", [0], [1]),
        (ClusterPlan, "max_perplexity", [30, 29.9], [30.1]),
        (ClusterPlan, "min_similarity", [0, 1.01], [0.01, 1]),
        (ClusterPlan, "sentences_per_cluster", [0], [1]),
        (ClusterPlan, "max_source_loss", [0, 1.01], [0.01, 1]),
        (ClusterPlan, "max_group_share", [0, 1.01], [0.01, 1]),
        (PairPlan, "shard_images", [0], [1]),
        (PairPlan, "n_texts", [2, 4], [3]),
        (CuratePlan, "images_per_cluster", [0], [1]),
        (ClusterPlan, "min_jaccard", [0, 1.01], [0.01, 1]),
        (PairPlan, "search_images", [0], [1]),
        (PairPlan, "n_probes", [-1], [0, 9]),
        (PairPlan, "target_recall", [0, 1.01], [0.01, 1]),
        (PairPlan, "max_uses", [-1], [0, 1]),
        (PairPlan, "max_text_similarity", [0, 1.01], [0.01, 1]),
        (PairPlan, "max_synthetic_words", [4], [5]),
        (PairPlan, "tag_list", ["newest", "0123456789ABCDEF", "0123456789abcde"], ["", "0123456789abcdef"]),
        (MeasurePlan, "arms", [(), ("captions",), ("alt", "captions")], [("alt",), ("alt", "random")]),
        (MeasurePlan, "seeds", [0], [1]),
        (MeasurePlan, "steps", [19], [20]),
        (MeasurePlan, "batch_size", [1], [2]),
        (MeasurePlan, "evaluation", ["", "/"], ["evaluation", "my/sets/"]),
        (MinePlan, "size", [1], [2]),
        (MinePlan, "min_sentences", [0], [1]),
        (MinePlan, "min_concreteness", [-0.01, 1.01], [0, 1]),
        (MinePlan, "max_similarity", [0, 1.01], [0.01, 1]),
        (MinePlan, "top_images", [0], [1]),
        (MinePlan, "max_images", [0], [1]),
        (MinePlan, "shard_sentences", [0], [1]),
        (MinePlan, "shard_phrases", [0], [1]),
        (ReleasePlan, "size", [-1], [0, 1]),
        (ReleasePlan, "share", [0, 1.01], [0.01, 1]),
        (ReleasePlan, "lower_quantile", [-0.01, 0.5], [0, 0.49]),
        (ReleasePlan, "upper_quantile", [0.5, 1.01], [0.51, 1]),
        (ReleasePlan, "scales", [(0,), (-1, 5), tuple(range(1, 18))], [(), (5, 9)]),
        (ReleasePlan, "caps", [(), (0,), tuple(range(1, 18))], [(1,), (20, 35)]),
        (ReleasePlan, "balance", ["", "random"], ["clusters", "caps", "tags", "uniform"]),
        (ReleasePlan, "min_similarity", [-1.1, 1.1], [None, -1, 0.51]),
        (ReleasePlan, "max_similarity", [-1.1, 1.1], [None, 0.61, 1]),
        (ReleasePlan, "images_per_cluster", [0], [1]),
        (ReleasePlan, "shard_pairs", [0], [1]),
        (ReleasePlan, "image_side_px", [15], [16]),
    ],
)
def test_a_field_out_of_its_rule_is_refused_by_name(kind: type[Plan], field: str, bad: list, good: list) -> None:
    for value in good:
        assert getattr(replace(PLANS[kind], **{field: value}), field) == value
    for value in bad:
        with pytest.raises(BadPlanError, match=f"^{field} must be .*, got {re.escape(repr(value))}$") as raised:
            replace(PLANS[kind], **{field: value})
        assert (raised.value.field, raised.value.value) == (field, value)
        assert isinstance(raised.value, PermanentError)


@pytest.mark.parametrize(
    ("field", "changes"),
    [("max_words", {"min_words": 82}), ("max_words", {"min_words": 0}), ("max_perplexity", {"min_perplexity": -1.0})],
)
def test_a_lower_bound_is_held_against_its_upper_one(field: str, changes: dict[str, float]) -> None:
    with pytest.raises(BadPlanError, match=f"^{field} must be"):
        replace(PLANS[ClusterPlan], **changes)


def test_the_numbers_of_the_paper_are_the_defaults() -> None:
    curate, cluster, pair, mine = PLANS[CuratePlan], PLANS[ClusterPlan], PLANS[PairPlan], PLANS[MinePlan]
    assert isinstance(curate, CuratePlan)
    assert isinstance(cluster, ClusterPlan)
    assert isinstance(pair, PairPlan)
    assert isinstance(mine, MinePlan)
    assert (curate.min_side_px, curate.max_aspect) == (100, 3.0)
    assert (cluster.min_words, cluster.max_words) == (3, 81)
    assert (cluster.min_relations, cluster.min_actions, cluster.min_entropy) == (1, 1, 0.3)
    assert (cluster.min_perplexity, cluster.max_perplexity) == (30.0, 200.0)
    assert (cluster.sentences_per_cluster, pair.n_texts) == (420, 3)
    assert mine.size == 8_000


def test_scales_are_the_same_in_any_order_and_stand_alone() -> None:
    plans = [ReleasePlan(inputs="in", code="c0de", scales=scales) for scales in ((30, 15), (15, 30, 15))]
    assert plans[0] == plans[1]
    assert plans[0].scales == (15, 30)
    with pytest.raises(BadPlanError, match="scales must be empty where a size is given"):
        replace(plans[0], size=7)


def test_the_bounds_of_a_release_drop_fifteen_percent_like_the_paper() -> None:
    plan = PLANS[ReleasePlan]
    assert isinstance(plan, ReleasePlan)
    assert 1 - (plan.upper_quantile - plan.lower_quantile) == pytest.approx(0.15)


@pytest.mark.parametrize("plan", EVERY)
def test_a_plan_comes_back_from_its_json(plan: Plan) -> None:
    with_models = replace(plan, models=(("encoder", "demo"), ("tagger", "clip-zero-shot")))
    assert type(plan).from_json(plan.to_json()) == plan
    assert type(plan).from_json(with_models.to_json().encode()) == with_models
    assert type(plan).from_json(with_models.to_json()).digest == with_models.digest


@pytest.mark.parametrize("plan", EVERY)
def test_a_plan_from_json_is_checked(plan: Plan) -> None:
    values = json.loads(plan.to_json())
    with pytest.raises(BadPlanError, match="seed"):
        type(plan).from_json(json.dumps({**values, "seed": -1}))
    with pytest.raises(BadPlanError, match=f"min_wrods must be a field of {type(plan).__name__}, got 7"):
        type(plan).from_json(json.dumps({**values, "min_wrods": 7}))


@pytest.mark.parametrize("plan", EVERY)
def test_every_field_is_in_the_digest(plan: Plan) -> None:
    digests = {plan.digest}
    changed = [field.name for field in fields(plan) if field.name != "n_texts"]
    for name in changed:
        digests.add(replace(plan, **{name: other_value(name, getattr(plan, name))}).digest)
    assert len(digests) == len(changed) + 1
    assert all(len(digest) == 16 for digest in digests)


@pytest.mark.parametrize("plan", EVERY)
def test_a_plan_is_frozen(plan: Plan) -> None:
    with pytest.raises(FrozenInstanceError):
        plan.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("n_rows", "max_rows", "expected"),
    [
        (0, 10, []),
        (1, 10, [(0, 1)]),
        (10, 10, [(0, 10)]),
        (11, 10, [(0, 5), (5, 11)]),
        (25, 10, [(0, 8), (8, 16), (16, 25)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_shards_are_even(n_rows: int, max_rows: int, expected: list[tuple[int, int]]) -> None:
    assert shard_bounds(n_rows, max_rows) == expected


@given(st.integers(0, 10**7), st.integers(1_000, 10**6))
def test_shards_follow_each_other_and_hold_every_row(n_rows: int, max_rows: int) -> None:
    bounds = shard_bounds(n_rows, max_rows)
    sizes = [stop - start for start, stop in bounds]
    assert [start for start, _ in bounds] == [0, *(stop for _, stop in bounds)][: len(bounds)]
    assert sum(sizes) == n_rows
    assert max(sizes, default=0) <= max_rows
    assert max(sizes, default=0) - min(sizes, default=0) <= 1


def digest_of(package: Path) -> str:
    command = [sys.executable, "-c", "from realsyn_ops.plans import code_digest; print(code_digest())"]
    env = {**os.environ, "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        command, env=env, cwd=package.parent, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_code_digest_follows_sources_suites_and_prompts_and_nothing_else(tmp_path: Path) -> None:
    package = tmp_path / "realsyn_ops"
    shutil.copytree(ROOT / "realsyn_ops", package, ignore=shutil.ignore_patterns("__pycache__"))
    first = digest_of(package)
    assert first == code_digest()
    (package / "__pycache__").mkdir(exist_ok=True)
    (package / "__pycache__" / "plans.cpython-311.pyc.tmp").write_bytes(b"x")
    assert digest_of(package) == first
    seen = {first}
    for changed in ("stages/sample/cuts.py", "gates/suites/pairs.yaml", "models/prompts/merge-v2.txt"):
        path = package / changed
        path.write_text(path.read_text() + "\n")
        seen.add(digest_of(package))
    assert len(seen) == 4
