"""Policies: what readers of an organization's tables don't get: values of columns, and rows."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from api.kernel.credentials.policy_lockout import without_end
from api.kernel.kinds import escalation
from api.kernel.kinds.holders import holder
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Text, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.lake.names import ColumnName
from api.kernel.models import Request
from api.kernel.permissions.graph import READ_ASSET, READ_ROWS
from api.kernel.permissions.power import Power
from api.kernel.permissions.row_policies import RowPolicy, may_overlap
from api.kernel.references import PrincipalReference
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage import store
from core.errors import Conflict, ExceedsRights, InvalidArgument, InvalidPayload
from core.row_policies import MaskMethod, PolicyState, RoundUnit

AssetPattern = Annotated[
    str, Field(pattern=r"^[a-z0-9_*]{1,63}\.[a-z0-9_*]{1,63}\.[a-z0-9_*]{1,63}$", examples=["sales.*.customers"])
]
"""Id of an asset, or a pattern. `*` stands for any characters within one part."""

PolicyExpressionText = Annotated[str, Field(max_length=2000)]
"""A SQL expression over the columns of one row, in DuckDB's dialect. It can use `principal_id()` and
`is_member('<id of a group>')`."""

Principals = Annotated[list[PrincipalReference], Field(max_length=200)]


class Mask(Spec):
    """How the values of a column are masked."""

    column: ColumnName = ""
    """Name of the column. Case doesn't matter."""

    tag: Annotated[str, Field(max_length=256, examples=["pii", "pii:email"])] = ""
    """Instead of a name: all columns that have this tag now, also by inheritance."""

    method: Annotated[MaskMethod, Field(strict=False)]
    """NULL hides values. CONSTANT replaces them. HASH keeps equal values of text and of 64-bit integers equal. PARTIAL
    keeps the ends of a text. ROUND rounds numbers, dates, and times. EXPRESSION computes them. A method that doesn't
    fit the type of the column hides values."""

    constant: Annotated[str, Field(max_length=200)] = ""
    """For CONSTANT: the value, as text."""

    first: Annotated[int, Field(ge=0, le=64)] = 0
    """For PARTIAL: number of characters that stay at the beginning."""

    last: Annotated[int, Field(ge=0, le=64)] = 0
    """For PARTIAL: number of characters that stay at the end."""

    digits: Annotated[int, Field(ge=-18, le=18)] = 0
    """For ROUND of numbers: digits after the point; negative for tens, hundreds, and so on."""

    unit: Annotated[RoundUnit, Field(strict=False)] = RoundUnit.YEAR
    """For ROUND of dates and times: the unit that they are rounded down to."""

    expression: PolicyExpressionText = ""
    """For EXPRESSION: the value. If it reads another masked column, or fails, the value is hidden."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.column) == bool(self.tag):
            raise ValueError("needs either column or tag")
        if bool(self.expression) != (self.method is MaskMethod.EXPRESSION):
            raise ValueError("needs expression for the method EXPRESSION, and for no other")
        return self


class PolicySpec(Spec):
    """What a policy hides, and from whom."""

    title: Title
    """Display name."""

    description: Text = ""
    """Why the policy exists."""

    assets: Annotated[list[AssetPattern], Field(min_length=1, max_length=200)]
    """Ids or patterns of assets of the organization, such as `sales.*.*` for a project."""

    to: Principals = []
    """Ids of the users, service accounts, and groups that it restricts. By default everyone."""

    exempt: Principals = []
    """Ids of users, service accounts, and groups that it doesn't restrict."""

    masks: Annotated[list[Mask], Field(max_length=100)] = []
    """Masks of columns. Different masks of one column, also of several policies, hide its values."""

    row_filter: PolicyExpressionText = ""
    """Condition for the rows that stay. By default all. It sees values before they are masked. The conditions of
    several policies must all be true."""

    @model_validator(mode="after")
    def _hides(self) -> Self:
        if not self.masks and not self.row_filter:
            raise ValueError("needs a mask or a row_filter")
        return self


class PolicyStatus(Status):
    """State of a policy."""

    state: PolicyState = PolicyState.DRAFT
    """DRAFT until it is activated. Only an ACTIVE policy restricts readers."""


class Policy(Resource[PolicySpec, PolicyStatus]):
    """A rule that masks columns or leaves out rows of an organization's tables, for everyone or for some principals."""


POLICY = ResourceKind(
    Policy,
    plural="policies",
    prefix="pol",
    level=Level.ORGANIZATION,
    filter_by=("spec.title", "spec.assets", "status.state"),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
    powers={
        "create": Power.NOTHING,
        "update": Power.REMOVES_LIMIT,
        "delete": Power.NOTHING,
        "restore": Power.NOTHING,
        "activate": Power.NOTHING,
        "disable": Power.REMOVES_LIMIT,
    },
)


