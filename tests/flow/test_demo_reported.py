"""What the demo's Airflow told others while it ran: lineage, metrics, the webhook. Read before other tests write."""

import time
from typing import Any

import pytest

from realsyn_ops.cli.chain import CHAIN, RELEASE
from realsyn_ops.demo.documents import DAYS
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.operators import metrics
from realsyn_ops.operators.lineage import READ
from tests.flow.harness import Demo

pytestmark = pytest.mark.timeout(1500)


def told(demo: Demo, side: str) -> list[dict[str, Any]]:
    """Every data set of one side in the events of running tasks, in the order they came."""
    running = [event for event in demo.receivers.events if event["eventType"] == "RUNNING"]
    return [one for event in running for one in event[side]]


def test_lineage_names_every_table_as_an_output_with_its_rows_and_schema(demo: Demo) -> None:
    corpus = Corpus(demo.stack.bucket)
    last = {one["name"]: one for one in told(demo, "outputs")}
    tables = {name: corpus.state(name) for name in corpus.tables()}
    assert len(tables) > 15
    for name, state in tables.items():
        one = last[f"corpus/{name}"]
        assert one["namespace"] == f"s3://{demo.stack.bucket_name}"
        statistics = one["outputFacets"]["outputStatistics"]
        assert (statistics["rowCount"], statistics["size"]) == (state.n_rows, state.n_bytes), name
        assert [field["name"] for field in one["facets"]["schema"]["fields"]] == state.schema.names
    release = last[f"releases/{demo.report['version']}"]["outputFacets"]["outputStatistics"]
    assert release["rowCount"] == demo.report["release"]["n_pairs"]
    assert release["size"] > 0
    assert last["corpus/pairs"]["facets"]["dataQualityAssertions"]["assertions"][0]["success"]


def test_lineage_names_every_input_with_its_rows(demo: Demo) -> None:
    inputs = {one["name"]: one["inputFacets"]["inputStatistics"]["rowCount"] for one in told(demo, "inputs")}
    read = {f"corpus/{name}" for dag in ("curate_images", "cluster_sentences", "pair_texts") for name in READ[dag]}
    days = {step["day"] for step in demo.report["stages"] if step["dag"] == "ingest_documents"}
    assert set(inputs) >= read | {f"raw/{day}" for day in days} | {"corpus/pairs"}
    assert min(inputs.values()) > 0


def test_lineage_leads_from_raw_input_to_the_release(demo: Demo) -> None:
    made_of: dict[str, set[str]] = {}
    for event in demo.receivers.events:
        for output in event.get("outputs") or ():
            made_of.setdefault(output["name"], set()).update(one["name"] for one in event["inputs"])
    reached, wanted = set(), {f"releases/{demo.report['version']}"}
    while wanted:
        reached |= wanted
        wanted = {name for output in wanted for name in made_of.get(output, ())} - reached
    assert {name.split("/")[0] for name in reached} == {"raw", "corpus", "releases"}
    assert {name for name in reached if name.startswith("raw/")} == {
        f"raw/{step['day']}" for step in demo.report["stages"] if step["dag"] == "ingest_documents"
    }


def test_metrics_of_airflow_and_of_this_project_arrive_with_their_tags(demo: Demo) -> None:
    names = {packet.split(":")[0].split(",")[0] for packet in demo.receivers.packets}
    ours = {value for name, value in vars(metrics).items() if name.isupper()}
    theirs = {"scheduler_heartbeat", "ti.finish", "pool.open_slots", "executor.running_tasks"}
    assert {f"airflow.{name}" for name in ours | theirs} <= names
    tag = ",dag_id=ingest_documents,stage=extract,thing=documents:"
    kept = [packet for packet in demo.receivers.packets if packet.startswith(f"airflow.{metrics.ROWS_KEPT}{tag}")]
    [step] = demo.report["funnel"]["documents"]
    assert sum(int(packet.removesuffix("|c").rsplit(":")[-1]) for packet in kept) == step["n_kept"]


def test_the_webhook_hears_of_every_run(demo: Demo) -> None:
    wanted = {(dag, day, "success") for dag in CHAIN for day in DAYS} | {(RELEASE, None, "success")}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        heard = {(call["dag"], call["day"], call["state"]) for call in demo.receivers.calls}
        if wanted <= heard:
            break
        time.sleep(1)
    assert wanted <= heard
    assert all(call["links"]["run"].startswith(demo.stack.airflow_url) for call in demo.receivers.calls)


def test_the_report_has_what_each_day_cost(demo: Demo) -> None:
    costs = {cost["day"]: cost for cost in demo.report["day_costs"]}
    assert set(costs) == set(DAYS)
    assert all(cost["n_pairs"] > 0 and cost["cpu_seconds"] > 0 and cost["n_bytes"] > 0 for cost in costs.values())
    in_force = Corpus(demo.stack.bucket).read("pairs", ["key"], where="reason IS NULL").num_rows
    assert sum(cost["n_pairs"] for cost in costs.values()) == in_force
