"""### cluster_sentences: a day's sentences are filtered, scored, embedded, deduplicated and laid into clusters

**Runs** when `ingest_documents` has published a day, or by hand with that day as *Partition key*. It replaces the day
in `sentence_scores` and `sentence_embeddings`, and those days of `sentence_clusters` that changed. The first day ever
fits the codebook (word counts and centroids) that later days use. What parser and language model say of a sentence is
kept in `sentence_measures`: a run with other limits computes none of it again.

**Red task.** *filter_shard*, *score*: a model could not be loaded, or memory ran out; see the log. *audit*: a broken
expectation or an alarm about near-duplicates; nothing was published; look at the Data Docs page named in the log.
*publish* with a codebook conflict: another day fitted one meanwhile; clear the run.

**Safe to clear**: every task. Finished shards are reused. `pair_texts` waits for both Dags: clear *publish* of
`curate_images` for that day as well.
"""

from airflow.sdk import IdentityMapper, PartitionedAssetTimetable, dag

from realsyn_ops.operators import assets
from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.clustering import arrange, assign, audit, count_words, deduplicate, fit, link, plan, publish
from realsyn_ops.operators.params import CLUSTER
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.operators.sentence_filter import filter_shard, score


@dag(
    schedule=PartitionedAssetTimetable(assets=assets.SENTENCES, default_partition_mapper=IdentityMapper()),
    catchup=False,
    max_active_runs=1,
    params=CLUSTER,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def cluster_sentences() -> None:
    shards = plan()
    counted = count_words(filter_shard.expand(work=shards))
    assigned = assign.expand(work=fit(score.expand(work=counted)))
    linked = link.expand(work=arrange(assigned))
    publish(audit(deduplicate(linked)))


cluster_sentences()
