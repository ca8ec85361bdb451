"""Whether a GraphQL request only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse

from core.errors import InvalidPayload

_MAX_DOCUMENT_CHARACTERS = 200_000


def mutations(document: str) -> list[str]:
    """Names of the mutation fields in a document; empty when it only reads.

    Every operation of the document counts, not just the one `operationName` picks: nothing is gained by hiding one.

    Raises:
        InvalidPayload: the document is not GraphQL.
    """
    if len(document) > _MAX_DOCUMENT_CHARACTERS:
        raise InvalidPayload("The GraphQL document is too long.")
    try:
        parsed = parse(document, max_tokens=20_000)
    except (GraphQLError, RecursionError) as error:
        raise InvalidPayload(f"The GraphQL document does not parse: {error}") from error
    fields: list[str] = []
    for definition in parsed.definitions:
        if isinstance(definition, OperationDefinitionNode) and definition.operation is OperationType.MUTATION:
            names = (getattr(selection, "name", None) for selection in definition.selection_set.selections)
            fields += [name.value if name else "fragment" for name in names]
    return fields


def mutations_in_body(body: bytes, content_type: str) -> list[str]:
    """Mutation fields of a GraphQL-over-HTTP body: one JSON request or a batch of them.

    Raises:
        InvalidPayload: the body is in a form whose effect cannot be told.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise InvalidPayload("Send GraphQL as application/json.")
    try:
        requests = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidPayload("The body is not JSON.") from error
    return [name for request in _as_list(requests) for name in mutations(_document(request))]


def mutations_in_frame(frame: str | bytes) -> list[str]:
    """Mutation fields of one graphql-ws message; control messages carry none.

    Raises:
        InvalidPayload: the frame is not a graphql-ws message.
    """
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError) as error:
        raise InvalidPayload("The message is not JSON.") from error
    if not isinstance(message, Mapping):
        raise InvalidPayload("The message is not a graphql-ws message.")
    if message.get("type") not in ("start", "subscribe"):
        return []
    return mutations(_document(message.get("payload")))


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _document(request: Any) -> str:
    document = request.get("query") if isinstance(request, Mapping) else None
    if not isinstance(document, str):
        raise InvalidPayload("A GraphQL request needs a `query`.")
    return document
