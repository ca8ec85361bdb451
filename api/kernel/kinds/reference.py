"""References: fields of a spec that contain ids of other resources."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api.kernel.kinds.resource import Resource


@dataclass(frozen=True, slots=True)
class Reference:
    """A field of the spec with ids of another kind: one, a list, or a dictionary of them. A target can't be deleted."""

    field: str
    to: str
    """The kind of the target: `<service>.<kind>`."""

    def ids(self, resource: Resource[Any, Any]) -> list[str]:
        """Returns the ids in the field."""
        value = getattr(resource.spec, self.field)
        if value is None or isinstance(value, str):
            return [] if value is None else [value]
        return list(dict.fromkeys(value.values() if isinstance(value, dict) else value))
