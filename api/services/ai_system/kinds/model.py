"""Models: assets that predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from api.kernel.filtering import filters
from api.kernel.kinds.context import Context
from api.kernel.kinds.kind import Kind
from api.kernel.lake import versions
from api.kernel.lake.provenance import Provenance, ProvenanceQuery, explain
from api.kernel.lake.versions import Version
from api.kernel.models import ListQuery, Model, Page, Query, Request
from api.kernel.permissions.graph import AssetLocator
from api.kernel.platform import Platform
from api.kernel.storage.listing import Listing
from api.services.ai_system.logic import trainings
from api.services.ai_system.logic.trainings import ModelVersion
from core.ports import AssetNode

if TYPE_CHECKING:
    from serving.predictor import Predictions

_KIND = "onnx"
"""Assets of this kind are models that can be served."""

_LISTING = Listing[AssetNode](
    id=lambda node: node.id,
    fields={"project": filters.Field(filters.FieldType.STRING, read=lambda node: node.id.partition(".")[0])},
)

_MODELS = AssetLocator("ai_system.model", "model", lambda node: _KIND in node.kinds)

MODEL = Kind(
    "model",
    plural="models",
    title="Model",
    description="A trained model. Its id is its asset's.",
    example="flights.models.arrival_delay",
    locate=_MODELS,
    filter_by=tuple(_LISTING.fields),
)


class ServedModel(Model):
    """A model and the training that answers."""

    id: str
    """Id of the model: its asset's."""

    description: str
    """What it predicts."""

    owners: list[str]
    """Addresses or `team:` names."""

    serving: ModelVersion | None
    """The newest training that passed its checks: the one that answers. Null before the first."""


class VersionsQuery(Query):
    """How many trainings."""

    page_size: Annotated[int, Field(ge=1, le=100)] = 20
    """Most versions on one page."""

    page_token: Annotated[str, Field(max_length=20)] = ""
    """Where to go on: `next_page_token` of the page before."""


class ModelVersions(Model):
    """Trainings of a model, newest first."""

    items: list[ModelVersion]
    """The trainings."""

    next_page_token: str | None
    """Token of the next page; null on the last one."""


class Predict(Request):
    """What to predict for."""

    instances: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=10_000)]
    """Each an object with inputs by name, or with an entity's key, or with both: given inputs then replace those
    looked up (what if?)."""

    version: Version | None = None
    """Version of the model; by default the newest that passed its checks."""

    features_version: Version | None = None
    """Version of the feature table to look entities up in; by default the newest."""

    explain: bool = False
    """Also say what each input contributed."""


class Contribution(Model):
    """What one input did to one prediction."""

    feature: str
    """Name of the input."""

    value: float | None
    """Its value; null if missing."""

    median: float | None
    """What it was replaced by to see what it does."""

    contribution: float
    """Change of the log-odds that it alone makes."""


class Prediction(Model):
    """The answer for one instance."""

    probability: float
    """Probability of the target."""

    label: bool
    """Whether it reaches the threshold."""

    key: dict[str, str] | None
    """The entity that was looked up, if one was named."""

    missing: list[str]
    """Inputs without a value."""

    out_of_range: list[str]
    """Inputs outside of what the training data held."""

    contributions: list[Contribution] | None
    """Strongest first, if asked for."""


class PredictionBatch(Model):
    """Answers, and the exact versions that gave them."""

    model: str
    """Id of the model."""

    model_version: int
    """Table version that holds the training."""

    model_data_version: str
    """The same as lineage names it: start of the provenance of every answer."""

    digest: str
    """SHA-256 of the model that answered."""

    target: str
    """What the probabilities are of."""

    threshold: float
    """Probability from which a prediction is positive."""

    features_table: str
    """Feature table of the model."""

    features_data_version: str | None
    """Version that entities were looked up in; null if none was."""

    explanation: dict[str, str] | None
    """Method of the contributions, if asked for."""

    predictions: list[Prediction]
    """Answers in the order of the instances."""


@MODEL.list(query=ListQuery, item=ServedModel)
async def list_models(ctx: Context, query: ListQuery) -> Page[ServedModel]:
    """Lists models by id, with the training that answers."""
    nodes, token = _LISTING.page(list(_MODELS.nodes(ctx.view()).values()), query)
    return Page[ServedModel](items=await ctx.work(_describe, ctx.platform, nodes), next_page_token=token)


@MODEL.get(result=ServedModel)
async def get_model(ctx: Context, model: str) -> ServedModel:
    """Returns a model with the training that answers: its inputs, metrics and versions."""
    (found,) = await ctx.work(_describe, ctx.platform, [_find(ctx, model)])
    return found


@MODEL.part("versions", query=VersionsQuery, result=ModelVersions)
async def get_model_versions(ctx: Context, model: str, query: VersionsQuery) -> ModelVersions:
    """Lists the trainings of a model, newest first, accepted or not."""
    _find(ctx, model)
    items, token = await ctx.work(trainings.newest_first, ctx.platform, model, query.page_token, query.page_size)
    return ModelVersions(items=items, next_page_token=token)


@MODEL.part("provenance", query=ProvenanceQuery, result=Provenance)
async def get_model_provenance(ctx: Context, model: str, query: ProvenanceQuery) -> Provenance:
    """Tells which data, code, run and principal stand behind a version of the model, and so behind its answers."""
    _find(ctx, model)
    return await ctx.work(explain, ctx, model, query.version)


@MODEL.action("predict", request=Predict, result=PredictionBatch, reads=True)
async def predict_model(ctx: Context, model: str, request: Predict) -> PredictionBatch:
    """Predicts for a batch of instances. Every answer names the model and feature versions it comes from."""
    _find(ctx, model)
    return PredictionBatch.model_validate(await ctx.work(_predict, ctx.platform, model, request), from_attributes=True)


def _find(ctx: Context, id: str) -> AssetNode:
    return _MODELS.find(ctx.view(), id)


def _describe(platform: Platform, nodes: list[AssetNode]) -> list[ServedModel]:
    return [
        ServedModel(
            id=node.id,
            description=node.description,
            owners=list(node.owners),
            serving=trainings.serving(platform, node.id),
        )
        for node in nodes
    ]


def _predict(platform: Platform, model: str, request: Predict) -> Predictions:
    return platform.part(trainings.open_predictor).predict(
        model,
        request.instances,
        version=None if request.version is None else versions.number(request.version),
        features_version=None if request.features_version is None else versions.number(request.features_version),
        explain=request.explain,
    )
