"""Terms of the glossary of an organization: words of the business, with the data that they describe."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api.kernel.kinds.reference import Reference
from api.kernel.kinds.resource import Level, Resource, Spec, Status, Title
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.unit import Unit
from api.kernel.models import Request
from api.kernel.references import RefersTo
from api.kernel.roles import Role
from api.services.ai_catalog.glossary_tables import TERM_LINK
from core.errors import Conflict

_MAX_DEPTH = 20

TermReference = Annotated[str, Field(max_length=128), RefersTo(("ai_catalog.glossary_term",))]
"""A term."""


class TermState(StrEnum):
    """State of a term. An APPROVED one doesn't change. A DEPRECATED one should no longer be used."""

    DRAFT = "DRAFT"
    APPROVED = "APPROVED"
    DEPRECATED = "DEPRECATED"


class GlossaryTermSpec(Spec):
    """A term."""

    title: Title
    """The term, as people write it."""

    definition: Annotated[str, Field(max_length=50_000)] = ""
    """What the term means, in Markdown."""

    synonyms: Annotated[list[Title], Field(max_length=100)] = []
    """Other words for it. A search for one of them finds what the term is linked to."""

    parent_id: TermReference | None = None
    """The more general term."""

    related: Annotated[list[TermReference], Field(max_length=100)] = []
    """Terms that are related in another way."""

    successor_id: TermReference | None = None
    """The term to use instead of a deprecated one."""


class GlossaryTermStatus(Status):
    """The state of a term."""

    state: TermState = TermState.DRAFT
    """State of the term."""


class GlossaryTerm(Resource[GlossaryTermSpec, GlossaryTermStatus]):
    """A word of the business, with its definition and the data that it describes. Its owner is its steward."""


GLOSSARY_TERM = ResourceKind(
    GlossaryTerm,
    plural="glossary-terms",
    prefix="gtm",
    level=Level.ORGANIZATION,
    references=tuple(Reference(name, "ai_catalog.glossary_term") for name in ("parent_id", "related", "successor_id")),
    filter_by=("spec.title", "status.state"),
)


@GLOSSARY_TERM.transition(
    "approve", request=Request, sources=(TermState.DRAFT,), to=TermState.APPROVED, role=Role.ADMIN
)
def approve_term(unit: Unit, term: GlossaryTerm, request: Request) -> None:
    """Approves a term. It needs a definition, which doesn't change until the term is reopened."""
    if not term.spec.definition.strip():
        raise Conflict(f"{term.name} has no definition yet.")


@GLOSSARY_TERM.transition(
    "deprecate", request=Request, sources=(TermState.APPROVED,), to=TermState.DEPRECATED, role=Role.ADMIN
)
def deprecate_term(unit: Unit, term: GlossaryTerm, request: Request) -> None:
    """States that a term should no longer be used, but its `successor_id` if it has one."""


@GLOSSARY_TERM.transition(
    "reopen",
    request=Request,
    sources=(TermState.APPROVED, TermState.DEPRECATED),
    to=TermState.DRAFT,
    role=Role.ADMIN,
)
def reopen_term(unit: Unit, term: GlossaryTerm, request: Request) -> None:
    """Makes a term a draft again, so that it can be changed."""


@GLOSSARY_TERM.validate
def require_sound_term(unit: Unit, term: GlossaryTerm, before: GlossaryTerm | None) -> None:
    """Refuses a change of what an approved term means, and terms that are above or after themselves."""
    if before is not None and term.status.state is before.status.state is not TermState.DRAFT:
        same = before.spec.model_copy(update={"successor_id": term.spec.successor_id, "related": term.spec.related})
        if term.spec != same:
            raise Conflict(f"{term.name} is {term.status.state}. Reopen it to change it.")
    for name in ("parent_id", "successor_id"):
        _refuse_circle(unit, term, name)


@GLOSSARY_TERM.after("delete")
def end_links(unit: Unit, term: GlossaryTerm) -> None:
    """Ends the links of a term. A restored term has none."""
    unit.connection.execute(TERM_LINK.delete().where(TERM_LINK.c.term_id == term.id))


def _refuse_circle(unit: Unit, term: GlossaryTerm, name: str) -> None:
    seen = [term.id]
    following: str | None = getattr(term.spec, name)
    while following is not None:
        if following in seen:
            raise Conflict(f"{term.name} would be its own {name.removesuffix('_id')}, over {len(seen)} terms.")
        if len(seen) > _MAX_DEPTH:
            raise Conflict(f"More than {_MAX_DEPTH} terms follow one another as {name.removesuffix('_id')}.")
        seen.append(following)
        row = unit.find(GLOSSARY_TERM, following)
        following = getattr(GLOSSARY_TERM.resource(row).spec, name) if row else None
