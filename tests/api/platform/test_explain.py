"""`headwater explain` tells what is then so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from api.cli.app import app
from api.kernel.documents import ledger
from api.main import SERVICES
from tests.api_process import Api

ROOT = Path(__file__).parents[3]


def explained(operation: str) -> ledger.Explanation:
    return ledger.explain(ledger.find(SERVICES, operation), None)


async def test_nothing_is_written_that_was_not_foretold(api: Api, written: set[str]) -> None:
    async def does(operation: str, path: str, body: Any = None, method: str = "POST") -> Any:
        written.clear()
        since = api.last_sequence()
        reply = await api.admin(method, f"/api/v1/{path}", **({} if body is None else {"json": body}))
        assert reply.status < 300, reply.response.text
        explanation = explained(operation)
        assert written <= set(explanation.tables), operation
        types = {event["type"] for event in api.events(after=since)}
        # How an operation goes on is in separate events.
        assert {type for type in types if not type.startswith("operations.")} <= set(explanation.events), operation
        return reply.json if reply.response.content else None

    group = await does("admin_create_group", "admin/groups", {"name": "readers", "spec": {"title": "Readers"}})
    assert {"resource", "revision", "event"} <= written
    user = await does("admin_create_user", "admin/users", {"name": "ana", "spec": {}})
    assert "principal" in written, "by a hook"
    one = f"admin/groups/{group['id']}"
    await does("admin_add_members_group", f"{one}:add-members", {"members": [user["id"]]})
    assert {"member", "auth_epoch"} <= written
    given = {"principal_id": group["id"], "role_id": "rol_viewer", "securable_id": "default"}
    await does("admin_create_grant", "admin/grants", given | {"securable_id": group["organization_id"]})
    await does("admin_batch_groups", "admin/groups:batch", {"items": [{"method": "DELETE", "id": group["id"]}]})
    operation = await does(
        "ai_catalog_materialize_assets", "ai-catalog/assets:materialize", {"assets": ["flights.gold.route_delays"]}
    )
    assert "operation" in written
    await does("operations_cancel_operation", f"operations/{operation['id']}:cancel")


def test_what_only_reads_writes_nothing() -> None:
    explanation = explained("admin_get_group_members")
    assert (explanation.tables, explanation.events, explanation.hooks) == ([], [], [])


def test_hooks_are_told_in_order_with_their_place() -> None:
    hooks = explained("admin_update_project").hooks
    assert [hook.when for hook in hooks] == sorted(
        (hook.when for hook in hooks), key=["validate", "before", "after"].index
    )
    first, hook = explained("admin_delete_group").hooks
    assert (first.when, first.name) == ("before", "require_denied_rights")
    file, _, line = hook.source.partition(":")
    assert (hook.when, hook.name) == ("after", "reload_rights")
    assert "reload_rights" in "".join((ROOT / file).read_text().splitlines()[int(line) - 1 :][:2])


def test_a_saga_counts_for_the_operation_that_begins_it() -> None:
    assert {"operation", "saga_step", "grant"} <= set(explained("admin_move_project").tables)


def test_tables_are_found_that_are_written_one_after_the_other_or_through_a_function() -> None:
    outbox = {"outbox_cursor", "outbox_delivery", "outbox_seen"}
    assert outbox <= set(explained("admin_delete_webhook_endpoint").tables), "a loop over tables"
    assert "outbox_cursor" in explained("admin_create_webhook_endpoint").tables, "an insert of the dialect"


def test_the_command_tells_it_in_words_and_as_json() -> None:
    words = CliRunner().invoke(app, ["explain", "admin_add_members_group"])
    assert words.exit_code == 0
    for part in ("POST /api/v1/admin/groups/{group}:add-members", "admin.group.add_members", "auth_epoch"):
        assert part in words.output
    parsed = json.loads(
        CliRunner().invoke(app, ["explain", "POST", "/api/v1/admin/groups/g:add-members", "--json"]).output
    )
    assert parsed["operation"] == "admin_add_members_group"
    assert parsed["events"] == ["admin.group.members_added"]
    assert parsed["mounts"] == ["/scim/v2"]
    assert all((ROOT / test.partition("::")[0]).is_file() for test in parsed["tests"])
    assert parsed["tests"]


def test_without_the_tests_of_the_repository_it_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("api.cli.explain.project_root", lambda: tmp_path)
    parsed = json.loads(CliRunner().invoke(app, ["explain", "admin_login", "--json"]).output)
    assert parsed["tests"] == []
