"""A day from raw documents to pairs in one process, without Airflow's scheduler: the Dags' own tasks one by one.

``python -m tests.flow.run_tasks DAY '{"curate_images": {"min_side_px": 80}}'``, in the environment of a
stack's tasks.
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
    pairing,
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

    def publish(module: Any, groups: Any) -> None:
        module.publish.function(module.audit.function(groups), outlet_events=defaultdict(SimpleNamespace))

    shards = _each(fetching.fetch, plan("ingest_documents", extraction.plan))
    publish(extraction, _each(extraction.extract, shards))
    publish(curation, _groups(curation, _each(curation.embed, plan("curate_images", curation.plan))))
    shards = _each(sentence_filter.filter_shard, plan("cluster_sentences", clustering.plan))
    scored = _each(sentence_filter.score, clustering.count_words.function(shards))
    publish(clustering, _groups(clustering, scored))
    found = _each(retrieval.retrieve, retrieval.prepare.function(plan("pair_texts", retrieval.plan)))
    publish(pairing, _each(synthesis.synthesize, retrieval.collect.function(found)))


def _each(task: Any, works: list[Any]) -> list[Any]:
    return [task.function(work) for work in works]


def _groups(module: Any, embedded: list[Any]) -> Any:
    assigned = _each(module.assign, module.fit.function(embedded))
    return module.deduplicate.function(_each(module.link, module.arrange.function(assigned)))


if __name__ == "__main__":
    run_day(sys.argv[1], json.loads(sys.argv[2]))
