"""Identity providers: OpenID Connect providers of an organization, and the mapping of their claims."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from api.kernel import references
from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds import escalation
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request, Url
from api.kernel.permissions.power import Power
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.services.admin.kinds.group import GroupSource
from api.services.admin.logic import granting, identities
from api.services.admin.logic.claims import Rules
from api.services.admin.logic.openid import OpenId
from api.services.admin.login_tables import CLIENT_SECRET
from core import db
from core.errors import Conflict, InvalidPayload, Unavailable

LOGIN_PATH = "/login/oidc"
"""Path under which logins through identity providers start and end."""

Issuer = Annotated[Url, Field(max_length=500, examples=["https://login.example.org"])]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class IdentityProviderSpec(Spec):
    """An OpenID Connect provider and the mapping of its claims."""

    title: Title
    """Display name."""

    issuer: Issuer
    """Issuer URL, exactly as in the provider's tokens."""

    client_id: Name
    """Client id of this platform at the provider."""

    audience: Annotated[list[Name], Field(max_length=20)] = []
    """Audiences, other than the client id, whose tokens can be exchanged."""

    scopes: Annotated[list[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,100}$")]], Field(max_length=20)] = [
        "openid",
        "profile",
        "email",
    ]
    """Scopes that a login requests."""

    groups_claim: Annotated[str, Field(max_length=200)] = "groups"
    """Claim with the names of the user's groups. `a.b` is field b of claim a."""

    groups: Annotated[dict[Name, references.Group], Field(max_length=200)] = {}
    """Ids of groups with the source CLAIM, by the name in the claim. Each login updates the memberships."""

    roles_claim: Annotated[str, Field(max_length=200)] = "roles"
    """Claim with the names of the user's roles."""

    roles: Annotated[dict[Name, references.Role], Field(max_length=100)] = {}
    """Ids of roles, by the name in the claim. Each login updates the grants of these roles on the organization."""

    just_in_time: bool = False
    """Whether the first login of an unknown user creates them."""

    domains: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=50)] = []
    """Mail domains whose users can log in. Empty for all."""


class IdentityProviderStatus(Status):
    """State of an identity provider."""

    has_client_secret: bool = False
    """Whether the platform has a client secret for the provider."""

    redirect_path: str = ""
    """Path of the redirect URI to register at the provider. Every provider has its own."""


class IdentityProvider(Resource[IdentityProviderSpec, IdentityProviderStatus]):
    """An OpenID Connect provider with which users of an organization log in."""


class ClientSecret(Request):
    """A client secret."""

    client_secret: Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})]
    """Client secret that the provider issued. It is stored encrypted and never returned."""


class ClientSecretStored(Model):
    """Confirmation that the secret is stored."""

    id: str
    """Id of the provider."""

    has_client_secret: bool
    """Whether the platform has a client secret for the provider."""


class IdentityProviderTest(Model):
    """Response of the provider to a test."""

    reachable: bool
    """Whether its discovery document and its keys could be read."""

    authorization_endpoint: str | None
    """URL at which users log in. Null if the provider can't be reached."""

    keys: int
    """Number of its signing keys."""

    problem: str | None
    """The problem, or null if there is none."""


_GRANTING_FIELDS = (
    *("issuer", "client_id", "audience", "groups_claim", "groups", "roles_claim", "roles", "just_in_time", "domains"),
)
"""Fields that decide who can log in and which rights they get."""

IDENTITY_PROVIDER = ResourceKind(
    IdentityProvider,
    plural="identity-providers",
    prefix="idp",
    level=Level.ORGANIZATION,
    named=Level.PLATFORM,
    filter_by=("spec.issuer",),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
    powers={
        "create": Power.ACTS_AS | Power.GRANTS,
        "update": Power.ACTS_AS | Power.GRANTS,
        "delete": Power.NOTHING,
        "restore": Power.ACTS_AS | Power.GRANTS,
        "set-client-secret": Power.NOTHING,
    },
)


@IDENTITY_PROVIDER.validate
def check_provider(unit: Unit, provider: IdentityProvider, was: IdentityProvider | None) -> None:
    """Checks the issuer and the mapped groups and roles: the caller must hold every right that a login grants."""
    parts = urlsplit(provider.spec.issuer)
    allowed = ("https", "http") if unit.platform.settings.private_sources else ("https",)
    if parts.scheme not in allowed or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise _fault("/spec/issuer", "must be an https URL without user, query, and fragment")
    if (
        was is not None
        and was.spec.issuer != provider.spec.issuer
        and identities.users_of(unit.connection, provider.id)
    ):
        raise Conflict(
            "Users are identified by this issuer and their subject at it. Another issuer can issue the same subjects "
            "to other users. Register it as a separate provider."
        )
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    if was is None or was.spec.groups != provider.spec.groups:
        for claimed, id in provider.spec.groups.items():
            _check_group(unit, place, claimed, id)
    if provider.spec.roles and (was is None or was.spec.roles != provider.spec.roles):
        unit.require("admin.grant.create", place)
    if was is None or any(getattr(provider.spec, name) != getattr(was.spec, name) for name in _GRANTING_FIELDS):
        _require_granted_rights(unit, provider)
        for group in {*provider.spec.groups.values(), *(was.spec.groups.values() if was else ())}:
            escalation.require_policies_kept(unit, group)


