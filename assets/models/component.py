"""Models declared in YAML or published over REST."""

from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from assets.datasets.checks import asset_checks
from assets.declaration import AssetId, TableComponent
from assets.models import checks as model_checks
from assets.models.boosting import BoostingParameters
from assets.models.checks import Requirements
from core import clock
from core.ids import asset_key, new_id
from resources.delta import Delta, materialized

if TYPE_CHECKING:
    from assets.models.data import Splits
    from assets.models.training import Training
    from lakehouse.step import Step
    from serving.registry import Candidate
    from serving.signature import Signature


class ModelTrainingComponent(TableComponent):
    """A classifier of gradient-boosted trees, trained on one table of features and judged on rows it never saw.

    Each training appends one row to the model's table: the ONNX artifact, its signature, metrics, base rate, parameters
    and the version of the features. So a version of the model is a version of its table. A training that fails a
    blocking check is kept, but served only when asked for by version.
    """

    features: AssetId = Field(description="Feature table.")
    key: list[str] = Field(min_length=1, description="Columns that identify an entity, for predictions by key.")
    target: str = Field(description="Boolean column to predict; rows where it is missing are left out.")
    inputs: list[str] | None = Field(None, min_length=1, description="Numeric columns; by default all floating ones.")
    exclude: list[str] = Field(
        default_factory=list, description="Columns that are no inputs although they are numbers."
    )
    train: str = Field(description="SQL condition of the rows to train on.")
    tune: str = Field(description="SQL condition of the training rows that decide when to stop, best the latest ones.")
    test: str = Field(description="SQL condition of the rows to judge by; shares none with `train`.")
    base_rate: list[str] = Field(
        default_factory=list, description="SQL expressions of the groups whose base rate the model has to beat."
    )
    requirements: Requirements = Requirements()
    parameters: BoostingParameters = BoostingParameters()
    threshold: float | None = Field(None, gt=0, lt=1, description="Positive from here; by default found while tuning.")
    seed: int = 0

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """One asset, its blocking verdicts and the declared checks."""
        key = dg.AssetKey(asset_key(self.asset))

        @dg.multi_asset(
            name=self.op_name,
            specs=[self.spec(kinds=["scikitlearn", "onnx"], deps=[self.features])],
            check_specs=model_checks.specs(key),
            # Two trainings at once would only slow each other down.
            pool=self.op_name,
        )
        def model(context: dg.AssetExecutionContext, delta: Delta) -> dg.MaterializeResult:  # type: ignore[type-arg]
            step = delta.step(context, engine="scikit-learn", params=self.model_dump(mode="json", include=_DECIDING))
            training, candidate = self.trained(step)
            commit = step.append(candidate.row(), once=candidate.model_id)
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
            UnknownColumn, SchemaMismatch, InvalidArgument: the declaration does not fit the table.
        """
        from assets.models import data, training
        from serving.registry import Candidate

        snapshot = step.tables.snapshot(self.features)
        inputs = self.inputs or data.numeric_columns(snapshot, [*self.exclude, self.target])
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
            parameters=self._remembered(result),
            features_version=pinned.data_version,
            trained_rows=len(prepared.train),
            trained_at=clock.now(),
        )

    def splits(self) -> "Splits":
        """The declared splits."""
        from assets.models.data import Splits

        return Splits(train=self.train, tune=self.tune, test=self.test)

    def _signature(self, features: Any) -> "Signature":
        from serving.signature import Signature

        return Signature(tuple(features), self.target, self.features, tuple(self.key))

    def _remembered(self, result: "Training") -> dict[str, Any]:
        from assets.models.training import libraries

        return {
            "algorithm": "HistGradientBoostingClassifier",
            "trees": result.trees,
            "libraries": libraries(),
            **self.model_dump(mode="json", include=_DECIDING),
        }


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
        **{f"{name}_plot": dg.MetadataValue.md(picture) for name, picture in training.plots.items()},
    }
