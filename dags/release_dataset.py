"""### release_dataset: all pairs in force are bounded, balanced, exported and published under a version

**Runs** on its own schedule, or by hand (no partition key). It reads every published pair, drops those outside the
similarity bounds, takes of each image cluster as many as the wanted size needs and writes `releases/VERSION/`: parquet
in the RealSyn schema, WebDataset tars, a card and checksums; then `reports/VERSION/`. The same pairs with the same
params are the same version: the run is skipped.

**Red task.** *audit*: the staged release breaks an expectation; nothing was published; see the Data Docs page.

**Safe to clear**: every task. A published version never changes.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.params import RELEASE
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.operators.sampling import audit, export, fit, plan, publish, select
from realsyn_ops.settings import settings


@dag(
    schedule=settings().release_schedule,
    start_date=settings().first_run,
    catchup=False,
    max_active_runs=1,
    params=RELEASE,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def release_dataset() -> None:
    shards = select(plan(fit()))
    publish(audit(export.expand(work=shards)))


release_dataset()