@POLICY.validate
def check_policy(unit: Unit, policy: Policy, before: Policy | None) -> None:
    """Refuses expressions and principals that don't exist, and changes by callers that the policy restricts."""
    _check_expressions(unit, policy.spec)
    for field in ("to", "exempt"):
        known = set(getattr(before.spec, field)) if before else set()
        for n, id in enumerate(getattr(policy.spec, field)):
            if id not in known:
                holder(unit, id, f"/spec/{field}/{n}")
    if before is not None and before.status.state is PolicyState.ACTIVE:
        _require_lifting(unit, before)
    if policy.status.state is PolicyState.ACTIVE:
        _require_reading(unit, policy)


@POLICY.before("delete")
def refuse_active(unit: Unit, policy: Policy) -> None:
    """Refuses to delete an active policy, so that its end is on record as such."""
    if policy.status.state is PolicyState.ACTIVE:
        raise Conflict(f"{policy.name} is ACTIVE. Disable it first.")


@POLICY.after("update", "activate", "disable")
def apply_at_once(unit: Unit, policy: Policy) -> None:
    """Makes every process read the rights of readers again, if there is a user who can end the policy."""
    unit.rights_changed()


_INACTIVE = PolicyState.DRAFT, PolicyState.DISABLED


@POLICY.transition("activate", request=Request, sources=_INACTIVE, to=PolicyState.ACTIVE, past="activated")
def activate_policy(unit: Unit, policy: Policy, request: Request) -> None:
    """Applies a policy from the next request on.

    The caller must not be restricted by it, because no user whom a policy restricts can change it, and must read the
    tables that it covers without restrictions of other policies.
    """


@POLICY.transition("disable", request=Request, sources=(PolicyState.ACTIVE,), to=PolicyState.DISABLED, past="disabled")
def disable_policy(unit: Unit, policy: Policy, request: Request) -> None:
    """Ends the restrictions of a policy. The caller must be able to read all rows of the organization themselves."""


def row_policy(policy: Policy) -> RowPolicy:
    """Returns a policy as it applies to readers."""
    spec = policy.spec
    return RowPolicy(
        policy.id,
        policy.name,
        policy.organization_id or "",
        tuple(spec.assets),
        frozenset(spec.to),
        frozenset(spec.exempt),
        tuple(mask.model_dump(mode="json") for mask in spec.masks),
        spec.row_filter,
    )


def _check_expressions(unit: Unit, spec: PolicySpec) -> None:
    from lakehouse.policy_expressions import policy_expression

    texts = {f"/spec/masks/{n}/expression": mask.expression for n, mask in enumerate(spec.masks)}
    for pointer, text in (texts | {"/spec/row_filter": spec.row_filter}).items():
        if not text:
            continue
        try:
            groups = policy_expression(text).groups
        except InvalidArgument as error:
            raise InvalidPayload(error.detail, errors=[{"pointer": pointer, "detail": error.detail}]) from error
        for group in groups:
            if holder(unit, group, pointer).kind != "admin.group":
                raise InvalidPayload(f"{group} is no group.", errors=[{"pointer": pointer, "detail": "names no group"}])


def _require_lifting(unit: Unit, policy: Policy) -> None:
    """Requires that the caller can end the restrictions of an active policy.

    If the grants of all users who could end it have expired, the owner of the organization can, and who administers
    policies on the platform. The audit log says so.

    Raises:
        ExceedsRights: the policy restricts the caller, or the caller can't read all rows of the organization.
    """
    id = policy.organization_id or ""
    place = Securable("admin.organization", id, id)
    if row_policy(policy).restricts(escalation.rights_of_caller(unit).reader.subjects):
        if not _rescues(unit, id) or policy.id not in without_end(unit.connection, unit.platform.permissions, unit.now):
            raise ExceedsRights(
                f"The policy {policy.name} restricts you, so you can't change it. Ask a user it exempts."
            )
        unit.call.note(without_end=policy.id)
    escalation.require_rights(unit, escalation.rules_on((READ_ASSET, READ_ROWS), place))


def _rescues(unit: Unit, organization_id: str) -> bool:
    """Returns whether the caller owns an organization, or administers policies on the whole platform."""
    found = store.find_any(unit.connection, organization_id)
    owns = found is not None and found.owner == unit.principal.id
    return owns or escalation.rights_of_caller(unit).everywhere(POLICY.permission("disable"))


def _require_reading(unit: Unit, policy: Policy) -> None:
    """Requires that the caller may apply a policy.

    Raises:
        Conflict: it would restrict the caller, who could not lift it then.
        ExceedsRights: another policy restricts the caller, who could learn hidden values by conditions on them.
    """
    reader = escalation.rights_of_caller(unit).reader
    if row_policy(policy).restricts(reader.subjects):
        raise Conflict(f"{policy.name} would restrict you, and you could not change it again. Exempt a group of yours.")
    for other in reader.policies:
        overlap = any(may_overlap(one, pattern) for one in other.assets for pattern in policy.spec.assets)
        if other.organization_id == policy.organization_id and overlap:
            raise ExceedsRights(
                "Another policy restricts what you read of the assets, so you can't activate a policy on them."
            )
