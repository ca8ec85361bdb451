"""Declarations of checks: one rule each, its name, and the consequence if rows break it."""

from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from core.ids import is_asset_id

_RULES = ("unique", "not_null", "range", "references", "holds", "row_count")


def require_order(low: float | None, high: float | None) -> None:
    """Checks that two bounds allow a value.

    Raises:
        ValueError: the lower bound is above the upper bound.
    """
    if low is not None and high is not None and low > high:
        raise ValueError(f"min {low:g} is above max {high:g}")


class Range(dg.Model):
    """Inclusive bounds of a numeric column. Missing values pass."""

    column: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        require_order(self.min, self.max)
        return self


def _table_id(text: str) -> str:
    if not is_asset_id(text):
        raise ValueError("must be the id of a table, such as flights.silver.planes")
    return text


class Reference(dg.Model):
    """A column whose values exist in a column of another table. Missing values pass."""

    column: str
    table: Annotated[str, AfterValidator(_table_id)]
    key: str


class RowCount(dg.Model):
    """Inclusive bounds of the number of rows."""

    min: int = Field(1, ge=0)
    max: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        require_order(self.min, self.max)
        return self


class Check(dg.Model):
    """A rule for the rows of a table, its name, and the consequence if rows break it.

    Exactly one of `unique`, `not_null`, `range`, `references`, `holds`, and `row_count` is required.
    """

    unique: list[str] | None = Field(None, min_length=1, description="Columns that together identify a row.")
    not_null: list[str] | None = Field(None, min_length=1, description="Columns without missing values.")
    range: Range | None = None
    references: Reference | None = None
    holds: str | None = Field(
        None, description="SQL expression over one row. Rows for which it is false break the rule."
    )
    row_count: RowCount | None = None
    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]*$")
    description: str | None = None
    blocking: bool = Field(False, description="Whether downstream assets cannot use a version that fails.")
    severity: Literal["error", "warn"] = "error"
    tolerance: float = Field(0.0, ge=0, lt=1, description="Fraction of rows that may break the rule.")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        given = [rule for rule in _RULES if getattr(self, rule) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_RULES)}; given: {', '.join(given) or 'none'}")
        if self.blocking and self.severity == "warn":
            raise ValueError("a check that blocks has severity error")
        if self.holds is not None and self.name is None:
            raise ValueError("a `holds` check needs a name")
        return self

    @property
    def check_name(self) -> str:
        """Name of the check: as declared, or derived from the rule and its columns."""
        if self.name:
            return self.name
        if self.unique:
            return f"unique_{'_'.join(self.unique)}"
        if self.not_null:
            return f"not_null_{'_'.join(self.not_null)}"
        if self.range:
            return f"range_{self.range.column}"
        if self.references:
            return f"references_{self.references.column}"
        return "row_count"

    @property
    def sentence(self) -> str:
        """Assertion of the check in words."""
        if self.unique:
            rule = f"No two rows share {', '.join(self.unique)}"
        elif self.not_null:
            rule = f"No value is missing in {', '.join(self.not_null)}"
        elif self.range:
            rule = f"{self.range.column} is within {_bounds(self.range.min, self.range.max)}"
        elif self.references:
            rule = f"{self.references.column} exists in {self.references.table}.{self.references.key}"
        elif self.row_count:
            rule = f"The number of rows is within {_bounds(self.row_count.min, self.row_count.max)}"
        else:
            rule = f"Holds for every row: {self.holds}"
        return f"{rule}, except for up to {self.tolerance:.1%} of the rows." if self.tolerance else f"{rule}."


def _bounds(low: float | None, high: float | None) -> str:
    return f"[{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"
