"""A user of the platform as a SCIM `User`, and back."""

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
    store_password,
    suspend_user,
)
from core.errors import HeadwaterError

_NOT_KEPT = ("id", "meta", "schemas", "displayName", "externalId", "groups", "password")
"""Attributes that are fields of a user, are worked out, or must not be stored."""

_NOT_PLAIN = re.compile(r"[^a-z0-9._@+-]")
_LONGEST_DIRECTORY = 32_768
"""Of what a directory says of one user, in bytes."""


_GROUP = RESOURCE.alias("group_of_user")


class UserEmail(scim2_models.Email):
    """An address as it is kept here. The library's own class would refuse `ada@localhost`, which an admin may set."""

    value: str | None = None


class ScimUser(scim2_models.User[AnyExtension]):
    """A user as he is published here."""

    emails: list[UserEmail] | None = None  # type: ignore[assignment]
    Emails: ClassVar[type[scim2_models.ComplexAttribute]] = UserEmail


@dataclass(frozen=True)
class _UserName:
    """The `userName`, which is looked up by the login name it gives."""

    @property
    def columns(self) -> tuple[sa.ColumnElement[Any], ...]:
        return RESOURCE.c.name, RESOURCE.c.status[("directory", "userName")].as_string()

    def value(self, *parts: Any) -> str | None:
        return _named_by(*parts)

    def present(self) -> Narrowed:
        return ALL

    def compared(self, op: CompareOperator, value: Any, binding: AttributeBinding) -> Narrowed:
        if op is not CompareOperator.eq or not isinstance(value, str):
            return UNKNOWN
        try:
            return Narrowed(RESOURCE.c.name == login_name(value), exact=False)
        except InvalidValueException:
            return NONE


def _said(binding: AttributeBinding, *path: str) -> Attribute | None:
    """A string that is kept as the directory wrote it: a single one, or a part of each of several objects."""
    kind = binding.target_type
    if path[0] in _NOT_KEPT:
        return None
    if binding.is_multivalued:
        strings = isinstance(kind, type) and issubclass(kind, str)
        return Parts(RESOURCE.c.status[("directory", path[0])]) if strings else None
    return Text(RESOURCE.c.status[("directory", *path)].as_string()) if kind is str else None


_SHOWN = sa.or_(
    RESOURCE.c.status[("directory", "active")].as_string().is_not(None),
    sa.func.coalesce(sa.cast(RESOURCE.c.status["directory"], sa.Text), "{}") == "{}",
)
_GROUPS = Related(
    _GROUP.c.id,
    sa.select(_GROUP.c.id)
    .join(MEMBER, MEMBER.c.group_id == _GROUP.c.id)
    .where(MEMBER.c.member_id == RESOURCE.c.id, _GROUP.c.deleted_at.is_(None))
    .correlate(RESOURCE),
)
_EMAILS = Strings(RESOURCE.c.spec["emails"])
_ATTRIBUTES: Mapping[str, Attribute] = {
    "id": Text(RESOURCE.c.id),
    "userName": _UserName(),
    "externalId": Text(RESOURCE.c.spec["external_id"].as_string()),
    "displayName": Text(RESOURCE.c.spec["title"].as_string()),
    "active": Flag(sa.case((_SHOWN, RESOURCE.c.state == UserState.ACTIVE.value))),
    "emails": _EMAILS,
    "emails.value": _EMAILS,
    "groups": _GROUPS,
    "groups.value": _GROUPS,
    "meta.created": Instant(RESOURCE.c.created_at),
    "meta.lastModified": Instant(RESOURCE.c.updated_at),
}


