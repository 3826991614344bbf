"""The first task of a Dag that works on a day's rows in shards: the day, its rows, the plan and the shards."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk.exceptions import AirflowSkipException

from realsyn_ops.operators.run import Work, preset_models
from realsyn_ops.plans import Plan, check_day, code_digest, shard_bounds
from realsyn_ops.settings import settings

if TYPE_CHECKING:
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.io.storage import Bucket

AnyPlan = TypeVar("AnyPlan", bound=Plan)


def day_rows(bucket: "Bucket", context: Mapping[str, Any], table: str, columns: list[str]) -> tuple[str, "pa.Table"]:
    """The run's day and its rows, in order of key; skips the run when there are none."""
    from realsyn_ops.io.corpus import Corpus

    day = check_day(context.get("partition_key"))
    rows = Corpus(bucket).read(table, columns, day=day)
    if rows.num_rows == 0:
        raise AirflowSkipException(f"no {table} of {day} in the corpus: nothing to do")
    return day, rows


def chosen_models(context: Mapping[str, Any]) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The run's preset and its models."""
    preset = context["params"]["preset"] or settings().preset
    return preset, preset_models(preset)


def staged_plan(
    bucket: "Bucket", dag: str, kind: type[AnyPlan], context: Mapping[str, Any], **decided: Any
) -> tuple["Staging", AnyPlan]:
    """The plan, made of the form's params and what the task decided, and the folder it is staged in."""
    from realsyn_ops.io.shards import Staging

    params = {name: value for name, value in dict(context["params"]).items() if name != "preset"}
    plan = kind(code=code_digest(), **decided, **params)
    return Staging.create(bucket, dag, decided["day"], plan), plan


def shard_works(staging: "Staging", n_rows: int, max_rows: int) -> list[Work]:
    return [{"staging": staging.prefix, "shard": f"{i:05d}"} for i in range(len(shard_bounds(n_rows, max_rows)))]
