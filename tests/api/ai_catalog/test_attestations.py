"""An attestation proves what it says to anyone with the public key, and tells what no longer holds.

The kind: a statement that only the platform can verify, that stays valid although rows, files, or the key changed, or
that shows an input or a person to who may not see them.
"""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import RSAKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from api.services.ai_catalog.attestation_tables import ATTESTATION, ATTESTED_ASSET
from lakehouse.content import digest
from lakehouse.lineage import Lineage
from lakehouse.tables import Tables
from tests.api.admin.mailing import until
from tests.api.admin.tenants import grant, made, tenant
from tests.api.admin.test_projects import move
from tests.api.ai_catalog.provenance_tables import make_provenance, released, sees_only, step
from tests.api.both_databases import on_both
from tests.api_process import Api, Caller
from tests.lakehouse_tables import BRONZE, SILVER
from tests.orchestration import FakeOrchestrator, node

PATH = "ai-catalog/attestations"


@pytest.fixture
def tables(api: Api) -> Tables:
    return make_provenance(api)


async def attest(caller: Caller, asset: str = SILVER, **body: Any) -> dict[str, Any]:
    return await made(caller.post(PATH, {"asset": asset} | body))


async def envelope(caller: Caller, id: str) -> dict[str, Any]:
    return await made(caller.get(f"{PATH}/{id}/envelope"))


def statement(found: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(found["payload"])))


def public_key(jwk: dict[str, Any]) -> SSlibKey:
    """The key as another library takes it: from PEM, without our code."""
    pem = RSAKey.import_key(jwk).get_op_key("verify").public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return SSlibKey(jwk["kid"], "rsa", "rsa-pkcs1v15-sha256", {"public": pem.decode()})


@pytest.mark.effect(
    "ai_catalog_create_attestation", "ai_catalog_get_attestation_envelope", "ai_catalog_keys_attestations"
)
async def test_another_library_verifies_it_offline_with_the_public_key(api: Api, tables: Tables) -> None:
    made_one = await attest(api.editor)
    found = await envelope(api.viewer, made_one["id"])
    (jwk,) = (await made(api.anonymous.get("ai-catalog/attestations:keys")))["keys"]
    assert {"d", "p", "q"}.isdisjoint(jwk), "the private key stays here"
    key = public_key(jwk)
    Envelope.from_dict(copy.deepcopy(found)).verify([key], 1)
    signed = statement(found)
    forged = signed | {"subject": [signed["subject"][0] | {"name": BRONZE}]}
    other = found | {"payload": base64.b64encode(json.dumps(forged).encode()).decode()}
    with pytest.raises(VerificationError):
        Envelope.from_dict(copy.deepcopy(other)).verify([key], 1)


@pytest.mark.effect("ai_catalog_create_attestation")
async def test_states_the_content_the_code_and_the_inputs_of_the_version(api: Api, tables: Tables) -> None:
    made_one = await attest(api.editor, version="1")
    signed = statement(await envelope(api.viewer, made_one["id"]))
    assert (signed["_type"], made_one["created_by"]) == ("https://in-toto.io/Statement/v1", "editor")
    (subject,) = signed["subject"]
    rows = digest(tables.snapshot(SILVER, version=1).to_arrow())
    assert (subject["name"], subject["digest"]) == (SILVER, {"headwater-rows-1": rows})
    assert made_one["digest"] == rows
    (dependency,) = signed["predicate"]["resolvedDependencies"]
    assert dependency["annotations"]["version"] == tables.snapshot(BRONZE).data_version
    assert dependency["digest"] == {"headwater-rows-1": digest(tables.snapshot(BRONZE).to_arrow())}
    (run,) = signed["predicate"]["materializations"]
    assert run["runDetails"]["metadata"]["invocationId"] == "run-d/make"
    assert run["buildDefinition"]["internalParameters"]["engine"] == "test 1"
    assert "editor" not in json.dumps(signed), "a statement names no person"


@pytest.mark.effect("ai_catalog_verify_attestation")
class TestVerify:
    async def verify(self, api: Api, id: str) -> dict[str, Any]:
        return await made(api.viewer.post(f"{PATH}/{id}:verify"))

    async def test_tells_a_table_that_went_on_from_one_that_was_changed(self, api: Api, tables: Tables) -> None:
        id = (await attest(api.editor))["id"]
        found = await self.verify(api, id)
        assert (found["valid"], found["signature"], found["newest"]) == (True, "VALID", True)
        assert [one["state"] for one in found["dependencies"]] == ["UNCHANGED"]
        tables.append(SILVER, pa.table({"id": [9], "carrier": ["Z"]}))
        went_on = await self.verify(api, id)
        assert (went_on["valid"], went_on["newest"]) == (True, False)
        self.data_file(tables, SILVER, 2).write_bytes(self.data_file(tables, SILVER, 1).read_bytes())
        changed = await self.verify(api, id)
        assert not changed["valid"]
        assert changed["subject"]["state"] in ("CHANGED", "UNREADABLE")

    async def test_tells_damaged_files(self, api: Api, tables: Tables) -> None:
        id = (await attest(api.editor))["id"]
        self.data_file(tables, SILVER, 2).unlink()
        found = await self.verify(api, id)
        assert (found["valid"], found["signature"], found["subject"]["state"]) == (False, "VALID", "UNREADABLE")
        assert found["subject"]["problem"]

    @on_both
    async def test_tells_a_statement_that_was_changed_in_the_database(self, api: Api, tables: Tables) -> None:
        id = (await attest(api.editor))["id"]
        with api.database.write() as connection:
            text = connection.execute(sa.select(ATTESTATION.c.statement)).scalar_one()
            connection.execute(ATTESTATION.update().values(statement=text.replace("run-e", "run-x")))
        found = await self.verify(api, id)
        assert (found["valid"], found["signature"]) == (False, "INVALID")

    @on_both
    async def test_a_revoked_key_proves_nothing_and_a_former_one_does(self, api: Api, tables: Tables) -> None:
        one = await attest(api.editor)
        await made(api.admin.post(f"admin/signing-keys/{one['key_id']}:revoke"))
        found = await self.verify(api, one["id"])
        assert (found["valid"], found["signature"]) == (False, "KEY_REVOKED")
        keys = (await made(api.anonymous.get("ai-catalog/attestations:keys")))["keys"]
        assert one["key_id"] not in [key["kid"] for key in keys]

    def data_file(self, tables: Tables, asset: str, version: int) -> Path:
        snapshot = tables.snapshot(asset, version=version)
        return Path(snapshot.uri.removeprefix("file://")) / snapshot.paths[0]


