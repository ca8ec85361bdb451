"""From bronze to silver: clocks, midnight, daylight saving, duplicates."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import polars.selectors as cs
import pytest

from assets.datasets import schemas, transforms

AIRPORTS = pl.DataFrame(
    {
        "faa": ["LAX", "HNL", "PHX", "PBI", "ORD", "SFO", "IAH"],
        "time_zone": [
            "America/Los_Angeles",
            "Pacific/Honolulu",
            "America/Phoenix",
            "America/New_York",
            "America/Chicago",
            "America/Los_Angeles",
            "America/Chicago",
        ],
    }
)
COLUMNS = {
    "year": 2013, "month": 1, "day": 1, "dep_time": 900, "sched_dep_time": 900, "dep_delay": 0, "arr_time": 1200,
    "sched_arr_time": 1200, "arr_delay": 0, "carrier": "UA", "flight": 1, "tailnum": "N1", "origin": "EWR",
    "dest": "ORD", "air_time": 100, "distance": 700, "hour": 9, "minute": 0, "time_hour": "2013-01-01T14:00:00Z",
}  # fmt: skip
TYPES = {name: pl.String if isinstance(value, str) else pl.Int64 for name, value in COLUMNS.items()}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([COLUMNS | row for row in rows], schema=TYPES)


def one(*, clocks_agree: bool = True, **values: Any) -> dict[str, Any]:
    rows = transforms.flights(frame(values), frame(), AIRPORTS)
    wrong = transforms.clock_disagreements(transforms.typed(rows, schemas.FLIGHTS), frame(values), frame())
    assert wrong.is_empty() == clocks_agree, wrong
    return rows.row(0, named=True)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


class TestInstants:
    """Expected instants are worked out by hand from the zones' offsets."""

    def test_winter_departure_and_arrival_in_another_zone(self) -> None:
        # UA 1545, 1 January: EWR 5:15 EST (UTC-5) to IAH 8:19 CST (UTC-6), 2 and 11 minutes late
        row = one(
            dest="IAH", sched_dep_time=515, dep_time=517, dep_delay=2, sched_arr_time=819, arr_time=830, arr_delay=11
        )
        assert row["scheduled_departure_at"] == utc(2013, 1, 1, 10, 15)
        assert row["departed_at"] == utc(2013, 1, 1, 10, 17)
        assert row["scheduled_arrival_at"] == utc(2013, 1, 1, 14, 19)
        assert row["arrived_at"] == utc(2013, 1, 1, 14, 30)

    def test_summer_is_an_hour_off_winter(self) -> None:
        assert one(month=7)["scheduled_departure_at"] == utc(2013, 7, 1, 13, 0)
        assert one(month=1)["scheduled_departure_at"] == utc(2013, 1, 1, 14, 0)

    def test_arrival_after_midnight_is_on_the_next_day(self) -> None:
        row = one(dest="PBI", sched_dep_time=2145, dep_time=2145, sched_arr_time=34, arr_time=34)
        assert row["flight_date"] == date(2013, 1, 1)
        assert row["scheduled_arrival_at"] == utc(2013, 1, 2, 5, 34)

    def test_a_delay_can_move_the_departure_over_midnight(self) -> None:
        row = one(
            dest="PBI", sched_dep_time=2359, dep_time=130, dep_delay=91, sched_arr_time=300, arr_time=420, arr_delay=80
        )
        assert row["departed_at"] == utc(2013, 1, 2, 6, 30)
        assert row["arrived_at"] == utc(2013, 1, 2, 9, 20)

    def test_a_delay_of_more_than_a_day(self) -> None:
        # HA 51, 9 January, the longest delay of the year: 1,301 minutes
        row = one(
            day=9, origin="JFK", dest="HNL", sched_dep_time=900, dep_time=641, dep_delay=1301, sched_arr_time=1530,
            arr_time=1242, arr_delay=1272,
        )  # fmt: skip
        assert row["departed_at"] == utc(2013, 1, 10, 11, 41)
        assert row["arrived_at"] == utc(2013, 1, 10, 22, 42)

    def test_midnight_is_written_2400(self) -> None:
        row = one(dest="PBI", sched_dep_time=2100, dep_time=2100, sched_arr_time=2359, arr_time=2400, arr_delay=1)
        assert row["arrived_at"] == utc(2013, 1, 2, 5, 0)

    @pytest.mark.parametrize(("month", "hour"), [(1, 20), (7, 19)])
    def test_honolulu_and_phoenix_keep_their_clocks(self, month: int, hour: int) -> None:
        # HNL is 5 hours behind New York in winter and 6 in summer: the same clocks are another flight time
        honolulu = one(month=month, dest="HNL", sched_arr_time=1530, arr_time=1530)
        assert honolulu["scheduled_arrival_at"] == utc(2013, month, 2, 1, 30)
        phoenix = one(month=month, dest="PHX", sched_arr_time=1300, arr_time=1300)
        assert phoenix["scheduled_arrival_at"] == utc(2013, month, 1, 20, 0)
        assert phoenix["scheduled_departure_at"] == utc(2013, month, 1, 14 if month == 1 else 13, 0)

    def test_the_night_the_clocks_went_forward(self) -> None:
        # 10 March 2013: 2:00 EST became 3:00 EDT, so that morning New York was 4 and Los Angeles 7 hours behind UTC.
        row = one(month=3, day=10, dest="LAX", sched_dep_time=700, dep_time=700, sched_arr_time=1000, arr_time=1000)
        assert row["scheduled_departure_at"] == utc(2013, 3, 10, 11, 0)
        assert row["scheduled_arrival_at"] == utc(2013, 3, 10, 17, 0)

    def test_a_clock_that_was_not_changed_yet(self) -> None:
        # B6 35, 9 March: landed at "2:03", an hour that this night did not have, 89 minutes after 0:34 EST
        row = one(
            month=3, day=9, origin="JFK", dest="PBI", sched_dep_time=2145, dep_time=2306, dep_delay=81,
            sched_arr_time=34, arr_time=203, arr_delay=89, clocks_agree=False,
        )  # fmt: skip
        assert row["arrived_at"] == utc(2013, 3, 10, 7, 3)

    def test_the_night_the_clocks_went_back(self) -> None:
        # 3 November 2013: 1:30 occurs twice; the first is meant
        before = one(month=11, day=2, dest="PBI", sched_dep_time=2230, dep_time=2230, sched_arr_time=130, arr_time=130)
        assert before["scheduled_arrival_at"] == utc(2013, 11, 3, 5, 30)
        after = one(month=11, day=3)
        assert after["scheduled_departure_at"] == utc(2013, 11, 3, 14, 0)

    def test_airports_the_source_does_not_list(self) -> None:
        row = one(month=7, dest="SJU", sched_arr_time=1300, arr_time=1300)
        assert row["dest_time_zone"] == "America/Puerto_Rico"
        assert row["scheduled_arrival_at"] == utc(2013, 7, 1, 17, 0)

    def test_an_unknown_airport_has_no_arrival(self) -> None:
        row = one(dest="XXX")
        assert row["scheduled_departure_at"] == utc(2013, 1, 1, 14, 0)
        assert row["scheduled_arrival_at"] is None


