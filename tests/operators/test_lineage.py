"""What OpenLineage is told of a small published corpus, as it goes over the wire; without a transport nothing."""

import json
import subprocess
import sys
from typing import Any

import pyarrow as pa
import pytest
from openlineage.client.serde import Serde

from realsyn_ops.cli.services import PROJECT
from realsyn_ops.io import schemas
from realsyn_ops.io.corpus import Corpus
from realsyn_ops.io.shards import Staging
from realsyn_ops.io.storage import Bucket
from realsyn_ops.operators import lineage
from realsyn_ops.operators.publishing import one_table, publish_days

DAY = "2026-11-10"
IMAGES = pa.Table.from_pylist(
    [{"key": f"i{n}", "day": DAY, "data": b"p" * 100, "n_nodes": 1} for n in range(3)], schema=schemas.IMAGES
)


def staged(bucket: Bucket, dag: str) -> Staging:
    return Staging(bucket, f"staging/{dag}/{DAY}/plan")


def publish_images(bucket: Bucket) -> Staging:
    staging = staged(bucket, "ingest_documents")
    staging.put("plan.json", b"{}")
    publish_days(staging, {"images": (schemas.IMAGES, {DAY: one_table(IMAGES)})})
    return staging


def on_the_wire(dataset: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(Serde.to_json(dataset))
    return told


def test_a_table_is_told_with_its_rows_bytes_schema_version_and_what_its_gate_said(bucket: Bucket) -> None:
    staging = publish_images(bucket)
    verdict = {"passed": True, "n_expectations": 8}
    bucket.put(f"gates/ingest_documents/{DAY}/plan/images.json", json.dumps(verdict).encode())
    told = on_the_wire(lineage._table_output(staging, "images"))
    state = Corpus(bucket).state("images")
    assert (told["namespace"], told["name"]) == (f"s3://{bucket.name}", "corpus/images")
    made = told["outputFacets"]["outputStatistics"]
    assert (made["rowCount"], made["size"], made["fileCount"]) == (3, state.n_bytes, state.n_files)
    assert state.n_bytes > 300
    assert [field["name"] for field in told["facets"]["schema"]["fields"]] == schemas.IMAGES.names
    assert told["facets"]["version"]["datasetVersion"] == str(state.version)
    [said] = told["facets"]["dataQualityAssertions"]["assertions"]
    assert (said["assertion"], said["success"]) == ("8 expectations of the gate images", True)


def test_a_dag_reads_the_tables_of_others_that_are_there(bucket: Bucket) -> None:
    publish_images(bucket)
    [told] = map(on_the_wire, lineage._inputs(staged(bucket, "curate_images")))
    assert told["name"] == "corpus/images"
    assert told["inputFacets"]["inputStatistics"]["rowCount"] == 3


def test_ingestion_reads_the_raw_day(bucket: Bucket) -> None:
    bucket.put(f"raw/{DAY}/mysite/a.html", b"x" * 40)
    bucket.put(f"raw/{DAY}/mysite/b.html", b"x" * 2)
    staging = staged(bucket, "ingest_documents")
    staging.write("extract", "00000", {}, {"documents.in": 2, "documents.kept": 2})
    [told] = map(on_the_wire, lineage._inputs(staging))
    assert told["name"] == f"raw/{DAY}"
    read = told["inputFacets"]["inputStatistics"]
    assert (read["rowCount"], read["size"]) == (2, 42)


def test_every_dag_that_publishes_says_what_it_reads() -> None:
    dags = {path.stem for path in (PROJECT / "dags").glob("*.py")}
    assert set(lineage.READ) == dags - {"maintain_tables", "takedown"}


@pytest.mark.parametrize(
    ("transport", "is_told"), [("", False), ('{"type": "http", "url": "http://localhost:1"}', True)]
)
def test_without_a_transport_nothing_is_told_and_nothing_of_openlineage_is_loaded(
    transport: str, is_told: bool, tmp_path: Any
) -> None:
    code = (
        "import sys; from realsyn_ops.operators import lineage; told = lineage.is_told();"
        "lineage.tell_tables(None, ['images']) if not told else None;"
        "print(told, any(name.startswith('openlineage') for name in sys.modules))"
    )
    env = {"AIRFLOW__OPENLINEAGE__TRANSPORT": transport, "PYTHONPATH": str(PROJECT), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == [str(is_told), "False"]
