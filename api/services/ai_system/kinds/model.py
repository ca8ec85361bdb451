"""Models: assets that predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake import versions
from api.kernel.lake.asset_lists import AssetListQuery
from api.kernel.lake.copies import require_copy
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, explain
from api.kernel.lake.row_access import is_restricted
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Page, Query, Request
from api.kernel.permissions.graph import AssetLocator
from api.kernel.storage.listing import Listing
from api.services.ai_system.logic import trainings
from api.services.ai_system.logic.trainings import ModelVersion
from core.errors import HeadwaterError
from core.ports import AssetNode

if TYPE_CHECKING:
    from serving.predictor import Predictions

_KIND = "onnx"
"""Kind of the assets that are models and can be served."""

_LISTING = Listing[AssetNode](
    id=lambda node: node.id,
    fields={"project": filters.Field(filters.FieldType.STRING, read=lambda node: node.id.partition(".")[0])},
)

_MODELS = AssetLocator("ai_system.model", "model", lambda node: _KIND in node.kinds)

MODEL = Kind(
    "model",
    plural="models",
    title="Model",
    description="A trained model. Its id is that of its asset.",
    example="flights.models.arrival_delay",
    locate=_MODELS,
    filter_by=tuple(_LISTING.fields),
)


class ServedModel(Model):
    """A model and the version that serves predictions."""

    id: str
    """Id of the model, which is that of its asset."""

    description: str
    """Description of the model."""

    owners: list[str]
    """Owners: addresses, or names with `team:`."""

    serving: ModelVersion | None
    """The newest version that passed its checks, which serves predictions. Null before the first one."""


class VersionsQuery(Query):
    """A page of versions."""

    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    """Maximum number of versions on a page."""

    page_token: Annotated[str, Field(max_length=20)] = ""
    """`next_page_token` of the previous page. Empty for the first page."""


class ModelVersions(Model):
    """Versions of a model, newest first."""

    items: list[ModelVersion]
    """The versions."""

    next_page_token: str | None
    """Token of the next page. Null on the last page."""


class Predict(Request):
    """Instances to predict for."""

    instances: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)]
    """Objects with inputs by name, with the key of an entity, or with both. Inputs in the object replace those of the
    entity, which answers what-if questions."""

    version: Version | None = None
    """Version of the model. By default the newest one that passed its checks."""

    features_version: Version | None = None
    """Version of the feature table in which entities are looked up. By default the newest."""

    explain: bool = False
    """Whether to return the contribution of each input."""


class Contribution(Model):
    """The contribution of an input to a prediction."""

    feature: str
    """Name of the input."""

    value: float | None
    """Value of the input. Null if it is missing."""

    median: float | None
    """Median that replaced the value to compute the contribution."""

    contribution: float
    """Change of the log-odds by this input alone."""


class Prediction(Model):
    """The prediction for one instance."""

    probability: float
    """Probability of the target."""

    label: bool
    """Whether the probability reaches the threshold."""

    key: dict[str, str] | None
    """Key of the entity that was looked up. Null if the instance contains none."""

    missing: list[str]
    """Names of inputs without a value."""

    out_of_range: list[str]
    """Names of inputs outside the range of the training data."""

    contributions: list[Contribution] | None
    """Contributions, strongest first. Null unless `explain` is set."""


class PredictionBatch(Model):
    """Predictions, with the exact versions that produced them."""

    model: str
    """Id of the model."""

    model_version: int
    """Table version that contains the model version."""

    model_data_version: str
    """Data version of the model, with which the provenance of every prediction starts."""

    digest: str
    """SHA-256 of the model artifact."""

    target: str
    """Target of the probabilities."""

    threshold: float
    """Probability from which a prediction is positive."""

    features_table: str
    """Id of the model's feature table."""

    features_data_version: str | None
    """Data version in which entities were looked up. Null if none were."""

    explanation: dict[str, str] | None
    """Method of the contributions. Null unless `explain` is set."""

    predictions: list[Prediction]
    """Predictions in the order of the instances."""


