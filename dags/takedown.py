"""### takedown: a document, an image or a sentence is removed from everything, for good

**Runs** by hand only, without a *Partition key*, and dry unless *Dry run* is switched off: then the log of *find* says
what would go, which releases and raw files hold it, and nothing is changed. `./realsyn takedown` is the better form: it
takes addresses, texts and pictures, and shows the answer.

It sets a tombstone that ingestion obeys from then on, takes it out of all tables with the texts and answers that were
written from it, deletes staged data, lessons and older versions of the tables that hold it, empties galleries, and
looks through the bucket's bytes for what is left: `takedowns/ID/report.json`. While it works no other run begins.
**Then run** `curate_images` and `cluster_sentences` for the newest day; `pair_texts` follows and gives the images that
have lost a text their next best one. Releases are not changed: revoke those that it names.

**Red task.** *find*: a value is none, or runs are active: wait for them, clear. *prove*: something is left, and the log
says where; clear from *remove* on.

**Safe to clear**: every task, while no other run is active. What was done is found done.
"""

from airflow.sdk import dag

from realsyn_ops.operators.alerts import ALERTS
from realsyn_ops.operators.run import DEFAULT_ARGS
from realsyn_ops.operators.takedown import clean, find, prove, remove
from realsyn_ops.operators.takedown_params import TAKEDOWN


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    params=TAKEDOWN,
    default_args=DEFAULT_ARGS,
    **ALERTS,
    doc_md=__doc__,
    tags=["realsyn"],
)
def takedown() -> None:
    prove(clean(remove(find())))


takedown()
