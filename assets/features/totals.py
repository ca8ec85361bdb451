"""Exact sums over ranges of rows, so that no window depends on values outside it.

A running total of floats is not usable for windows: it rounds, and the difference of two totals keeps the rounding
error, the infinity, or the NaN of every earlier row. Therefore each value is split into 32-bit digits of one
fixed-point number. The running totals of the digits are integers, so their differences are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]

_BITS = 32


class RangeTotals:
    """Counts and sums of a column over any range of its rows.

    Args:
        values: `[n]`, n below 2**31, with NaN also where `present` is false.
        present: `[n]`, false where the value is missing. A missing value is neither counted nor summed; a NaN is both.
    """

    def __init__(self, values: Floats, present: npt.NDArray[np.bool_]) -> None:
        import numpy as np

        finite = np.isfinite(values)
        self._count = _running(present)
        self._nans = _running(present & np.isnan(values))
        self._highs = _running(present & np.isposinf(values))
        self._lows = _running(present & np.isneginf(values))
        self._digits = _running_digits(np.where(present & finite, values, 0.0))

    def count(self, begin: Integers, stop: Integers) -> Integers:
        """Returns the number of values that are present in each range `[begin, stop)`."""
        return _between(self._count, begin, stop)

    def sum(self, begin: Integers, stop: Integers) -> Floats:
        """Returns the sum of each range `[begin, stop)`, 0.0 for an empty one.

        The result depends on the values of the range alone, not on their order. It is within one unit in the last place
        of the true sum. Infinities and NaNs follow IEEE 754.
        """
        import numpy as np

        total = self._finite_sum(begin, stop)
        nans, highs, lows = (_between(each, begin, stop) for each in (self._nans, self._highs, self._lows))
        total[highs > 0] = np.inf
        total[lows > 0] = -np.inf
        total[(nans > 0) | ((highs > 0) & (lows > 0))] = np.nan
        return total

    def _finite_sum(self, begin: Integers, stop: Integers) -> Floats:
        import numpy as np

        if not self._digits:
            return np.zeros(len(begin))
        # The balanced form of a number is unique, so equal sums of different rows become equal floats.
        half, carry = 1 << (_BITS - 1), np.zeros(len(begin), dtype=np.int64)
        balanced = []
        for weight in range(min(self._digits), max(self._digits) + 1):
            total = carry + (_between(self._digits[weight], begin, stop) if weight in self._digits else 0)
            carry = (total + half) >> _BITS
            balanced.append((weight, total - (carry << _BITS)))
        balanced.append((balanced[-1][0] + 1, carry))
        result, scaled = np.zeros(len(begin)), np.zeros(len(begin))
        with np.errstate(over="ignore", invalid="ignore"):
            for weight, digit in reversed(balanced):
                result += np.ldexp(digit.astype(np.float64), _BITS * weight)
                scaled += np.ldexp(digit.astype(np.float64), _BITS * (weight - 2))
            # The leading digits of a number near the largest float may exceed it, although the sum of all does not.
            return np.where(np.isfinite(result), result, np.ldexp(scaled, 2 * _BITS))


def _running_digits(values: Floats) -> dict[int, Integers]:
    """Returns running totals of the digits of finite values, by the weight of the digit as a power of 2**32."""
    import numpy as np

    digits: dict[int, Integers] = {}
    remainder = values.copy()
    weight = int(np.frexp(np.abs(remainder).max(initial=0.0))[1]) // _BITS
    while remainder.any():
        digit = np.trunc(np.ldexp(remainder, -_BITS * weight))
        if digit.any():
            digits[weight] = _running(digit)
            remainder -= np.ldexp(digit, _BITS * weight)
        weight -= 1
    return digits


def _running(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_]) -> Integers:
    import numpy as np

    totals = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values.astype(np.int64), out=totals[1:])
    return totals


def _between(totals: Integers, begin: Integers, stop: Integers) -> Integers:
    return totals[stop] - totals[begin]
