"""The component for models."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from pydantic import Field, model_validator

from assets.datasets.checks import asset_checks, step_checks
from assets.declaration import AssetId, TableComponent
from assets.models import checks as model_checks
from assets.models.binding import TrainingColumns, bind
from assets.models.boosting import BoostingParameters
from assets.models.checks import Requirements
from assets.step_checks import checked_asset
from core import clock
from core.ids import asset_key, new_id
from lakehouse.comparison import Comparison
from lakehouse.schemas import require_columns
from resources.delta import Delta, materialized
from serving.signature import Feature, Signature

if TYPE_CHECKING:
    import pyarrow as pa

    from assets.findings import Findings
    from assets.models.data import Splits
    from assets.models.training import Training
    from lakehouse.step import Step
    from serving.registry import Candidate


class ModelTrainingComponent(TableComponent):
    """A classifier of gradient-boosted trees, trained on a feature table and evaluated on separate test rows.

    Each training appends one row to the table of the model: the ONNX artifact, its signature, metrics, base rate,
    parameters, and the version of the features. A version of the model is a version of its table. A training that fails
    a blocking check is stored, but served only if a request names its version.
    """

    features: AssetId = Field(description="Feature table.")
    key: list[str] = Field(min_length=1, description="Columns that identify an entity, for predictions by key.")
    target: str = Field(description="Boolean column to predict. Rows where it is missing are excluded.")
    inputs: list[str] | None = Field(
        None, min_length=1, description="Numeric columns that are inputs. By default all floating-point columns."
    )
    exclude: list[str] = Field(default_factory=list, description="Floating-point columns that are not inputs.")
    train: str = Field(description="SQL condition of the rows to train on.")
    tune: str = Field(
        description="SQL condition of the training rows that determine the number of trees, best the latest."
    )
    test: str = Field(description="SQL condition of the rows to evaluate on. None of them is a row of `train`.")
    base_rate: list[str] = Field(
        default_factory=list, description="SQL expressions of the groups whose base rate the model must beat."
    )
    requirements: Requirements = Requirements()
    parameters: BoostingParameters = BoostingParameters()
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Minimum probability of a positive prediction. By default determined on the tuning rows.",
    )
    seed: int = Field(0, ge=0, lt=2**32, description="Seed of the random numbers of the training.")

    @model_validator(mode="after")
    def _separate_rows_and_columns(self) -> Self:
        if self.target in (self.inputs or ()):
            raise ValueError(f"inputs: {self.target} is the target; it cannot be an input")
        if len(set(self.inputs or ())) < len(self.inputs or ()):
            raise ValueError("inputs: a column is named twice")
        if self.train == self.test:
            raise ValueError("test: is the same as train; evaluate the model on other rows")
        if self.train == self.tune:
            raise ValueError("tune: is the same as train; it must leave rows to train on")
        return self

    def appended(self) -> "Mapping[str, pa.Schema]":
        """Returns the schema of the table of the model, to which each training appends a row."""
        from serving.registry import model_schema

        return {self.asset: model_schema()}

    def comparison(self) -> Comparison:
        """Returns that the model counts, and not its id and the time of its training."""
        return Comparison(appends=True, varying=_UNIQUE_PER_TRAINING)

    def bind(self, findings: "Findings") -> "pa.Schema | None":
        """Binds key, target, inputs, and splits to the columns of the feature table."""
        columns = TrainingColumns(
            self.features,
            self.key,
            self.target,
            self.inputs,
            self.exclude,
            {"train": self.train, "tune": self.tune, "test": self.test},
            self.base_rate,
        )
        bind(columns, findings)
        return self.appended()[self.asset]

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Returns the asset, its blocking checks, and the declared checks."""
        key = dg.AssetKey(asset_key(self.asset))

        @checked_asset(
            name=self.op_name,
            specs=[self.spec(kinds=["scikitlearn", "onnx"], deps=[self.features])],
            checks=step_checks(self.asset, self.checks),
            reported=model_checks.specs(key),
            # Two trainings at the same time would slow each other down.
            pool=self.op_name,
        )
        def model(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult:  # type: ignore[type-arg]
            from lakehouse.evolution import filled

            step = delta.step(context, engine="scikit-learn", params=self.model_dump(mode="json", include=_DECIDING))
            training, candidate = self.trained(step)
            # The same rows, parameters and libraries result in the same model. It keeps its version, so that downstream
            # assets do not become stale.
            row = candidate.row()
            rows = filled(row, step.evolve(row.schema))
            commit = step.append_if_new(rows, ignored_columns=_UNIQUE_PER_TRAINING, once=candidate.model_id)
            return materialized(
                context,
                commit,
                metadata=_metadata(training, candidate),
                check_results=[model_checks.result(key, verdict) for verdict in training.verdicts],
            )

        return dg.Definitions(assets=[model], asset_checks=asset_checks(self.asset, self.checks))

    def trained(self, step: "Step") -> "tuple[Training, Candidate]":
        """Trains on the version of the features that `step` pins.

        Raises:
            UnknownColumn: the feature table lacks a declared column.
            SchemaMismatch: a column has a type that does not fit.
            InvalidArgument: a condition is not valid, or the splits do not fit the rows.
        """
        from assets.models import data, training
        from assets.models.data import require_keys
        from serving.registry import Candidate

        snapshot = step.tables.snapshot(self.features)
        require_columns(self.features, snapshot.schema.names, [*self.key, *self.exclude])
        require_keys(snapshot.schema, self.key)
        inputs = self.inputs_of(snapshot.schema)
        columns = data.columns_used(inputs, self.target, self.splits(), self.base_rate)
        pinned = step.read(self.features, version=snapshot.version, columns=columns)
        rows = pinned.scan().select(columns).collect()
        prepared = data.prepare(rows, inputs, self.target, self.splits(), self.base_rate)
        result = training.train(prepared, self.parameters, self.requirements, seed=self.seed, threshold=self.threshold)
        return result, Candidate(
            model_id=new_id("mdl"),
            artifact=result.artifact,
            signature=self._signature(prepared.features),
            threshold=result.threshold,
            metrics=result.metrics,
            baseline=result.baseline,
            checks={verdict.name: verdict.passed for verdict in result.verdicts},
            parameters=self._parameters(result),
            features_version=pinned.data_version,
            trained_rows=len(prepared.train),
            trained_at=clock.now(),
        )

    def inputs_of(self, schema: "pa.Schema") -> list[str]:
        """Returns the declared inputs, by default the floating-point columns of the feature table."""
        from assets.models.data import numeric_columns

        return self.inputs or numeric_columns(schema, [*self.exclude, self.target])

    def splits(self) -> "Splits":
        """Returns the declared splits."""
        from assets.models.data import Splits

        return Splits(train=self.train, tune=self.tune, test=self.test)

    def _signature(self, features: Sequence[Feature]) -> Signature:
        return Signature(tuple(features), self.target, self.features, tuple(self.key))

    def _parameters(self, result: "Training") -> dict[str, Any]:
        from assets.models.training import libraries

        return {
            "algorithm": "HistGradientBoostingClassifier",
            "trees": result.trees,
            "libraries": libraries(),
            **self.model_dump(mode="json", include=_DECIDING),
        }


_UNIQUE_PER_TRAINING = ("model_id", "trained_at")
"""Columns that differ between two trainings with the same model."""

_DECIDING = {
    "target",
    "exclude",
    "train",
    "tune",
    "test",
    "base_rate",
    "requirements",
    "parameters",
    "threshold",
    "seed",
}


def _metadata(training: "Training", candidate: "Candidate") -> dict[str, Any]:
    return {
        **{name: training.metrics[name] for name in ("auc", "brier", "log_loss", "calibration_error")},
        "baseline_auc": training.baseline["auc"],
        "baseline_brier": training.baseline["brier"],
        "threshold": training.threshold,
        "trees": training.trees,
        "trained_rows": candidate.trained_rows,
        "judged_rows": int(training.metrics["rows"]),
        "accepted": candidate.accepted,
        "model/digest": candidate.digest,
        "model/size_bytes": len(candidate.artifact),
        "model/id": candidate.model_id,
        "features/version": candidate.features_version,
        "metrics": dg.JsonMetadataValue(dict(training.metrics)),
        "importances": dg.JsonMetadataValue(dict(training.importances)),
        **{f"{name}_plot": dg.MetadataValue.md(plot) for name, plot in training.plots.items()},
    }
