"""No answer to one organization holds a name, an id or an address of another one.

The kind: an answer discloses what its caller may not know of: in a list or a count, an error or its hints, a header,
a stream, a directory, the lineage of a table. One walk over everything that reads: each list, item, part, export, watch
and question of the registry, the directory (SCIM), AuthZEN, and the pages and documents beside them. The callers are an
admin, a viewer and two keys of one organization. Everything in the other one is called `canary`, and the two touch each
other as far as the platform lets them: members of groups, tables made of one another.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from api.kernel.documents.openapi import document
from api.kernel.kinds.endpoint import Answer, Endpoint
from api.main import SERVICES
from connectors import starting
from tests.api_process import running
from tests.conformance.hostile import leaves, placed
from tests.conformance.operations import GUARDED, minimal, url
from tests.conformance.two_houses import CANARY, House, Two, begun
from tests.orchestration import FakeOrchestrator

pytestmark = pytest.mark.asyncio(loop_scope="module")

READS = [one for one in GUARDED if not one.changes]
SCHEMAS = {service.name: document(service) for service in SERVICES}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    orchestrator = FakeOrchestrator()
    with pytest.MonkeyPatch.context() as patch:
        # No system answers, and a process that finds this out takes a second each time.
        patch.setattr(starting, "COMMAND", ("sed", "d"))
        async with running(tmp_path_factory.mktemp("home"), orchestrator, HEADWATER_RATE_LIMIT="") as api:
            yield await begun(api, orchestrator)


def near(id: str) -> Iterator[str]:
    """An id, and others that are much like it: their refusal may name the right one."""
    yield id
    yield id[:-1]
    yield id[:-1] + ("x" if id[-1] != "x" else "y")


def requests(two: Two, endpoint: Endpoint) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests that fit, about one's own things, about nothing in particular, and about those of the other."""
    own, theirs = two.own_house.ids.get(endpoint.kind.full_name), two.other.ids.get(endpoint.kind.full_name)
    fields = endpoint.query.model_fields if endpoint.query else {}
    queries: list[dict[str, str]] = [{}]
    queries += [{name: "true"} for name in ("show_deleted", "total", "transitive") if name in fields]
    if "filter" in fields:
        asked = [f'name.startsWith("{CANARY}")', f'id == "{theirs}"', f'subject == "{theirs}"', "canary == 1"]
        queries += [{"filter": one, "page_size": "1000"} for one in asked]
    if "after" in fields:
        queries.append({"after": "0"})
    if "depth" in fields:
        queries.append({"depth": "9", "direction": "BOTH"})
    first, *others = bodies(two, endpoint)
    for query in queries:
        yield url(endpoint, own), {"params": query, **first}
    if endpoint.shape.on_item and theirs:
        for one in near(theirs):
            yield url(endpoint, one), first
    for body in others:
        yield url(endpoint, own), body


def bodies(two: Two, endpoint: Endpoint) -> Iterator[dict[str, Any]]:
    """Bodies of a question: as it is, and with each id of the other, or one much like it, in each of its texts."""
    if endpoint.request is None:
        yield {}
        return
    right = QUESTIONS.get(endpoint.operation_id, minimal(endpoint))
    yield {"json": json.loads(_filled(right, two.own_house))}
    made_of = SCHEMAS[endpoint.service]
    (media,) = made_of["paths"][endpoint.path][endpoint.method.lower()]["requestBody"]["content"].values()
    theirs = two.other.ids
    named = [theirs[name] for name in ("admin.group", "admin.organization", "admin.grant", "admin.role", "admin")]
    named += [*near(theirs["admin.user"]), *near(theirs["ai_catalog.asset"]), theirs["admin.project"]]
    for path, schema in leaves(media["schema"], made_of):
        if path and schema.get("type") == "string" and "enum" not in schema and schema.get("format") != "date-time":
            yield from ({"json": placed(json.loads(_filled(right, two.own_house)), path, one)} for one in named)


def _filled(body: Any, of: House) -> str:
    text = json.dumps(body)
    for kind, id in of.ids.items():
        text = text.replace(f"[{kind}]", id)
    return text


_ASKED = {"principal_id": "[admin.user]", "permission": "admin.project.get", "securable_id": "[admin.project]"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "admin_check_access": _ASKED,
    "admin_check_access_batch": {"items": [_ASKED]},
    "admin_explain_access": _ASKED,
    "admin_list_objects_decisions": {
        "principal_id": "[admin.user]",
        "permission": "admin.project.get",
        "kind": "admin.project",
    },
    "admin_list_subjects_decisions": {"permission": "admin.project.get", "securable_id": "[admin.project]"},
    "admin_effective_grants": {"securable_id": "[admin.project]"},
    "admin_simulate_access": {
        "grant": [{"principal_id": "[admin.group]", "role_id": "rol_admin", "securable_id": "[admin.project]"}],
        "securables": [{"securable_id": "[admin.project]", "securable_kind": "admin.project"}],
        "questions": [_ASKED],
    },
    "admin_preview_move_project": {"organization_id": "[admin.organization]"},
    "admin_introspect": {"token": "nothing"},
    "ai_catalog_run_queries": {"sql": "SELECT * FROM mine_data.gold.rows"},
    "connections_check_overlap_external_locations": {"project_id": "[admin.project]", "url": "s3://lake/"},
    "rag_search_index": {"query": "canary"},
}


