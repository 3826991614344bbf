"""`release_dataset` task by task on a real bucket: nested scales, frozen clusters, and bytes that no worker changes."""

import hashlib
import json
import os
import subprocess
import sys
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.io.codebook import current_version
from realsyn_ops.io.releases import read_manifest
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import sampling
from realsyn_ops.operators.params import RELEASE
from realsyn_ops.records import Reason
from realsyn_ops.settings import settings
from tests.operators.release_corpus import group_of, selection, write_pairs

SMALL: dict[str, Any] = {"images_per_cluster": 20, "shard_pairs": 20}


@pytest.fixture
def deployed(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The environment of an Airflow worker."""
    extra = urllib.parse.urlencode({"endpoint_url": bucket.endpoint_url})
    monkeypatch.setenv("AIRFLOW_CONN_REALSYN_S3", f"aws://{bucket.access_key}:{bucket.secret_key}@/?{extra}")
    monkeypatch.setenv("REALSYN_BUCKET", bucket.name)
    settings.cache_clear()
    yield bucket
    monkeypatch.undo()
    settings.cache_clear()


def run_select(**params: Any) -> tuple[str, list[dict[str, str]]]:
    """The staging folder and the shards of a release with these params."""
    context = {"params": ParamsDict({**RELEASE, **SMALL, **params})}
    work = sampling.plan.function(sampling.fit.function(**context), **context)
    return work["staging"], sampling.select.function(work)


def chosen_keys(table: pa.Table, scale: int = 10**9) -> set[str]:
    return set(table["key"].filter(pc.less_equal(table["scale"], scale)).to_pylist())


def test_scales_are_nested_exact_and_each_the_first_so_many_shards(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(240)))
    staging, shards = run_select(scales=[100, 30, 60])
    table = selection(deployed, staging)
    assert table.column_names == ["key", "day", "cluster", "similarity", "reason", "scale"]
    assert [len(chosen_keys(table, size)) for size in (30, 60, 100)] == [30, 60, 100]
    figures = json.loads(Staging(deployed, staging).get("selection.json"))
    assert [(s["size"], s["n_shards"]) for s in figures["scales"]] == [(30, 2), (60, 4), (100, 6)]
    assert len(shards) == 6
    for work in shards:
        sampling.export.function(work)
    rows = [
        pq.read_table(pa.BufferReader(Staging(deployed, staging).get(f"release/pairs/{work['shard']}.parquet")))["key"]
        for work in shards
    ]
    for scale in figures["scales"]:
        assert {key for shard in rows[: scale["n_shards"]] for key in shard.to_pylist()} == chosen_keys(
            table, scale["size"]
        )


def test_a_smaller_release_lies_within_a_larger_one_of_the_same_pairs(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(240)))
    small, large = (selection(deployed, run_select(size=size)[0]) for size in (50, 90))
    assert chosen_keys(small) < chosen_keys(large)


def test_the_selection_is_published_with_the_release_and_says_what_other_bounds_leave(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(60)))
    context = {"params": ParamsDict({**RELEASE, **SMALL, "scales": [10, 25]})}
    work = sampling.plan.function(sampling.fit.function(**context), **context)
    shards = [sampling.export.function(shard) for shard in sampling.select.function(work)]
    sampling.publish.function(sampling.audit.function(shards), outlet_events=defaultdict(SimpleNamespace))
    manifest = read_manifest(deployed, work["shard"])
    content = deployed.get(f"releases/{work['shard']}/selection.parquet")
    taken = pq.read_table(pa.BufferReader(content))
    assert taken["key"].to_pylist() == sorted(chosen_keys(selection(deployed, work["staging"])))
    assert [taken["scale"].to_pylist().count(size) for size in (10, 25)] == [10, 15]
    assert {"path": "selection.parquet", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()} in (
        manifest["files"]
    )
    assert manifest["plans"]["release_dataset"]["scales"] == [10, 25]
    table = {tuple(row["quantiles"]): row["n_within"] for row in manifest["selection"]["what_if"]}
    assert table[0.0, 1.0] == 60
    assert table[0.075, 0.925] == manifest["selection"]["n_within"] == 52
    assert sorted(table.values(), reverse=True) == list(table.values())
    with pytest.raises(AirflowSkipException, match="holds these pairs already"):
        sampling.plan.function(sampling.fit.function(**context), **context)


def test_new_images_move_no_other_image_to_another_cluster_and_hardly_change_a_selection(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(400)))
    before = selection(deployed, run_select(size=150)[0])
    fitted = current_version(deployed, "balance")
    write_pairs(deployed, list(range(404)))
    after = selection(deployed, run_select(size=150)[0])
    assert current_version(deployed, "balance") == fitted
    both = [dict(zip(t["key"].to_pylist(), t["cluster"].to_pylist(), strict=True)) for t in (before, after)]
    assert both[0].items() < both[1].items()
    old, new = chosen_keys(before), chosen_keys(after)
    assert len(old) == len(new) == 150
    assert len(old - new) <= 6  # four came, two of them may be chosen; the bounds let in or out one at each end
    refitted = selection(deployed, run_select(size=150, refit=True)[0])
    assert current_version(deployed, "balance") != fitted
    assert refitted["cluster"].to_pylist() != after["cluster"].to_pylist()


def test_a_removed_document_changes_only_what_its_clusters_and_the_last_rank_force(deployed: Bucket) -> None:
    """Between bounds that stay: they are quantiles of all pairs otherwise."""
    limits = {"min_similarity": 0.0, "max_similarity": 1.0, "size": 120}
    numbers = list(range(300))
    write_pairs(deployed, numbers)
    before = selection(deployed, run_select(**limits)[0])
    gone = {17, 18, 19}
    keys = write_pairs(deployed, [n for n in numbers if n not in gone])
    after = selection(deployed, run_select(**limits)[0])
    old, new = chosen_keys(before), chosen_keys(after)
    n_lost = len(old - keys.keys())
    assert len(new) == 120
    assert len(new - old) <= 2 * n_lost
    assert len((old - new) & keys.keys()) <= n_lost


def test_a_cluster_gives_no_more_than_the_cap_and_groups_become_more_even(deployed: Bucket) -> None:
    keys = write_pairs(deployed, list(range(400)))
    groups = {}
    for balance in ("clusters", "uniform", "tags"):
        staging, _ = run_select(size=80, balance=balance)
        table = selection(deployed, staging)
        figures = json.loads(Staging(deployed, staging).get("selection.json"))
        taken = table.filter(pc.is_valid(table["scale"]))
        assert len(taken) == 80
        assert max(np.bincount(taken["cluster"].to_numpy())) <= figures["cap"]
        groups[balance] = np.bincount([group_of(keys[key]) for key in taken["key"].to_pylist()], minlength=6)
    assert groups["clusters"].max() < groups["uniform"].max()
    assert groups["tags"].max() < groups["uniform"].max()


def test_fixed_caps_are_a_scale_each(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(240)))
    staging, _ = run_select(balance="caps", caps=[2, 5])
    table = selection(deployed, staging)
    figures = json.loads(Staging(deployed, staging).get("selection.json"))
    assert [scale["cap"] for scale in figures["scales"]] == [2, 5]
    for scale in figures["scales"]:
        taken = table.filter(pc.less_equal(table["scale"], scale["size"]))
        assert np.bincount(taken["cluster"].to_numpy()).max() == scale["cap"]
        assert len(taken) == scale["size"]


def test_bounds_given_as_similarities_hold_in_place_of_quantiles(deployed: Bucket) -> None:
    write_pairs(deployed, list(range(100)))
    table = selection(deployed, run_select(min_similarity=0.5, max_similarity=0.6, share=1.0)[0])
    for row in table.to_pylist():
        reason = Reason.SIMILARITY_TOO_LOW if row["similarity"] < 0.5 else Reason.SIMILARITY_TOO_HIGH
        assert row["reason"] == (None if 0.5 <= row["similarity"] <= 0.6 else reason)


def test_whatever_worker_makes_which_shard_in_which_order_the_release_is_the_same_to_the_byte(deployed: Bucket) -> None:
    """One process in order, then three at once with shards dealt out in turn, backwards, one shard twice."""
    write_pairs(deployed, list(range(240)))
    staging, shards = run_select(scales=[40, 120])
    names = [work["shard"] for work in shards]
    assert len(names) == 6
    digests = []
    for workers in ([names], [names[2::-1], names[:2:-1], names[3:4]]):
        for name in names:
            for kind in (
                "export/{}.json",
                "release/tars/{}.tar",
                "release/pairs/{}.parquet",
                "release/realsyn/{}.parquet",
            ):
                deployed.delete(f"{staging}/{kind.format(name)}")
        running = [
            subprocess.Popen([sys.executable, "-m", "tests.operators.export_shards", staging, *dealt], env=os.environ)
            for dealt in workers
        ]
        assert [process.wait() for process in running] == [0] * len(workers)
        digests.append(sampling.staged_files(Staging(deployed, staging)))
    assert digests[0] == digests[1]
    assert len(digests[0]) == 3 * len(names) + 1
    assert len({file["sha256"] for file in digests[0]}) == len(digests[0])
    rederived = sampling.select.function({"staging": staging, "shard": "all"})
    assert [work["shard"] for work in rederived] == names
    assert sampling.staged_files(Staging(deployed, staging)) == digests[1]


def test_nothing_to_release_is_no_failure(deployed: Bucket) -> None:
    with pytest.raises(AirflowSkipException, match="no pairs are published yet"):
        run_select()
