"""One change writes one event: asked after every call of every test that goes through `tests.api_process`.

Kind of fault: an operation whose own event is written beside another one that tells of the same change, so that who
counts or forwards events gets each change twice.
"""

from __future__ import annotations

import sqlalchemy as sa

from core.db import Database
from core.events import EVENT

SEVERAL = {
    "admin.grant.applied": "each grant that is given or revoked is a separate change",
    "ai_catalog.access_request.approved": "gives a grant, or releases copies",
    "admin.invitation.accepted": "makes a user, gives grants and adds to groups",
    "admin.session.created": "a login by an identity provider may make a user, and follows their groups and roles",
    "admin.signing_key.activated": "the next key is made",
    "admin.signing_key.revoked": "the next key is activated, and another one made",
    "admin.session.password_reset_requested": "an address may belong to several accounts",
}
"""What changes several things, by the event of the request itself, and why."""

_NEAR = 2000
"""Number of the newest events that are read."""


def require(database: Database, request_id: str) -> None:
    """Raises unless the request left at most one event, or changes several things, each told once."""
    if not request_id:
        return
    with database.read() as connection:
        newest = sa.select(sa.func.max(EVENT.c.sequence)).scalar_subquery()
        of_request = sa.and_(EVENT.c.sequence > newest - _NEAR, EVENT.c.request_id == request_id)
        columns = (EVENT.c.type, EVENT.c.subject, EVENT.c.data)
        found = connection.execute(sa.select(*columns).where(of_request).order_by(EVENT.c.sequence)).all()
    changes = [(row.type, row.subject) for row in found if not row.type.startswith("operations.")]
    if len(changes) < 2:
        return
    batch = changes[0][0].endswith(".batched")
    assert batch or changes[0][0] in SEVERAL, f"several events of one change: {changes}"
    assert len(changes) == len(set(changes)), f"one change is told twice: {changes}"
