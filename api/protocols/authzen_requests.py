"""Requests of the AuthZEN API."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from api.kernel.models import KindName, Request

# The specification allows extensions, so unknown fields are ignored.
_OPEN = ConfigDict(extra="ignore")


class Subject(Request):
    """The principal of a question."""

    model_config = _OPEN
    type: KindName
    id: Annotated[str, Field(max_length=256)] = ""


class Resource(Request):
    """The resource of a question."""

    model_config = _OPEN
    type: KindName
    id: Annotated[str, Field(max_length=256)] = ""


class Action(Request):
    """The action of a question."""

    model_config = _OPEN
    name: Annotated[str, Field(max_length=128)]


class Tuple(Request):
    """A question, or the parts of it that differ from the defaults of its request."""

    model_config = _OPEN
    subject: Subject | None = None
    action: Action | None = None
    resource: Resource | None = None


class Semantic(StrEnum):
    """When to stop deciding."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"


class Options(Request):
    """Options of a request with several questions."""

    model_config = _OPEN
    evaluations_semantic: Annotated[Semantic, Field(strict=False)] = Semantic.EXECUTE_ALL


class Evaluations(Tuple):
    """Several questions with common defaults."""

    evaluations: Annotated[list[Tuple], Field(max_length=1000)] = []
    options: Options = Options()


class PageRequest(Request):
    """The page of a search."""

    model_config = _OPEN
    token: Annotated[str, Field(max_length=256)] = ""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class Search(Tuple):
    """A question without the part to search for."""

    page: PageRequest = PageRequest()
