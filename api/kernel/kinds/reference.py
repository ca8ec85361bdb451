"""References: fields of a spec that lead to other resources."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from api.kernel.kinds.resource import Resource


class OnDelete(Enum):
    """What deleting the target of a reference does."""

    RESTRICT = "RESTRICT"
    CLEAR = "CLEAR"
    CASCADE = "CASCADE"


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of the spec that holds the id, or a list of ids, of another kind, named `<service>.<kind>`."""

    field: str
    to: str
    on_delete: OnDelete = OnDelete.RESTRICT

    def ids(self, resource: Resource[Any, Any]) -> list[str]:
        """The ids in the field."""
        value = getattr(resource.spec, self.field)
        return [] if value is None else [value] if isinstance(value, str) else list(value)
