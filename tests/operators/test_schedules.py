"""What the clock and a backfill would start: Airflow's own timetable, asked without running anything."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.timetables.base import TimeRestriction
from airflow.timetables.trigger import CronPartitionTimetable

from realsyn_ops.settings import Settings, settings


def timetable() -> Any:
    return CronPartitionTimetable(settings().schedule, timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")


def scheduled(chosen: Settings, *, at_most: int = 10) -> list[str]:
    """Partition keys in the order in which the scheduler would start them."""
    restriction = TimeRestriction(chosen.first_run, chosen.last_run, chosen.catchup)
    keys, last = [], None
    while len(keys) < at_most:
        last = timetable().next_dagrun_info_v2(last_dagrun_info=last, restriction=restriction)
        if last is None:
            break
        keys.append(last.partition_key)
    return keys


def test_catching_up_takes_every_day_from_the_one_before_the_start_to_that_before_the_end() -> None:
    chosen = Settings(start_date="2025-03-02", end_date="2025-03-07", catchup=True)
    assert scheduled(chosen) == [f"2025-03-0{n}" for n in range(1, 7)]


def test_without_catching_up_the_past_is_left_and_an_end_in_it_ends_everything() -> None:
    assert scheduled(Settings(start_date="2025-03-02", end_date="2025-03-07")) == []
    (key,) = scheduled(Settings(start_date="2025-03-02"), at_most=1)
    today = datetime.now(UTC).date()
    assert key in {(today - timedelta(days=n)).isoformat() for n in (1, 2)}
    assert scheduled(Settings(start_date="2999-01-01"), at_most=1) == ["2998-12-31"]


@pytest.mark.parametrize(("to", "last"), [("2025-03-05T23:59", "2025-03-05"), ("2025-03-05T00:00", "2025-03-04")])
def test_a_backfill_needs_the_hour_of_its_last_day(to: str, last: str) -> None:
    found = timetable().iter_partition_dagrun_infos(
        earliest=datetime(2025, 3, 2, tzinfo=UTC), latest=datetime.fromisoformat(to).replace(tzinfo=UTC)
    )
    keys = [info.partition_key for info in found]
    assert (keys[0], keys[-1]) == ("2025-03-02", last)