NAMED_BY_ID = set(
    itertools.product(
        ("admin_list_audit_events", "admin_export_audit_events", "admin_get_audit_event"), ("usr_", "grp_", "sva_")
    )
)
"""What may hold ids: the audit log of one's own group tells who was added to it, by id and without a name."""


@pytest.mark.parametrize("endpoint", READS, ids=str)
async def test_nothing_that_reads_tells_of_it(two: Two, endpoint: Endpoint) -> None:
    leaks: dict[str, Any] = {}
    for n, (address, options) in enumerate(requests(two, endpoint)):
        for name, caller in two.callers.items():
            if n and name != "admin" and endpoint.request is not None:
                continue  # who has least rights was asked by the first, and all of them read by lists
            if n and name == "key":
                continue  # a key of the admin, who is asked everything
            sent = json.dumps([address, options])
            if endpoint.answer is Answer.STREAM:
                status, state = await caller.begun(address, options.get("params", {}), seconds=0.02)
                text, headers = state.decode(), ""
            else:
                reply = await caller(endpoint.method, address, **options)
                status, text, headers = reply.status, reply.response.text, str(reply.headers.raw)
            assert status < 500 or status in (502, 503), text
            if leak := [
                one for one in two.disclosed(text + headers, sent) if (str(endpoint), one[:4]) not in NAMED_BY_ID
            ]:
                leaks[f"{name} {sent}"[:300]] = leak
    assert not leaks


async def test_the_walk_sees_what_it_walks_over(two: Two) -> None:
    """So that it does not pass because nothing is answered, or because nothing of the other is there."""
    seen: dict[str, int] = {}
    for endpoint in READS:
        address, options = next(requests(two, endpoint))
        if endpoint.answer is not Answer.STREAM:
            seen[str(endpoint)] = (await two.callers["admin"](endpoint.method, address, **options)).status
    unseen = sorted(name for name, status in seen.items() if status >= 300)
    assert unseen == sorted(REFUSED), unseen
    for path in ("admin/users", "ai-catalog/assets", "admin/groups", "ai-catalog/schedules", "operations"):
        assert two.disclosed((await two.api.admin.get(path)).response.text), "it would be found"


REFUSED = (
    *("admin_get_monitoring", "admin_get_settings", "admin_preview_settings"),
    *("admin_get_signing_key", "admin_list_signing_keys", "admin_verify_audit_events"),
    "ai_catalog_test_policy",
    *("ai_catalog_compare_runs", "ai_catalog_get_experiment_best", "ai_catalog_get_run_metric_history"),
    *("ai_catalog_get_run_metric_sample", "ai_catalog_components_definitions"),
    "ai_catalog_get_prompt_diff",
    *("ai_catalog_get_asset_run", "ai_catalog_get_asset_run_graph", "ai_catalog_get_asset_run_steps"),
    *("ai_catalog_get_pipeline_diff", "ai_catalog_get_pipeline_run", "ai_catalog_get_pipeline_run_graph"),
    *("ai_catalog_get_pipeline_run_outputs", "ai_catalog_get_pipeline_run_steps"),
    "ai_catalog_get_pipeline_schedule",
    *("ai_catalog_get_registered_model_alias_as_of", "ai_catalog_get_registered_model_alias_history"),
    *("ai_catalog_compare_model_versions", "ai_catalog_get_stage_request", "ai_catalog_compare_evaluation_runs"),
    *("ai_catalog_get_evaluation_gate", "ai_catalog_get_evaluation_run", "ai_catalog_get_evaluation_run_report"),
    *("ai_catalog_get_asset_as_of", "ai_catalog_get_asset_diff", "ai_catalog_get_asset_provenance_diff"),
    "ai_catalog_get_asset_evaluations",
    *("ai_catalog_get_branch_diff", "ai_catalog_get_contract", "ai_catalog_get_contract_diff"),
    *("ai_catalog_get_contract_status", "ai_catalog_get_contract_violations"),
    "ai_catalog_get_asset_split",
    *("ai_catalog_get_dataset", "ai_catalog_get_dataset_croissant", "ai_catalog_get_dataset_data"),
    *("ai_catalog_get_feature_service_consumers", "ai_catalog_get_feature_service_skew"),
    *("ai_catalog_get_feature_view_drift", "ai_catalog_get_feature_view_served_drift"),
    *("ai_catalog_get_feature_view_statistics", "ai_catalog_get_feature_view_freshness"),
    *("ai_catalog_historical_feature_service", "ai_catalog_online_get_feature_service"),
    *("ai_catalog_get_training_set", "ai_catalog_get_training_set_version", "ai_catalog_get_training_set_examples"),
    *("ai_catalog_preview_feature_view", "ai_catalog_validate_feature_view"),
    *("ai_catalog_get_attestation", "ai_catalog_get_attestation_envelope", "ai_catalog_validate_definition"),
    *("ai_catalog_verify_attestation", "ai_catalog_get_reproduction", "ai_catalog_get_asset_reproduce_plan"),
    *("ai_system_get_model_provenance", "ai_system_get_model_versions", "ai_system_predict_model"),
    *("connections_discover_connection", "connections_test_draft_connections"),
    *("connections_browse_external_location", "connections_evaluate_egress_policies", "connections_get_lease"),
    *("connections_get_schema_snapshot", "connections_get_schema_snapshot_diff"),
    "connections_get_schema_snapshot_tables",
    *("connections_databases_connection", "connections_schemas_connection", "connections_tables_connection"),
    *("connections_columns_connection", "connections_describe_connection", "connections_statistics_connection"),
    *("connections_sample_connection", "connections_query_connection", "connections_explain_connection"),
    *("rag_get_index_provenance", "rag_search_index"),
)
"""Reads that an organization's admin is refused here: of the platform, and of what an engine must have made first."""


