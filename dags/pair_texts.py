"""### pair_texts: every image gets three realistic texts and a synthetic one

**Runs** when `curate_images` and `cluster_sentences` have both published a day, or by hand with a day as *Partition
key*. It brings the pairs of *all* days up to date: older images are shown the new sentences too. Only images whose
texts changed cost a caption, tags and a call of the rewriter; what it said is kept as it arrives, in `answers` at last.

**Red task.** *synthesize*: the rewriter's endpoint did not answer or refused; the log has its words; clear the task.
*audit*: too many synthetic texts are templates: mend the endpoint and trigger again, no answer is paid for twice. Pairs
that name unknown images or texts, or are not distinct: run `curate_images` and `cluster_sentences` for the day again,
then this. Nothing was published.

**Safe to clear**: every task.
"""

from airflow.sdk import IdentityMapper, PartitionedAssetTimetable, dag

from realsyn_ops.operators import assets
from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.pairing import audit, publish
from realsyn_ops.operators.params import PAIR
from realsyn_ops.operators.retrieval import collect, plan, prepare, retrieve
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.operators.synthesis import synthesize


@dag(
    schedule=PartitionedAssetTimetable(
        assets=assets.CURATED_IMAGES & assets.SENTENCE_CLUSTERS, default_partition_mapper=IdentityMapper()
    ),
    catchup=False,
    max_active_runs=1,
    params=PAIR,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def pair_texts() -> None:
    found = retrieve.expand(work=prepare(plan()))
    publish(audit(synthesize.expand(work=collect(found))))


pair_texts()
