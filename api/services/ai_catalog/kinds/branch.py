"""Branches: pinned versions of a project's tables, in which assets are made without a change of the project."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from api.kernel.kinds.context import Context
from api.kernel.kinds.placement import project_of_new
from api.kernel.kinds.table_kind import Row, TableKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import AssetId
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Request, Timestamp
from api.kernel.operations.store import FINAL, OperationState
from api.kernel.permissions.graph import READ_ASSET, asset_securable
from api.kernel.platform import open_tables
from api.kernel.references import PROJECT, Project
from api.kernel.securable import PLATFORM
from api.kernel.storage import store
from api.kernel.tables import OPERATION
from api.services.ai_catalog.branch_tables import BRANCH as TABLE
from api.services.ai_catalog.logic import branch_base
from api.services.ai_catalog.logic.visible_names import visible_names
from core import definition_revisions
from core.errors import Conflict, InvalidArgument
from core.ids import new_id
from lakehouse import branch_definitions
from lakehouse.pins import PIN

MAX_BRANCHES = 20
"""Number of branches that a project can have. Each protects versions from removal."""

_DEFAULT_DAYS = 30
_MAX_DAYS = 90


class BranchState(StrEnum):
    """State of a branch. A MERGED branch doesn't change any more."""

    OPEN = "OPEN"
    MERGED = "MERGED"


class Branch(Model):
    """Pinned versions of the tables of a project, in which assets are made without a change of the project."""

    id: str
    """Id of the branch."""

    organization_id: str
    """Id of the organization."""

    project_id: str
    """Id of the project."""

    name: str
    """Name of the branch, unique in its project."""

    description: str
    """Purpose of the branch."""

    state: BranchState
    """OPEN or MERGED."""

    versions: dict[str, str]
    """Data version by table that the branch reads, of the tables that the caller can see."""

    code_versions: dict[str, str]
    """Code version by asset when the branch was created, of the assets that the caller can see."""

    produced: list[str]
    """Tables that the runs of the branch have produced, and that the caller can see."""

    operation_id: str | None
    """Id of the newest operation of the branch. Null if it has none."""

    expires_at: datetime | None
    """Time after which maintenance discards the branch."""

    created_at: datetime
    """Time of creation."""

    created_by: str
    """Principal that created it. `former-organization` if the project belonged to another organization then."""

    merged_at: datetime | None
    """Time of the merge."""


