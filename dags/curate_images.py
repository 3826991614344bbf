"""### curate_images: a day's images are judged and embedded, and the corpus is freed of near-duplicates

**Runs** when `ingest_documents` has published a day, or by hand with that day as *Partition key*. It replaces the day
in `image_scores` and `image_embeddings`, and those days of `curated_images` whose survivors changed.

**Red task.** *embed*: a model could not be loaded, or memory ran out; see the log, lower *Images a shard*. *audit*: a
broken expectation, a component of near-duplicates that swallows the corpus, or a source that loses nearly all; nothing
was published; look at the Data Docs page, raise *Near-duplicate similarity* and trigger the day again.

**Safe to clear**: every task. Finished shards are reused. `pair_texts` waits for both Dags: clear *publish* of
`cluster_sentences` for that day as well.
"""

from airflow.sdk import IdentityMapper, PartitionedAssetTimetable, dag

from realsyn_ops.operators import assets
from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.curation import arrange, assign, audit, deduplicate, embed, fit, link, plan, publish
from realsyn_ops.operators.params import CURATE
from realsyn_ops.operators.run import DEFAULT_ARGS


@dag(
    schedule=PartitionedAssetTimetable(assets=assets.IMAGES, default_partition_mapper=IdentityMapper()),
    catchup=False,
    max_active_runs=1,
    params=CURATE,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def curate_images() -> None:
    shards = plan()
    assigned = assign.expand(work=fit(embed.expand(work=shards)))
    linked = link.expand(work=arrange(assigned))
    publish(audit(deduplicate(linked)))


curate_images()
