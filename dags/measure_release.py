"""### measure_release: what a release is worth to those who train on it, arm by arm

**Runs** by hand only (no partition key). For each arm and seed it trains a small CLIP on the release's images with the
arm's texts, one drawn at random each time, all on the same budget, and evaluates it with clip-benchmark on the sets
below the evaluation folder of the bucket. It writes `measures/VERSION/PLAN/`: a table with intervals, a plot, and every
score. The same release with the same params is measured once: the run is skipped.

**Red task.** *plan*: the release is revoked, or there is no whole evaluation set; the log says which. *train*: memory,
or a model that is not there; clear it, finished trainings are kept.

**Safe to clear**: every task. A published measurement never changes.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.measuring import gather, plan, publish, train
from realsyn_ops.operators.params import MEASURE
from realsyn_ops.operators.run import DEFAULT_ARGS


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=MEASURE,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def measure_release() -> None:
    publish(train.expand(work=gather(plan())))


measure_release()
