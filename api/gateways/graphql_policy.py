"""Parsing of GraphQL requests, and the generation of the request that is forwarded.

No text of a caller is forwarded: the document is parsed and printed, the printed text is checked, and the JSON around
it is generated. Therefore no difference between two parsers can hide an operation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    parse,
    print_ast,
)

from core.errors import InvalidPayload, UnsupportedMediaType

_MAX_DOCUMENT_LENGTH = 200_000
_MAX_TOKENS = 20_000
_MAX_ID_LENGTH = 128
_STARTS = ("start", "subscribe")
_CONTROLS = ("connection_init", "connection_terminate", "stop", "complete", "ping", "pong")


@dataclass(frozen=True, slots=True)
class Operation:
    """A GraphQL operation, and the text to forward."""

    kind: OperationType
    mutations: tuple[str, ...]
    """Names, not aliases, of the selected mutation fields; empty unless it is a mutation."""

    text: str
    """JSON to forward."""


def parse_request(body: bytes, content_type: str) -> Operation:
    """Parses the body of a GraphQL request over HTTP.

    Raises:
        UnsupportedMediaType: the content type is not JSON.
        InvalidPayload: the body is not exactly one query or mutation in JSON.
    """
    media, _, parameters = content_type.partition(";")
    if media.strip().lower() != "application/json" or parameters.strip().lower() not in ("", "charset=utf-8"):
        raise UnsupportedMediaType("Send GraphQL as application/json in UTF-8.")
    operation = _operation(_json(body))
    if operation.kind is OperationType.SUBSCRIPTION:
        raise InvalidPayload("A subscription needs a WebSocket.")
    return operation


def parse_frame(frame: str) -> Operation | str:
    """Parses one message of a GraphQL WebSocket. Returns an operation, or the text of a control message to forward.

    Raises:
        InvalidPayload: the frame is not a single message of the graphql-ws protocol.
    """
    message = _json(frame.encode("utf-8", "surrogatepass"))
    if not isinstance(message, Mapping):
        raise InvalidPayload("Send one graphql-ws message in each frame.")
    kind, id = message.get("type"), message.get("id")
    if id is not None and not (isinstance(id, str) and len(id) <= _MAX_ID_LENGTH):
        raise InvalidPayload("The id of a graphql-ws message must be a short string.")
    head = {"type": kind} | ({} if id is None else {"id": id})
    if kind in _CONTROLS:
        return json.dumps(head)
    if kind not in _STARTS:
        raise InvalidPayload("The message is not a graphql-ws message.")
    operation = _operation(message.get("payload"))
    return Operation(operation.kind, operation.mutations, f'{json.dumps(head)[:-1]}, "payload": {operation.text}}}')


def _operation(request: Any) -> Operation:
    if not isinstance(request, Mapping):
        raise InvalidPayload("Send one GraphQL request as a JSON object; batches are not accepted.")
    document, variables, name = request.get("query"), request.get("variables"), request.get("operationName")
    if not isinstance(document, str):
        raise InvalidPayload("A GraphQL request needs a `query`; stored queries are not accepted.")
    if variables is not None and not isinstance(variables, Mapping):
        raise InvalidPayload("The `variables` of a GraphQL request must be a JSON object.")
    text = print_ast(_parsed(document))
    # The printed text is checked, because it is the text that is forwarded.
    operation, fragments = _parts(_parsed(text))
    if name is not None and (operation.name is None or operation.name.value != name):
        raise InvalidPayload("`operationName` is not the name of the operation in `query`.")
    is_mutation = operation.operation is OperationType.MUTATION
    fields = tuple(dict.fromkeys(_fields(operation.selection_set, fragments, ()))) if is_mutation else ()
    forwarded = {"query": text, "variables": variables, "operationName": name}
    return Operation(operation.operation, fields, json.dumps(forwarded))


def _parsed(document: str) -> DocumentNode:
    if len(document) > _MAX_DOCUMENT_LENGTH:
        raise InvalidPayload("The GraphQL document is too long.")
    try:
        return parse(document, no_location=True, max_tokens=_MAX_TOKENS)
    except (GraphQLError, RecursionError) as error:
        raise InvalidPayload(f"The GraphQL document is not valid: {error}") from error


def _parts(document: DocumentNode) -> tuple[OperationDefinitionNode, Mapping[str, FragmentDefinitionNode]]:
    """Returns the only operation and its fragments."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    by_name = {fragment.name.value: fragment for fragment in fragments}
    if len(operations) != 1 or len(by_name) + 1 != len(document.definitions):
        raise InvalidPayload("Send exactly one operation with its fragments in each GraphQL request.")
    return operations[0], by_name


def _fields(
    selections: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], within: Sequence[str]
) -> Iterator[str]:
    """Yields the names of the selected top-level fields, including fields that a directive may skip."""
    for selection in selections.selections:
        if isinstance(selection, FieldNode):
            if selection.name.value != "__typename":
                yield selection.name.value
        elif isinstance(selection, InlineFragmentNode):
            yield from _fields(selection.selection_set, fragments, within)
        elif isinstance(selection, FragmentSpreadNode):
            name = selection.name.value
            if name in within or name not in fragments:
                raise InvalidPayload(f"The fragment {name!r} is not defined, or contains itself.")
            yield from _fields(fragments[name].selection_set, fragments, (*within, name))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidPayload("The body is not JSON, or an object in it has a duplicate key.") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise ValueError("duplicate key")
    return unique


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
