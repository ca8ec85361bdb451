"""Tables in shares: at the newest version, at a fixed one, or with history, and limited to partitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel import lookup
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Text
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import MAX_NUMBER, Version
from api.kernel.models import Model, Query, Request
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import Platform, open_tables
from api.kernel.roles import Role
from api.kernel.storage.store import Stored
from api.services.ai_catalog.kinds.share import SHARE, Share
from api.services.ai_catalog.logic import sharing
from api.services.ai_catalog.logic.readable_tables import require_rows
from api.services.ai_catalog.sharing_tables import SHARE_OBJECT as TABLE
from core.errors import Conflict, InvalidPayload, NotFound
from core.ids import new_id

Alias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name that recipients see: lower-case letters, digits, and underscores."""

ObjectId = Annotated[str, Field(max_length=64)]
"""Id of a table in a share."""


class ShareObject(Model):
    """A table in a share."""

    id: str
    """Id of the table in the share."""

    schema_name: str
    """Schema under which recipients see it."""

    table_name: str
    """Name under which recipients see it."""

    asset: str
    """Id of the asset."""

    table_id: str
    """Id of the Delta table. A table that is dropped and created again has another one, and is not shared."""

    version: int | None
    """The version that is shared. Null if it is always the newest."""

    history_from: int | None
    """Oldest version that recipients can read. Null if they see no history."""

    partition_filter: str
    """Condition over partition columns. Recipients see only files whose partition meets it. Empty for all files."""

    comment: str
    """Description for recipients."""

    shared_by: str
    """Name of the principal in whose name it is shared."""

    shared_at: datetime
    """Time at which it was shared, or changed."""

    problem: str | None
    """Why recipients don't get it now. Null if they do."""


class ShareObjects(Model):
    """The tables in a share."""

    items: list[ShareObject]
    """The tables that the caller can see, by schema and name."""


class SharedContent(Request):
    """What recipients see of a table."""

    version: Version | None = None
    """The version to share: a table version or a data version. By default always the newest."""

    history_from: Annotated[int, Field(ge=0, le=MAX_NUMBER)] | None = None
    """Oldest version that recipients can read, with the changes since then. By default they see no history."""

    partition_filter: Annotated[str, Field(max_length=2000)] = ""
    """Condition over partition columns, such as `year >= 2026`. It leaves out whole files."""

    comment: Text = ""
    """Description for recipients."""


class NewShareObject(SharedContent):
    """A table to share."""

    asset: AssetId
    """Id of the asset, in the project of the share."""

    schema_name: Alias | None = None
    """Schema under which recipients see it. By default that of the asset."""

    table_name: Alias | None = None
    """Name under which recipients see it. By default that of the asset."""


class ShareObjectChange(SharedContent):
    """What recipients see of a table from now on. The caller becomes the principal in whose name it is shared."""

    object: ObjectId
    """Id of the table in the share."""


class ObjectRemoval(Request):
    """The table to remove."""

    object: ObjectId
    """Id of the table in the share."""


@dataclass(frozen=True, slots=True)
class _Checked:
    table_id: str
    version: int | None


@SHARE.action("add-object", request=NewShareObject, result=ShareObject, role=Role.ADMIN, past="object_added")
async def add_share_object(ctx: Context, share: str, request: NewShareObject) -> ShareObject:
    """Shares a table of the project with the recipients of the share, in the name of the caller.

    The caller must be able to read the rows of the table.
    """
    lookup.asset(ctx.view(), request.asset)
    await ctx.read(lambda unit: _authorized(unit, share, "add-object", request.asset))
    checked = await ctx.compute(_checked, ctx.platform, request.asset, request)
    _, schema, table = request.asset.split(".")

    def store(unit: Unit) -> ShareObject:
        row = _authorized(unit, share, "add-object", request.asset)
        names = {"schema_name": request.schema_name or schema, "table_name": request.table_name or table}
        taken = sa.select(TABLE.c.id).where(
            TABLE.c.share_id == row.id, *(TABLE.c[name] == value for name, value in names.items())
        )
        if unit.connection.execute(taken).first():
            raise Conflict(f"{row.name} already has a table {'.'.join(names.values())}. Choose another name.")
        id = new_id("sho")
        place = {"share_id": row.id, "organization_id": row.organization_id, "project_id": row.project_id}
        values = {"id": id, "asset": request.asset, **place, **names, **_content(unit, request, checked)}
        unit.connection.execute(TABLE.insert().values(values))
        return _shared(unit, id, request.asset)

    return await ctx.write(store)