@MODEL.list(query=AssetListQuery, item=ServedModel)
async def list_models(ctx: Context, query: AssetListQuery) -> Page[ServedModel]:
    """Lists models by id, each with the version that serves predictions."""
    nodes, token = _LISTING.page(query.included(_MODELS.nodes(ctx.view()).values()), query)
    return Page[ServedModel](items=await ctx.compute(_describe, ctx, nodes), next_page_token=token)


@MODEL.get(result=ServedModel)
async def get_model(ctx: Context, model: str) -> ServedModel:
    """Returns a model with the version that serves predictions: its inputs, metrics, and checks."""
    (served,) = await ctx.compute(_describe, ctx, [_find(ctx, model)])
    return served


@MODEL.part("versions", query=VersionsQuery, result=ModelVersions)
async def get_model_versions(ctx: Context, model: str, query: VersionsQuery) -> ModelVersions:
    """Lists the versions of a model, newest first, including those that failed their checks."""
    _find(ctx, model)
    items, token = await ctx.compute(trainings.newest_first, ctx.platform, model, query.page_token, query.page_size)
    return ModelVersions(items=await ctx.compute(_permitted, ctx, items), next_page_token=token)


@MODEL.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_model_provenance(ctx: Context, model: str, query: ProvenanceQuery) -> Provenance:
    """Returns the data, code, run, and principal that produced a version of the model."""
    _find(ctx, model)
    return await ctx.compute(explain, ctx, model, query.version)


@MODEL.action("predict", request=Predict, result=PredictionBatch, reads=True)
async def predict_model(ctx: Context, model: str, request: Predict) -> PredictionBatch:
    """Predicts for a batch of instances. The response contains the exact model and feature versions.

    The caller must be able to read the tables that these versions were made from, unless their owners released them.
    """
    _find(ctx, model)
    predicted = await ctx.compute(_predict, ctx, model, request)
    return PredictionBatch.model_validate(predicted, from_attributes=True)


def _find(ctx: Context, id: str) -> AssetNode:
    return _MODELS.find(ctx.view(), id)


def _permitted(ctx: Context, found: list[ModelVersion]) -> list[ModelVersion]:
    """Returns versions without statistics of features that policies restrict for the caller."""
    hidden = {
        table: is_restricted(ctx.platform, ctx.principal.access, table)
        for table in {version.entity_table for version in found}
    }
    nothing = {"minimum": None, "maximum": None, "median": None}
    return [
        version.model_copy(update={"inputs": [one.model_copy(update=nothing) for one in version.inputs]})
        if hidden[version.entity_table]
        else version
        for version in found
    ]


def _serving(ctx: Context, model: str) -> ModelVersion | None:
    version = trainings.serving(ctx.platform, model)
    return _permitted(ctx, [version])[0] if version else None


def _describe(ctx: Context, nodes: list[AssetNode]) -> list[ServedModel]:
    return [
        ServedModel(
            id=node.id,
            description=node.description,
            owners=list(node.owners),
            serving=_serving(ctx, node.id),
        )
        for node in nodes
    ]


def _predict(ctx: Context, model: str, request: Predict) -> Predictions:
    try:
        predicted = ctx.platform.part(trainings.open_predictor).predict(
            model,
            request.instances,
            version=None if request.version is None else versions.number(request.version),
            features_version=None if request.features_version is None else versions.number(request.features_version),
            explain=request.explain,
        )
    except HeadwaterError:
        # The error may say which entities a table has, or what an input was in training.
        require_copy(ctx.platform, ctx.principal.access, model)
        if served := trainings.serving(ctx.platform, model):
            require_copy(ctx.platform, ctx.principal.access, served.entity_table)
        raise
    require_copy(ctx.platform, ctx.principal.access, model, predicted.model_data_version)
    if predicted.features_data_version is not None:
        require_copy(ctx.platform, ctx.principal.access, predicted.features_table, predicted.features_data_version)
    return predicted
