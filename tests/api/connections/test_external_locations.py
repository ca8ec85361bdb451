"""External locations: tested, browsed, compared, and opened path by path with temporary keys."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from typing import Any

import httpx
import polars
import pytest
from botocore.exceptions import ClientError

from tests.api.admin.tenants import grant, made, user
from tests.api.both_databases import on_both
from tests.api.connections.conftest import Project
from tests.api.connections.test_connections import states
from tests.s3_store import s3_client, s3_store
from tests.s3_with_tokens import Store, s3_with_tokens

LOCATIONS = "connections/external-locations"
CREDENTIALS = "connections/storage-credentials"


@pytest.fixture
def store() -> Iterator[Store]:
    with s3_with_tokens() as started:
        yield started


async def credential(project: Project, config: dict[str, Any], key: str, name: str = "lake") -> str:
    """Creates a storage credential with its own secret. Returns its id."""
    secret = await project.secret(f"{name}-key", key)
    spec = {"title": name, "config": config, "secrets": {"secret_access_key": secret}}
    body = {"name": name, "project_id": project.id, "spec": spec}
    return str((await made(project.api.editor.post(CREDENTIALS, body)))["id"])


def draft(project: Project, credential: str, url: str, name: str = "raw", **spec: Any) -> dict[str, Any]:
    place = {"name": name, "project_id": project.id, "title": name}
    return place | {"url": url, "storage_credential_id": credential} | spec


async def location(project: Project, store: Store, url: str = "s3://lake/raw", **spec: Any) -> str:
    """Creates a location with its own credential. Returns its path."""
    id = await credential(project, store.config, store.secret_access_key)
    created = await made(project.api.editor.post(LOCATIONS, draft(project, id, url, **spec)))
    return f"{LOCATIONS}/{created['id']}"


async def unused(project: Project) -> str:
    """Creates a credential of a store that no test asks. Returns its id."""
    return await credential(project, {"access_key_id": "x"}, "secret")


def refused(call: Any, **arguments: Any) -> None:
    with pytest.raises(ClientError) as caught:
        call(Bucket="lake", **arguments)
    assert caught.value.response["Error"]["Code"] in ("AccessDenied", "403"), caught.value


def fill(store: Store) -> None:
    """Puts objects into the folder of a location, and next to it."""
    for key in ("raw/2026/a.csv", "raw/2026/b.csv", "raw/2027/a.csv", "raw/20260/a.csv", "rawer/a.csv"):
        store.put(key, b"x\n1\n")


PASSED = dict.fromkeys(("resolve", "connect", "vend", "list", "read", "write", "delete"), "PASSED")


@pytest.mark.effect("connections_validate_external_location")
async def test_a_location_is_validated_with_the_keys_that_others_get(project: Project, store: Store) -> None:
    fill(store)
    path = await location(project, store)
    result = await made(project.api.editor.post(f"{path}:validate", {}))
    assert states(result) == PASSED, result
    assert sorted(store.objects()) == sorted(
        ["raw/2026/a.csv", "raw/2026/b.csv", "raw/2027/a.csv", "raw/20260/a.csv", "rawer/a.csv"]
    )
    await made(project.api.editor("PATCH", f"/api/v1/{path}", json={"read_only": True}))
    read_only = await made(project.api.editor.post(f"{path}:validate", {}))
    assert states(read_only) == dict.fromkeys(("resolve", "connect", "vend", "list", "read"), "PASSED")
    assert (await project.api.viewer.post(f"{path}:validate", {})).status == 403


@pytest.mark.effect("connections_validate_storage_credential")
async def test_a_credential_is_validated_step_by_step(project: Project, store: Store) -> None:
    good = await credential(project, store.config, store.secret_access_key)
    passed = dict.fromkeys(("resolve", "connect", "log_in", "assume"), "PASSED")
    result = await made(project.api.editor.post(f"{CREDENTIALS}/{good}:validate", {}))
    assert states(result) == passed, result
    assert "user/headwater" in result["steps"][2]["detail"]
    wrong = await credential(project, store.config, "not the secret", "wrong")
    failed = await made(project.api.editor.post(f"{CREDENTIALS}/{wrong}:validate", {}))
    assert states(failed) == passed | {"log_in": "WRONG_CREDENTIAL", "assume": "SKIPPED"}
    other = store.config | {"role_arn": "arn:aws:iam::123456789012:role/other"}
    not_allowed = await credential(project, other, store.secret_access_key, "other")
    failed = await made(project.api.editor.post(f"{CREDENTIALS}/{not_allowed}:validate", {}))
    assert states(failed) == passed | {"assume": "NOT_ALLOWED"}


@on_both
@pytest.mark.effect("connections_vend_read_external_location")
async def test_a_vended_key_reads_its_path_and_nothing_else(project: Project, store: Store) -> None:
    fill(store)
    path = await location(project, store)
    vended = await made(project.api.editor.post(f"{path}:vend-read", {"path": "2026/"}))
    assert (vended["bucket"], vended["key"], vended["urls"]) == ("lake", "raw/2026/", {})
    client = store.client(vended)
    assert client.get_object(Bucket="lake", Key="raw/2026/a.csv")["Body"].read() == b"x\n1\n"
    listed = client.list_objects_v2(Bucket="lake", Prefix="raw/2026/")
    assert [one["Key"] for one in listed["Contents"]] == ["raw/2026/a.csv", "raw/2026/b.csv"]
    for key in ("raw/2027/a.csv", "raw/20260/a.csv", "rawer/a.csv"):
        refused(client.get_object, Key=key)
    for prefix in ("", "raw/", "raw/2026", "raw/2027/"):
        refused(client.list_objects_v2, Prefix=prefix)
    refused(client.put_object, Key="raw/2026/new.csv", Body=b"")
    refused(client.delete_object, Key="raw/2026/a.csv")
    refused(client.get_bucket_policy)
    client.close()
    object_only = store.client(await made(project.api.editor.post(f"{path}:vend-read", {"path": "2026/a.csv"})))
    assert object_only.get_object(Bucket="lake", Key="raw/2026/a.csv")["ContentLength"] == 4
    refused(object_only.get_object, Key="raw/2026/a.csv.gz")
    refused(object_only.list_objects_v2, Prefix="raw/2026/a.csv")
    object_only.close()


@pytest.mark.effect("connections_vend_write_external_location")
async def test_a_vended_key_writes_in_its_path_and_nowhere_else(project: Project, store: Store) -> None:
    fill(store)
    path = await location(project, store)
    vended = await made(project.api.editor.post(f"{path}:vend-write", {"path": "2026/"}))
    client = store.client(vended)
    client.put_object(Bucket="lake", Key="raw/2026/new.csv", Body=b"new")
    client.delete_object(Bucket="lake", Key="raw/2026/a.csv")
    refused(client.put_object, Key="raw/2027/new.csv", Body=b"new")
    refused(client.delete_object, Key="raw/2027/a.csv")
    client.close()
    assert set(store.objects("raw/2026/")) == {"raw/2026/b.csv", "raw/2026/new.csv"}
    assert "raw/2027/a.csv" in store.objects()
    await made(project.api.editor("PATCH", f"/api/v1/{path}", json={"read_only": True}))
    denied = await project.api.editor.post(f"{path}:vend-write", {"path": "2026/"})
    assert (denied.status, "read-only" in denied.json["detail"]) == (409, True)
    await made(project.api.editor.post(f"{path}:vend-read", {"path": "2026/"}))


async def test_a_table_is_read_and_written_by_polars_with_vended_keys(project: Project, store: Store) -> None:
    path = await location(project, store)
    vended = await made(project.api.editor.post(f"{path}:vend-write", {"path": "orders/"}))
    options = {
        "aws_endpoint_url": vended["endpoint"],
        "aws_region": vended["region"],
        "aws_access_key_id": vended["keys"]["access_key_id"],
        "aws_secret_access_key": vended["keys"]["secret_access_key"],
        "aws_session_token": vended["keys"]["session_token"],
        "aws_allow_http": "true",
    }
    content = io.BytesIO()
    polars.DataFrame({"x": [1, 2]}).write_parquet(content)
    client = store.client(vended)
    client.put_object(Bucket="lake", Key="raw/orders/a.parquet", Body=content.getvalue())
    client.close()
    store.put("raw/other/a.parquet", content.getvalue())
    read = await asyncio.to_thread(
        lambda: polars.scan_parquet("s3://lake/raw/orders/*.parquet", storage_options=options).collect()
    )
    assert read.to_dict(as_series=False) == {"x": [1, 2]}
    with pytest.raises((OSError, polars.exceptions.ComputeError)):
        await asyncio.to_thread(
            lambda: polars.scan_parquet("s3://lake/raw/other/a.parquet", storage_options=options).collect()
        )


async def test_no_answer_record_or_event_has_a_secret(project: Project, store: Store) -> None:
    path = await location(project, store)
    answer = await project.api.editor.post(f"{path}:vend-read", {})
    assert store.secret_access_key not in answer.response.text
    assert store.access_key_id not in answer.response.text
    keys = answer.json["keys"]
    (lease,) = (await project.api.viewer.get("connections/leases")).json["items"]
    assert lease == answer.json["lease"]
    assert (lease["url"], lease["access"], lease["state"]) == ("s3://lake/raw/", "READ", "ACTIVE")
    assert lease["key_id"] == keys["access_key_id"]
    events = project.api.events()
    (vended,) = [one for one in events if one["type"] == "connections.external_location.vended"]
    assert vended["data"]["lease"] == lease["id"]
    with project.api.database.read() as connection:
        stored = "\n".join(connection.connection.iterdump())
    for secret in (keys["secret_access_key"], keys["session_token"], store.secret_access_key):
        assert secret not in str(events)
        assert secret not in stored


@on_both
@pytest.mark.effect("connections_renew_lease", "connections_revoke_lease", "connections_revoke_all_leases")
async def test_a_lease_is_renewed_until_it_is_revoked(project: Project, store: Store) -> None:
    fill(store)
    path = await location(project, store)
    first = await made(project.api.editor.post(f"{path}:vend-read", {"path": "2026/"}))
    lease = f"connections/leases/{first['lease']['id']}"
    second = await made(project.api.editor.post(f"{lease}:renew", {"seconds": 3600}))
    assert second["keys"]["access_key_id"] != first["keys"]["access_key_id"]
    assert second["expires_at"] > first["expires_at"]
    client = store.client(second)
    assert client.get_object(Bucket="lake", Key="raw/2026/a.csv")["ContentLength"] == 4
    refused(client.get_object, Key="raw/2027/a.csv")
    client.close()
    assert (await project.api.admin.post(f"{lease}:renew", {})).status == 409, "it is of another principal"
    renewed = (await project.api.viewer.get(lease)).json
    assert (renewed["key_id"], renewed["renewed_at"] is not None) == (second["lease"]["key_id"], True)
    revoked = await made(project.api.admin.post(f"{lease}:revoke", {}))
    assert (revoked["state"], revoked["revoked_by"]) == ("REVOKED", "admin")
    assert (await project.api.editor.post(f"{lease}:renew", {})).status == 409
    others = [await made(project.api.editor.post(f"{path}:vend-read", {})) for _ in range(2)]
    target = {"storage_credential_id": others[0]["lease"]["storage_credential_id"]}
    assert (await project.api.viewer.post("connections/leases:revoke-all", target)).status == 403
    result = await made(project.api.editor.post("connections/leases:revoke-all", target))
    assert (result["count"], result["accepted_until"]) == (2, max(one["expires_at"] for one in others))
    for one in others:
        assert (await project.api.editor.post(f"connections/leases/{one['lease']['id']}:renew", {})).status == 409


async def test_a_right_that_was_withdrawn_ends_renewals(project: Project, store: Store) -> None:
    path = await location(project, store)
    ada = await user(project.api, "ada")
    given = await grant(project.api, ada, "rol_editor", project.id)
    caller = project.api.caller("ada")
    vended = await made(caller.post(f"{path}:vend-read", {}))
    lease = f"connections/leases/{vended['lease']['id']}"
    await made(caller.post(f"{lease}:renew", {}))
    await project.api.admin("DELETE", f"/api/v1/admin/grants/{given}")
    await grant(project.api, ada, "rol_viewer", project.id)
    assert (await caller.post(f"{lease}:renew", {})).status == 403
    assert (await caller.post(f"{path}:vend-read", {})).status == 403


async def test_without_a_role_there_are_urls_of_objects_and_never_the_key(project: Project) -> None:
    with s3_store("files") as options:
        client: Any = s3_client(options)
        client.put_object(Bucket="files", Key="raw/a.csv", Body=b"x\n1\n")
        config = {"endpoint": options["AWS_ENDPOINT_URL"], "path_style": True}
        id = await credential(project, config | {"access_key_id": "key"}, "a hidden secret")
        created = await made(project.api.editor.post(LOCATIONS, draft(project, id, "s3://files/raw")))
        path = f"{LOCATIONS}/{created['id']}"
        keys = await project.api.editor.post(f"{path}:vend-read", {})
        assert (keys.status, keys.json["metadata"]) == (409, {"cause": "NO_TOKEN_SERVICE"})
        folder = await project.api.editor.post(f"{path}:vend-read", {"form": "URLS", "path": "2026/"})
        assert (folder.status, folder.json["metadata"]) == (409, {"cause": "NOT_AN_OBJECT"})
        read = await made(project.api.editor.post(f"{path}:vend-read", {"form": "URLS", "path": "a.csv"}))
        assert (read["keys"], list(read["urls"])) == (None, ["GET"])
        assert "a hidden secret" not in str(read)
        write = await made(project.api.editor.post(f"{path}:vend-write", {"form": "URLS", "path": "b.csv"}))
        async with httpx.AsyncClient() as http:
            assert (await http.get(read["urls"]["GET"])).text == "x\n1\n"
            (await http.put(write["urls"]["PUT"], content=b"new")).raise_for_status()
        assert client.get_object(Bucket="files", Key="raw/b.csv")["Body"].read() == b"new"
        client.close()


@pytest.mark.effect("connections_browse_external_location")
async def test_a_location_is_browsed_in_pages(project: Project, store: Store) -> None:
    fill(store)
    path = await location(project, store)
    found: list[Any] = []
    token: str | None = ""
    while token is not None:
        page = await made(project.api.editor.post(f"{path}:browse", {"page_size": 1, "page_token": token}))
        assert len(page["items"]) <= 1
        found += [(item["path"], item["kind"]) for item in page["items"]]
        token = page["next_page_token"]
    assert found == [(["2026"], "folder"), (["20260"], "folder"), (["2027"], "folder")]
    below = await made(project.api.editor.post(f"{path}:browse", {"below": ["2026"]}))
    assert [item["path"] for item in below["items"]] == [["2026", "a.csv"], ["2026", "b.csv"]]
    for bad in (["..", "rawer"], ["a//b"], [""]):
        assert (await project.api.editor.post(f"{path}:browse", {"below": bad})).status == 422
    assert (await project.api.viewer.post(f"{path}:browse", {})).status == 403


@pytest.mark.parametrize(
    "url",
    [
        *("lake/raw", "file:///etc", "https://lake/raw", "s3://", "s3://Lake/raw", "s3:///raw", "s3://lake:9000/raw"),
        *("s3://lake//raw", "s3://lake/raw/../x", "s3://lake/./raw", "s3://lake/raw//", "s3://lake/raw\n"),
        *(
            "s3://lake/*",
            "s3://lake/ra?",
            "s3://lake/${aws:username}",
            "s3://lake/a%2Fb",
            's3://lake/"',
            "s3://lake/[a]",
        ),
        "s3://lake/" + "a" * 701,
    ],
)
async def test_a_url_that_can_be_read_in_two_ways_is_refused(project: Project, url: str) -> None:
    answer = await project.api.editor.post(LOCATIONS, draft(project, await unused(project), url))
    assert answer.status == 422
    assert [error["pointer"] for error in answer.json["errors"]] == ["/url"]


@on_both
@pytest.mark.effect("connections_check_overlap_external_locations", "connections_resolve_external_locations")
async def test_locations_do_not_overlap_and_a_url_has_one_owner(project: Project) -> None:
    id = await unused(project)
    editor = project.api.editor
    first = await made(editor.post(LOCATIONS, draft(project, id, "S3A://lake/raw/orders", "orders")))
    assert first["url"] == "s3://lake/raw/orders/"
    for url in ("s3://lake/raw/orders/", "s3://lake/raw", "s3://lake", "s3://lake/raw/orders/2026"):
        answer = await editor.post(LOCATIONS, draft(project, id, url, "second"))
        assert (answer.status, answer.json["metadata"]) == (409, {"overlaps": first["id"]}), url
        check = {"project_id": project.id, "url": url}
        overlaps = await made(editor.post(f"{LOCATIONS}:check-overlap", check))
        assert [one["id"] for one in overlaps["locations"]] == [first["id"]]
    for n, url in enumerate(("s3://lake/raw/orders2", "s3://lake/raw/Orders", "s3://lake/raw/order_", "s3://other")):
        assert (await made(editor.post(f"{LOCATIONS}:check-overlap", {"project_id": project.id, "url": url})))[
            "locations"
        ] == []
        await made(editor.post(LOCATIONS, draft(project, id, url, f"location-{n}")))
    for url, owner, path in (
        ("s3://lake/raw/orders/2026/a.csv", "orders", "2026/a.csv"),
        ("s3://lake/raw/orders", None, ""),
        ("s3://lake/raw/orders/", "orders", ""),
        ("s3://lake/raw/orders2/x", "location-0", "x"),
        ("s3://other", "location-3", ""),
        ("s3://lake/raw/a.csv", None, ""),
    ):
        answer = await project.api.viewer.post(f"{LOCATIONS}:resolve", {"url": url})
        if owner is None:
            assert answer.status == 404, url
        else:
            assert (answer.json["location"]["name"], answer.json["path"]) == (owner, path)
    await editor("DELETE", f"/api/v1/{LOCATIONS}/{first['id']}")
    await made(editor.post(LOCATIONS, draft(project, id, "s3://lake/raw/orders/2026", "third")))
    assert (await editor.post(LOCATIONS, draft(project, id, "s3://lake/raw/orders", "fourth"))).status == 409


@on_both
async def test_of_locations_that_overlap_and_come_at_once_one_is_created(project: Project) -> None:
    id = await unused(project)
    urls = ["s3://lake", "s3://lake/a", "s3://lake/a/b", "s3://lake/a/b/c", "s3://lake/a/b/c/d"]
    answers = await asyncio.gather(
        *(project.api.editor.post(LOCATIONS, draft(project, id, url, f"n{n}")) for n, url in enumerate(urls))
    )
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]


async def test_a_hidden_location_is_not_named(project: Project) -> None:
    api = project.api
    await made(api.editor.post(LOCATIONS, draft(project, await unused(project), "s3://lake/raw", "secret-name")))
    other = Project(
        api, (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "O"}})))["id"]
    )
    await grant(api, await user(api, "ada"), "rol_editor", other.id)
    ada = api.caller("ada")
    id = await unused(other)
    answer = await ada.post(LOCATIONS, draft(other, id, "s3://lake/raw/2026"))
    assert answer.status == 409
    assert "secret-name" not in answer.response.text
    check = await made(ada.post(f"{LOCATIONS}:check-overlap", {"project_id": other.id, "url": "s3://lake"}))
    assert (check["locations"], check["hidden"]) == ([], 1)
    assert (await ada.post(f"{LOCATIONS}:resolve", {"url": "s3://lake/raw/x"})).status == 404


async def test_a_credential_is_used_in_locations_only_by_those_who_may_change_it(project: Project) -> None:
    """A location opens what its credential reaches."""
    api = project.api
    id = await unused(project)
    other = (await made(api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    mallory = await user(api, "mallory")
    await grant(api, mallory, "rol_editor", other)
    caller = api.caller("mallory")
    body = draft(project, id, "s3://lake/raw") | {"project_id": other}
    assert (await caller.post(LOCATIONS, body)).status == 422
    for permission in ("connections.external_location.*", "connections.storage_credential.get", "admin.project.get"):
        await grant(api, mallory, permission, project.id)
    assert (await caller.post(LOCATIONS, draft(project, id, "s3://lake/raw"))).status == 403
    created = await made(api.editor.post(LOCATIONS, draft(project, id, "s3://lake/raw", read_only=True)))
    path = f"/api/v1/{LOCATIONS}/{created['id']}"
    assert (await caller("PATCH", path, json={"read_only": False})).status == 403
    assert (await caller("PATCH", path, json={"title": "Renamed"})).status == 200
    assert (await caller("PATCH", path, json={"url": "s3://lake"})).status == 422


@on_both
@pytest.mark.effect("connections_get_storage_credential_dependents")
async def test_a_credential_in_use_is_not_deleted_and_shows_what_uses_it(project: Project, store: Store) -> None:
    path = await location(project, store)
    vended = await made(project.api.editor.post(f"{path}:vend-read", {}))
    id = vended["lease"]["storage_credential_id"]
    dependents = (await project.api.viewer.get(f"{CREDENTIALS}/{id}/dependents")).json
    assert [one["name"] for one in dependents["locations"]] == ["raw"]
    assert (dependents["hidden"], dependents["active_leases"]) == (0, 1)
    assert (await project.api.editor("DELETE", f"/api/v1/{CREDENTIALS}/{id}")).status == 409
    (secret,) = (await project.api.editor.get("connections/secrets")).json["items"]
    users = (await project.api.editor.get(f"connections/secrets/{secret['id']}/where-used")).json
    assert users["connections"] == []
    assert [(one["storage_credential_id"], one["fields"]) for one in users["storage_credentials"]] == [
        (id, ["secret_access_key"])
    ]
    accesses = (await project.api.editor.get(f"connections/secrets/{secret['id']}/accesses")).json["items"]
    assert [(one["connection_id"], one["purpose"]) for one in accesses] == [(id, "vend-read")]


async def test_another_tenant_sees_no_location_credential_or_lease(project: Project, store: Store) -> None:
    path = await location(project, store)
    vended = await made(project.api.editor.post(f"{path}:vend-read", {}))
    outsider = await user(project.api, "outsider")
    other = (await made(project.api.admin.post("admin/projects", {"name": "other", "spec": {"title": "Other"}})))["id"]
    await grant(project.api, outsider, "rol_admin", other)
    caller = project.api.caller("outsider")
    for verb in ("validate", "browse", "vend-read", "vend-write"):
        assert (await caller.post(f"{path}:{verb}", {})).status == 404
    id = vended["lease"]["storage_credential_id"]
    assert (await caller.post(f"{CREDENTIALS}/{id}:validate", {})).status == 404
    lease = f"connections/leases/{vended['lease']['id']}"
    assert (await caller.get(lease)).status == 404
    for verb in ("renew", "revoke"):
        assert (await caller.post(f"{lease}:{verb}", {})).status == 404
    target = {"external_location_id": vended["lease"]["external_location_id"]}
    assert (await caller.post("connections/leases:revoke-all", target)).status == 404
    assert (await caller.get("connections/leases")).json["items"] == []