@SHARE.action("update-object", request=ShareObjectChange, result=ShareObject, role=Role.ADMIN, past="object_updated")
async def update_share_object(ctx: Context, share: str, request: ShareObjectChange) -> ShareObject:
    """Replaces what recipients see of a table, in the name of the caller from now on.

    Also needed to share a table that was dropped and created again, and one whose sharer lost the right to share it.
    """

    def found(unit: Unit) -> tuple[Stored, Any]:
        row = _authorized(unit, share, "update-object")
        one = _object(unit, row.id, request.object)
        require_rows(unit, one.asset, partly=True)
        return row, one

    _, before = await ctx.read(found)
    checked = await ctx.compute(_checked, ctx.platform, before.asset, request)

    def store(unit: Unit) -> ShareObject:
        row, one = found(unit)
        unit.require(sharing.ADD_OBJECT, row.securable)
        sharing.unpin(unit, [one])
        unit.connection.execute(TABLE.update().where(TABLE.c.id == one.id).values(_content(unit, request, checked)))
        return _shared(unit, one.id, one.asset)

    return await ctx.write(store)


@SHARE.command("remove-object", request=ObjectRemoval, result=Share, role=Role.ADMIN, past="object_removed")
def remove_share_object(unit: Unit, share: Share, request: ObjectRemoval) -> Share:
    """Ends the sharing of a table. Links to its files stop working immediately."""
    one = _object(unit, share.id, request.object)
    unit.call.note(asset=one.asset, object=one.id)
    sharing.unpin(unit, [one])
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == one.id))
    return share


@SHARE.view("objects", query=Query, result=ShareObjects)
def get_share_objects(unit: Unit, share: Share, query: Query) -> ShareObjects:
    """Returns the tables in a share that the caller can see, and why one of them is not served."""
    sharers = sharing.Sharers(unit.platform, unit.connection)
    rows = [one for one in sharing.objects_of(unit.connection, share.id) if _visible(unit, one.asset)]
    return ShareObjects(items=[_model(one, sharers.problem(one)) for one in rows])


def _authorized(unit: Unit, share: str, verb: str, asset: str = "") -> Stored:
    row = unit.row(SHARE, share, permission=SHARE.permission(verb))
    unit.subject(row)
    if asset:
        if asset_securable(unit.platform, asset).project_id != row.project_id:
            fault = {"pointer": "/asset", "detail": "is in another project"}
            raise InvalidPayload("A share contains only tables of its project.", errors=[fault])
        require_rows(unit, asset, partly=True)
    return row


def _checked(platform: Platform, asset: str, content: SharedContent) -> _Checked:
    """Opens the table at the versions that are to be shared."""
    from lakehouse.partition_filters import PartitionFilter

    if content.version is not None and content.history_from is not None:
        fault = {"pointer": "/history_from", "detail": "has no effect for a fixed version"}
        raise InvalidPayload("A fixed version has no history. Leave out one of them.", errors=[fault])
    tables = platform.part(open_tables)
    snapshot = versions.snapshot(tables, asset, content.version)
    PartitionFilter(content.partition_filter, snapshot)
    if content.history_from is not None:
        tables.snapshot(asset, version=content.history_from)
    return _Checked(snapshot.table_id, None if content.version is None else snapshot.version)


def _content(unit: Unit, request: SharedContent, checked: _Checked) -> dict[str, Any]:
    values: dict[str, Any] = {
        "table_id": checked.table_id,
        "version": checked.version,
        "history_from": request.history_from,
        "partition_filter": request.partition_filter,
        "comment": request.comment,
    }
    unit.call.note(**{name: value for name, value in values.items() if name != "comment"})
    by = {"shared_by": unit.principal.name, "shared_by_id": unit.principal.id, "shared_at": unit.now}
    return values | by


def _shared(unit: Unit, id: str, asset: str) -> ShareObject:
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id)).one()
    unit.call.note(asset=asset, object=id)
    sharing.pin(unit, [row])
    return _model(row, None)


def _object(unit: Unit, share_id: str, id: str) -> Any:
    row = unit.connection.execute(sa.select(TABLE).where(TABLE.c.id == id, TABLE.c.share_id == share_id)).first()
    if row is None or not _visible(unit, row.asset):
        raise NotFound(f"The share has no table {id!r}.")
    return row


def _visible(unit: Unit, asset: str) -> bool:
    return unit.allows(READ_ASSET, asset_securable(unit.platform, asset))


def _model(row: Any, problem: str | None) -> ShareObject:
    fields = ShareObject.model_fields.keys() - {"problem"}
    return ShareObject(**{name: getattr(row, name) for name in fields}, problem=problem)
