"""Tables computed by Spark, from SQL or a Python function over exact versions of other tables."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from assets.datasets.checks import asset_checks
from assets.datasets.component import SqlFile
from assets.datasets.spark_sql import prepared, view_names
from assets.declaration import AssetId, TableComponent
from core.errors import InvalidPayload, SchemaMismatch
from core.ids import asset_key
from resources.delta import Delta, materialized
from resources.spark import Spark

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakehouse.tables import Snapshot

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _function(text: str | None) -> str | None:
    if text is not None and not _FUNCTION.fullmatch(text):
        raise ValueError(f"{text!r} is no function; write module:function")
    return text


class SparkTransformComponent(TableComponent):
    """A table that Spark computes from other tables, by SQL or by a Python function.

    Each run reads one exact version of every input, on whichever engine the platform is set to (Sail, Apache Spark or a
    remote cluster), and records it.
    """

    inputs: list[AssetId] = Field(min_length=1, description="Ids of the tables that are read.")
    sql: Annotated[str, Field(min_length=1)] | SqlFile | None = Field(
        None, description="One SELECT in Spark's dialect; inputs are named by id or by the last part of it."
    )
    function: Annotated[str | None, AfterValidator(_function)] = Field(
        None,
        description="module:function, called with the session and the inputs by id; returns a DataFrame. YAML only.",
    )
    mode: Literal["overwrite", "merge"] = Field("overwrite", description="Replace the table, or update it by key.")
    on: list[str] = Field(default_factory=list, description="Key columns of a merge.")
    columns: dict[str, str] = Field(default_factory=dict, description="Column name to description.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sql is None) == (self.function is None):
            raise ValueError("give exactly one of sql and function")
        if (self.mode == "merge") != bool(self.on):
            raise ValueError("on: a merge needs key columns, and only a merge has them")
        if self.asset in self.inputs:
            raise ValueError(f"inputs: {self.asset} cannot be made from itself")
        if isinstance(self.sql, str):
            try:
                prepared(self.sql, view_names(self.inputs))
            except InvalidPayload as error:
                raise ValueError(error.detail) from error
        return self

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The asset and its checks.

        Raises:
            InvalidPayload: the SQL file or the module is missing, or a published definition names one.
        """
        code = self._function_source() if self.function else self._statement()
        shown = {} if self.function else {"sql": dg.MetadataValue.md(f"```sql\n{code}\n```")}
        spec = self.spec(
            kinds={"spark", "python" if self.function else "sql"}, deps=self.inputs, code=[code], metadata=shown
        )
        asset = _spark_asset(spec, self, "" if self.function else code)
        return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))

    def _statement(self) -> str:
        if isinstance(self.sql, str):
            return self.sql
        assert self.sql is not None
        if self.folder is None:
            raise InvalidPayload(
                "sql: a file stands beside a YAML file of the repository; publish the statement itself."
            )
        path = Path(self.folder / self.sql.file)
        if not path.is_file():
            raise InvalidPayload(f"sql: there is no file {self.sql.file} beside the YAML file of {self.asset}.")
        statement = path.read_text()
        prepared(statement, view_names(self.inputs))
        return statement

    def _function_source(self) -> str:
        assert self.function
        if self.folder is None:
            raise InvalidPayload("function: Python code is named in a YAML file of the repository only; publish SQL.")
        module = self.function.split(":")[0]
        # Found, not imported: loading definitions must not run what imports pyspark.
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise InvalidPayload(f"function: there is no module {module}.")
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _spark_asset(spec: dg.AssetSpec, declared: SparkTransformComponent, statement: str) -> dg.AssetsDefinition:
    @dg.multi_asset(specs=[spec], name=declared.op_name)
    def transform(context: dg.AssetExecutionContext, delta: Delta, spark: Spark) -> dg.MaterializeResult[Any]:
        step = delta.step(context, engine="spark")
        inputs = {asset: step.read(asset) for asset in declared.inputs}
        frames = {asset: spark.read(snapshot) for asset, snapshot in inputs.items()}
        if declared.function:
            frame = _call(declared.function, spark, frames)
        else:
            views = view_names(declared.inputs)
            named = {views[asset]: frame for asset, frame in frames.items()}
            frame = spark.sql(prepared(statement, views), named)
        _require_columns(declared, frame.columns)
        commit = spark.write(
            step,
            frame,
            mode=declared.mode,
            on=declared.on,
            # The declaration decides the columns of a table that is made anew by every run.
            evolve_schema=declared.mode == "overwrite",
            comments=declared.columns,
        )
        versions = {f"input/{asset}": snapshot.version for asset, snapshot in inputs.items()}
        lineage = {} if declared.function else _column_lineage(statement, inputs, frame.columns)
        return materialized(context, commit, metadata={"engine": step.engine, **versions, **lineage})

    return transform


def _call(function: str, spark: Spark, frames: Mapping[str, "DataFrame"]) -> "DataFrame":
    from pyspark import cloudpickle

    module_name, name = function.split(":")
    module = import_module(module_name)
    if not callable(found := getattr(module, name, None)):
        raise InvalidPayload(f"function: {module_name} has no function {name}.")
    # By value: a server that has imported an older state of the module would otherwise go on using that one.
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    frame: DataFrame = found(spark.session(), dict(frames))
    return frame


def _require_columns(declared: SparkTransformComponent, names: Sequence[str]) -> None:
    if missing := [name for name in (*declared.columns, *declared.on) if name not in names]:
        raise SchemaMismatch(
            f"{declared.asset} declares {', '.join(missing)}, which its result lacks; it has {', '.join(names)}."
        )


def _column_lineage(statement: str, inputs: "Mapping[str, Snapshot]", names: Sequence[str]) -> dict[str, Any]:
    from lakehouse.sql_lineage import column_lineage

    schemas = {asset: snapshot.schema.names for asset, snapshot in inputs.items()}
    sources = column_lineage(statement, schemas)
    if sources is None or len(sources) != len(names):
        return {}
    deps = {
        name: [dg.TableColumnDep(asset_key=dg.AssetKey(asset_key(table)), column_name=column) for table, column in used]
        for name, used in zip(names, map(sorted, sources), strict=True)
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}