def _require_granted_rights(unit: Unit, provider: IdentityProvider) -> None:
    """Requires the rights of the provider's users and of the mapped groups and roles."""
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    escalation.require_control_of_all(unit, identities.users_of(unit.connection, provider.id))
    for group in sorted(set(provider.spec.groups.values())):
        escalation.require_control(unit, group)
    for role in sorted(set(provider.spec.roles.values())):
        escalation.require_rights(unit, granting.role_rules(unit, role, place))


@IDENTITY_PROVIDER.after("update", "delete")
def require_an_admin(unit: Unit, provider: IdentityProvider) -> None:
    """Refuses the change if no admin can log in after it."""
    unit.rights_changed()


@IDENTITY_PROVIDER.before("create")
def set_redirect_path(unit: Unit, provider: IdentityProvider) -> None:
    """Gives the provider its own redirect URI, so that no response of another provider is accepted for it."""
    provider.status.redirect_path = redirect_path(provider.id)


@IDENTITY_PROVIDER.after("delete")
def forget_secret(unit: Unit, provider: IdentityProvider) -> None:
    """Deletes the secret of the provider permanently."""
    unit.connection.execute(CLIENT_SECRET.delete().where(CLIENT_SECRET.c.provider_id == provider.id))


@IDENTITY_PROVIDER.before("restore")
def require_rights_of_restored(unit: Unit, provider: IdentityProvider) -> None:
    """Requires the rights that the restored provider grants again. Its secret must be set again."""
    _require_granted_rights(unit, provider)
    provider.status.has_client_secret = False


@IDENTITY_PROVIDER.command(
    "set-client-secret", request=ClientSecret, result=ClientSecretStored, past="client_secret_set", secret=True
)
def set_client_secret(unit: Unit, provider: IdentityProvider, request: ClientSecret) -> ClientSecretStored:
    """Stores the client secret for the provider, and replaces the previous one."""
    sealed = unit.platform.part(open_sealer).seal(request.client_secret, f"client-secret:{provider.id}")
    db.upsert(unit.connection, CLIENT_SECRET, {"provider_id": provider.id}, {"sealed": sealed})
    provider.status.has_client_secret = True
    return ClientSecretStored(id=provider.id, has_client_secret=True)


@IDENTITY_PROVIDER.action("test", request=Request, result=IdentityProviderTest, reads=True, role=Role.ADMIN)
async def try_identity_provider(ctx: Context, identity_provider: str, request: Request) -> IdentityProviderTest:
    """Reads the discovery document and the keys of the provider now, and reports problems."""
    permission = IDENTITY_PROVIDER.permission("test")
    provider = await ctx.read(lambda unit: unit.get(IDENTITY_PROVIDER, identity_provider, permission=permission))
    openid = ctx.platform.part(OpenId)
    endpoint = None
    try:
        discovery = await openid.discover(provider.spec.issuer, fresh=True)
        endpoint = discovery.authorization_endpoint
        keys = len((await openid.keys(discovery, max_age=0)).keys)
    except Unavailable as error:
        return IdentityProviderTest(reachable=False, authorization_endpoint=endpoint, keys=0, problem=error.detail)
    problem = None if keys else "It has no keys, so none of its tokens can be verified."
    return IdentityProviderTest(reachable=True, authorization_endpoint=endpoint, keys=keys, problem=problem)


def redirect_path(id: str) -> str:
    """Returns the redirect path of the provider with this id."""
    return f"{LOGIN_PATH}/{id}/callback"


def rules_of(provider: IdentityProvider) -> Rules:
    """Returns the mapping of the provider's claims."""
    spec = provider.spec
    return Rules(spec.groups_claim, spec.groups, spec.roles_claim, spec.roles, spec.domains)


def _check_group(unit: Unit, place: Securable, claimed: str, id: str) -> None:
    row = store.find(unit.connection, "admin.group", id, within=None)
    pointer = f"/spec/groups/{claimed.replace('~', '~0').replace('/', '~1')}"
    if row is None or row.deleted_at or row.organization_id != place.organization_id:
        raise _fault(pointer, f"{id!r} is not a group of this organization")
    unit.require("admin.group.add_members", row.securable, row)
    if json.loads(row.spec)["source"] != GroupSource.CLAIM.value:
        raise _fault(pointer, f"the members of {row.name} don't come from claims: the group needs the source CLAIM")


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
