"""What a publication read and wrote, told to OpenLineage where the deployment has a transport for it (decision 30).

Data sets are named as the assets are: namespace `s3://BUCKET`, name `corpus/TABLE`, `raw/DAY` or `releases/VERSION`.
Without a transport nothing is read and nothing is imported.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket

READ = {
    "ingest_documents": (),
    "curate_images": ("documents", "images", "image_nodes"),
    "cluster_sentences": ("documents", "sentences", "sentence_nodes"),
    "pair_texts": (
        "curated_images", "image_embeddings", "image_nodes", "images", "sentence_clusters", "sentence_embeddings",
        "sentence_nodes",
    ),
    "mine_tags": ("curated_images", "image_embeddings", "sentence_clusters"),
    "release_dataset": (
        "curated_images", "documents", "image_embeddings", "image_nodes", "images", "pairs", "sentence_nodes",
    ),
    "teach_rewriter": ("curated_images", "pairs"),
    "measure_release": ("image_embeddings", "image_nodes", "images", "pairs", "sentence_nodes"),
}  # fmt: skip
"""The tables of others that a Dag reads; its own of other days are not told."""


def tell_tables(staging: "Staging", names: Iterable[str]) -> None:
    """These tables, as they are now, were made from what the Dag reads."""
    if not is_told():
        return
    _emit(staging, _inputs(staging), [_table_output(staging, name) for name in names])


def tell_folder(
    staging: "Staging",
    name: str,
    n_rows: int,
    files: Sequence[Mapping[str, Any]] = (),
    *,
    schema: "pa.Schema | None" = None,
    of_folder: str = "",
) -> None:
    """A published folder of the bucket was made from what the Dag reads, and from another folder where one is named."""
    if not is_told():
        return
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    size = sum(file["bytes"] for file in files)
    made = statistics.OutputStatisticsOutputDatasetFacet(rowCount=n_rows, size=size, fileCount=len(files))
    facets = {"schema": _schema(schema)} if schema is not None else {}
    output = OutputDataset(staging.bucket.uri("")[:-1], name, {"outputStatistics": made}, facets=facets)
    inputs = _inputs(staging)
    if of_folder:
        manifest = json.loads(staging.bucket.get(f"{of_folder}/manifest.json"))
        n_bytes = sum(file["bytes"] for file in manifest["files"])
        inputs.append(_input(staging.bucket, of_folder, manifest["selection"]["n_selected"], n_bytes))
    _emit(staging, inputs, [output])


def is_told() -> bool:
    """Whether this deployment has somewhere to send lineage to."""
    from airflow.providers.openlineage import conf

    return not conf.is_disabled()


def _emit(staging: "Staging", inputs: "list[InputDataset]", outputs: "list[OutputDataset]") -> None:
    from airflow.providers.openlineage.api import emit_dataset_lineage

    emit_dataset_lineage(inputs=[*inputs], outputs=[*outputs])


def _inputs(staging: "Staging") -> "list[InputDataset]":
    from realsyn_ops.io.corpus import Corpus

    if staging.dag == "ingest_documents":
        return [_raw_input(staging)]
    corpus = Corpus(staging.bucket)
    states = {name: corpus.state(name) for name in READ[staging.dag] if corpus.exists(name)}
    return [_input(staging.bucket, f"corpus/{name}", s.n_rows, s.n_bytes, s.schema) for name, s in states.items()]


def _raw_input(staging: "Staging") -> "InputDataset":
    folder = f"raw/{staging.partition}"
    objects = list(staging.bucket.list(f"{folder}/"))
    n_documents = staging.counts("extract")["documents.in"]
    return _input(staging.bucket, folder, n_documents, sum(item.n_bytes for item in objects))


def _input(bucket: "Bucket", name: str, n_rows: int, n_bytes: int, schema: "pa.Schema | None" = None) -> "InputDataset":
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    read = statistics.InputStatisticsInputDatasetFacet(rowCount=n_rows, size=n_bytes)
    facets = {"schema": _schema(schema)} if schema is not None else {}
    return InputDataset(bucket.uri("")[:-1], name, {"inputStatistics": read}, facets=facets)


def _table_output(staging: "Staging", name: str) -> "OutputDataset":
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import dataset_version_dataset as version
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    from realsyn_ops.io.corpus import Corpus

    state = Corpus(staging.bucket).state(name)
    made = statistics.OutputStatisticsOutputDatasetFacet(
        rowCount=state.n_rows, size=state.n_bytes, fileCount=state.n_files
    )
    facets: dict[str, Any] = {
        "schema": _schema(state.schema),
        "version": version.DatasetVersionDatasetFacet(str(state.version)),
        **_quality(staging, name),
    }
    return OutputDataset(staging.bucket.uri("")[:-1], f"corpus/{name}", {"outputStatistics": made}, facets=facets)


def _quality(staging: "Staging", gate: str) -> dict[str, Any]:
    """What the gate of the table's name said of the staged rows before they were published."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    found = staging.bucket.find(f"{staging.prefix.replace('staging/', 'gates/', 1)}/{gate}.json")
    if found is None:
        return {}
    verdict = json.loads(found)
    said = quality.Assertion(f"{verdict['n_expectations']} expectations of the gate {gate}", verdict["passed"])
    return {"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet([said])}


def _schema(schema: "pa.Schema") -> Any:
    from openlineage.client.facet_v2 import schema_dataset

    fields = [schema_dataset.SchemaDatasetFacetFields(field.name, str(field.type)) for field in schema]
    return schema_dataset.SchemaDatasetFacet(fields)
