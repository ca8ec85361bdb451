"""A sample of the feature values that were served, in a table of each view that asks for it.

The table is made from the table of the view, so the rule for copies applies to it, and no reader gets more by it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from api.kernel.http.metrics import Metrics
from api.kernel.periodic_task import PeriodicTask
from api.kernel.platform import Platform, open_lineage, open_tables
from core.errors import HeadwaterError
from core.ids import new_id

if TYPE_CHECKING:
    from api.services.ai_catalog.logic.feature_answers import AnsweredView
    from features.online import Served

SERVED_AT, SERVED_VERSION = "served__at", "served__version"
"""Columns of the table: the moment of the answer, and the data version that was served."""

_FLUSH_SECONDS = 10.0
_MAX_WAITING = 50_000
"""Number of sampled rows that wait to be stored. Further ones are dropped, and counted."""


_Key = tuple[str, str, tuple[str, ...]]


def served_table(asset: str, view_id: str) -> str:
    """Returns the id of the table with the served values of a view, in the project of its table."""
    return f"{asset.partition('.')[0]}.served.{view_id}"


class ServedValues(PeriodicTask):
    """The sample of one process. What waits is lost if the process is killed: it is a sample."""

    failure = "Samples of served features could not be stored"
    log = logging.getLogger("headwater.catalog")

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform, poll_seconds=_FLUSH_SECONDS)
        self._waiting: dict[tuple[_Key, Served], list[tuple[Any, ...]]] = {}
        self._count = 0
        self._lock = threading.Lock()
        self._random = random.Random()  # noqa: S311 - a sample, no secret
        self._dropped = 0
        platform.part(Metrics).gauge_from(
            "headwater_served_values_dropped",
            "Number of sampled rows of served features that this process did not store.",
            lambda: self._dropped,
        )

    def note(self, answers: Sequence[AnsweredView]) -> None:
        """Samples the entities of answers, as their views ask. What was masked for a reader is not in the sample."""
        for one in answers:
            if one.view.served_sample and one.view.restriction is None:
                self._sample(one)

    def flush(self) -> int:
        """Stores what waits, and returns the number of rows. Runs in a worker thread."""
        with self._lock:
            waiting, self._waiting, self._count = self._waiting, {}, 0
        return sum(self._store(*key, rows) for key, rows in waiting.items())

    async def stop(self) -> None:
        """Stops the task, and stores what waits."""
        await super().stop()
        await self._poll()

    async def _poll(self) -> None:
        if self._waiting:
            await self._platform.workers.compute.run(self.flush)

    def _sample(self, one: AnsweredView) -> None:
        found, share = one.found, one.view.served_sample
        rows = [
            (found.moment, *([None] * len(found.features) if row is None else map(row.__getitem__, positions)))
            for positions in [list(found.features.values())]
            for row in found.rows
            if share >= 1 or self._random.random() < share
        ]
        key = (one.view.id, one.view.asset, tuple(found.features)), found.served
        with self._lock:
            fitting = rows[: max(0, _MAX_WAITING - self._count)]
            if fitting:
                self._waiting.setdefault(key, []).extend(fitting)
            self._count += len(fitting)
        if len(fitting) < len(rows):
            self._dropped += len(rows) - len(fitting)

    def _store(self, key: _Key, served: Served, rows: list[tuple[Any, ...]]) -> int:
        import pyarrow as pa

        from features.encoding import restored, schema_of
        from lakehouse.step import Step

        view, asset, features = key
        schema = schema_of(served.schema)
        moments, *values = zip(*rows, strict=True)
        columns = {
            name: restored(column, schema.field(name).type) for name, column in zip(features, values, strict=True)
        }
        columns[SERVED_AT] = pa.array(moments, pa.int64()).cast(pa.timestamp("us", "UTC"))
        columns[SERVED_VERSION] = pa.array([served.data_version] * len(rows))
        step = Step(
            *(self._platform.part(open_tables), self._platform.part(open_lineage)),
            asset=served_table(asset, view),
            run=new_id("req"),
            step="serve",
            code_version="",
            engine="headwater",
            principal="headwater",
        )
        step.use(asset, served.data_version)
        try:
            step.append(pa.table(columns), evolve_schema=True)
        except HeadwaterError as error:
            self.log.warning("Served values of %s could not be stored: %s", view, error.detail)
            self._dropped += len(rows)
            return 0
        return len(rows)
