"""Users of the platform as SCIM `User` resources."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import scim2_models
import sqlalchemy as sa
from scim2_models import AnyExtension, InvalidValueException, Meta, ResourceType
from scim2_models.path import AttributeBinding, CompareOperator

from api.kernel.kinds import standard
from api.kernel.kinds.holders import visible_holders
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.storage.store import Stored
from api.kernel.tables import MEMBER, RESOURCE
from api.protocols.scim.filtering import (
    ALL,
    NONE,
    UNKNOWN,
    Attribute,
    Flag,
    Instant,
    Narrowed,
    Parts,
    Related,
    Strings,
    Text,
    name_of,
)
from api.protocols.scim.passwords import NEW, Passwords
from api.protocols.scim.rendering import organization, refusing_invalid, version
from api.services.admin.kinds.user import (
    USER,
    User,
    UserSpec,
    UserState,
    UserStatus,
    activate_user,
    suspend_user,
)
from api.services.admin.kinds.user_account import store_password
from core.errors import HeadwaterError

_NOT_IN_DIRECTORY = ("id", "meta", "schemas", "displayName", "externalId", "groups", "password")
"""Attributes that are fields of a user, are computed, or must not be stored."""

_NOT_PLAIN = re.compile(r"[^a-z0-9._@+-]")
_MAX_DIRECTORY_BYTES = 32_768
"""Maximum size of the other attributes of a user."""


_GROUP = RESOURCE.alias("group_of_user")


class UserEmail(scim2_models.Email):
    """An address without the library's stricter check, which would refuse `ada@localhost`."""

    value: str | None = None


class ScimUser(scim2_models.User[AnyExtension]):
    """A SCIM user with the addresses of this platform."""

    emails: list[UserEmail] | None = None  # type: ignore[assignment]
    Emails: ClassVar[type[scim2_models.ComplexAttribute]] = UserEmail


@dataclass(frozen=True)
class _UserName:
    """The `userName`, which is looked up by the login name derived from it."""

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        return RESOURCE.c.name, RESOURCE.c.status[("directory", "userName")].as_string()

    def value(self, *parts: Any) -> str | None:
        return _user_name(*parts)

    def present(self) -> Narrowed:
        return ALL

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        if op is not CompareOperator.eq or not isinstance(value, str):
            return UNKNOWN
        try:
            return Narrowed(RESOURCE.c.name == login_name(value), exact=False)
        except InvalidValueException:
            return NONE


def _directory_attribute(binding: AttributeBinding, *path: str) -> Attribute | None:
    """Returns a string that is stored as the directory wrote it: a single one, or a part of each of several objects."""
    kind = binding.target_type
    if path[0] in _NOT_IN_DIRECTORY:
        return None
    if binding.is_multivalued:
        strings = isinstance(kind, type) and issubclass(kind, str)
        return Parts(RESOURCE.c.status[("directory", path[0])]) if strings else None
    return Text(RESOURCE.c.status[("directory", *path)].as_string()) if kind is str else None


_HAS_ACTIVE = sa.or_(
    RESOURCE.c.status[("directory", "active")].as_string().is_not(None),
    sa.func.coalesce(sa.cast(RESOURCE.c.status["directory"], sa.Text), "{}") == "{}",
)
_LOCAL_GROUPS = (
    sa.select(_GROUP.c.id)
    .join(MEMBER, MEMBER.c.group_id == _GROUP.c.id)
    .where(MEMBER.c.member_id == RESOURCE.c.id, _GROUP.c.organization_id == RESOURCE.c.organization_id)
    .where(_GROUP.c.deleted_at.is_(None))
    .correlate(RESOURCE)
)
_EMAILS = Strings(RESOURCE.c.spec["emails"])
_ATTRIBUTES: Mapping[str, Attribute] = {
    "id": Text(RESOURCE.c.id),
    "userName": _UserName(),
    "externalId": Text(RESOURCE.c.spec["external_id"].as_string()),
    "displayName": Text(RESOURCE.c.spec["title"].as_string()),
    "active": Flag(sa.case((_HAS_ACTIVE, RESOURCE.c.state == UserState.ACTIVE.value))),
    "emails": _EMAILS,
    "emails.value": _EMAILS,
    "meta.created": Instant(RESOURCE.c.created_at),
    "meta.lastModified": Instant(RESOURCE.c.updated_at),
}


