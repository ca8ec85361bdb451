"""The logged values of one metric of one run, in memory, by step, then time, then value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class LoggedValue(NamedTuple):
    """A logged value of a metric."""

    step: int
    at_ms: int
    """Time in milliseconds since 1970."""
    bits: int
    """The 64 bits of the value, as a signed integer."""


@dataclass(frozen=True, eq=False)
class MetricSeries:
    """Logged values as three columns of 64-bit integers, ordered and each only once."""

    step: np.ndarray[Any, Any]
    at_ms: np.ndarray[Any, Any]
    bits: np.ndarray[Any, Any]

    @classmethod
    def of(cls, columns: Iterable[np.ndarray[Any, Any]]) -> MetricSeries:
        """Returns values in any order, which may occur more than once, as a series."""
        import numpy as np

        step, at_ms, bits = columns
        if not np.all(step[1:] > step[:-1]):
            # Values come from few sorted files, which a stable sort only merges.
            order = np.argsort(step, kind="stable")
            if np.any(step[order][1:] == step[order][:-1]):
                order = np.lexsort((bits, at_ms, step))
            step, at_ms, bits = step[order], at_ms[order], bits[order]
            repeated = (step[1:] == step[:-1]) & (at_ms[1:] == at_ms[:-1]) & (bits[1:] == bits[:-1])
            if repeated.any():
                first = np.concatenate(([True], ~repeated))
                step, at_ms, bits = step[first], at_ms[first], bits[first]
        return cls(step, at_ms, bits)

    @classmethod
    def empty(cls) -> MetricSeries:
        """Returns a series without values."""
        import numpy as np

        none = np.empty(0, np.int64)
        return cls(none, none, none)

    def with_values(self, rows: Sequence[tuple[int, int, int]]) -> MetricSeries:
        """Returns the series with further values, which it may contain already."""
        import numpy as np

        if not rows:
            return self
        added = np.array([tuple(row) for row in rows], np.int64).T
        return self.of(np.concatenate(pair) for pair in zip((self.step, self.at_ms, self.bits), added, strict=True))

    def page(self, after: tuple[int, int, int] | None, size: int) -> list[LoggedValue]:
        """Returns the first `size` values, or the first after a value."""
        import numpy as np

        start, end = 0, len(self.step)
        if after is not None:
            for column, value in zip((self.step, self.at_ms, self.bits), after, strict=True):
                same = column[start:end]
                start, end = (
                    start + int(np.searchsorted(same, value)),
                    start + int(np.searchsorted(same, value, "right")),
                )
            start = end
        return self._values(slice(start, start + size))

    def sampled(self, size: int, start: int | None = None, end: int | None = None) -> list[LoggedValue]:
        """Returns at most `size` values, evenly over the steps, with the first and the last one.

        Args:
            size: how many values to return.
            start: the first step to include.
            end: the last step to include.
        """
        import numpy as np

        low = 0 if start is None else int(np.searchsorted(self.step, start))
        high = len(self.step) if end is None else int(np.searchsorted(self.step, end, "right"))
        if high - low <= size:
            return self._values(slice(low, high))
        step = self.step[low:high]
        first, last = int(step[0]), int(step[-1])
        interval = max(1, -(-(last - first + 1) // size))
        # Unsigned, because the difference of two steps may have 64 bits.
        distance = step.view(np.uint64) - step[:1].view(np.uint64)
        chosen = low + np.flatnonzero((distance % np.uint64(interval) == 0) | (step == last))
        if len(chosen) > size:  # several values have the same step
            chosen = chosen[np.linspace(0, len(chosen) - 1, size).astype(np.int64)]
        return self._values(chosen)

    def _values(self, which: slice | np.ndarray[Any, Any]) -> list[LoggedValue]:
        columns = (column[which].tolist() for column in (self.step, self.at_ms, self.bits))
        return list(map(LoggedValue._make, zip(*columns, strict=True)))