@pytest.mark.effect("ai_catalog_create_attestation")
async def test_what_has_no_provenance_is_not_attested(api: Api, tables: Tables) -> None:
    tables.append(SILVER, pa.table({"id": [9], "carrier": ["Z"]}))
    version = tables.snapshot(SILVER).data_version
    refused = await api.editor.post(PATH, {"asset": SILVER, "version": version})
    assert (refused.status, "recorded no provenance" in refused.json["detail"]) == (409, True)
    assert (await api.editor.post(PATH, {"asset": "flights.source.prices"})).status == 404
    tables.optimize(BRONZE)
    compacted = await attest(api.editor, BRONZE, version=str(tables.snapshot(BRONZE).version))
    assert compacted["digest"] == digest(tables.snapshot(BRONZE).to_arrow())


@pytest.mark.effect(
    "ai_catalog_create_attestation", "ai_catalog_get_attestation_envelope", "ai_catalog_verify_attestation"
)
class TestWhoSees:
    @on_both
    async def test_only_who_reads_all_that_it_names(self, api: Api, tables: Tables) -> None:
        id = (await attest(api.editor))["id"]
        other = await tenant(api, "other")
        ada = await sees_only(api, "ada", SILVER)
        await grant(api, await id_of(api, "ada"), "ai_catalog.attestation.*", "org_default")
        for caller in (other.admin, ada):
            assert (await caller.get(PATH)).json["items"] == []
            assert (await caller.get(f"{PATH}/{id}")).status == 404
            assert (await caller.get(f"{PATH}/{id}/envelope")).status == 404
            assert (await caller.post(f"{PATH}/{id}:verify")).status == 404
        assert [one["id"] for one in (await made(api.viewer.get(PATH)))["items"]] == [id]
        await grant(
            api,
            await id_of(api, "ada"),
            "ai_catalog.asset.*",
            BRONZE,
            securable_kind="ai_catalog.asset",
        )
        assert (await ada.get(f"{PATH}/{id}/envelope")).status == 200

    async def test_names_only_what_the_attester_sees(self, api: Api, tables: Tables) -> None:
        ada = await sees_only(api, "ada", SILVER)
        await grant(api, await id_of(api, "ada"), "ai_catalog.attestation.*", "org_default")
        await released(api, BRONZE, SILVER)
        one = await attest(ada)
        assert BRONZE not in json.dumps(statement(await envelope(ada, one["id"])))

    @on_both
    async def test_a_viewer_attests_nothing_and_who_reads_no_rows_neither(self, api: Api, tables: Tables) -> None:
        assert (await api.viewer.post(PATH, {"asset": SILVER})).status == 403
        blind = await sees_nothing_of_rows(api)
        assert (await blind.post(PATH, {"asset": SILVER})).status == 403
        with api.database.read() as connection:
            assert connection.execute(sa.select(ATTESTATION.c.id)).all() == []

    async def test_moves_with_its_project_and_ends_with_its_organization(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        north, south = await tenant(api, "north"), await tenant(api, "south")
        asset = "north_data.gold.sales"
        orchestrator.nodes[asset] = node(asset)
        tables, lineage = Tables.from_settings(api.app.platform.settings, api.database), Lineage(api.database)
        step(tables, lineage, asset, "run-1", principal="north-admin").overwrite(pa.table({"a": [1]}))
        id = (await attest(north.admin, asset))["id"]
        await move(api, north.project, south.organization)

        async def arrived() -> bool:
            return (await south.admin.get(f"{PATH}/{id}")).status == 200

        await until(arrived, "the rights of the new organization")
        text = json.dumps([await made(south.admin.get(PATH)), await made(south.admin.get(f"{PATH}/{id}"))])
        assert "north-admin" not in text
        assert "north-admin" not in json.dumps(statement(await envelope(south.admin, id)))
        assert (await north.admin.get(f"{PATH}/{id}")).status == 404
        with api.database.write() as connection:
            connection.execute(ATTESTATION.delete().where(ATTESTATION.c.organization_id == south.organization))
            assert connection.execute(sa.select(ATTESTED_ASSET)).all() == []


async def id_of(api: Api, name: str) -> str:
    return str((await made(api.admin.get(f"admin/users/{name}")))["id"])


async def sees_nothing_of_rows(api: Api) -> Caller:
    """A user who sees silver and may attest, without the right to its rows."""
    ada = await sees_only(api, "blind")
    id = await id_of(api, "blind")
    await grant(api, id, "ai_catalog.asset.get", SILVER, securable_kind="ai_catalog.asset")
    await grant(api, id, "ai_catalog.attestation.*", "org_default")
    return ada