class NewBranch(Request):
    """The versions that a branch reads."""

    project_id: Project
    """Id or name of the project."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$", examples=["new-weather"])]
    """Name of the branch, unique in the project."""

    description: Annotated[str, Field(max_length=1000)] = ""
    """Purpose of the branch."""

    at: Timestamp | None = None
    """Time whose versions the branch reads. By default the newest versions."""

    versions: Annotated[dict[AssetId, Version], Field(max_length=500)] = {}
    """Versions of single tables, which replace those of `at`."""

    days: Annotated[int, Field(ge=1, le=_MAX_DAYS)] = _DEFAULT_DAYS
    """Number of days after which maintenance discards the branch."""


def _item(unit: Unit, row: Row) -> Branch:
    seen = visible_names(unit.platform, unit.principal.access, {*row.versions, *row.code_versions, *row.produced})

    def visible(values: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in values.items() if name in seen}

    names = ("id", "organization_id", "project_id", "name", "description", "state", "operation_id", "expires_at")
    values: dict[str, Any] = {name: row._mapping[name] for name in (*names, "created_at", "created_by", "merged_at")}
    return Branch(
        versions=visible(row.versions),
        code_versions=visible(row.code_versions),
        produced=sorted(name for name in row.produced if name in seen),
        **values,
    )


BRANCH = TableKind(
    Branch, TABLE, plural="branches", prefix="bra", filter_by=("name", "state", "project_id"), item=_item
)


@BRANCH.create(request=NewBranch, result=Branch)
async def create_branch(ctx: Context, request: NewBranch) -> Branch:
    """Creates a branch from the newest versions of a project's tables, from those of a time, or from given versions.

    It contains the tables that the caller can read, and the definitions that were published then. No row is copied.
    Maintenance keeps the versions until the branch is merged, discarded, or expired.
    """
    found = await ctx.query(store.find, PROJECT, request.project_id, within=PLATFORM)
    name = found.name if found is not None else ""
    base = await ctx.compute(branch_base.resolve, ctx, name, request.at, request.versions)
    return await ctx.write(lambda unit: _store(unit, request, base))


def _store(unit: Unit, request: NewBranch, base: branch_base.Base) -> Branch:
    project = project_of_new(unit, request.project_id, BRANCH.permission("create"))
    if project.name != base.project:
        raise InvalidArgument(f"There is no project {request.project_id!r}.")
    of_project = TABLE.c.project_id == project.id
    if unit.connection.execute(sa.select(sa.func.count()).where(of_project)).scalar_one() >= MAX_BRANCHES:
        raise Conflict(f"{project.name} has {MAX_BRANCHES} branches already. Merge or discard one.")
    if unit.connection.execute(sa.select(TABLE.c.id).where(of_project, TABLE.c.name == request.name)).first():
        raise Conflict(f"{project.name} has a branch {request.name} already. Choose another name.")
    id = new_id(BRANCH.prefix)
    pins = [
        {"holder": id, "table_name": table, "version": int(version.rpartition("@")[2]), "at": unit.now}
        for table, version in base.versions.items()
    ]
    if pins:
        unit.connection.execute(PIN.insert(), pins)
    branch = BRANCH.add(
        unit,
        id=id,
        organization_id=project.organization_id,
        project_id=project.id,
        name=request.name,
        description=request.description,
        state=BranchState.OPEN.value,
        versions=dict(base.versions),
        code_versions=dict(base.code_versions),
        produced={},
        expires_at=unit.now + timedelta(days=request.days),
        created_at=unit.now,
        created_by=unit.principal.name,
    )
    branch_definitions.pin(unit.connection, id, _revisions(unit, request, base))
    return branch


def _revisions(unit: Unit, request: NewBranch, base: branch_base.Base) -> dict[str, int]:
    """Returns the revision by definition that made the versions of a branch."""
    revisions = definition_revisions.published(unit.connection, base.project, request.at)
    for asset, code_version in base.made_by.items():
        recorded = definition_revisions.of_code(unit.connection, asset, code_version)
        if recorded is not None and recorded.revision is not None:
            revisions[recorded.asset_id] = recorded.revision
    return revisions


@BRANCH.deletion(past="discarded")
def discard_branch(unit: Unit, branch: Row) -> None:
    """Discards a branch with everything that its runs have made. The project doesn't change.

    Refused while an operation of the branch is in progress. Cancel it first.
    """
    from lakehouse.branches import remove_area

    refuse_busy(unit, branch)
    storage = unit.platform.part(open_tables).storage
    unit.deferred.append(lambda: remove_area(storage, branch.id))
    unit.connection.execute(PIN.delete().where(PIN.c.holder == branch.id))
    unit.connection.execute(TABLE.delete().where(TABLE.c.id == branch.id))


def refuse_busy(unit: Unit, branch: Row) -> None:
    """Refuses to change a branch while an operation of it is in progress.

    Raises:
        Conflict: one is in progress.
    """
    state = unit.connection.execute(sa.select(OPERATION.c.state).where(OPERATION.c.id == branch.operation_id)).scalar()
    if state is not None and OperationState(state) not in FINAL:
        raise Conflict(
            f"The operation {branch.operation_id} of the branch {branch.name} is in progress. Wait, or cancel it."
        )


def require_open(branch: Row, now: datetime) -> None:
    """Requires that a branch can still change.

    Raises:
        Conflict: it is merged or expired.
    """
    if branch.state != BranchState.OPEN:
        raise Conflict(f"The branch {branch.name} is merged, so it can't change.")
    if branch.expires_at is not None and branch.expires_at <= now:
        raise Conflict(f"The branch {branch.name} has expired. Discard it and create another one.")


def may_read(ctx: Context, asset: str, *permissions: str) -> bool:
    """Returns whether the caller can see an asset, and holds further permissions on it."""
    place = asset_securable(ctx.platform, asset)
    return all(ctx.principal.access.allows(permission, place) for permission in (READ_ASSET, *permissions))
