"""Sources that a connection of the project leads to."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from assets.datasets.reader import ReaderOptions
from lakehouse.file_names import path_fault


def _relative_path(path: str) -> str:
    if fault := path_fault(path):
        raise ValueError(fault)
    return path


RelativePath = Annotated[str, AfterValidator(_relative_path)]
"""A path in a definition. It is read only through an `Area`."""


ConnectionName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]


Column = Annotated[str, Field(min_length=1, max_length=63)]


class SqlSource(dg.Model):
    """A table or query of a database, read through a connection of the project."""

    kind: Literal["sql"]
    connection: ConnectionName = Field(description="Name or id of a connection of the project.")
    table: Annotated[str, Field(pattern=r"^[^.\x00]{1,63}\.[^.\x00]{1,63}$")] | None = Field(
        default=None, description="Schema and name of a table or view.", examples=["public.orders"]
    )
    query: Annotated[str, Field(min_length=1, max_length=20_000)] | None = Field(
        default=None, description="One SELECT in the dialect of the database."
    )
    mode: Literal["full", "incremental", "by_key"] = Field(
        default="full",
        description="`full`: each run replaces all rows. `incremental`: each run reads the rows from the highest value "
        "of the cursor on, and replaces those that the table has of them. `by_key`: each run updates the rows whose "
        "key exists, and inserts the others.",
    )
    cursor: Column | None = Field(
        default=None,
        description="Column that grows with each new or changed row and is never null: an integer, a numeric with "
        "precision and scale, a date, or a timestamp.",
        examples=["updated_at"],
    )
    overlap: Annotated[int, Field(ge=0, lt=2**53)] = Field(
        default=0,
        description="How far below its highest value rows are read again, because their transaction can end after that "
        "of later rows: seconds for a timestamp, days for a date, otherwise a number.",
    )
    key: Annotated[list[Column], Field(max_length=32)] = Field(
        default_factory=list, description="Columns that identify a row, with `by_key`.", examples=[["id"]]
    )
    deletes: Literal["ignore", "detect"] = Field(
        default="ignore",
        description="`detect`: with `by_key` and without a cursor, rows that the database no longer has are deleted.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError("give exactly one of table and query")
        return self

    @model_validator(mode="after")
    def _fits_mode(self) -> Self:
        if (self.mode == "by_key") != bool(self.key):
            raise ValueError("give key with the mode by_key, and only then")
        if self.mode == "incremental" and self.cursor is None:
            raise ValueError("the mode incremental needs a cursor")
        if self.mode == "full" and self.cursor is not None:
            raise ValueError("the mode full reads all rows, so leave out cursor")
        if self.overlap and self.cursor is None:
            raise ValueError("overlap needs a cursor")
        if self.deletes == "detect" and (self.mode != "by_key" or self.cursor is not None):
            raise ValueError("deletes: detect compares all keys, so it needs the mode by_key without a cursor")
        return self

    @property
    def path(self) -> tuple[str, ...]:
        """Schema and name of the table; empty for a query."""
        return tuple(self.table.split(".")) if self.table else ()

    @property
    def part(self) -> str:
        """What lineage calls the origin of the rows."""
        return self.table or "query"


class ObjectSource(ReaderOptions):
    """The rows of all objects of a folder of a store, read through a connection of the project.

    A run reads the objects that are new or have changed, by their ETags, and replaces their rows. The columns
    `_object` and `_etag` say where a row is from. Objects whose name begins with a dot or an underscore are not read.
    """

    kind: Literal["objects"]
    connection: ConnectionName = Field(description="Name or id of a connection of the project.")
    path: RelativePath | None = Field(
        default=None, description="Folder or object. By default, everything that the connection leads to."
    )
    deletes: Literal["ignore", "detect"] = Field(
        default="ignore", description="`detect`: rows of objects that no longer exist are deleted."
    )

    @property
    def part(self) -> str:
        """What lineage calls the origin of the rows."""
        return self.path or "objects"
