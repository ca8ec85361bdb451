"""Tables from files and tables from SQL, declared in YAML or published over REST."""

from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import Field, field_validator, model_validator

from assets.datasets.checks import Check, RowCount, asset_checks
from assets.datasets.ingestion import LANDING_METADATA, ingested_asset, landed_assets
from assets.datasets.sources import LandingSource, RelativePath, Source
from assets.datasets.sql import referenced_tables
from assets.datasets.transformation import sql_asset
from assets.declaration import TableComponent
from core.errors import InvalidPayload
from lakehouse.delimited import Column, ColumnType

_COLUMN_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"


class ColumnDeclaration(dg.Model):
    """A column of a file: its type, what it means, and which values a landed row may have."""

    type: ColumnType | None = None
    description: str = ""
    nullable: bool = True
    min: float | None = None
    max: float | None = None


class DatasetComponent(TableComponent):
    """A table ingested from a file as it is, or growing by the files that land in its folder.

    With typed columns a file must have exactly these, and a whole-file source with a line that does not fit is refused;
    a landing source quarantines such lines. Without types, they are inferred from the file.
    """

    source: Source
    null_values: list[str] = Field(default_factory=lambda: ["NA"], description="Texts that stand for a missing value.")
    columns: dict[Annotated[str, Field(pattern=_COLUMN_NAME)], str | ColumnDeclaration] = Field(
        default_factory=dict, description="Column name to description, or to type, description and bounds."
    )

    @model_validator(mode="after")
    def _typed_wholly_or_not(self) -> "DatasetComponent":
        typed = [name for name, column in self._declared().items() if column.type]
        if typed and len(typed) < len(self.columns):
            raise ValueError("columns: either every column has a type or none has")
        if isinstance(self.source, LandingSource) and not typed:
            raise ValueError("columns: a landing source needs the type of every column")
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset, its checks and, for a landing source, its quarantine."""
        declared = self._declared()
        descriptions = {name: column.description for name, column in declared.items() if column.description}
        columns = [
            Column(name, column.type, column.nullable, column.min, column.max)
            for name, column in declared.items()
            if column.type
        ]
        checks = asset_checks(self.asset, self.checks)
        if isinstance(self.source, LandingSource):
            spec = self.spec(kinds={"csv"}, metadata={LANDING_METADATA: self.source.pattern})
            asset = landed_assets(spec, self.source, columns, descriptions, self.null_values)
            checks += asset_checks(f"{self.asset}_quarantine", [_NOTHING_QUARANTINED])
        else:
            spec = self.spec(kinds={"csv"})
            asset = ingested_asset(spec, self.source, columns, descriptions, self.null_values, self.folder)
        return dg.Definitions(assets=[asset], asset_checks=checks)

    def _declared(self) -> dict[str, ColumnDeclaration]:
        return {
            name: ColumnDeclaration(description=column) if isinstance(column, str) else column
            for name, column in self.columns.items()
        }


_NOTHING_QUARANTINED = Check(
    name="nothing_quarantined",
    row_count=RowCount(min=0, max=0),
    severity="warn",
    description="No line of a landed file waits in quarantine. Correct such lines and drop them in again as a file.",
)


class SqlFile(dg.Model):
    """A statement kept in a file beside the YAML file."""

    file: Annotated[RelativePath, Field(pattern=r"\.sql$")]


class SqlTransformComponent(TableComponent):
    """A table that is the result of a SQL statement (DuckDB) over other tables, named `project.schema.table`.

    The inputs are found in the statement; each run reads one exact version of each and records it.
    """

    sql: Annotated[str, Field(min_length=1)] | SqlFile
    columns: dict[str, str] = Field(default_factory=dict, description="Column name to description.")

    @field_validator("sql")
    @classmethod
    def _reads_tables(cls, value: str | SqlFile) -> str | SqlFile:
        if isinstance(value, str) and not referenced_tables(value):
            raise ValueError("names no table; write project.schema.table after FROM")
        return value

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset and its checks.

        Raises:
            InvalidPayload: the SQL file is missing, or the statement reads the table it makes.
        """
        statement = self._statement()
        tables = referenced_tables(statement)
        if self.asset in tables or not tables:
            raise InvalidPayload(f"The statement of {self.asset} must read at least one table, and not {self.asset}.")
        spec = self.spec(
            kinds={"duckdb", "sql"},
            deps=tables,
            code=[statement],
            metadata={"sql": dg.MetadataValue.md(f"```sql\n{statement}\n```")},
        )
        asset = sql_asset(spec, statement, tables, self.columns)
        return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))

    def _statement(self) -> str:
        if isinstance(self.sql, str):
            return self.sql
        if self.folder is None:
            raise InvalidPayload(
                "sql: a file stands beside a YAML file of the repository; publish the statement itself."
            )
        path = Path(self.folder / self.sql.file)
        if not path.is_file():
            raise InvalidPayload(f"sql: there is no file {self.sql.file} beside the YAML file of {self.asset}.")
        return path.read_text()