class TestRows:
    def test_cancelled_and_diverted(self) -> None:
        cancelled = one(dep_time=None, dep_delay=None, arr_time=None, arr_delay=None, air_time=None)
        assert (cancelled["cancelled"], cancelled["diverted"]) == (True, False)
        assert cancelled["departed_at"] is None
        diverted = one(arr_time=1500, arr_delay=None, air_time=None)
        assert (diverted["cancelled"], diverted["diverted"]) == (False, True)
        assert diverted["arrived_at"] == utc(2013, 1, 1, 21, 0)

    def test_the_key_is_readable_and_a_landed_row_replaces_its_flight(self) -> None:
        rows = transforms.flights(
            frame({"tailnum": "OLD"}, {"flight": 2}), frame({"tailnum": "NEW"}, {"flight": 3}), AIRPORTS
        )
        assert dict(rows.select("flight_id", "tailnum").iter_rows()) == {
            "20130101-UA1-EWR": "NEW",
            "20130101-UA2-EWR": "N1",
            "20130101-UA3-EWR": "N1",
        }

    def test_a_day_that_does_not_exist_is_left_out(self) -> None:
        rows = transforms.flights(frame({}, {"month": 2, "day": 30}), frame(), AIRPORTS)
        assert rows.height == 1

    def test_a_wrong_clock_is_noticed(self) -> None:
        source = frame({"dep_time": 907}, {"flight": 2, "arr_time": 1207}, {"flight": 3})
        rows = transforms.flights(source, frame(), AIRPORTS)
        wrong = transforms.clock_disagreements(
            rows.drop("dep_time", "arr_time", cs.starts_with("sched_")), source, frame()
        )
        assert wrong["flight_id"].to_list() == ["20130101-UA1-EWR", "20130101-UA2-EWR"]
        assert wrong.select("dep_time", "shown_dep_time").row(0) == (907, 900)

    def test_an_hour_off_is_noticed(self) -> None:
        source = frame({}, {"flight": 2})
        rows = transforms.typed(transforms.flights(source, frame(), AIRPORTS), schemas.FLIGHTS)
        later = pl.col("arrived_at") + timedelta(hours=1)
        late = rows.with_columns(arrived_at=pl.when(pl.col("flight") == 2).then(later).otherwise("arrived_at"))
        assert transforms.clock_disagreements(late, source, frame())["flight_id"].to_list() == ["20130101-UA2-EWR"]

    def test_no_rows_at_all(self) -> None:
        rows = transforms.typed(transforms.flights(frame(), frame(), AIRPORTS), schemas.FLIGHTS)
        assert rows.is_empty()
        assert rows.columns == list(schemas.FLIGHTS)


class TestWeather:
    def test_the_hour_that_occurs_twice_is_two_observations(self) -> None:
        raw = pl.DataFrame(
            {
                "origin": ["EWR", "EWR", "EWR"],
                "hour": [1, 1, 2],
                "wind_speed": [5.0, 1048.36, 7.0],
                "time_hour": ["2013-11-03T05:00:00Z", "2013-11-03T06:00:00Z", "2013-11-03T07:00:00Z"],
            }
        )
        rows = transforms.weather(raw)
        assert rows["observed_at"].to_list() == [utc(2013, 11, 3, hour) for hour in (5, 6, 7)]
        assert rows["wind_speed"].to_list() == [5.0, None, 7.0]


def test_typing_is_strict() -> None:
    with pytest.raises(pl.exceptions.InvalidOperationError):
        transforms.typed(pl.DataFrame({"carrier": ["UA"], "n": ["x"]}), {"n": schemas.Column("int32", "")})


def test_every_declared_column_is_described() -> None:
    for columns in (schemas.FLIGHTS, schemas.WEATHER, schemas.PLANES, schemas.AIRPORTS, schemas.AIRLINES):
        schema = schemas.arrow_schema(columns)
        assert [field.metadata[b"comment"].decode() for field in schema] == [c.description for c in columns.values()]
        assert all(len(column.description) > 5 for column in columns.values())
