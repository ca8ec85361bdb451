"""Components for tables from files and tables from SQL."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import dagster as dg
from pydantic import Field, field_validator, model_validator

from assets.datasets.binding import bind_file, bind_sql
from assets.datasets.checks import asset_checks, step_checks
from assets.datasets.connected import CONNECTION_METADATA, connected_asset
from assets.datasets.ingestion import LANDING_METADATA, ingested_asset, landed_assets
from assets.datasets.objects import object_asset, with_origin
from assets.datasets.remote import ObjectSource, RelativePath, SqlSource
from assets.datasets.rules import Check, RowCount, require_order
from assets.datasets.sources import LandingSource, Source
from assets.datasets.sql import referenced_tables
from assets.datasets.transformation import sql_asset
from assets.declaration import TableComponent
from core.connection_sources import connection_source
from core.errors import InvalidPayload, NotFound
from core.ids import asset_key, is_asset_id
from core.settings import load_settings
from lakehouse.comparison import Comparison
from lakehouse.delimited import Column, ColumnType
from lakehouse.landing_areas import repository_area
from lakehouse.landing_tables import declared_schema, landed_schema, quarantine_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings

_COLUMN_NAME = r"^[A-Za-z][A-Za-z0-9_]*$"


class ColumnDeclaration(dg.Model):
    """Type, description, and allowed values of a column of a file."""

    type: ColumnType | None = None
    description: str = ""
    nullable: bool = True
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> "ColumnDeclaration":
        require_order(self.min, self.max)
        return self


class DatasetComponent(TableComponent):
    """A table with the content of a file, the rows of all files that land in its folder, or the rows of a database.

    With typed columns, a file must have exactly these columns. A line that does not fit its types fails the run of a
    single file and is quarantined by a landing source. Without types, the file determines the columns and their types.
    A database always does.
    """

    source: Source
    null_values: list[str] = Field(
        default_factory=list,
        description="Unquoted texts that represent a missing value, in addition to the empty text.",
        examples=[["NA"]],
    )
    columns: dict[Annotated[str, Field(pattern=_COLUMN_NAME)], str | ColumnDeclaration] = Field(
        default_factory=dict, description="Description, or type, description, and bounds, by column name."
    )

    @model_validator(mode="after")
    def _types_fit_source(self) -> "DatasetComponent":
        typed = [name for name, column in self._declared().items() if column.type]
        if typed and len(typed) < len(self.columns):
            raise ValueError("columns: give a type to every column or to none")
        if isinstance(self.source, SqlSource) and (typed or self.null_values):
            raise ValueError(
                "columns: the database decides the types; use a query with casts, and describe columns only"
            )
        if isinstance(self.source, LandingSource) and not typed:
            raise ValueError("columns: a landing source needs a type for every column")
        for name, column in self._declared().items():
            if (column.min, column.max) != (None, None) and column.type not in (None, "int32", "int64", "float64"):
                raise ValueError(f"columns: {name} is of type {column.type}; min and max apply to numbers only")
        if isinstance(self.source, LandingSource) and not is_asset_id(f"{self.asset}_quarantine"):
            raise ValueError("asset: the name of a landing table has at most 52 characters; its quarantine adds 11")
        return self

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schemas of the table of a landing source and of its quarantine."""

        from lakehouse.landing import quarantine_table

        if not isinstance(self.source, LandingSource):
            return {}
        landed = landed_schema(self._typed(), self._descriptions())
        return {self.asset: landed, quarantine_table(self.asset): quarantine_schema()}

    def comparison(self) -> Comparison:
        """Returns the rules of the base class. A version of landed files only adds the rows of a file."""
        from lakehouse.landing import LANDED_ROWS

        return LANDED_ROWS if isinstance(self.source, LandingSource) else Comparison()

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Checks the source, and returns the declared columns."""
        schema = self.appended().get(self.asset, self.typed_schema())
        return bind_file(self.asset, self.source, list(self.columns), schema, findings)

    def typed_schema(self) -> "pa.Schema | None":
        """Returns the columns of the file, or `None` if no types are declared."""

        if not self._typed():
            return None
        schema = declared_schema(self._typed(), self._descriptions())
        return with_origin(schema) if isinstance(self.source, ObjectSource) else schema

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset, its checks and, for a landing source, its quarantine."""
        descriptions, columns = self._descriptions(), self._typed()
        checks = step_checks(self.asset, self.checks)
        if isinstance(self.source, SqlSource):
            name = connection_source(asset_key(self.asset)[0], self.source.connection)
            spec = self.spec(kinds={"sql"}, metadata={CONNECTION_METADATA: name})
            asset = connected_asset(spec, self.source, descriptions, checks)
            return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))
        if isinstance(self.source, ObjectSource):
            name = connection_source(asset_key(self.asset)[0], self.source.connection)
            spec = self.spec(kinds={"objects"}, metadata={CONNECTION_METADATA: name})
            asset = object_asset(spec, self.source, columns, descriptions, self.null_values, checks)
            return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))
        kinds = {self.source.file_format}
        if isinstance(self.source, LandingSource):
            spec = self.spec(kinds=kinds, metadata={LANDING_METADATA: self.source.pattern})
            checks += step_checks(f"{self.asset}_quarantine", [_NOTHING_QUARANTINED])
            asset = landed_assets(spec, self.source, columns, descriptions, self.null_values, checks)
        else:
            spec = self.spec(kinds=kinds)
            asset = ingested_asset(spec, self.source, columns, descriptions, self.null_values, self.folder, checks)
        return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))

    def _typed(self) -> list[Column]:
        return [
            Column(name, column.type, column.nullable, column.min, column.max)
            for name, column in self._declared().items()
            if column.type
        ]

    def _descriptions(self) -> dict[str, str]:
        return {name: column.description for name, column in self._declared().items() if column.description}

    def _declared(self) -> dict[str, ColumnDeclaration]:
        return {
            name: ColumnDeclaration(description=column) if isinstance(column, str) else column
            for name, column in self.columns.items()
        }


