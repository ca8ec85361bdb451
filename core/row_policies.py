"""Terms of policies on rows, which the API stores and the lakehouse applies."""

from __future__ import annotations

from enum import StrEnum


class PolicyState(StrEnum):
    """State of a policy. Only an ACTIVE one restricts readers."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"


class MaskMethod(StrEnum):
    """How values of a column are masked."""

    NULL = "NULL"
    CONSTANT = "CONSTANT"
    HASH = "HASH"
    PARTIAL = "PARTIAL"
    ROUND = "ROUND"
    EXPRESSION = "EXPRESSION"


class RoundUnit(StrEnum):
    """Unit that dates and times are rounded down to."""

    YEAR = "YEAR"
    MONTH = "MONTH"
    DAY = "DAY"
    HOUR = "HOUR"
