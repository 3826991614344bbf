"""### teach_rewriter: a teacher's merges of published triples, as lessons for a small rewriter

**Runs** by hand only (no partition key). It draws triples (best realistic text, caption, tags) from all published
pairs, from the image clusters as evenly as they allow, asks the teacher for each, keeps the answers that the grounding
gate accepts, and writes `lessons/VERSION/`: train and held-out files for LLaMA-Factory and TRL, a card and checksums.
The same pairs with the same params are the same version: the run is skipped.

**Red task.** *ask*: the teacher's endpoint did not answer or refused; the log has its words; clear the task, answers
that were paid for are not asked for again. *publish*: the gate accepted too few answers; nothing was published; the log
says why they were refused.

**Safe to clear**: every task. A published version never changes.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.params import TEACH
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.operators.teaching import ask, draw, plan, publish


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=TEACH,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def teach_rewriter() -> None:
    publish(ask.expand(work=draw(plan())))


teach_rewriter()