SCIM = ("Users", "Groups")


async def test_no_directory_tells_of_it(two: Two) -> None:
    ids = two.other.ids
    filters = [
        'userName sw "canary"',
        'displayName co "canary"',
        f'id eq "{ids["admin.user"]}"',
        f'groups.value eq "{ids["admin.group"]}"',
        f'members.value eq "{ids["admin.user"]}"',
        'members.display co "canary"',
        'groups.display co "canary"',
        'emails.value co "canary"',
        'externalId co "canary"',
    ]
    paths = ["/scim/v2/Me", "/scim/v2/Schemas", "/scim/v2/ResourceTypes", "/scim/v2/ServiceProviderConfig"]
    own = {"Users": two.own_house.ids["admin.user"], "Groups": two.own_house.ids["admin.group"]}
    for name, of in itertools.product(SCIM, (two.own_house, two.other)):
        kind = "admin.user" if name == "Users" else "admin.group"
        paths += [f"/scim/v2/{name}/{of.ids[kind]}", f"/scim/v2/{name}"]
    leaks, totals = {}, {}
    for caller_name, caller in two.callers.items():
        for path in paths:
            reply = await caller.http.get(path)
            if leak := two.disclosed(reply.text + str(reply.headers.raw), path):
                leaks[f"{caller_name} {path}"] = leak
        for name, filter in itertools.product(SCIM, filters):
            for facts in ("get", "search"):
                params = {"filter": filter, "count": "100"}
                if facts == "get":
                    reply = await caller.http.get(f"/scim/v2/{name}", params=params)
                else:
                    reply = await caller.http.post(
                        f"/scim/v2/{name}/.search",
                        content=json.dumps(
                            {
                                "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
                                "filter": filter,
                                "count": 100,
                            }
                        ),
                        headers={"content-type": "application/scim+json"},
                    )
                if leak := two.disclosed(reply.text, filter):
                    leaks[f"{caller_name} {name} {filter}"] = leak
                if reply.status_code == 200 and reply.json()["totalResults"]:
                    totals[f"{caller_name} {name} {filter}"] = reply.json()["totalResults"]
    assert not leaks
    assert not totals, "a filter that only something of the other meets finds nothing"
    seen = await two.callers["admin"].http.get(f"/scim/v2/Groups/{own['Groups']}")
    assert [one["value"] for one in seen.json()["members"]] == [own["Users"]]


async def test_no_other_face_tells_of_it(two: Two) -> None:
    """AuthZEN, pages, documents and metrics: whatever is mounted next to the services."""
    leaks = {}
    subject = {"type": "user", "id": "mine-user"}
    for caller_name, caller in two.callers.items():
        for mount in two.api.app.registry.mounts:
            for path in (mount.path, f"{mount.path}/", f"{mount.path}/canary"):
                reply = await caller.http.get(path)
                if leak := two.disclosed(reply.text + str(reply.headers.raw), path):
                    leaks[f"{caller_name} {path}"] = leak
        for kind, id in two.other.ids.items():
            resource = {"type": kind, "id": id}
            for path, body in (
                ("evaluation", {"subject": subject, "action": {"name": "get"}, "resource": resource}),
                (
                    "evaluation",
                    {"subject": {"type": "user", "id": id}, "action": {"name": "get"}, "resource": resource},
                ),
                ("search/subject", {"subject": {"type": "user"}, "action": {"name": "get"}, "resource": resource}),
                ("search/resource", {"subject": subject, "action": {"name": "get"}, "resource": {"type": kind}}),
                ("search/action", {"subject": subject, "resource": resource}),
            ):
                reply = await caller.http.post(f"/access/v1/{path}", json=body)
                if leak := two.disclosed(reply.text, json.dumps(body)):
                    leaks[f"{caller_name} {path} {body}"] = leak
    assert not leaks
