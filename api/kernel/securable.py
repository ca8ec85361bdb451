"""Securables: what rights are granted on. They form a tree of the platform, organizations, projects, and resources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core import audit

PLATFORM = "platform"
"""Id of the root of all securables."""


@dataclass(frozen=True, slots=True)
class Securable:
    """A node in the tree of scopes. A grant on a node applies to everything below it."""

    kind: str = PLATFORM
    id: str = PLATFORM
    organization_id: str | None = None
    project_id: str | None = None

    @property
    def chain(self) -> tuple[str, ...]:
        """Ids from this node up to the platform, without duplicates."""
        ids = (self.id, self.project_id, self.organization_id, PLATFORM)
        return tuple(dict.fromkeys(id for id in ids if id))

    @property
    def cross_tenant(self) -> bool:
        """Whether it contains data of all organizations, as the tables of the audit log do."""
        return audit.is_audit_table(self.id)

    @property
    def urn(self) -> str:
        """Its name in events and grants."""
        return f"urn:headwater:{self.kind}:{self.id}"


ROOT = Securable()
"""The platform itself."""


def common_ancestor(securables: Iterable[Securable]) -> Securable:
    """Returns the nearest securable that contains all of these."""
    nodes = list(securables)
    if len(nodes) == 1:
        return nodes[0]
    organizations, projects = {node.organization_id for node in nodes}, {node.project_id for node in nodes}
    organization = organizations.pop() if len(organizations) == 1 else None
    if organization is None:
        return ROOT
    project = projects.pop() if len(projects) == 1 else None
    if project is None:
        return Securable("admin.organization", organization, organization)
    return Securable("admin.project", project, organization, project)
