"""The OpenAPI 3.1 document of a service, generated from the declarations that also serve the requests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from api.kernel.documents.reference_marks import mark
from api.kernel.kinds.endpoint import Answer, Endpoint, Shape
from api.kernel.kinds.resource import Change, Spec
from api.kernel.kinds.resource_kind import ResourceKind
from api.kernel.kinds.rows import ARROW_STREAM, PARQUET
from api.kernel.kinds.service import Service
from api.kernel.kinds.stored_kind import StoredKind
from api.kernel.models import Model, Query

_ID = {"type": "string", "pattern": "^[^/:\\u0000-\\u001f\\u007f]{1,256}$"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_REFERENCE = "#/components/schemas/{model}"


class FieldFault(Model):
    """A fault in a field of the body or in a parameter of the query."""

    pointer: str = ""
    """JSON pointer of the field in the body."""

    parameter: str = ""
    """Name of the query parameter."""

    detail: str
    """Description of the fault."""


class Problem(Model):
    """A problem document (RFC 9457) that describes an error."""

    type: str
    """URN of the type of problem."""

    title: str
    """Type of problem, for people."""

    status: int
    """HTTP status."""

    detail: str
    """What happened, and what to do next."""

    instance: str
    """Path of the request."""

    reason: str
    """Type of problem in upper snake case. Stable, for programs."""

    service: str
    """Name of the service. `platform` if the request reached none."""

    metadata: dict[str, Any]
    """Additional facts, such as similar names that exist."""

    errors: list[FieldFault]
    """Faults of fields and parameters."""

    request_id: str
    """Id of the request in the log and in the audit log."""


_READABLE = (
    (re.compile(r"(?:Resource)?Page\[(\w+)\]"), r"\1Page"),
    (re.compile(r"Draft\[(\w+?)(?:Spec)?\]"), r"New\1"),
    (re.compile(r"Change\[(\w+?)(?:Spec)?\]"), r"\1Change"),
)


class _Schemas(GenerateJsonSchema):
    """A schema generator that names generic models after their items, such as `AssetPage`."""

    def normalize_name(self, name: str) -> str:
        for pattern, readable in _READABLE:
            name = pattern.sub(readable, name)
        return super().normalize_name(name)


def document(service: Service, path_prefix: str = "") -> dict[str, Any]:
    """Returns the OpenAPI document of a service, on a platform that a browser reaches below this path."""
    references, components = _schemas(service)
    mark(components, {kind.name: kind.full_name for kind in service.kinds if isinstance(kind, StoredKind)})
    queries = {endpoint.query for endpoint in service.endpoints if endpoint.query}
    fields = {query: components.pop(_name(references[query, "validation"])) for query in queries}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in service.endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint, references, fields)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Headwater {service.title}", "version": "1", "description": service.description},
        "servers": [{"url": f"{path_prefix}/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": kind.title, "description": kind.description} for kind in service.kinds],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {
                "Problem": {
                    "description": "An error.",
                    "content": {"application/problem+json": {"schema": references[Problem, "serialization"]}},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "headwater_8400"},
            },
        },
    }


def _schemas(service: Service) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Returns the references by model, and the schemas by name."""
    models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    patches: dict[type[BaseModel], tuple[type[Spec], tuple[str, ...]]] = {}
    for endpoint in service.endpoints:
        for model in (endpoint.query, endpoint.request):
            if model is not None:
                models[model, "validation"] = None
        if endpoint.request is not None and issubclass(endpoint.request, Change):
            spec = endpoint.request.spec_type()
            fixed = endpoint.kind.immutable if isinstance(endpoint.kind, ResourceKind) else ()
            patches[endpoint.request] = spec, fixed
            models[spec, "validation"] = None
        if endpoint.result is not None:
            models[endpoint.result, "serialization"] = None
    generated, definitions = models_json_schema(
        list(models), by_alias=True, ref_template=_REFERENCE, schema_generator=_Schemas
    )
    references = {key: _renamed(reference) for key, reference in generated.items()}
    schemas: dict[str, Any] = {}
    for name, schema in definitions.get("$defs", {}).items():
        title = _readable(name)
        if title in schemas:
            raise ValueError(f"{service.name} has two models with the name {title}")
        # Generated clients name their classes after the title.
        schemas[title] = {**_renamed(schema), "title": title}
    for change, (spec, fixed) in patches.items():
        name = f"{spec.__name__}Patch"
        schemas[name] = _patch(schemas[_name(references[spec, "validation"])], name, fixed)
        field = schemas[_name(references[change, "validation"])]["properties"]["spec"]
        schemas[_name(references[change, "validation"])]["properties"]["spec"] = {
            "$ref": _REFERENCE.format(model=name),
            "description": field["description"],
        }
    return references, schemas


def _patch(schema: dict[str, Any], name: str, fixed: Sequence[str]) -> dict[str, Any]:
    """Returns the schema of a merge patch, without the fixed fields. All fields are optional and nullable."""
    fields = {
        field: {key: value for key, value in declared.items() if key != "default"}
        for field, declared in schema["properties"].items()
        if field not in fixed
    }
    optional = {field: {"anyOf": [declared, {"type": "null"}]} for field, declared in fields.items()}
    return {**schema, "title": name, "properties": optional, "required": []}


