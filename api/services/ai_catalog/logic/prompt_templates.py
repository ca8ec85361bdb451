"""Templates of prompts: text with variables in double braces, as `{{ question }}`.

Jinja parses them. Only texts whose variables are plain can be filled in on the platform: loops, filters, and attributes
would be a program that a user wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.errors import InvalidPayload

if TYPE_CHECKING:
    from jinja2.nodes import Template

_MAX_CHARACTERS = 1_000_000
"""Characters of a filled prompt."""


def variables(text: str) -> list[str]:
    """Returns the names of the variables of a template, sorted. Text that isn't a template has none."""
    from jinja2 import meta

    parsed = _parsed(text)
    return sorted(meta.find_undeclared_variables(parsed)) if parsed else []


def filled(text: str, values: Mapping[str, str]) -> str:
    """Returns a template with the values of its variables.

    Raises:
        InvalidPayload: the template has more than plain variables, or the result is too long.
    """
    from jinja2 import nodes

    parsed = _parsed(text)
    if parsed is None:
        return text
    parts = []
    for node in parsed.body:
        if not isinstance(node, nodes.Output):
            raise _unsupported()
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                parts.append(part.data)
            elif isinstance(part, nodes.Name):
                parts.append(values[part.name])
            else:
                raise _unsupported()
    if sum(map(len, parts)) > _MAX_CHARACTERS:
        raise InvalidPayload(f"The filled prompt is longer than {_MAX_CHARACTERS:,} characters. Shorten the values.")
    return "".join(parts)


def require_values(names: Sequence[str], values: Mapping[str, str]) -> None:
    """Checks that there is a value for each variable, and no other.

    Raises:
        InvalidPayload: a value is missing, or belongs to no variable.
    """
    missing, unknown = sorted(set(names) - set(values)), sorted(set(values) - set(names))
    errors = [{"pointer": f"/values/{name}", "detail": "is missing"} for name in missing]
    errors += [{"pointer": f"/values/{name}", "detail": "is not a variable of the prompt"} for name in unknown]
    if errors:
        known = ", ".join(names) or "none"
        raise InvalidPayload(
            f"Send a value for each variable of the prompt. Its variables are: {known}.", errors=errors
        )


def _parsed(text: str) -> Template | None:
    from jinja2 import Environment, TemplateSyntaxError

    try:
        # The values are text for a model, not HTML.
        return Environment(keep_trailing_newline=True).parse(text)  # noqa: S701
    except (TemplateSyntaxError, RecursionError):
        return None


def _unsupported() -> InvalidPayload:
    return InvalidPayload(
        "The template has loops, conditions, filters, or expressions, which the platform doesn't run. Fill it in where "
        "you call the model."
    )
