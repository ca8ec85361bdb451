"""Names instead of ids: wherever a field contains a reference, callers can write an id or a name.

The kernel replaces the names in a request by ids before it calls the service function, so that functions of services
see ids only. A name refers only to what the caller can see. A name that refers to nothing visible stays as it is, and
the function refuses it like an unknown id. An id has precedence, and no name can have the form of an id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import BaseModel
from sqlalchemy.engine import Connection

from api.kernel.filtering import named
from api.kernel.kinds import slots
from api.kernel.kinds.noun import Kinds
from api.kernel.kinds.slots import FilterReferences, Slot, filter_names
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.permissions.principal import Principal
from api.kernel.platform import Platform
from api.kernel.references import PROJECT
from api.kernel.storage import store
from api.kernel.storage.store import Stored
from core.errors import AmbiguousName

_MAX_CANDIDATES = 10
"""Candidates that an error names."""


class Names:
    """The names that one principal can write instead of ids, as of one connection."""

    def __init__(self, platform: Platform, connection: Connection, principal: Principal) -> None:
        self._platform = platform
        self._connection = connection
        self._principal = principal

    def resolve(self, model: BaseModel, pointer: str = "") -> None:
        """Replaces the names in a request by ids.

        Raises:
            AmbiguousName: the caller can see several resources of a name.
        """
        self.fill(slots.names(model, pointer))

    def fill(self, found: Sequence[Slot]) -> None:
        """Replaces the names in these slots by ids. Raises as `resolve`."""
        for slot, id in zip(found, self.ids(found), strict=True):
            if id != slot.text:
                slot.put(id)

    def id_of(self, kind: str, text: str) -> str:
        """Returns the id of the resource that `text` names, or `text` if it names none. Raises as `resolve`."""
        slot = Slot(text, (kind,))
        return self.ids([slot])[0] if slot.may_be_name else text

    def in_filter(self, text: str, references: FilterReferences) -> str:
        """Returns a filter with the names in it replaced by what its fields contain. Raises as `resolve`."""
        comparisons = filter_names(text, references)
        by_name = [one for one in comparisons if one.field != "project"]
        ids = self.ids([Slot(one.value, references[one.field]) for one in by_name])
        values = dict(zip(by_name, ids, strict=True))
        # Assets and other things outside the metadata database carry the name of their project, not its id.
        for one in comparisons:
            if one.field == "project":
                row = store.find(self._connection, PROJECT, one.value, within=None)
                values[one] = row.name if row and self._visible(row) else one.value
        return named.replaced(text, {one: value for one, value in values.items() if value != one.value})

    def ids(self, found: Sequence[Slot]) -> list[str]:
        """Returns an id for each slot; the text of the slot if it names nothing that the principal can see.

        Raises:
            AmbiguousName: the principal can see several resources of a name.
        """
        if not found:
            return []
        stored = [name for name, kind in self._platform.part(Kinds).items() if isinstance(kind, StoredKind)]
        kinds = {kind for slot in found for kind in (slot.kinds or stored)}
        ids = store.existing_ids(self._connection, (slot.text for slot in found))
        rows = store.find_named(self._connection, kinds, {slot.text for slot in found if slot.text not in ids})
        visible = [row for row in rows if self._visible(row)]
        return [_only(visible, slot) for slot in found]

    def _visible(self, row: Stored) -> bool:
        principal = self._principal
        live = row.deleted_at is None
        return live and (row.id == principal.id or principal.access.allows(f"{row.kind}.get", row.securable, row))


def _only(visible: Iterable[Stored], slot: Slot) -> str:
    matches = [row for row in visible if row.name == slot.text and (not slot.kinds or row.kind in slot.kinds)]
    if len(matches) < 2:
        return matches[0].id if matches else slot.text
    candidates = ", ".join(f"{row.id} ({row.kind})" for row in matches[:_MAX_CANDIDATES])
    raise AmbiguousName(
        f"Several things that you may see are named {slot.text!r}: {candidates}. Give the id of the one you mean.",
        errors=[{"pointer": slot.pointer, "detail": "is the name of several things"}] if slot.pointer else (),
        metadata={"candidates": [row.id for row in matches[:_MAX_CANDIDATES]]},
    )
