"""A user of the platform as a SCIM `User`, and back."""

from __future__ import annotations

import json
import re
from typing import Any

import sqlalchemy as sa
from scim2_models import InvalidValueException, Meta, ResourceType
from scim2_models import User as ScimUser

from api.kernel import standard
from api.kernel.models import Request
from api.kernel.store import Stored
from api.kernel.tables import MEMBER, RESOURCE
from api.kernel.unit import Unit
from api.protocols.scim.rendering import organization, refusing_invalid, version
from api.services.admin.kinds.user import USER, User, UserSpec, UserState, UserStatus, activate_user, suspend_user

_NOT_KEPT = ("id", "meta", "schemas", "displayName", "externalId", "groups", "password")
"""Attributes that are fields of a user, are worked out, or must not be stored."""

_PLAIN = re.compile(r"[a-z0-9._@+-]")
_LONGEST_DIRECTORY = 32_768
"""Of what a directory says of one user, in bytes."""


def login_name(user_name: str) -> str:
    """The login name of whom a directory calls so. Equal names, whatever their case, give equal login names.

    Raises:
        InvalidValueException: it is empty, or too long.
    """
    if not user_name.strip():
        raise InvalidValueException(detail="userName: is empty.")
    plain = "".join(c if _PLAIN.fullmatch(c) else f"+{ord(c):x}." for c in user_name.strip().lower())
    name = plain if plain[:1].isascii() and plain[:1].isalpha() else f"u{plain}"
    if not USER.name_pattern.fullmatch(name):
        raise InvalidValueException(detail=f"userName: {user_name[:40]!r} is too long; 127 plain characters fit.")
    return name


class Users:
    """Users of the caller's organization."""

    kind = USER

    def __init__(self, unit: Unit, type: ResourceType, model: type[ScimUser[Any]]) -> None:
        self._unit = unit
        self._type = type
        self._model = model

    def rendered(self, rows: list[Stored]) -> list[ScimUser[Any]]:
        """These rows as SCIM resources, in the same order."""
        groups = self._groups([row.id for row in rows])
        return [self._rendered(USER.resource(row), row, groups.get(row.id, [])) for row in rows]

    def exact(self, attribute: str, value: str) -> sa.ColumnElement[bool]:
        """What all rows meet whose attribute equals this; just true where SQL cannot narrow it down."""
        match attribute:
            case "username":
                return RESOURCE.c.name == login_name(value)
            case "externalid":
                return sa.and_(RESOURCE.c.spec["external_id"].as_string() == value)
        return sa.true()

    def create(self, given: ScimUser[Any]) -> str:
        """Stores a new user and returns his id. Whom the directory calls inactive is suspended at once."""
        unit = self._unit
        scope = organization(unit)
        unit.require(USER.permission("create"), scope)
        spec = self._spec(given, UserSpec(identity_provider_id=self._only_provider()))
        status = UserStatus(directory=_directory(given))
        user = unit.new(USER, scope, login_name(given.user_name or ""), spec, status=status)
        standard.insert(unit, USER, user)
        self._switch(user.id, UserState.ACTIVE, given.active)
        return user.id

    def update(self, row: Stored, given: ScimUser[Any]) -> None:
        """Makes the user what the directory says. Absent attributes are emptied; absent `active` changes nothing."""
        user = USER.resource(row)
        state = user.status.state
        if _named_by(user) != given.user_name:
            user.name = login_name(given.user_name or "")
        user.spec = self._spec(given, user.spec)
        user.status.directory = _directory(given)
        self._unit.subject(row)
        standard.write(self._unit, USER, row, user, "update")
        self._switch(row.id, state, given.active)

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
            "userName": _named_by(user),
            "displayName": user.spec.title,
            "externalId": user.spec.external_id,
            "groups": groups or None,
        }
        if "active" in directory or not directory:  # a directory that leaves it open reads it so
            values["active"] = user.status.state is UserState.ACTIVE
        if set(said) != set(user.spec.emails):  # an admin changed them here since
            values["emails"] = [{"value": email, "primary": not n} for n, email in enumerate(user.spec.emails)] or None
        resource = self._model.model_validate(values)
        resource.meta = Meta(
            resource_type=self._type.name,
            created=user.created_at,
            last_modified=user.updated_at,
            version=version(row.version),
        )
        return resource


def _named_by(user: User) -> str:
    """The `userName`: as the directory wrote it, unless the user was renamed here."""
    said = user.status.directory.get("userName")
    return said if said and login_name(said) == user.name else user.name


def _directory(given: ScimUser[Any]) -> dict[str, Any]:
    said: dict[str, Any] = given.model_dump()
    kept = {name: value for name, value in said.items() if name not in _NOT_KEPT}
    if len(json.dumps(kept)) > _LONGEST_DIRECTORY:
        raise InvalidValueException(detail=f"A user may have {_LONGEST_DIRECTORY} bytes of attributes.")
    return kept
