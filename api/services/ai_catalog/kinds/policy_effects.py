"""Effects of policies: what one covers, what it leaves to a principal, and which ones apply to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from api.kernel import lookup
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.holders import holder
from api.kernel.kinds.unit import Unit
from api.kernel.lake import versions
from api.kernel.lake.names import AssetId
from api.kernel.lake.row_access import masked, open_column_names, policies_on, restriction, tags_for
from api.kernel.lake.versions import Version
from api.kernel.models import Model, Query, Request
from api.kernel.permissions import grants
from api.kernel.permissions.access import Access
from api.kernel.permissions.graph import asset_securable
from api.kernel.permissions.row_policies import RowPolicy, covers
from api.kernel.platform import Platform, open_tables
from api.kernel.references import ACCOUNT_KINDS, Account
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.kinds.asset import ASSET
from api.services.ai_catalog.kinds.policy import POLICY, row_policy
from api.services.ai_catalog.logic.readable_tables import require_readable
from core.errors import InvalidPayload, UnknownTable
from core.row_policies import PolicyState


class TestPolicy(Request):
    """A reader and a table to try a policy with."""

    asset: AssetId
    """Id of the asset."""

    version: Version | None = None
    """A table version or a data version. By default the newest."""

    principal_id: Account | None = None
    """User or service account that reads. By default the caller."""


class PolicyTest(Model):
    """What a reader gets of a table."""

    asset: str
    """Id of the asset."""

    data_version: str
    """Data version."""

    applies: bool
    """Whether the tested policy covers the asset and restricts the reader."""

    masked_columns: list[str]
    """Columns that the tested policy and the active ones mask, in order."""

    row_count: int
    """Number of rows."""

    left_count: int
    """Number of rows that are left to the reader."""


class CoveredAsset(Model):
    """An asset that a policy covers."""

    asset: str
    """Id of the asset."""

    masked_columns: list[str]
    """Columns that the policy masks, also dropped ones that older versions have."""

    missing_columns: list[str]
    """Columns of the row filter that the asset doesn't have. A user whom the policy restricts can't read it then."""


class PolicyCoverage(Model):
    """What a policy covers."""

    items: list[CoveredAsset]
    """The assets that the caller can see, by id."""

    ineffective: list[str]
    """JSON pointers of the patterns and masks that meet nothing that the caller can see, such as `/spec/masks/0`."""


class AppliedPolicy(Model):
    """A policy that restricts the caller."""

    id: str
    """Id of the policy."""

    name: str
    """Name of the policy."""


class AssetPolicies(Model):
    """What policies hide from the caller of an asset."""

    asset: str
    """Id of the asset."""

    restricted: bool
    """Whether a policy hides rows or values from the caller."""

    masked_columns: list[str]
    """Columns of the newest version whose values are masked, in order."""

    filtered: bool
    """Whether a policy leaves out rows."""

    policies: list[AppliedPolicy]
    """The policies that restrict the caller, as far as they can see them."""


@POLICY.action("test", request=TestPolicy, result=PolicyTest, reads=True)
async def test_policy(ctx: Context, policy: str, request: TestPolicy) -> PolicyTest:
    """Applies a policy, also a draft, to a table as a principal reads it. Nothing changes.

    The caller must be able to read all rows and values of the table, and to act as the principal.
    """

    def read(unit: Unit) -> tuple[RowPolicy, PolicyState, Access]:
        found = unit.get(POLICY, policy, permission=POLICY.permission("test"))
        id = request.principal_id or unit.principal.id
        if holder(unit, id, "/principal_id").kind not in ACCOUNT_KINDS:
            fault = {"pointer": "/principal_id", "detail": "is a group"}
            raise InvalidPayload("Only users and service accounts read tables.", errors=[fault])
        escalation.require_control(unit, id)
        access = grants.access_of(unit.connection, id, unit.platform.permissions)
        return row_policy(found), found.status.state, access

    tested, state, access = await ctx.read(read)
    require_readable(ctx, request.asset)
    return await ctx.compute(_tested, ctx.platform, access, tested, state, request)


@POLICY.part("coverage", query=Query, result=PolicyCoverage)
async def get_policy_coverage(ctx: Context, policy: str, query: Query) -> PolicyCoverage:
    """Returns the assets and columns that a policy covers, and the parts of it that meet nothing."""
    found = row_policy(await ctx.read(lambda unit: unit.get(POLICY, policy, permission=POLICY.permission("coverage"))))
    return await ctx.compute(_coverage, ctx.platform, found, sorted(ctx.view().nodes))


@ASSET.part("policies", query=Query, result=AssetPolicies)
async def get_asset_policies(ctx: Context, asset: str, query: Query) -> AssetPolicies:
    """Returns what policies hide from the caller of an asset. Policies that the caller can't see are not named."""
    lookup.asset(ctx.view(), asset)
    policies = policies_on(ctx.platform, ctx.principal.access, asset)
    columns = await ctx.compute(_columns, ctx.platform, asset) if policies else []
    tags = await ctx.compute(tags_for, ctx.platform, policies, asset, columns)
    hidden = masked(policies, columns, tags)
    effective = [one for one in policies if one.row_filter or masked([one], columns, tags)]

    def visible(unit: Unit) -> set[str]:
        where = RESOURCE.c.id.in_([one.id for one in effective]), unit.principal.access.where(POLICY.permission("get"))
        return set(unit.connection.execute(sa.select(RESOURCE.c.id).where(*where)).scalars())

    seen = await ctx.read(visible) if effective else set()
    return AssetPolicies(
        asset=asset,
        restricted=bool(effective),
        masked_columns=list(hidden),
        filtered=any(one.row_filter for one in policies),
        policies=[AppliedPolicy(id=one.id, name=one.name) for one in effective if one.id in seen],
    )


