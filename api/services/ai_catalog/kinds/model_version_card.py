"""Cards of versions of models: facts that the platform knows, and a text that people write, with its history."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.table_kind import Row
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.services.ai_catalog.artifact_tables import ARTIFACT as ARTIFACTS
from api.services.ai_catalog.kinds.artifact import ARTIFACT
from api.services.ai_catalog.kinds.model_version import MODEL_VERSION
from api.services.ai_catalog.kinds.model_version_lineage import ModelProvenance, provenance_of
from api.services.ai_catalog.kinds.registered_model import REGISTERED_MODEL
from api.services.ai_catalog.model_tables import MODEL_CARD
from core.errors import Conflict, NotFound
from core.ids import new_id

_PLOTS = (".png", ".svg", ".jpg", ".jpeg", ".html", ".webp")
_MAX_PLOTS = 100


class CardQuery(Query):
    """Which revision of the written part to return."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    """Number of the revision. By default the newest."""


class WriteCard(Request):
    """The written part of a card."""

    text: Annotated[str, Field(min_length=1, max_length=100_000)]
    """Purpose, limits, and risks, in Markdown."""

    revision: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    """Number of the revision that this text replaces, 0 for none, by default the newest. The request is refused if it
    isn't the newest."""


class CardText(Model):
    """A revision of the written part of a card."""

    revision: int
    """Number of the revision, from 1."""

    text: str
    """The text, in Markdown."""

    written_by: str
    """Name of the principal that wrote it."""

    written_at: datetime
    """Time at which it was written."""


class Plot(Model):
    """A plot that the run or the model contains."""

    artifact_id: str
    """Id of the artifact."""

    path: str
    """Path of the file."""


class ModelCard(Model):
    """The card of a version: facts that the platform knows, and the text that people wrote."""

    model: str
    """Display name of the registered model."""

    description: str
    """Description of the registered model."""

    owner: str
    """Id of the owner of the registered model."""

    aliases: list[str]
    """Aliases that name the version."""

    facts: ModelProvenance
    """The version with its checks, its run with metrics and parameters, its data, and its code."""

    plots: list[Plot]
    """Plots of the run and of the model. At most 100."""

    written: CardText | None
    """The written part. Null if there is none."""

    revisions: int
    """Number of revisions of the written part."""


@MODEL_VERSION.part("card", query=CardQuery, result=ModelCard)
async def get_model_version_card(ctx: Context, model_version: str, query: CardQuery) -> ModelCard:
    """Returns the card of a version: its data, code, metrics, checks, and plots, and the text that people wrote."""

    def read(unit: Unit) -> ModelCard:
        version = MODEL_VERSION.row(unit, model_version, "card")
        model = unit.get(REGISTERED_MODEL, version.registered_model_id)
        newest = _newest(unit, version)
        return ModelCard(
            model=model.spec.title,
            description=model.spec.description,
            owner=model.owner,
            aliases=sorted(name for name, number in model.status.aliases.items() if number == version.version),
            facts=facts,
            plots=_plots(unit, version),
            written=_written(unit, version, newest if query.revision is None else query.revision),
            revisions=newest,
        )

    facts = await provenance_of(ctx, model_version, "card")
    return await ctx.read(read)


@MODEL_VERSION.command("write-card", request=WriteCard, result=CardText, past="card_revised")
def write_model_version_card(unit: Unit, version: Row, request: WriteCard) -> CardText:
    """Writes the text of the card of a version. Earlier revisions stay readable."""
    newest = _newest(unit, version)
    if request.revision is not None and request.revision != newest:
        raise Conflict(
            f"The newest revision of the card is {newest}, not {request.revision}. Read it, and write again.",
            metadata={"revision": newest},
        )
    values = {"revision": newest + 1, "text": request.text, "written_by": unit.principal.name, "written_at": unit.now}
    scope = {"organization_id": version.organization_id, "project_id": version.project_id}
    row = {"id": new_id("crd"), **scope, "model_version_id": version.id, **values}
    unit.connection.execute(MODEL_CARD.insert().values(row))
    unit.call.note(revision=newest + 1)
    return CardText.model_validate(values)


def _newest(unit: Unit, version: Row) -> int:
    newest = sa.select(sa.func.max(MODEL_CARD.c.revision)).where(MODEL_CARD.c.model_version_id == version.id)
    return unit.connection.execute(newest).scalar() or 0


def _written(unit: Unit, version: Row, revision: int) -> CardText | None:
    if revision == 0:
        return None
    select = sa.select(MODEL_CARD).where(MODEL_CARD.c.model_version_id == version.id, MODEL_CARD.c.revision == revision)
    row = unit.connection.execute(select).first()
    if row is None:
        raise NotFound(f"The card has no revision {revision}.")
    return CardText(**{name: row._mapping[name] for name in CardText.model_fields})


def _plots(unit: Unit, version: Row) -> list[Plot]:
    parents = sorted({version.parent_id, version.run_id or version.parent_id})
    is_plot = sa.or_(*(ARTIFACTS.c.path.endswith(suffix, autoescape=True) for suffix in _PLOTS))
    select = sa.select(ARTIFACTS.c.id, ARTIFACTS.c.path).where(
        ARTIFACTS.c.parent_id.in_(parents), is_plot, ARTIFACT.visible(unit)
    )
    rows = unit.connection.execute(select.order_by(ARTIFACTS.c.path, ARTIFACTS.c.id).limit(_MAX_PLOTS))
    return [Plot(artifact_id=row.id, path=row.path) for row in rows]
