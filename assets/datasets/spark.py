"""The component for tables that Spark computes, by SQL or by a Python function."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import dagster as dg
from pydantic import AfterValidator, Field, model_validator

from assets.datasets.checks import asset_checks, step_checks
from assets.datasets.column_lineage import lineage_metadata
from assets.datasets.component import SqlFile
from assets.datasets.spark_binding import bind_spark
from assets.datasets.spark_sql import prepared, view_names
from assets.declaration import AssetId, TableComponent
from assets.step_checks import checked_asset
from core.errors import InvalidPayload, SchemaMismatch
from lakehouse.sql_lineage import named_sources
from resources.delta import Delta, materialized
from resources.spark.resource import Spark

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from assets.findings import Findings

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def _function(text: str | None) -> str | None:
    if text is not None and not _FUNCTION.fullmatch(text):
        raise ValueError(f"{text!r} does not name a function; write module:function")
    return text


class SparkTransformComponent(TableComponent):
    """A table that Spark computes from other tables, by SQL or by a Python function.

    Each run reads one version of every input and records it. The setting `HEADWATER_SPARK` selects the engine: Sail,
    Apache Spark, or a remote cluster.
    """

    inputs: list[AssetId] = Field(min_length=1, description="Ids of the tables that are read.")
    sql: Annotated[str, Field(min_length=1)] | SqlFile | None = Field(
        None, description="One SELECT in Spark's dialect. It names inputs by id or by the last part of the id."
    )
    function: Annotated[str | None, AfterValidator(_function)] = Field(
        None,
        description="Python function, as module:function. It takes the session and the inputs by id, and returns a "
        "DataFrame. YAML only.",
    )
    mode: Literal["overwrite", "merge"] = Field(
        "overwrite", description="Whether a run replaces the table or updates it by key."
    )
    on: list[str] = Field(default_factory=list, description="Key columns of a merge.")
    columns: dict[str, str] = Field(default_factory=dict, description="Description by column name.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.sql is None) == (self.function is None):
            raise ValueError("give exactly one of sql and function")
        if (self.mode == "merge") != bool(self.on):
            raise ValueError("on: a merge needs key columns, and only a merge has them")
        if len(set(self.on)) < len(self.on):
            raise ValueError("on: a column is named twice")
        if self.asset in self.inputs:
            raise ValueError(f"inputs: {self.asset} cannot be an input of itself")
        if isinstance(self.sql, str):
            try:
                prepared(self.sql, view_names(self.inputs))
            except InvalidPayload as error:
                raise ValueError(error.detail) from error
        return self

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds the statement to the columns of its inputs, where the engine is the embedded one."""
        if not isinstance(self.sql, str):
            return None
        return bind_spark(
            self.asset, self.sql, self.inputs, keys=self.on, columns=list(self.columns), findings=findings
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset and its checks.

        Raises:
            InvalidPayload: the SQL file or the module is missing, or a published definition names one.
        """
        code = self._function_source() if self.function else self._statement()
        metadata = {} if self.function else {"sql": dg.MetadataValue.md(f"```sql\n{code}\n```")}
        spec = self.spec(
            kinds={"spark", "python" if self.function else "sql"}, deps=self.inputs, code=[code], metadata=metadata
        )
        asset = _spark_asset(spec, self, "" if self.function else code)
        return dg.Definitions(assets=[asset], asset_checks=asset_checks(self.asset, self.checks))

    def _statement(self) -> str:
        if isinstance(self.sql, str):
            return self.sql
        assert self.sql is not None
        statement = self.sql.read(self.folder, self.asset)
        prepared(statement, view_names(self.inputs))
        return statement

    def _function_source(self) -> str:
        assert self.function
        if self.folder is None:
            raise InvalidPayload("function: only YAML files of the repository can name Python code. Publish SQL.")
        module = self.function.split(":")[0]
        # Located without an import: loading definitions must not import pyspark.
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise InvalidPayload(f"function: there is no module {module}.")
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()


def _spark_asset(spec: dg.AssetSpec, declared: SparkTransformComponent, statement: str) -> dg.AssetsDefinition:
    @checked_asset(specs=[spec], checks=step_checks(declared.asset, declared.checks), name=declared.op_name)
    def transform(context: dg.AssetExecutionContext, delta: Delta, spark: Spark) -> dg.MaterializeResult[Any]:
        step = delta.step(context, engine="spark")
        inputs = {asset: step.read(asset) for asset in declared.inputs}
        frames = {asset: spark.read(snapshot) for asset, snapshot in inputs.items()}
        if declared.function:
            frame = _call(declared.function, spark, frames)
        else:
            views = view_names(declared.inputs)
            named = {views[asset]: frame for asset, frame in frames.items()}
            frame = spark.query(prepared(statement, views), named)
        _require_columns(declared, frame.columns)
        schemas = {asset: snapshot.schema.names for asset, snapshot in inputs.items()}
        sources = None if declared.function else named_sources(statement, schemas, frame.columns)
        step.declare_columns(sources)
        commit = spark.write(
            step,
            frame,
            mode=declared.mode,
            on=declared.on,
            # The declaration determines the columns, whether a run replaces the table or merges into it.
            evolve_schema=True,
            comments=declared.columns,
        )
        versions = {f"input/{asset}": snapshot.version for asset, snapshot in inputs.items()}
        metadata = {"engine": step.engine, **versions, **lineage_metadata(sources)}
        return materialized(context, commit, metadata=metadata)

    return transform


def _call(function: str, spark: Spark, frames: Mapping[str, "DataFrame"]) -> "DataFrame":
    from pyspark import cloudpickle

    module_name, name = function.split(":")
    module = import_module(module_name)
    if not callable(compute := getattr(module, name, None)):
        raise InvalidPayload(f"function: {module_name} has no function {name}.")
    # By value: a server that imported an older state of the module would otherwise continue to use it.
    cloudpickle.register_pickle_by_value(module)  # type: ignore[no-untyped-call]
    frame: DataFrame = compute(spark.session(), dict(frames))
    return frame


def _require_columns(declared: SparkTransformComponent, names: Sequence[str]) -> None:
    if missing := [name for name in (*declared.columns, *declared.on) if name not in names]:
        raise SchemaMismatch(
            f"The result of {declared.asset} lacks the declared columns {', '.join(missing)}; it has "
            f"{', '.join(names)}."
        )
