"""### mine_tags: noun phrases of the corpus extend the list of tags that images are described with

**Runs** by hand only, without a *Partition key*, over all days that are published. It counts the noun phrases of the
kept sentences, ranks them by how often they are said and by how well the corpus's images agree with them, drops
near-duplicates, and stores the tagger's own list with the best of them as `corpus/tag_lists/VERSION.json`. The log of
*publish* and its asset event name VERSION; a version never changes.

**It changes no pairs.** A list is used where a run of `pair_texts` names it (*List of tags*), or for all runs with
`REALSYN_TAGGER=mined:VERSION`.

**Red task.** *count*, *embed*: a model could not be loaded, or memory ran out; see the log. *rank*: memory; lower
*Images looked at*. *audit*: nothing was found that could extend the list, or a tag stands there twice; nothing was
published; see the Data Docs page, lower *Sentences, at least* or *Concreteness, at least*, and trigger again.

**Safe to clear**: every task.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.mining import audit, count, embed, merge, plan, publish, rank
from realsyn_ops.operators.params import MINE
from realsyn_ops.operators.run import DEFAULT_ARGS


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=MINE,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def mine_tags() -> None:
    merged = merge(count.expand(work=plan()))
    publish(audit(rank(embed.expand(work=merged))))


mine_tags()
