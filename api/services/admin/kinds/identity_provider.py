"""Identity providers: who vouches for the people of an organization, and what its claims mean here."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from api.kernel.credentials.sealing import open_sealer
from api.kernel.kinds.context import Context
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Request
from api.kernel.roles import Role
from api.kernel.securable import Securable
from api.kernel.storage import store
from api.services.admin.kinds.group import GroupSource
from api.services.admin.logic import granting, identities
from api.services.admin.logic.claims import Rules, identity_of
from api.services.admin.logic.openid import OpenId
from api.services.admin.login_tables import CLIENT_SECRET
from core import db
from core.errors import InvalidPayload, Unavailable

Url = Annotated[str, Field(max_length=500, examples=["https://login.example.org"])]
Name = Annotated[str, Field(min_length=1, max_length=256)]
Id = Annotated[str, Field(max_length=64)]


class IdentityProviderSpec(Spec):
    """Who vouches, for whom, and what its claims mean."""

    title: Title
    """Name for people."""

    issuer: Url
    """Its address, exactly as its tokens say it."""

    client_id: Name
    """How it calls this platform."""

    audience: Annotated[list[Name], Field(max_length=20)] = []
    """Further audiences of tokens that may be exchanged here, beside the client id."""

    scopes: Annotated[list[Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,100}$")]], Field(max_length=20)] = [
        "openid",
        "profile",
        "email",
    ]
    """What it is asked for at login."""

    groups_claim: Annotated[str, Field(max_length=200)] = "groups"
    """Claim that names the groups somebody is in; `a.b` is the field b of the claim a."""

    groups: Annotated[dict[Name, Id], Field(max_length=200)] = {}
    """Id of a group here, of source CLAIM, by its name there. Membership follows the claim at every login."""

    roles_claim: Annotated[str, Field(max_length=200)] = "roles"
    """Claim that names the roles somebody has."""

    roles: Annotated[dict[Name, Id], Field(max_length=100)] = {}
    """Id of a role here by its name there; it is granted on the organization and follows the claim at every login."""

    just_in_time: bool = False
    """Whether somebody unknown becomes a user at his first login."""

    domains: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=50)] = []
    """Domains of addresses that are let in; empty for all."""


class IdentityProviderStatus(Status):
    """How it is."""

    has_client_secret: bool = False
    """Whether the platform has a secret to prove itself with."""


class IdentityProvider(Resource[IdentityProviderSpec, IdentityProviderStatus]):
    """An OpenID Connect provider that an organization trusts to say who its people are."""


class ClientSecret(Request):
    """What the platform proves itself with."""

    client_secret: Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "password"})]
    """The secret that the provider gave out. It is stored encrypted and never shown."""


class ClientSecretStored(Model):
    """That there is a secret now; never the secret."""

    id: str
    """Id of the provider."""

    has_client_secret: bool
    """Whether the platform has a secret to prove itself with."""


class IdentityProviderTest(Model):
    """What the provider answers."""

    reachable: bool
    """Whether its description and its keys could be read."""

    authorization_endpoint: str | None
    """Where people log in; null if it is not reachable."""

    keys: int
    """How many keys it signs with."""

    problem: str | None
    """What is wrong; null if nothing is."""


class Claims(Request):
    """Claims to try out."""

    claims: Annotated[dict[str, Any], Field(max_length=200)]
    """What an id token of this provider could say."""


class Preview(Model):
    """What a login with these claims would do. Nothing of it was done."""

    user_id: str | None
    """User that it would be; null if there is none yet."""

    name: str
    """Login name that a new user would have."""

    creates_user: bool
    """Whether a user would be created."""

    groups: list[str]
    """Ids of the mapped groups he would be in."""

    roles: list[str]
    """Ids of the mapped roles he would have on the organization."""

    refused: str | None
    """Why the login would be refused; null if it would not."""


IDENTITY_PROVIDER = ResourceKind(
    IdentityProvider,
    plural="identity-providers",
    prefix="idp",
    level=Level.ORGANIZATION,
    named=True,
    filter_by=("spec.issuer",),
    writers=Role.ADMIN,
    readers=Role.ADMIN,
)


@IDENTITY_PROVIDER.validate
def check_provider(unit: Unit, provider: IdentityProvider, was: IdentityProvider | None) -> None:
    """It gives people what the caller could give them, and no more."""
    parts = urlsplit(provider.spec.issuer)
    allowed = ("https", "http") if unit.platform.settings.private_sources else ("https",)
    if parts.scheme not in allowed or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise _fault("/spec/issuer", "is no https address without user, query and fragment")
    place = Securable("admin.organization", str(provider.organization_id), provider.organization_id)
    if was is None or was.spec.groups != provider.spec.groups:
        for claimed, id in provider.spec.groups.items():
            _check_group(unit, place, claimed, id)
    if provider.spec.roles and (was is None or was.spec.roles != provider.spec.roles):
        unit.require("admin.grant.create", place)
        for id in set(provider.spec.roles.values()):
            granting.require_all(unit, granting.role_covers(unit, id, place), place)


@IDENTITY_PROVIDER.after("delete")
def forget_secret(unit: Unit, provider: IdentityProvider) -> None:
    """Its secret is deleted for good."""
    unit.connection.execute(CLIENT_SECRET.delete().where(CLIENT_SECRET.c.provider_id == provider.id))


@IDENTITY_PROVIDER.before("restore")
def without_secret(unit: Unit, provider: IdentityProvider) -> None:
    """A restored one needs its secret again."""
    provider.status.has_client_secret = False


@IDENTITY_PROVIDER.command(
    "set-client-secret", request=ClientSecret, result=ClientSecretStored, past="client_secret_set", secret=True
)
def set_client_secret(unit: Unit, provider: IdentityProvider, request: ClientSecret) -> ClientSecretStored:
    """Stores the secret that the platform proves itself with to the provider, in place of another one."""
    sealed = unit.platform.part(open_sealer).seal(request.client_secret, f"client-secret:{provider.id}")
    db.put(unit.connection, CLIENT_SECRET, {"provider_id": provider.id}, {"sealed": sealed})
    provider.status.has_client_secret = True
    return ClientSecretStored(id=provider.id, has_client_secret=True)


@IDENTITY_PROVIDER.action("test", request=Request, result=IdentityProviderTest, reads=True, role=Role.ADMIN)
async def try_identity_provider(ctx: Context, identity_provider: str, request: Request) -> IdentityProviderTest:
    """Asks the provider for its description and its keys now, and tells what is wrong with them."""
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


@IDENTITY_PROVIDER.command("preview", request=Claims, result=Preview, reads=True)
def preview(unit: Unit, provider: IdentityProvider, request: Claims) -> Preview:
    """Tells who somebody with these claims would be here: user, groups and roles."""
    found = identity_of(rules_of(provider), request.claims)
    user_id = identities.user_of(unit.connection, provider.id, provider.organization_id, found.subject)
    creates = user_id is None and provider.spec.just_in_time and found.refused is None
    refused = found.refused
    if user_id is None and not creates and refused is None:
        refused = "There is no such user, and the provider does not create any."
    return Preview(
        user_id=user_id,
        name=found.name,
        creates_user=creates,
        groups=list(found.groups),
        roles=list(found.roles),
        refused=refused,
    )


def rules_of(provider: IdentityProvider) -> Rules:
    """How its claims are read."""
    spec = provider.spec
    return Rules(spec.groups_claim, spec.groups, spec.roles_claim, spec.roles, spec.domains)


def _check_group(unit: Unit, place: Securable, claimed: str, id: str) -> None:
    row = store.find(unit.connection, "admin.group", id, named=False)
    pointer = f"/spec/groups/{claimed.replace('~', '~0').replace('/', '~1')}"
    if row is None or row.deleted_at or row.organization_id != place.organization_id:
        raise _fault(pointer, f"{id!r} is no group of this organization")
    unit.require("admin.group.add_members", row.securable, row)
    if json.loads(row.spec)["source"] != GroupSource.CLAIM.value:
        raise _fault(pointer, f"the members of {row.name} are not given by claims: it needs the source CLAIM")


def _fault(pointer: str, detail: str) -> InvalidPayload:
    return InvalidPayload(f"{pointer[1:]}: {detail}.", errors=[{"pointer": pointer, "detail": detail}])