def _tested(
    platform: Platform, access: Access, tested: RowPolicy, state: PolicyState, request: TestPolicy
) -> PolicyTest:
    from lakehouse.restrictions import RestrictedSnapshot

    snapshot = versions.snapshot(platform.part(open_tables), request.asset, request.version)
    place = asset_securable(platform, request.asset)
    applies = tested.covers(place.organization_id, request.asset) and tested.restricts(access.reader.subjects)
    further = [tested] if applies and state is not PolicyState.ACTIVE else []
    found = restriction(platform, access, request.asset, snapshot.schema.names, further)
    return PolicyTest(
        asset=request.asset,
        data_version=snapshot.data_version,
        applies=applies,
        masked_columns=list(found.masks) if found else [],
        row_count=snapshot.row_count,
        left_count=RestrictedSnapshot(snapshot, found).row_count if found else snapshot.row_count,
    )


def _coverage(platform: Platform, policy: RowPolicy, visible: list[str]) -> PolicyCoverage:
    from lakehouse.policy_expressions import policy_expression

    items: list[CoveredAsset] = []
    met: list[Mapping[str, Any]] = []
    needed = policy_expression(policy.row_filter).columns if policy.row_filter else frozenset()
    for asset in visible:
        if not policy.covers(asset_securable(platform, asset).organization_id, asset):
            continue
        columns = _columns(platform, asset, dropped=True)
        hidden = masked([policy], columns, tags_for(platform, [policy], asset, columns))
        met += [mask for masks in hidden.values() for mask in masks]
        missing = sorted(needed - {name.lower() for name in columns})
        items.append(CoveredAsset(asset=asset, masked_columns=list(hidden), missing_columns=missing))
    unmet = [f"/spec/assets/{n}" for n, one in enumerate(policy.assets) if not _meets(one, items)]
    unmet += [f"/spec/masks/{n}" for n, mask in enumerate(policy.masks) if mask not in met]
    return PolicyCoverage(items=items, ineffective=unmet)


def _meets(pattern: str, items: list[CoveredAsset]) -> bool:
    return any(covers(pattern, item.asset) for item in items)


def _columns(platform: Platform, asset: str, *, dropped: bool = False) -> list[str]:
    """Returns the columns of an asset. None if it was never materialized."""
    try:
        if dropped:
            return sorted(platform.part(open_column_names).of(asset))
        return list(platform.part(open_tables).snapshot(asset).schema.names)
    except UnknownTable:
        return []
