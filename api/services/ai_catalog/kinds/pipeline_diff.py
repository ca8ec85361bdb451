"""Differences of two versions of a pipeline, by asset and by field."""

from __future__ import annotations

from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field, JsonValue

from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query
from api.kernel.permissions.graph import READ_ASSET
from api.kernel.tables import REVISION
from api.services.ai_catalog.kinds.pipeline import PIPELINE, Pipeline
from api.services.ai_catalog.logic.visible_names import visible_names
from core.errors import NotFound
from core.pipelines import find

_MAX_VERSION = 2**31 - 1
_NESTED = ("parameters", "schedule")


class PipelineDiffQuery(Query):
    """Versions to compare."""

    from_: Annotated[int | None, Field(alias="from", ge=1, le=_MAX_VERSION)] = None
    """Number of the earlier revision. Defaults to the published one, or else to the one before `to`."""

    to: Annotated[int | None, Field(ge=1, le=_MAX_VERSION)] = None
    """Number of the later revision. Defaults to the newest."""


class FieldChange(Model):
    """A field that differs."""

    field: str
    """Path of the field in the spec, such as `schedule.cron`."""

    before: JsonValue
    """Earlier value. Null if there was none."""

    after: JsonValue
    """Later value. Null if there is none."""


class PipelineDiff(Model):
    """The difference of two versions of a pipeline."""

    from_revision: int
    """Number of the earlier revision."""

    to_revision: int
    """Number of the later revision."""

    assets_added: list[str]
    """Assets that only the later one has, as far as the caller can see them."""

    assets_removed: list[str]
    """Assets that only the earlier one has, as far as the caller can see them."""

    changes: list[FieldChange]
    """The other fields that differ."""


@PIPELINE.view("diff", query=PipelineDiffQuery, result=PipelineDiff)
def get_pipeline_diff(unit: Unit, pipeline: Pipeline, query: PipelineDiffQuery) -> PipelineDiff:
    """Compares two revisions of a pipeline by asset and by field."""
    published = find(unit.connection, pipeline.id)
    to = query.to or pipeline.version
    earlier = query.from_ or (published.revision if published is not None and published.revision < to else to - 1)
    before, after = (_spec(unit, pipeline, number) for number in (earlier, to))
    names = visible_names(unit.platform, unit.principal.access, {*before["assets"], *after["assets"]}, READ_ASSET)
    old, new = _fields(before), _fields(after)
    return PipelineDiff(
        from_revision=earlier,
        to_revision=to,
        assets_added=sorted(names & set(after["assets"]) - set(before["assets"])),
        assets_removed=sorted(names & set(before["assets"]) - set(after["assets"])),
        changes=[
            FieldChange(field=name, before=old.get(name), after=new.get(name))
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ],
    )


def _spec(unit: Unit, pipeline: Pipeline, number: int) -> dict[str, Any]:
    """Returns the spec of a revision. Raises `NotFound` if there is none."""
    # Revisions of another organization, before the project moved, belong to another tenant.
    home = REVISION.c.content["organization_id"].as_string().is_not_distinct_from(pipeline.organization_id)
    same = REVISION.c.resource_id == pipeline.id, REVISION.c.version == number, home
    content = unit.connection.execute(sa.select(REVISION.c.content).where(*same)).scalar()
    if content is None:
        raise NotFound(f"{pipeline.name} has no revision {number}; its last one is {pipeline.version}.")
    return {**pipeline.spec.model_dump(mode="json"), **dict(content["spec"])}


def _fields(spec: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in spec.items() if name not in ("assets", *_NESTED)}
    for name in _NESTED:
        fields |= {f"{name}.{key}": value for key, value in (spec[name] or {}).items()}
    return fields
