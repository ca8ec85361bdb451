"""Prompts: versions that never change, aliases with a record, and values that are never a program."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.admin.tenants import made, tenant
from tests.api.both_databases import on_both
from tests.api_process import Api, Reply

SYSTEM = {"role": "system", "content": "You answer as {{ tone }} as possible."}
QUESTION = {"role": "user", "content": "{{question}}\n\nContext: {{ context }}"}


async def prompt(api: Api, name: str = "answer") -> str:
    reply = await api.admin.get("admin/projects/flights")
    if reply.status == 404:
        await made(api.admin.post("admin/projects", {"name": "flights", "spec": {"title": "Flights"}}))
    body = {"name": name, "project_id": "flights", "spec": {"title": name}}
    return str((await made(api.editor.post("ai-catalog/prompts", body)))["id"])


async def version(api: Api, prompt_id: str, *messages: dict[str, str], **body: Any) -> dict[str, Any]:
    body |= {"prompt_id": prompt_id, "messages": list(messages) or [SYSTEM, QUESTION]}
    return await made(api.editor.post("ai-catalog/prompt-versions", body))


async def rendered(api: Api, id: str, **values: str) -> Reply:
    return await api.viewer.post(f"ai-catalog/prompt-versions/{id}:render", {"values": values})


@pytest.mark.effect("ai_catalog_render_prompt_version")
async def test_a_version_knows_its_variables_and_fills_them_in(api: Api) -> None:
    one = await version(api, await prompt(api))
    assert (one["version"], one["variables"]) == (1, ["context", "question", "tone"])
    filled = await rendered(api, one["id"], tone="briefly", question="{{ tone }}", context="{% raw")
    assert [message["content"] for message in filled.json["messages"]] == [
        "You answer as briefly as possible.",
        "{{ tone }}\n\nContext: {% raw",
    ]
    missing = await rendered(api, one["id"], tone="briefly", other="x")
    assert missing.status == 422
    assert [error["pointer"] for error in missing.json["errors"]] == [
        "/values/context",
        "/values/question",
        "/values/other",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{% for i in range(9999999) %}{{ i }}{% endfor %}",
        "{{ x.__class__ }}",
        "{{ x | upper }}",
        "{{ 7 * 7 }}",
        "{{ cycler.__init__ }}",
        "{% if x %}a{% endif %}",
        "{{ x() }}",
        "{% set a = 1 %}",
    ],
)
async def test_a_template_is_never_a_program(api: Api, text: str) -> None:
    one = await version(api, await prompt(api), {"content": text})
    values = dict.fromkeys(one["variables"], "1")
    reply = await rendered(api, one["id"], **values)
    assert (reply.status, "doesn't run" in reply.json["detail"]) == (422, True)


@pytest.mark.parametrize("text", ["{{", "}} {{ }}", "{% end", "{{ a b }}", "{" * 5000])
async def test_text_that_is_no_template_stays_text(api: Api, text: str) -> None:
    one = await version(api, await prompt(api), {"content": text})
    assert one["variables"] == []
    assert (await rendered(api, one["id"])).json["messages"][0]["content"] == text


@on_both
@pytest.mark.effect("ai_catalog_set_alias_prompt", "ai_catalog_remove_alias_prompt", "ai_catalog_delete_prompt_version")
async def test_an_alias_keeps_its_version(api: Api) -> None:
    id = await prompt(api)
    first, second = await version(api, id), await version(api, id, {"content": "Short: {{question}}"})
    path = f"ai-catalog/prompts/{id}"
    await made(api.editor.post(f"{path}:set-alias", {"alias": "production", "version": 2}))
    assert (await api.editor.post(f"{path}:set-alias", {"alias": "production", "version": 3})).status == 404
    assert (await api.editor("DELETE", f"ai-catalog/prompt-versions/{second['id']}")).status == 409
    await made(api.editor.post(f"{path}:remove-alias", {"alias": "production"}))
    assert (await api.viewer.get(path)).json["status"]["aliases"] == {}
    assert (await api.editor("DELETE", f"ai-catalog/prompt-versions/{second['id']}")).status == 204
    assert (await version(api, id))["version"] == 3, "a number is never used again"
    assert (await api.viewer.get(f"ai-catalog/prompt-versions/{first['id']}")).json["messages"][0] == SYSTEM


@on_both
@pytest.mark.effect("ai_catalog_update_prompt_version")
async def test_the_text_of_a_version_never_changes(api: Api) -> None:
    one = await version(api, await prompt(api), settings={"model": "m", "temperature": 0.5}, tags={"a": "b"})
    path = f"ai-catalog/prompt-versions/{one['id']}"
    assert (await api.editor("PATCH", path, json={"messages": [SYSTEM]})).status == 422
    changed = await api.editor("PATCH", path, json={"description": "First.", "tags": {"a": None, "c": "d"}})
    assert changed.status == 200
    seen = (await api.viewer.get(path)).json
    assert (seen["description"], seen["tags"], seen["digest"]) == ("First.", {"c": "d"}, one["digest"])
    assert seen["settings"] == {"model": "m", "temperature": 0.5}


@on_both
async def test_two_versions_are_compared(api: Api) -> None:
    id = await prompt(api)
    path = f"ai-catalog/prompts/{id}/diff"
    assert (await api.viewer.get(path)).status == 404
    await version(api, id)
    assert (await api.viewer.get(path)).status == 400
    await version(api, id, SYSTEM, {"role": "user", "content": "{{question}}\n\nIn {{ language }}."}, settings={"m": 1})
    found = (await api.viewer.get(path)).json
    assert (found["from_version"], found["to_version"]) == (1, 2)
    assert "-Context: {{ context }}" in found["lines"]
    assert "+In {{ language }}." in found["lines"]
    assert (found["variables_added"], found["variables_removed"]) == (["language"], ["context"])
    assert (found["model_config_changed"], found["response_format_changed"]) == (True, False)
    assert (await api.viewer.get(path, params={"from": 2, "to": 2})).json["lines"] == []


@on_both
async def test_versions_are_deleted_and_restored_with_their_prompt(api: Api) -> None:
    id = await prompt(api)
    one = await version(api, id)
    assert (await api.editor("DELETE", f"ai-catalog/prompts/{id}")).status == 204
    assert (await api.viewer.get(f"ai-catalog/prompt-versions/{one['id']}")).status == 404
    await made(api.editor.post(f"ai-catalog/prompts/{id}:restore", {}))
    assert (await api.viewer.get(f"ai-catalog/prompt-versions/{one['id']}")).status == 200


@on_both
async def test_others_see_and_change_nothing(api: Api) -> None:
    id = await prompt(api)
    one = await version(api, id)
    other = await tenant(api, "other")
    for path in (f"prompts/{id}", f"prompts/{id}/diff", f"prompt-versions/{one['id']}"):
        assert (await other.admin.get(f"ai-catalog/{path}")).status == 404
    assert (await other.admin.post(f"ai-catalog/prompt-versions/{one['id']}:render", {"values": {}})).status == 404
    body = {"prompt_id": id, "messages": [SYSTEM]}
    assert (await other.admin.post("ai-catalog/prompt-versions", body)).status == 404
    assert (await api.viewer.post("ai-catalog/prompt-versions", body)).status == 403
    assert (await other.admin.get("ai-catalog/prompt-versions")).json["items"] == []


@pytest.mark.parametrize(
    "messages", [[], [{"content": ""}], [SYSTEM, {"content": "x"}], [{"role": "user"}], [{"content": "x" * 200_001}]]
)
async def test_a_malformed_version_is_refused(api: Api, messages: list[Any]) -> None:
    body = {"prompt_id": await prompt(api), "messages": messages}
    assert (await api.editor.post("ai-catalog/prompt-versions", body)).status == 422
