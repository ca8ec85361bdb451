"""Routes of registered models and model versions, which are about prompts as well.

MLflow stores prompts as registered models and model versions with certain tags. The tags of the request, its filter, or
its name decide whether it is about a prompt.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from api.protocols.mlflow import prompt_versions
from api.protocols.mlflow.call import MlflowCall
from api.protocols.mlflow.prompt_versions import IS_PROMPT
from api.protocols.mlflow.prompts import PROMPTS
from api.services.ai_catalog.logic import search_language
from core.errors import Conflict

Handler = Callable[[MlflowCall], Awaitable[dict[str, Any]]]
Route = tuple[str, str]


def routes(models: Mapping[Route, Handler], versions: Mapping[Route, Handler]) -> dict[Route, Handler]:
    """Returns the routes of models and versions, which are about prompts as well."""
    combined = {**models, **versions}
    for (method, path), handler in _PROMPTS.items():
        route = method, f"/api/2.0/mlflow/{path}"
        combined[route] = _CHOICES.get(path, _by_name)(combined[route], handler)
    return combined


def _by_name(of_models: Handler, of_prompts: Handler) -> Handler:
    """Returns the handler of a request that is about a prompt if a prompt has its name."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        return await (of_prompts if await _is_prompt(call) else of_models)(call)

    return handle


def _by_tag(of_models: Handler, of_prompts: Handler) -> Handler:
    """Returns the handler of a request that creates a prompt if its tags say so. Models and prompts share names."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        if call.tags().get(IS_PROMPT) == "true":
            return await of_prompts(call)
        if await _is_prompt(call):
            raise Conflict(f"A prompt has the name {call.text('name')[:256]}. Choose another name for the model.")
        return await of_models(call)

    return handle


def _by_filter(of_models: Handler, of_prompts: Handler) -> Handler:
    """Returns the handler of a search for prompts if its filter requires their tag."""

    async def handle(call: MlflowCall) -> dict[str, Any]:
        compared = search_language.comparisons(search_language.parse(call.text("filter", "")))
        wanted = any(one.key.name == IS_PROMPT and one.operator == "=" and one.value == "true" for one in compared)
        return await (of_prompts if wanted else of_models)(call)

    return handle


async def _is_prompt(call: MlflowCall) -> bool:
    name = call.values.get("name")
    if not isinstance(name, str):
        return False
    return await call.read("get_prompt", lambda unit: PROMPTS.find(unit, call, name) is not None)


_PROMPTS: dict[Route, Handler] = {
    ("POST", "registered-models/create"): PROMPTS.create,
    ("GET", "registered-models/get"): PROMPTS.get,
    ("PATCH", "registered-models/update"): PROMPTS.update,
    ("POST", "registered-models/set-tag"): PROMPTS.set_tag,
    ("DELETE", "registered-models/delete-tag"): PROMPTS.delete_tag,
    ("DELETE", "registered-models/delete"): PROMPTS.delete,
    ("GET", "registered-models/search"): PROMPTS.search,
    ("POST", "registered-models/alias"): PROMPTS.set_alias,
    ("DELETE", "registered-models/alias"): PROMPTS.delete_alias,
    ("GET", "registered-models/alias"): PROMPTS.get_by_alias,
    ("POST", "model-versions/create"): prompt_versions.create,
    ("GET", "model-versions/get"): prompt_versions.get,
    ("PATCH", "model-versions/update"): prompt_versions.update,
    ("POST", "model-versions/set-tag"): prompt_versions.set_tag,
    ("DELETE", "model-versions/delete-tag"): prompt_versions.delete_tag,
    ("DELETE", "model-versions/delete"): prompt_versions.delete,
    ("GET", "model-versions/search"): prompt_versions.search,
}
_CHOICES = {
    "registered-models/create": _by_tag,
    "registered-models/search": _by_filter,
    "model-versions/search": _by_filter,
}
EXECUTES = tuple(
    f"ai_catalog_{operation}"
    for operation in (
        *("create_prompt", "get_prompt", "update_prompt", "delete_prompt", "list_prompts"),
        *("set_alias_prompt", "remove_alias_prompt", "create_prompt_version", "get_prompt_version"),
        *("update_prompt_version", "delete_prompt_version", "list_prompt_versions"),
    )
)
