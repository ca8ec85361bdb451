"""What people state about assets, for search: descriptions, terms of the glossary, and assigned tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from api.kernel.platform import Platform
from api.kernel.tables import RESOURCE
from api.services.ai_catalog.dataset_tables import DATASET
from api.services.ai_catalog.glossary_tables import TERM_LINK
from api.services.ai_catalog.tag_tables import TAG_ASSIGNMENT
from core.events import EVENT

KINDS = ("ai_catalog.dataset", "ai_catalog.glossary_term", "ai_catalog.tag")
"""Kinds whose events tell that something else is stated."""


@dataclass(slots=True)
class Facts:
    """What is stated about one asset."""

    title: str = ""
    description: str = ""
    words: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)

    def __repr__(self) -> str:
        """Returns a text that differs if the facts differ."""
        return repr((self.title, self.description, sorted(self.words), sorted(self.labels)))


class StatedFacts:
    """The facts of all assets, read again when an event tells that something else is stated."""

    def __init__(self) -> None:
        self._read_at = -1
        self._facts: dict[str, Facts] = {}

    def current(self, platform: Platform) -> Mapping[str, Facts]:
        """Returns the facts by asset."""
        newest = sa.select(sa.func.max(EVENT.c.sequence)).where(EVENT.c.kind.in_(KINDS))
        with platform.database.read() as connection:
            sequence = connection.execute(newest).scalar() or 0
            if sequence != self._read_at:
                self._facts = _facts(connection)
                self._read_at = sequence
        return self._facts


def open_facts(platform: Platform) -> StatedFacts:
    """Returns the facts of the process."""
    return StatedFacts()


def _facts(connection: Connection) -> dict[str, Facts]:
    found: dict[str, Facts] = {}

    def of(asset: str) -> Facts:
        return found.setdefault(asset, Facts())

    for row in connection.execute(sa.select(DATASET)):
        facts = of(row.asset)
        facts.title, facts.description = row.title, row.description
        facts.labels |= {f"sensitivity={row.sensitivity}", *([f"license={row.license}"] if row.license else [])}
    terms = (
        sa.select(TERM_LINK.c.target, RESOURCE.c.spec)
        .join(RESOURCE, RESOURCE.c.id == TERM_LINK.c.term_id)
        .where(RESOURCE.c.deleted_at.is_(None), RESOURCE.c.organization_id == TERM_LINK.c.organization_id)
    )
    for target, spec in connection.execute(terms):
        of(target).words |= {spec["title"], *spec["synonyms"]}
    assigned = TAG_ASSIGNMENT.c.ended_at.is_(None), TAG_ASSIGNMENT.c.origin == "STATED"
    tags = sa.select(TAG_ASSIGNMENT.c.target, TAG_ASSIGNMENT.c.tag, TAG_ASSIGNMENT.c.value)
    for target, tag, value in connection.execute(tags.where(*assigned).distinct()):
        of(target).labels.add(f"tag={tag}:{value}" if value else f"tag={tag}")
    return found
