"""### maintain_tables: older versions of the tables, old staging and what was never finished are deleted

**Runs** by `REALSYN_MAINTAIN_SCHEDULE` (weekly), or by hand (no partition key). The log of *look* says what would go;
with *Dry run* that is all. Nothing published is touched, nor what is in quarantine, nor the newest release's staging. A
run that finds nothing old enough is skipped; one that was missed is made up for by the next.

**Red task.** The object store did not answer, or a takedown is under way: clear it when that is done.

**Safe to clear**: every task. Runs of other Dags need not stop, unless one takes longer than the days that are kept.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.maintenance import forget_versions, look, sweep
from realsyn_ops.operators.maintenance_params import MAINTAIN
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.settings import settings


@dag(
    schedule=settings().maintain_schedule,
    start_date=settings().first_run,
    catchup=False,
    max_active_runs=1,
    params=MAINTAIN,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def maintain_tables() -> None:
    sweep(forget_versions(look()))


maintain_tables()