def login_name(user_name: str) -> str:
    """Returns the login name for a `userName`. Names that differ only in case get the same login name.

    Raises:
        InvalidValueException: The name is empty or too long.
    """
    if not user_name.strip():
        raise InvalidValueException(detail="userName: is empty.")
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", user_name).lower()).strip()
    plain = _NOT_PLAIN.sub(lambda match: f"+{ord(match[0]):x}.", folded)
    name = plain if plain[:1].isascii() and plain[:1].isalpha() else f"u{plain}"
    if not USER.name_pattern.fullmatch(name):
        raise InvalidValueException(
            detail=f"userName: {user_name[:40]!r} is too long. It can have 127 plain characters."
        )
    return name


class Users:
    """Users of the caller's organization."""

    kind = USER

    def __init__(self, unit: Unit, type: ResourceType, model: type[ScimUser[Any]], passwords: Passwords) -> None:
        self._unit = unit
        self._passwords = passwords
        self._type = type
        self.model = model

    def rendered(self, rows: list[Stored]) -> list[ScimUser[Any]]:
        """Returns the rows as SCIM resources, in the same order."""
        groups = self._groups([row.id for row in rows])
        return [self._rendered(USER.resource(row), row, groups.get(row.id, [])) for row in rows]

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """Returns an attribute of a user in SQL, or None if the library evaluates it."""
        schema, name = name_of(binding)
        if schema != str(ScimUser.__schema__):
            return _directory_attribute(binding, schema, *name.split("."))
        if name in ("groups", "groups.value"):
            return Related(_GROUP.c.id, _LOCAL_GROUPS.where(visible_holders(self._unit, _GROUP)))
        return _ATTRIBUTES.get(name) or _directory_attribute(binding, *name.split("."))

    def create(self, given: ScimUser[Any]) -> str:
        """Stores a new user, and returns their id. A user who is not active is suspended immediately."""
        unit = self._unit
        scope = organization(unit)
        unit.require(USER.permission("create"), scope)
        given.active = True if given.active is None else given.active
        spec = self._spec(given, UserSpec(identity_provider_id=self._only_provider()))
        status = UserStatus(directory=_directory(given))
        user = unit.new(USER, scope, login_name(given.user_name or ""), spec, status=status)
        standard.insert(unit, USER, user)
        self._set_password(NEW, user.id, given.password)
        self._switch(user.id, UserState.ACTIVE, given.active)
        return user.id

    def update(self, row: Stored, given: ScimUser[Any]) -> None:
        """Replaces the user by the directory's version. Absent attributes are removed, except `active`."""
        user = USER.resource(row)
        state = user.status.state
        if _user_name(user.name, user.status.directory.get("userName")) != given.user_name:
            user.name = login_name(given.user_name or "")
        user.spec = self._spec(given, user.spec)
        user.status.directory = _directory(given)
        self._unit.subject(row)
        standard.write(self._unit, USER, row, user, "update")
        self._set_password(row.id, row.id, given.password)
        self._switch(row.id, state, given.active)

    def _set_password(self, hashed_as: str, id: str, password: str | None) -> None:
        if password is None:
            return
        row = self._unit.row(USER, id, permission=USER.permission("set-password"))
        digest = self._passwords.get((hashed_as, password))
        if digest is None:
            raise InvalidValueException(detail="password: send it as `password`, or as the value of that path.")
        if isinstance(digest, HeadwaterError):
            raise digest
        with self._unit.part(USER, "set-password", past="password_set"):
            self._unit.subject(row)
            store_password(self._unit, USER.resource(row), digest)

    def _spec(self, given: ScimUser[Any], before: UserSpec) -> UserSpec:
        emails = sorted(given.emails or [], key=lambda email: not email.primary)
        values = before.model_dump() | {
            "title": given.display_name or None,
            "emails": [email.value for email in emails if email.value],
            "external_id": given.external_id,
        }
        with refusing_invalid({"title": "displayName", "external_id": "externalId"}):
            return UserSpec.model_validate(values)

    def _switch(self, id: str, state: UserState, active: bool | None) -> None:
        if active is None or active is (state is UserState.ACTIVE):
            return
        verb, transition = ("activate", activate_user) if active else ("suspend", suspend_user)
        to = UserState.ACTIVE if active else UserState.SUSPENDED
        with self._unit.part(USER, verb):
            standard.move(
                *(self._unit, USER, verb, id, (state,), to), lambda user: transition(self._unit, user, Request())
            )

    def _only_provider(self) -> str | None:
        """Returns the organization's identity provider if it has exactly one. New users then log in with it."""
        organization = self._unit.principal.organization_id
        providers = self._unit.connection.execute(
            sa.select(RESOURCE.c.id)
            .where(RESOURCE.c.kind == "admin.identity_provider", RESOURCE.c.organization_id == organization)
            .where(RESOURCE.c.deleted_at.is_(None))
            .limit(2)
        ).all()
        return str(providers[0].id) if len(providers) == 1 else None

    def _groups(self, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """Returns the groups of the organization that each user is in, as far as the caller can see them."""
        groups: dict[str, list[dict[str, Any]]] = {}
        select = (
            sa.select(MEMBER.c.member_id, RESOURCE.c.id, RESOURCE.c.spec["title"].as_string().label("title"))
            .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
            .where(MEMBER.c.member_id.in_(ids), RESOURCE.c.deleted_at.is_(None))
            .where(RESOURCE.c.organization_id == self._unit.principal.organization_id, visible_holders(self._unit))
            .order_by(RESOURCE.c.id)
        )
        for member, id, title in self._unit.connection.execute(select):
            entry = {"value": id, "$ref": f"Groups/{id}", "display": title, "type": "direct"}
            groups.setdefault(member, []).append(entry)
        return groups

    def _rendered(self, user: User, row: Stored, groups: list[dict[str, Any]]) -> ScimUser[Any]:
        directory = user.status.directory
        stored = [email.get("value") for email in directory.get("emails", [])]
        values = directory | {
            "id": user.id,
            "userName": _user_name(user.name, directory.get("userName")),
            "displayName": user.spec.title,
            "externalId": user.spec.external_id,
            "groups": groups or None,
        }
        if (
            "active" in directory or not directory
        ):  # A directory that removed `active` gets it only after it sets it again.
            values["active"] = user.status.state is UserState.ACTIVE
        if set(stored) != set(user.spec.emails):  # An admin has changed them.
            values["emails"] = [{"value": email, "primary": not n} for n, email in enumerate(user.spec.emails)] or None
        resource = self.model.model_validate(values)
        resource.meta = Meta(
            resource_type=self._type.name,
            created=user.created_at,
            last_modified=user.updated_at,
            version=version(row.version),
        )
        return resource


def _user_name(name: str, stored: str | None) -> str:
    """Returns the `userName` as the directory wrote it, unless the user was renamed on the platform."""
    return stored if stored and login_name(stored) == name else name


def _directory(given: ScimUser[Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = given.model_dump()
    directory = {name: value for name, value in attributes.items() if name not in _NOT_IN_DIRECTORY}
    if len(json.dumps(directory)) > _MAX_DIRECTORY_BYTES:
        raise InvalidValueException(detail=f"The attributes of a user can have at most {_MAX_DIRECTORY_BYTES} bytes.")
    return directory
