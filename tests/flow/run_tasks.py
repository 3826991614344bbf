"""A day from raw documents to pairs in one process, without Airflow's scheduler: the Dags' own tasks one by one.

``python -m tests.flow.run_tasks DAY '{"curate_images": {"min_side_px": 80}}'``, in the environment of a stack's tasks.
"""

import json
import sys
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

from realsyn_ops.operators import (
    clustering,
    curation,
    extraction,
    fetching,
    params,
    retrieval,
    sentence_filter,
    synthesis,
)

FORMS = {
    "ingest_documents": params.INGEST,
    "curate_images": params.CURATE,
    "cluster_sentences": params.CLUSTER,
    "pair_texts": params.PAIR,
}


def run_day(day: str, changes: dict[str, dict[str, Any]]) -> None:
    def plan(dag: str, task: Any) -> Any:
        chosen = {name: param.value for name, param in FORMS[dag].items()} | changes.get(dag, {})
        return task.function(partition_key=day, params=chosen)

    def each(task: Any, works: list[Any]) -> list[Any]:
        return [task.function(work) for work in works]

    def publish(module: Any, groups: Any) -> None:
        module.publish.function(module.audit.function(groups), outlet_events=defaultdict(SimpleNamespace))

    shards = each(fetching.fetch, plan("ingest_documents", extraction.plan))
    publish(extraction, each(extraction.extract, shards))
    publish(curation, curation.deduplicate.function(each(curation.embed, plan("curate_images", curation.plan))))
    shards = each(sentence_filter.filter_shard, plan("cluster_sentences", clustering.plan))
    scored = each(sentence_filter.score, clustering.count_words.function(shards))
    publish(clustering, clustering.cluster.function(scored))
    shards = retrieval.retrieve.function(plan("pair_texts", retrieval.plan))
    publish(retrieval, each(synthesis.synthesize, shards))


if __name__ == "__main__":
    run_day(sys.argv[1], json.loads(sys.argv[2]))
