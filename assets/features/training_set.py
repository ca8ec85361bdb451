"""The component for training sets: examples with the features that were known at their times."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import AssetId, TableComponent
from assets.features.view import Duration, Name, duration
from assets.findings import place
from assets.step_checks import ProducedVersion, StepCheck, checked_asset
from core.ids import asset_key
from features.history import JoinedView, retrieve
from features.rows import ViewColumns, read_rows, require_types
from features.training import leaks, splits
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings
    from lakehouse.step import Step

LEAKAGE = "no_leakage"
SPLIT = "split"


class Spine(dg.Model):
    """Examples: one row for each prediction to learn from."""

    table: AssetId = Field(description="Table with the examples. A SQL transformation can make one.")
    version: int | None = Field(None, ge=0, le=2**53, description="Version of the table. By default the newest.")
    timestamp: str = Field(description="Column with the time of the example. Only features up to it are used.")
    labels: list[str] = Field(min_length=1, description="Columns to predict.")
    label_timestamp: str | None = Field(None, description="Column with the time from which on the labels are known.")


class TrainingView(dg.Model):
    """Features of a table that are added to the examples."""

    name: Name = Field(description="Name of the view, which the names of its columns begin with.")
    table: AssetId = Field(description="Feature table.")
    version: int | None = Field(None, ge=0, le=2**53, description="Version of the table. By default the newest.")
    keys: dict[str, str] = Field(
        min_length=1, max_length=10, description="The column of the spine for each key column of the table."
    )
    timestamp: str = Field("predicted_at", description="Column with the event time of a row.")
    ttl: Duration | None = Field(None, description="Age up to which a row counts. An older row counts as missing.")
    features: list[str] = Field(min_length=1, description="Columns to add.")


class Split(dg.Model):
    """Assignment of the examples to splits, which depends only on their values and the seed."""

    seed: int = Field(0, ge=0, le=2**63 - 1, description="Seed of the assignment.")
    shares: dict[Name, float] = Field(
        default_factory=lambda: {"train": 0.8, "test": 0.2}, min_length=1, description="Share of each split, by name."
    )
    by: list[str] = Field(
        default_factory=list,
        description="Columns of the spine. Examples with equal values are in the same split. By default the columns of "
        "all keys.",
    )

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if any(share <= 0 for share in self.shares.values()) or abs(sum(self.shares.values()) - 1) > 1e-9:
            raise ValueError("shares: must be positive and add up to 1")
        return self


class TrainingSetComponent(TableComponent):
    """Examples with the features that were known at their times, from exact versions, in reproducible splits.

    The lineage of a version names the version of every table that was read. A blocking check verifies that no feature
    is later than its example, that no feature is the label, and that no entity is in two splits.
    """

    spine: Spine
    views: list[TrainingView] = Field(min_length=1, max_length=50, description="Views whose features are added.")
    split: Split = Split()

    @property
    def split_by(self) -> list[str]:
        """Columns of the spine whose values decide on the split."""
        return self.split.by or self.keys

    @property
    def keys(self) -> list[str]:
        """Columns of the spine that identify the entities of an example."""
        return list(dict.fromkeys(column for view in self.views for column in view.keys.values()))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [view.name for view in self.views]
        if len(set(names)) < len(names):
            raise ValueError("views: two views have the same name")
        for number, view in enumerate(self.views):
            if len(set(view.features)) < len(view.features):
                raise ValueError(f"views/{number}/features: a feature is named twice")
            if used := [name for name in view.features if name in (*view.keys, view.timestamp)]:
                raise ValueError(f"views/{number}/features: {used[0]} is a key or the event time")
        return self

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds the columns of the spine and of the views."""
        spine = findings.schema(self.spine.table, place("spine", "table"))
        if spine is not None:
            findings.present(self.spine.labels, spine.names, place("spine", "labels"), owner=self.spine.table)
            findings.present(self.split.by, spine.names, place("split", "by"), owner=self.spine.table)
            for attribute in ("timestamp", "label_timestamp"):
                if column := getattr(self.spine, attribute):
                    self._bind_instant(spine, column, self.spine.table, place("spine", attribute), findings)
        for number, view in enumerate(self.views):
            self._bind_view(number, view, spine, findings)
        return None

    def _bind_instant(self, schema: "pa.Schema", column: str, table: str, pointer: str, findings: "Findings") -> None:
        if column not in schema.names:
            findings.wrong(pointer, f"{table} has no column {column}; it has {', '.join(schema.names)}")
            return
        with findings.blaming(pointer):
            require_types(schema, ViewColumns((), column, ()), table)

    def _bind_view(self, number: int, view: TrainingView, spine: "pa.Schema | None", findings: "Findings") -> None:
        if spine is not None:
            columns = list(view.keys.values())
            findings.present(columns, spine.names, place("views", number, "keys"), owner=self.spine.table)
        schema = findings.schema(view.table, place("views", number, "table"))
        if schema is None:
            return
        known = findings.present(list(view.keys), schema.names, place("views", number, "keys"), owner=view.table)
        known &= findings.present(view.features, schema.names, place("views", number, "features"), owner=view.table)
        self._bind_instant(schema, view.timestamp, view.table, place("views", number, "timestamp"), findings)
        if known and view.timestamp in schema.names:
            for attribute, columns_of in (("keys", (tuple(view.keys), ())), ("features", ((), tuple(view.features)))):
                with findings.blaming(place("views", number, attribute)):
                    require_types(schema, ViewColumns(columns_of[0], view.timestamp, columns_of[1]), view.table)

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset with the check of leakage and its declared checks."""
        key = dg.AssetKey(asset_key(self.asset))
        leakage = dg.AssetCheckSpec(
            LEAKAGE,
            asset=key,
            blocking=True,
            description="No feature is later than its example or always equals a label, no example is later than its "
            "label, and no entity is in two splits.",
        )

        @checked_asset(
            name=self.op_name,
            specs=[
                self.spec(
                    kinds=["polars", "training-set"],
                    deps=dict.fromkeys([self.spine.table, *(view.table for view in self.views)]),
                    metadata={"labels": ", ".join(self.spine.labels), "seed": self.split.seed},
                )
            ],
            checks=[StepCheck(leakage, self._check_leakage), *step_checks(self.asset, self.checks)],
        )
        def training_set(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult[Any]:
            step = delta.step(context, engine="polars", params={"seed": self.split.seed})
            examples = self.examples(step)
            commit = step.overwrite(examples, evolve_schema=True)
            counts = {name: int(count) for name, count in _counted(examples[SPLIT]).items()}
            statuses = {view.name: _counted(examples[f"{view.name}__status"]) for view in self.views}
            return materialized(
                context,
                commit,
                metadata={
                    "splits": dg.JsonMetadataValue(counts),
                    "statuses": dg.JsonMetadataValue(statuses),
                    "versions": dg.JsonMetadataValue(dict(step.inputs)),
                },
            )

        return dg.Definitions(assets=[training_set], asset_checks=asset_checks(self.asset, self.checks))

    def examples(self, step: "Step") -> "pa.Table":
        """Returns the examples with their features and splits, from the versions that the step pins."""
        import pyarrow as pa

        spine = step.read(self.spine.table, version=self.spine.version).to_arrow()
        joined = []
        for view in self.views:
            columns = ViewColumns(
                tuple(view.keys),
                view.timestamp,
                tuple(view.features),
                duration(view.ttl) if view.ttl else None,
            )
            read = [*view.keys, view.timestamp, *view.features]
            snapshot = step.read(view.table, version=view.version, columns=read)
            features = {name: f"{view.name}__{name}" for name in view.features}
            joined.append(JoinedView(view.name, read_rows(snapshot, columns), features, view.keys))
        examples = retrieve(spine, self.spine.timestamp, joined)
        chosen = splits(spine, self.split_by, self.split.shares, self.split.seed)
        return examples.append_column(SPLIT, pa.array(chosen, pa.string()))

    def _check_leakage(self, version: ProducedVersion) -> dg.AssetCheckResult:
        features = [f"{view.name}__{name}" for view in self.views for name in view.features]
        found = leaks(
            version.snapshot.to_arrow(),
            time=self.spine.timestamp,
            labels=self.spine.labels,
            label_time=self.spine.label_timestamp,
            features=features,
            event_times=[f"{view.name}__event_at" for view in self.views],
            keys=self.keys,
            split=SPLIT,
        )
        return dg.AssetCheckResult(
            asset_key=dg.AssetKey(asset_key(self.asset)),
            check_name=LEAKAGE,
            passed=not found,
            description="; ".join(leak.detail for leak in found) or f"{len(features)} features leak nothing.",
            metadata={
                "leaks": dg.JsonMetadataValue([asdict(leak) for leak in found]),
                "checked_rows": version.snapshot.row_count,
                "delta/version": version.snapshot.version,
            },
        )


def _counted(column: "pa.ChunkedArray") -> dict[str, int]:
    counts = column.value_counts().to_pylist()
    return {str(one["values"]): one["counts"] for one in sorted(counts, key=lambda one: str(one["values"]))}
