"""Sessions of users, as their admins see and end them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import sqlalchemy as sa
from pydantic import Field

from api.kernel.credentials import tokens
from api.kernel.credentials.tokens import TokenKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Model, Query, Request
from api.kernel.roles import Role
from api.kernel.tables import TOKEN
from api.services.admin.kinds.user import USER, User, end_tokens
from api.services.admin.kinds.user_account import UserAccount, account_of
from core.errors import NotFound

_MAX_SESSIONS = 1000
SessionId = Annotated[str, Field(max_length=64)]


class UserSession(Model):
    """A valid login of a user, without its tokens."""

    id: str
    """Id of the session."""

    label: str
    """How the user logged in, and from which address."""

    created_at: datetime
    """Time of the login."""

    expires_at: datetime
    """Time at which the session expires."""


class UserSessions(Model):
    """Valid logins of a user."""

    items: list[UserSession]
    """The newest 1,000 sessions, newest first."""


class SessionRevocation(Request):
    """Sessions to end."""

    sessions: Annotated[list[SessionId], Field(max_length=1000)] | None = None
    """Ids of the sessions. By default all of them."""


@USER.view("sessions", query=Query, result=UserSessions, role=Role.ADMIN)
def get_user_sessions(unit: Unit, user: User, query: Query) -> UserSessions:
    """Lists the valid logins of a user, newest first."""
    columns = [TOKEN.c[name] for name in UserSession.model_fields]
    valid = sa.select(*columns).where(_of(user), TOKEN.c.revoked_at.is_(None), TOKEN.c.expires_at > unit.now)
    newest = valid.order_by(TOKEN.c.created_at.desc(), TOKEN.c.id.desc()).limit(_MAX_SESSIONS)
    return UserSessions(items=[UserSession(**row._mapping) for row in unit.connection.execute(newest)])


@USER.command("revoke-sessions", request=SessionRevocation, result=UserAccount, past="sessions_revoked")
def revoke_sessions(unit: Unit, user: User, request: SessionRevocation) -> UserAccount:
    """Ends logins of a user immediately, everywhere: all of them, or some. Their API keys stay valid."""
    if request.sessions is None:
        end_tokens(unit, user)
        return account_of(unit, user.id)
    own = sa.select(TOKEN.c.id).where(_of(user), TOKEN.c.id.in_(request.sessions))
    found = set(unit.connection.execute(own).scalars())
    for id in dict.fromkeys(request.sessions):
        if id not in found:
            # The response is the same for a session of another user.
            raise NotFound(f"{user.name} has no session {id!r}. List the sessions again.")
        tokens.revoke(unit.connection, id)
    unit.call.note(sessions=sorted(found))
    unit.forget()
    return account_of(unit, user.id)


def _of(user: User) -> sa.ColumnElement[bool]:
    return sa.and_(TOKEN.c.principal_id == user.id, TOKEN.c.kind == TokenKind.SESSION.value)
