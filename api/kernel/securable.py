"""What rights are granted on: the platform, an organization in it, a project in that, a resource in that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core import audit

PLATFORM = "platform"
"""Id of the root of all securables."""


@dataclass(frozen=True, slots=True)
class Securable:
    """A place in the tree of scopes. What is granted on a place holds for all that is below it."""

    kind: str = PLATFORM
    id: str = PLATFORM
    organization_id: str | None = None
    project_id: str | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """Ids from this place up to the platform, each once."""
        ids = (self.id, self.project_id, self.organization_id, PLATFORM)
        return tuple(dict.fromkeys(id for id in ids if id))

    @property
    def of_all(self) -> bool:
        """Whether it tells of all organizations, as the audit trail in the lakehouse does."""
        return audit.is_audit(self.id)

    @property
    def urn(self) -> str:
        """Its name in audit rows and grants."""
        return f"urn:headwater:{self.kind}:{self.id}"


ROOT = Securable()
"""The platform itself."""


def common(places: Iterable[Securable]) -> Securable:
    """The nearest place that all of these are below."""
    found = list(places)
    organizations, projects = {place.organization_id for place in found}, {place.project_id for place in found}
    if len(found) == 1:
        return found[0]
    organization = organizations.pop() if len(organizations) == 1 else None
    if organization is None:
        return ROOT
    project = projects.pop() if len(projects) == 1 else None
    if project is None:
        return Securable("admin.organization", organization, organization)
    return Securable("admin.project", project, organization, project)
