"""Partitions of a feature table by the day on which its predictions are due."""

from datetime import UTC, date, datetime, timedelta
from typing import Self

import dagster as dg
from pydantic import Field, model_validator

_TICK = timedelta(microseconds=1)


class DailyPartitions(dg.Model):
    """Days of a feature table. A run computes the rows of one day and replaces only these."""

    start: date = Field(description="First day. Rows whose prediction is due earlier aren't computed.")
    end: date | None = Field(None, description="Last day. By default today, which grows until it's over.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end is not None and self.end < self.start:
            raise ValueError("end: is before start")
        return self

    def definition(self, time_zone: str) -> dg.DailyPartitionsDefinition:
        """Returns the partitions, each from one local midnight to the next."""
        # Without an end, today counts, because its predictions are already due.
        return dg.DailyPartitionsDefinition(
            start_date=self.start.isoformat(),
            end_date=None if self.end is None else (self.end + timedelta(days=1)).isoformat(),
            timezone=time_zone,
            end_offset=1 if self.end is None else 0,
        )


class Day:
    """The instants of one partition."""

    def __init__(self, window: dg.TimeWindow) -> None:
        self.first: datetime = window.start
        """The first instant of the day."""
        self.last: datetime = window.end - _TICK
        """The last instant of the day."""
        self._end = window.end

    @property
    def condition(self) -> str:
        """SQL condition of the rows whose prediction is due on the day."""
        since, until = (_literal(instant) for instant in (self.first, self._end))
        return f"predicted_at >= {since} AND predicted_at < {until}"


def day_of(context: dg.AssetExecutionContext) -> Day | None:
    """Returns the partition that a run computes. `None` for a table without partitions."""
    return Day(context.partition_time_window) if context.has_partition_key else None


def _literal(instant: datetime) -> str:
    # A text takes the type of the column. A TIMESTAMP of SQL has nanoseconds and no zone, which Delta can't compare.
    return f"'{instant.astimezone(UTC).isoformat()}'"
