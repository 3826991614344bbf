"""The gate that holds a day beside the days before it, and the figures that it does that by.

A day's figures lie beside its tables, ``corpus/figures/DAG/DAY.json``: counts, shares and means, no record.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from realsyn_ops.operators.publishing import run_gate
from realsyn_ops.plans import DayPlan

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from realsyn_ops.io.shards import Staging
    from realsyn_ops.stages.history import Figures

GATE = "history"


def judge_day(staging: "Staging", plan: DayPlan, frames: "Mapping[str, pd.DataFrame]", figures: "Figures") -> None:
    """Run the gates of a day, that beside earlier days among them; its figures are staged, and kept when published."""
    import pandas as pd

    from realsyn_ops.io.day_figures import earlier_figures, stage_figures
    from realsyn_ops.stages.history import Tolerance, compare

    stage_figures(staging, figures)
    tolerance = Tolerance(plan.max_count_change, plan.max_share_change, plan.max_length_change, plan.min_likeness)
    rows = compare(figures, earlier_figures(staging, plan.history_days), tolerance) if plan.history != "off" else []
    beside = {GATE: pd.DataFrame(rows)} if rows else {}
    run_gate(staging, {**frames, **beside}, only_warn=(GATE,) if plan.history == "warn" else ())


def mean_vectors(table: "pa.Table", column: str) -> dict[str, list[float]]:
    """The mean of a day's vectors, where they are so many that it tells of none of them."""
    import numpy as np

    from realsyn_ops.stages.history import MIN_COUNT

    if table.num_rows < MIN_COUNT:
        return {}
    width = table.schema.field(column).type.list_size
    values = table[column].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    mean = values.reshape(-1, width).astype(np.float64).mean(axis=0)
    return {f"likeness of {column}s": [round(float(x), 5) for x in mean]}


def mean(values: "pd.Series") -> dict[str, float]:
    """A mean length by its column's name; none of no values."""
    values = values.dropna()
    return {f"mean {values.name}": round(float(values.mean()), 4)} if len(values) else {}
