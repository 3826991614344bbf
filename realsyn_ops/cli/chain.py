"""Following the Dags of a day from ingestion to pairs, and a release: what runs, what is done, what failed."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from realsyn_ops.cli.airflow_api import AirflowApi, Run, TaskState
from realsyn_ops.errors import PermanentError, ServiceError

CHAIN = ("ingest_documents", "curate_images", "cluster_sentences", "pair_texts")
RELEASE = "release_dataset"
_FOLLOWS = {"curate_images": ("ingest_documents",), "cluster_sentences": ("ingest_documents",),
            "pair_texts": ("curate_images", "cluster_sentences")}  # fmt: skip
_POLL_S = 2.0
_APPEAR_S = 180
_FOLLOWER_S = 30


@dataclass
class Progress:
    """One look at a day's chain: the state of each Dag, and its tasks as done of all."""

    label: str
    started: float
    dags: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started


Show = Callable[[Progress], None]


class Chain:
    """Triggers Dags and waits for what follows them. Raises PermanentError when a run fails, with its log's end."""

    def __init__(self, api: AirflowApi, show: Show) -> None:
        self.api = api
        self.show = show
        self.n_retried = 0

    def run_day(self, day: str, params: dict[str, Any] | None = None) -> None:
        """Ingest a day, with params other than the defaults, and wait until its pairs are published."""
        known = {dag: {run.run_id for run in self.api.runs(dag)} for dag in CHAIN}
        self.api.trigger("ingest_documents", partition_key=day, conf=params)
        progress = Progress(day, time.monotonic(), dict.fromkeys(CHAIN, "waiting"))
        finished: dict[str, float] = {}
        while len(finished) < len(CHAIN):
            for dag in CHAIN:
                if dag not in finished and all(before in finished for before in _FOLLOWS.get(dag, ())):
                    run = next(
                        (r for r in self.api.runs(dag) if r.partition_key == day and r.run_id not in known[dag]), None
                    )
                    if run is None:
                        _check_appeared(dag, day, finished)
                    elif self._look(run, progress, dag):
                        finished[dag] = time.monotonic()
            self.show(progress)
            time.sleep(_POLL_S)

    def run_release(self) -> bool:
        """Make a release; False when the one in force holds the same pairs already."""
        run = self.api.trigger(RELEASE, partition_key=None)
        self.wait("release", [run])
        return any(t.task == "publish" and t.state == "success" for t in self.api.tasks(run))

    def wait(self, label: str, runs: list[Run]) -> None:
        """Until all of these runs are over."""
        progress = Progress(label, time.monotonic(), {run.dag: "waiting" for run in runs})
        while runs := [run for run in runs if not self._look(self._now(run), progress, run.dag, may_skip=True)]:
            self.show(progress)
            time.sleep(_POLL_S)
        self.show(progress)

    def wait_for_follower(self, dag: str, day: str, after: list[Run], *, known: set[str]) -> Run | None:
        """The run that the events of ``after``, which are over, have started; None when none comes.

        One that was there before all of them had published is not theirs: a Dag that waits for two assets counts an
        event that was left over from an earlier run of only one of them.
        """
        ends = [_time(task.ended) for run in after for task in self.api.tasks(run) if task.task == "publish"]
        deadline = time.monotonic() + _FOLLOWER_S
        while time.monotonic() < deadline:
            for run in self.api.runs(dag):
                if run.partition_key == day and run.run_id not in known and _time(run.queued) >= max(ends):
                    return run
            time.sleep(_POLL_S)
        return None

    def _now(self, run: Run) -> Run:
        return next(r for r in self.api.runs(run.dag) if r.run_id == run.run_id)

    def _look(self, run: Run, progress: Progress, dag: str, *, may_skip: bool = False) -> bool:
        tasks = self.api.tasks(run)
        done = sum(t.state in {"success", "skipped"} for t in tasks)
        running = sorted({t.task for t in tasks if t.state == "running"})
        progress.dags[dag] = run.state
        progress.tasks[dag] = f"{done}/{len(tasks)}{' ' + ', '.join(running) if running else ''}"
        if run.state == "failed":
            raise PermanentError(self._failure(run, tasks))
        if run.state != "success":
            return False
        self.n_retried += sum(t.try_number > 1 for t in tasks)
        if not may_skip and any(t.task == "publish" and t.state == "skipped" for t in tasks):
            first = next(t for t in tasks if t.state == "skipped")
            raise PermanentError(
                f"{dag} of {run.partition_key} had nothing to do: {self.api.log_end(run, first, n_lines=2)}"
            )
        return True

    def _failure(self, run: Run, tasks: list[TaskState]) -> str:
        failed = [t for t in tasks if t.state == "failed"]
        if not failed:
            return f"{run.dag} {run.run_id} failed before any task ran"
        where = f"{run.dag} ({run.partition_key or run.run_id}), task {failed[0].task}"
        return f"{where} failed:\n{self.api.log_end(run, failed[0])}"


def _time(text: str | None) -> dt.datetime:
    return dt.datetime.fromisoformat(text) if text else dt.datetime.min.replace(tzinfo=dt.UTC)


def _check_appeared(dag: str, day: str, finished: dict[str, float]) -> None:
    before = _FOLLOWS.get(dag, ())
    if before and time.monotonic() - max(finished[b] for b in before) > _APPEAR_S:
        raise ServiceError(f"{dag} of {day} was not started {_APPEAR_S} s after {' and '.join(before)}: is it paused?")