_NOTHING_QUARANTINED = Check(
    name="nothing_quarantined",
    row_count=RowCount(min=0, max=0),
    severity="warn",
    description="No line of a landed file is in quarantine. Correct such lines and deliver them again as a file.",
)


class SqlFile(dg.Model):
    """A statement in a file in the folder of the YAML file."""

    file: Annotated[RelativePath, Field(pattern=r"\.sql$")]

    def read(self, folder: Path | None, asset: str) -> str:
        """Returns the statement.

        Args:
            folder: the folder of the YAML file; `None` for a published definition, which reads no file of the
                repository.
            asset: the id of the table, for messages.

        Raises:
            InvalidPayload: the definition is published, or the file does not exist or is not UTF-8.
        """
        if folder is None:
            raise InvalidPayload(
                "sql: only YAML files of the repository can name a SQL file. Publish the statement itself."
            )
        try:
            return repository_area(folder, load_settings()).read(self.file).decode()
        except NotFound as error:
            raise InvalidPayload(
                f"sql: there is no file {self.file} in the folder of the YAML file of {asset}. {error.detail}"
            ) from error
        except UnicodeDecodeError as error:
            raise InvalidPayload(f"sql: {self.file} is not UTF-8 (byte {error.start}).") from error


class SqlTransformComponent(TableComponent):
    """A table that is the result of a SQL statement (DuckDB) over other tables.

    The statement names its inputs as `project.schema.table`. Each run reads one version of each input and records it.
    """

    sql: Annotated[str, Field(min_length=1)] | SqlFile
    columns: dict[str, str] = Field(default_factory=dict, description="Description by column name.")

    @field_validator("sql")
    @classmethod
    def _reads_tables(cls, value: str | SqlFile) -> str | SqlFile:
        if isinstance(value, str) and not referenced_tables(value):
            raise ValueError("names no table; write project.schema.table after FROM")
        return value

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds the statement to the columns of its inputs."""
        if not isinstance(self.sql, str):  # a file of the repository, whose definitions are not published
            return None
        return bind_sql(self.asset, self.sql, list(self.columns), findings)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset and its checks.

        Raises:
            InvalidPayload: the SQL file is missing, or the statement reads no table or its own result.
        """
        statement = self._statement()
        tables = referenced_tables(statement)
        if self.asset in tables or not tables:
            raise InvalidPayload(f"The statement of {self.asset} must read at least one table other than itself.")
        spec = self.spec(
            kinds={"duckdb", "sql"},
            deps=tables,
            code=[statement],
            metadata={"sql": dg.MetadataValue.md(f"```sql\n{statement}\n```")},
        )
        asset = sql_asset(spec, statement, tables, self.columns, step_checks(self.asset, self.checks))
        return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))

    def _statement(self) -> str:
        if isinstance(self.sql, str):
            return self.sql
        return self.sql.read(self.folder, self.asset)