def _readable(name: str) -> str:
    """Returns the name of a schema, which is the name of its class.

    A class of the kernel with the same name as one of the service gets the prefix `Platform`. A schema that differs
    between requests and responses gets the suffix `Input` for requests.
    """
    module, _, plain = name.removesuffix("-Output").replace("-Input", "Input").rpartition("__")
    return f"Platform{plain}" if module.startswith("api__kernel") else plain


def _renamed(value: Any) -> Any:
    """Returns a schema with readable names in its references."""
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _REFERENCE.format(model=_readable(_name(value))) if key == "$ref" else _renamed(item)
        for key, item in value.items()
    }


def _operation(endpoint: Endpoint, references: Any, fields: dict[type[Query], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.operation_id,
        "summary": endpoint.summary,
        "description": endpoint.description,
        "tags": [endpoint.kind.title],
        "parameters": _parameters(endpoint, fields),
        "responses": {
            str(endpoint.status): _success(endpoint, references),
            "default": {"$ref": "#/components/responses/Problem"},
        },
        "x-permission": endpoint.permission,
        "x-role": endpoint.role.value,
        "x-source": endpoint.source,
    }
    if endpoint.method == "GET" and endpoint.answer not in (Answer.STREAM, Answer.FILE, Answer.BINARY):
        operation["responses"]["304"] = {"description": "Not modified since the response with this ETag."}
    if endpoint.public:
        operation["security"] = []
    if endpoint.request is not None:
        media = "application/merge-patch+json" if endpoint.method == "PATCH" else "application/json"
        content = {media: {"schema": references[endpoint.request, "validation"]}}
        required = any(field.is_required() for field in endpoint.request.model_fields.values())
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _parameters(endpoint: Endpoint, fields: dict[type[Query], Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if endpoint.shape.on_item:
        parameters.append(
            {
                "name": endpoint.kind.name,
                "in": "path",
                "required": True,
                "description": f"Id of the {endpoint.kind.title.lower()}.",
                "schema": _ID,
                "example": endpoint.kind.example,
            }
        )
    if endpoint.shape is Shape.PART_ITEM:
        text = f"Id in the {endpoint.verb}."
        parameters.append({"name": endpoint.part, "in": "path", "required": True, "description": text, "schema": _ID})
    if endpoint.changes and endpoint.kind.scoped:
        text = "Whether to validate the change and return its result without storing it."
        schema = {"type": "boolean", "default": False}
        parameters.append(
            {"name": "validate_only", "in": "query", "required": False, "description": text, "schema": schema}
        )
    if endpoint.query is not None:
        schema = fields[endpoint.query]
        for name, field in schema.get("properties", {}).items():
            description = field.pop("description", "")
            required = name in schema.get("required", ())
            parameters.append(
                {"name": name, "in": "query", "required": required, "description": description, "schema": field}
            )
    parameters.extend(_header(*header) for header in _headers(endpoint))
    return parameters


def _headers(endpoint: Endpoint) -> list[tuple[str, str]]:
    if endpoint.answer is Answer.STREAM:
        return [("Last-Event-ID", "Id of the last event that you received. The stream continues after it.")]
    if endpoint.method == "GET":
        return [("If-None-Match", "ETag of a cached response. The status is 304 if it is still current.")]
    headers = []
    if endpoint.changes and endpoint.method == "POST" and not endpoint.public:
        headers.append(
            ("Idempotency-Key", "Key of this request. A repeated request with the key returns the first response.")
        )
    if endpoint.versioned:
        headers.append(("If-Match", "ETag of the version to change. The status is 412 if the resource has changed."))
    return headers


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


def _success(endpoint: Endpoint, references: Any) -> dict[str, Any]:
    if endpoint.answer is Answer.NOTHING:
        return {"description": "Done."}
    if endpoint.answer is Answer.FILE:
        text = {"schema": {"type": "string"}}
        return {
            "description": "The resources, one per line.",
            "content": {"application/x-ndjson": text, "text/csv": text},
        }
    if endpoint.answer is Answer.BINARY:
        return {"description": "The file.", "content": {"application/octet-stream": _BINARY}}
    schema = references[endpoint.result, "serialization"]
    if endpoint.answer is Answer.STREAM:
        # The schema of one event, because OpenAPI 3.1 has no `itemSchema`.
        data = {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [schema, references[Problem, "serialization"]]},
        }
        fields = {"id": {"type": "string"}, "event": {"type": "string"}, "data": data}
        stream = {"schema": {"type": "object", "properties": fields, "required": ["event", "data"]}}
        return {"description": "A stream of server-sent events.", "content": {"text/event-stream": stream}}
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    if endpoint.answer is Answer.ROWS:
        content |= {ARROW_STREAM: _BINARY, PARQUET: _BINARY}
    descriptions = {201: "Created.", 202: "Accepted. The operation reports the progress."}
    return {"description": descriptions.get(endpoint.status, "Success."), "content": content}


def _name(reference: dict[str, str]) -> str:
    return reference["$ref"].rpartition("/")[2]
