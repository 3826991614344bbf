"""### ingest_documents: a day's raw documents become images and sentences

**Runs** every night for the day before, with `REALSYN_CATCHUP` for every day since the start date, or by hand: give the
day in the field *Partition key* (`YYYY-MM-DD`). It reads `raw/DAY/SOURCE/...` (HTML pages loose or in zip and tar,
WARC, OBELICS parquet or jsonl, MMC4 jsonl, tars of samples), fetches images that are only addresses where *Fetch
images* says so, and replaces that day in the corpus tables `documents`, `images`, `image_nodes`, `sentences`,
`sentence_nodes`, `rejects` and `fetches`. A day without raw objects is skipped. Late documents: put them beside the
others and run the day again.

**Red task.** *plan*: the key is no day, or lies ahead; trigger again with a right one. *fetch*: clear it; what was
answered is not asked for again. *extract*: the log names the raw
object; upload it again and clear the task. *audit*: the log names the broken expectation and the Data Docs page;
nothing was published, and the day is in quarantine (`./realsyn quarantine list`): mend the raw input and clear the run.

**Safe to clear**: every task, any time. A run leaves the same rows, and the Dags behind it follow for that day.
"""

from airflow.sdk import CronPartitionTimetable, dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.extraction import audit, extract, plan, publish
from realsyn_ops.operators.fetching import fetch
from realsyn_ops.operators.params import INGEST
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.settings import settings


@dag(
    schedule=CronPartitionTimetable(settings().schedule, timezone="UTC", run_offset=-1, key_format="%Y-%m-%d"),
    start_date=settings().first_run,
    end_date=settings().last_run,
    catchup=settings().catchup,
    max_active_runs=2,
    params=INGEST,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def ingest_documents() -> None:
    fetched = fetch.expand(work=plan())
    publish(audit(extract.expand(work=fetched)))


ingest_documents()
