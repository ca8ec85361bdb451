"""The database changes of publishing, retiring and deleting a definition, and how to undo them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core import clock, definition_revisions
from core.definition_revisions import RecordedDefinition
from core.definitions import ASSET_CLAIM, DEFINITION
from core.errors import Conflict, NotFound, PreconditionFailed
from core.publisher import Candidate

_LIVE = (
    *("published_component", "published_attributes", "published_at", "published_by"),
    *("published_by_id", "published_reads", "published_revision", "blocked", "retired_at", "retired_by"),
)


@dataclass(frozen=True, slots=True)
class PreviousState:
    """The published attributes and claimed assets of a definition before a change."""

    asset_id: str
    live: Mapping[str, Any]
    assets: tuple[str, ...]
    added_revision: int | None = None
    """The revision that the change published first; `None` if it was published before."""


def candidate_of(
    connection: Connection,
    asset_id: str,
    *,
    reinstates: bool = False,
    edited: bool = True,
    revision: int | None = None,
) -> Candidate:
    """Returns what a definition would publish.

    Args:
        connection: a connection in a transaction.
        asset_id: id of the definition.
        reinstates: whether the definition must be retired; if false, it must not be.
        edited: whether to return the draft attributes; if false, the published attributes.
        revision: the revision that the definition must have; None for any.

    Raises:
        NotFound: the definition doesn't exist.
        Conflict: the definition is retired and `reinstates` is false, or the reverse.
        PreconditionFailed: the definition has another revision.
    """
    row = _row(connection, asset_id, lock=False)
    _require(row, retired=reinstates)
    if revision not in (None, row.revision):
        raise PreconditionFailed("The definition was changed since you read it. Read it again and repeat the request.")
    if edited:
        return Candidate(asset_id, row.component, row.attributes, row.revision)
    return Candidate(asset_id, row.published_component, row.published_attributes, row.published_revision or 1)


def activate(
    connection: Connection,
    candidate: Candidate,
    *,
    assets: Sequence[str],
    reads: Sequence[str],
    code_assets: Mapping[str, str],
    principal: str,
    principal_id: str,
    code_versions: Mapping[str, str] = {},
    reinstates: bool = False,
) -> PreviousState:
    """Makes a validated candidate the live state of its definition. Returns the previous state, for `restore`.

    The draft may have changed since the validation, so the candidate is published and not the draft.

    Args:
        connection: a connection in a write transaction.
        candidate: the validated component and attributes.
        assets: ids of every asset that the definition produces. Nothing else may produce any of them.
        reads: ids of the assets that the definition reads.
        code_assets: asset ids of other code locations, mapped to the name of their location.
        principal: name of the principal that publishes.
        principal_id: id of that principal; permission checks use it.
        code_versions: code version by asset that the definition produces.
        reinstates: whether the definition must be retired; if false, it must not be.

    Raises:
        NotFound: the definition doesn't exist.
        Conflict: another definition or code location already produces one of the assets, one of the inputs is
            retired, or the definition is retired and `reinstates` is false, or the reverse.
    """
    row = _row(connection, candidate.asset_id)
    _require(row, retired=reinstates)
    if retired := retired_assets(connection, reads):
        raise Conflict(f"{candidate.asset_id} reads {', '.join(retired)}, which is retired.")
    previous = _state_of(connection, row)
    _renew_code_claims(connection, code_assets)
    _claim(connection, candidate.asset_id, assets)
    connection.execute(
        DEFINITION.update()
        .where(DEFINITION.c.asset_id == candidate.asset_id)
        .values(
            published_component=candidate.component,
            published_attributes=dict(candidate.attributes),
            published_revision=candidate.revision,
            published_at=clock.now(),
            published_by=principal,
            published_by_id=principal_id,
            published_reads=list(reads),
            blocked=None,
            retired_at=None,
            retired_by=None,
        )
    )
    recorded = RecordedDefinition(
        candidate.asset_id,
        candidate.revision,
        candidate.component,
        candidate.attributes,
        tuple(reads),
        {name: code_versions.get(name, "") for name in assets},
    )
    added = definition_revisions.add(connection, recorded, principal=principal)
    return replace(previous, added_revision=candidate.revision if added else None)


def retire(connection: Connection, asset_id: str, *, principal: str) -> PreviousState:
    """Retires a live definition. It keeps its published attributes and its claims. Returns the previous state.

    Raises:
        NotFound: the definition doesn't exist.
        Conflict: the definition isn't live.
    """
    row = _row(connection, asset_id)
    _require(row, retired=False)
    if row.published_attributes is None:
        raise Conflict(f"{asset_id} was never published. Delete it instead.", metadata={"state": "DRAFT"})
    definition = DEFINITION.c.asset_id == asset_id
    connection.execute(DEFINITION.update().where(definition).values(retired_at=clock.now(), retired_by=principal))
    return _state_of(connection, row)


def assets_of(connection: Connection, asset_id: str) -> tuple[str, ...]:
    """Returns the ids of the assets that a definition claims; its own id if it claims none."""
    claimed = sa.select(ASSET_CLAIM.c.asset_id).where(ASSET_CLAIM.c.definition == asset_id)
    return tuple(connection.execute(claimed.order_by(ASSET_CLAIM.c.asset_id)).scalars()) or (asset_id,)


def readers(connection: Connection, assets: Collection[str]) -> set[str]:
    """Returns the live definitions that read one of these assets and were published since reads are stored."""
    live = DEFINITION.c.published_reads.is_not(None), DEFINITION.c.retired_at.is_(None)
    rows = connection.execute(sa.select(DEFINITION.c.asset_id, DEFINITION.c.published_reads).where(*live))
    return {row.asset_id for row in rows if not set(assets).isdisjoint(row.published_reads)}


def retired_assets(connection: Connection, assets: Collection[str]) -> list[str]:
    """Returns those of these assets whose definition is retired."""
    retired = (
        sa.select(ASSET_CLAIM.c.asset_id)
        .join(DEFINITION, DEFINITION.c.asset_id == ASSET_CLAIM.c.definition)
        .where(DEFINITION.c.retired_at.is_not(None))
    )
    return sorted(set(connection.execute(retired).scalars()).intersection(assets))


def remove(connection: Connection, asset_id: str) -> None:
    """Deletes a draft or a retired definition permanently, and releases its claims.

    Raises:
        NotFound: the definition doesn't exist.
        Conflict: the definition is live.
    """
    row = _row(connection, asset_id)
    if row.published_attributes is not None and row.retired_at is None:
        raise Conflict(f"{asset_id} is live. Retire it. Then, if it never produced anything, you can delete it.")
    connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.definition == asset_id))
    definition_revisions.remove(connection, [asset_id])
    connection.execute(DEFINITION.delete().where(DEFINITION.c.asset_id == asset_id))


def erase(connection: Connection, project_names: Collection[str]) -> int:
    """Deletes every definition of these projects, whatever it produced. Returns how many it deleted."""
    selected = DEFINITION.c.project.in_(project_names)
    ids = sa.select(DEFINITION.c.asset_id).where(selected)
    connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.definition.in_(ids)))
    definition_revisions.remove(connection, ids)
    return int(connection.execute(DEFINITION.delete().where(selected)).rowcount)


def restore(connection: Connection, previous: PreviousState) -> None:
    """Restores the published attributes and claims from before a change."""
    live = dict(previous.live)
    if live["published_attributes"] is None:
        live["published_attributes"] = sa.null()  # not the JSON value null
    connection.execute(DEFINITION.update().where(DEFINITION.c.asset_id == previous.asset_id).values(**live))
    if previous.added_revision is not None:
        definition_revisions.remove(connection, [previous.asset_id], previous.added_revision)
    _claim(connection, previous.asset_id, previous.assets)


def _row(connection: Connection, asset_id: str, *, lock: bool = True) -> sa.Row[Any]:
    """Returns the row; if locked, no other transaction changes it until this one ends."""
    select = sa.select(DEFINITION).where(DEFINITION.c.asset_id == asset_id)
    row = connection.execute(select.with_for_update() if lock else select).first()
    if row is None:
        raise NotFound(f"Definition {asset_id!r} doesn't exist. List the definitions to find its id.")
    return row


def _require(row: sa.Row[Any], *, retired: bool) -> None:
    if retired and row.retired_at is None:
        raise Conflict(f"{row.asset_id} isn't retired.")
    if row.retired_at is not None and not retired:
        raise Conflict(f"{row.asset_id} is retired. Reinstate it first.", metadata={"state": "RETIRED"})


def _state_of(connection: Connection, row: sa.Row[Any]) -> PreviousState:
    claimed = connection.execute(sa.select(ASSET_CLAIM.c.asset_id).where(ASSET_CLAIM.c.definition == row.asset_id))
    return PreviousState(row.asset_id, {name: row._mapping[name] for name in _LIVE}, tuple(claimed.scalars()))


def _renew_code_claims(connection: Connection, code_assets: Mapping[str, str]) -> None:
    rows = connection.execute(sa.select(ASSET_CLAIM))
    claims = {row.asset_id: (row.location, row.definition) for row in rows}
    removed = [name for name, (_, definition) in claims.items() if definition is None and name not in code_assets]
    if removed:
        connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.asset_id.in_(removed)))
    # If code now also declares an asset of a definition, the claim stays with the definition. Building both together
    # finds the conflict.
    new = [
        {"asset_id": name, "location": location, "definition": None}
        for name, location in code_assets.items()
        if name not in claims
    ]
    if new:
        connection.execute(ASSET_CLAIM.insert(), new)


def _claim(connection: Connection, definition: str, assets: Sequence[str]) -> None:
    connection.execute(ASSET_CLAIM.delete().where(ASSET_CLAIM.c.definition == definition))
    for name in assets:
        try:
            with connection.begin_nested():
                connection.execute(
                    ASSET_CLAIM.insert().values(asset_id=name, location="published", definition=definition)
                )
        except sa.exc.IntegrityError as error:
            owner = connection.execute(
                sa.select(ASSET_CLAIM, DEFINITION.c.retired_at)
                .outerjoin(DEFINITION, DEFINITION.c.asset_id == ASSET_CLAIM.c.definition)
                .where(ASSET_CLAIM.c.asset_id == name)
            ).one()
            if owner.retired_at is not None:
                reason = f"Asset {name} belongs to the retired definition {owner.definition}, which keeps the id."
                raise Conflict(f"{reason} Reinstate that definition, or choose another id.") from error
            producer = f"the definition {owner.definition}" if owner.definition else f"code in {owner.location}"
            raise Conflict(f"Asset {name} is already produced by {producer}. Choose another id.") from error