def login_name(user_name: str) -> str:
    """The login name of whom a directory calls so. Equal names, whatever their case, give equal login names.

    Raises:
        InvalidValueException: it is empty, or too long.
    """
    if not user_name.strip():
        raise InvalidValueException(detail="userName: is empty.")
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", user_name).lower()).strip()
    plain = _NOT_PLAIN.sub(lambda found: f"+{ord(found[0]):x}.", folded)
    name = plain if plain[:1].isascii() and plain[:1].isalpha() else f"u{plain}"
    if not USER.name_pattern.fullmatch(name):
        raise InvalidValueException(detail=f"userName: {user_name[:40]!r} is too long; 127 plain characters fit.")
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
        """These rows as SCIM resources, in the same order."""
        groups = self._groups([row.id for row in rows])
        return [self._rendered(USER.resource(row), row, groups.get(row.id, [])) for row in rows]

    def attribute(self, binding: AttributeBinding) -> Attribute | None:
        """An attribute of a user in SQL; None if it is left to the library."""
        schema, name = name_of(binding)
        if schema != str(ScimUser.__schema__):
            return _said(binding, schema, *name.split("."))
        return _ATTRIBUTES.get(name) or _said(binding, *name.split("."))

    def create(self, given: ScimUser[Any]) -> str:
        """Stores a new user and returns his id. Whom the directory calls inactive is suspended at once."""
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
        """Makes the user what the directory says. Absent attributes are emptied; absent `active` changes nothing."""
        user = USER.resource(row)
        state = user.status.state
        if _named_by(user.name, user.status.directory.get("userName")) != given.user_name:
            user.name = login_name(given.user_name or "")
        user.spec = self._spec(given, user.spec)
        user.status.directory = _directory(given)
        self._unit.subject(row)
        standard.write(self._unit, USER, row, user, "update")
        self._set_password(row.id, row.id, given.password)
        self._switch(row.id, state, given.active)

    def _set_password(self, known_as: str, id: str, password: str | None) -> None:
        if password is None:
            return
        row = self._unit.row(USER, id, permission=USER.permission("set-password"))
        digest = self._passwords.get((known_as, password))
        if digest is None:
            raise InvalidValueException(detail="password: send it as `password`, or as the value of that path.")
        if isinstance(digest, HeadwaterError):
            raise digest
        with self._unit.part(USER, "set-password", past="password_set"):
            self._unit.subject(row)
            store_password(self._unit, USER.resource(row), digest)

    def _spec(self, given: ScimUser[Any], before: UserSpec) -> UserSpec:
        found = sorted(given.emails or [], key=lambda email: not email.primary)
        values = before.model_dump() | {
            "title": given.display_name or None,
            "emails": [email.value for email in found if email.value],
            "external_id": given.external_id,
        }
        with refusing_invalid({"title": "displayName", "external_id": "externalId"}):
            return UserSpec.model_validate(values)

    def _switch(self, id: str, state: UserState, active: bool | None) -> None:
        if active is None or active is (state is UserState.ACTIVE):
            return
        verb, work = ("activate", activate_user) if active else ("suspend", suspend_user)
        to = UserState.ACTIVE if active else UserState.SUSPENDED
        with self._unit.part(USER, verb):
            standard.move(*(self._unit, USER, verb, id, (state,), to), lambda user: work(self._unit, user, Request()))

    def _only_provider(self) -> str | None:
        """The organization's identity provider: with just one, whom its directory sends logs in by it."""
        organization = self._unit.principal.organization_id
        found = self._unit.connection.execute(
            sa.select(RESOURCE.c.id)
            .where(RESOURCE.c.kind == "admin.identity_provider", RESOURCE.c.organization_id == organization)
            .where(RESOURCE.c.deleted_at.is_(None))
            .limit(2)
        ).all()
        return str(found[0].id) if len(found) == 1 else None

    def _groups(self, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
        """The groups each user is in himself."""
        found: dict[str, list[dict[str, Any]]] = {}
        select = (
            sa.select(MEMBER.c.member_id, RESOURCE.c.id, RESOURCE.c.spec["title"].as_string().label("title"))
            .join(RESOURCE, RESOURCE.c.id == MEMBER.c.group_id)
            .where(MEMBER.c.member_id.in_(ids), RESOURCE.c.deleted_at.is_(None))
            .order_by(RESOURCE.c.id)
        )
        for member, id, title in self._unit.connection.execute(select):
            entry = {"value": id, "$ref": f"Groups/{id}", "display": title, "type": "direct"}
            found.setdefault(member, []).append(entry)
        return found

    def _rendered(self, user: User, row: Stored, groups: list[dict[str, Any]]) -> ScimUser[Any]:
        directory = user.status.directory
        said = [email.get("value") for email in directory.get("emails", [])]
        values = directory | {
            "id": user.id,
            "userName": _named_by(user.name, directory.get("userName")),
            "displayName": user.spec.title,
            "externalId": user.spec.external_id,
            "groups": groups or None,
        }
        if "active" in directory or not directory:  # what a directory has removed stays so until it says otherwise
            values["active"] = user.status.state is UserState.ACTIVE
        if set(said) != set(user.spec.emails):  # an admin changed them here since
            values["emails"] = [{"value": email, "primary": not n} for n, email in enumerate(user.spec.emails)] or None
        resource = self.model.model_validate(values)
        resource.meta = Meta(
            resource_type=self._type.name,
            created=user.created_at,
            last_modified=user.updated_at,
            version=version(row.version),
        )
        return resource


def _named_by(name: str, said: str | None) -> str:
    """The `userName`: as the directory wrote it, unless the user was renamed here."""
    return said if said and login_name(said) == name else name


def _directory(given: ScimUser[Any]) -> dict[str, Any]:
    said: dict[str, Any] = given.model_dump()
    kept = {name: value for name, value in said.items() if name not in _NOT_KEPT}
    if len(json.dumps(kept)) > _LONGEST_DIRECTORY:
        raise InvalidValueException(detail=f"A user may have {_LONGEST_DIRECTORY} bytes of attributes.")
    return kept
