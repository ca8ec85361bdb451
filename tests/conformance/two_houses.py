"""Two organizations with something of every kind, which touch each other as far as the platform lets them."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from api.kernel.kinds.resource import Level
from api.kernel.tables import OPERATION
from core import clock
from core.definitions import DEFINITION
from lakehouse.lineage import Lineage
from lakehouse.step import Step
from lakehouse.tables import Tables
from tests.api.admin.tenants import Tenant, grant, made, tenant, user
from tests.api_process import PASSWORD, Api, Caller
from tests.conformance.examples import DRAFTS
from tests.conformance.operations import STORED, add_rows, collection
from tests.lineage_events import dataset, event
from tests.orchestration import FakeOrchestrator, node

CANARY = "canary"


@dataclass
class House:
    """An organization with something of every kind, all of it called by one word."""

    tenant: Tenant
    word: str
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def assets(self) -> list[str]:
        return [f"{self.word}_data.gold.{name}" for name in ("rows", "model", "index")]


def texts(kind: Any, word: str) -> dict[str, Any]:
    """A spec of a kind, with the word in each of its texts."""
    spec = json.loads(json.dumps(DRAFTS[kind.full_name][0]))
    for name in kind.model.spec_type().model_fields:
        if name in ("title", "description", "external_id"):
            spec[name] = f"{word} {name}"
        elif name == "emails":
            spec[name] = [f"{word}@example.org"]
        elif name in ("url", "issuer"):
            spec[name] = f"https://{word}.example.org/"
    return dict(spec)


async def house(api: Api, orchestrator: FakeOrchestrator, word: str) -> House:
    found = House(await tenant(api, word), word)
    own, ids = found.tenant, found.ids
    ids |= {"admin.organization": own.organization, "admin.project": own.project, "admin": own.admin_id}
    for kind in STORED:
        if kind.full_name in ids:
            continue
        place = {"project_id": own.project} if kind.level is Level.PROJECT else {"organization_id": own.organization}
        body = {"name": f"{word}-{kind.name}".replace("_", "-"), "spec": texts(kind, word), "labels": {"word": word}}
        ids[kind.full_name] = (await made(api.admin.post(collection(kind), body | place)))["id"]
    await made(api.admin.post(f"admin/groups/{ids['admin.group']}:add-members", {"members": [ids["admin.user"]]}))
    ids["admin.grant"] = await grant(api, ids["admin.user"], "rol_viewer", own.project)
    key = {"label": word, "principal_id": ids["admin.service_account"]}
    ids["admin.api_key"] = (await made(own.admin.post("admin/api-keys", key)))["id"]
    invitation = {"email": f"{word}-guest@example.org", "organization_id": own.organization}
    ids["admin.invitation"] = (await made(own.admin.post("admin/invitations", invitation)))["id"]
    await made(api.admin.post(f"admin/users/{own.admin_id}:set-password", {"password": PASSWORD}))
    own.admin = Caller(api.app, api.caller(f"{word}/{word}-admin").token)
    await made(api.anonymous.post("admin/sessions:login", {"name": f"{word}/{word}-admin", "password": PASSWORD}))
    await made(own.admin("PATCH", f"admin/groups/{ids['admin.group']}", json={"labels": {"more": word}}))
    ids["admin.session"] = (await made(own.admin.get("admin/sessions")))["items"][0]["id"]
    ids["admin.audit_event"] = (await made(own.admin.get("admin/audit-events")))["items"][0]["id"]
    reported = event("COMPLETE", inputs=[dataset(word, word)], outputs=[dataset("pg", word)])
    headers = {"x-headwater-project": own.project}
    await made(own.admin.post("/openlineage/api/v1/lineage", reported, headers=headers))
    for plural in ("lineage-events", "external-runs", "external-datasets"):
        kind_name = plural.removesuffix("s").replace("-", "_")
        ids[f"ai_catalog.{kind_name}"] = (await made(own.admin.get(f"ai-catalog/{plural}")))["items"][0]["id"]
    rows, model, index = found.assets
    orchestrator.nodes |= {
        rows: node(rows, owners=(f"team:{word}",), description=f"Rows of {word}."),
        model: node(model, [rows], kinds=("delta", "onnx")),
        index: node(index, [rows], kinds=("delta", "lancedb")),
    }
    for name, known in ((f"{word}_nightly", orchestrator.schedules), (f"{word}_landing", orchestrator.sensors)):
        one = next(iter(known.values()))
        state = {"description": f"Of {word}.", "last_tick_message": f"of {word}"}
        known[name] = dataclasses.replace(one, id=name, assets=(rows,), **state)
    ids |= {"ai_catalog.asset": rows, "ai_catalog.definition": rows, "ai_system.model": model, "rag.index": index}
    release = {"asset": rows, "copies": index, "reason": f"Of {word}."}
    ids["ai_catalog.release"] = (await made(own.admin.post("ai-catalog/releases", release)))["id"]
    request = {"asset": rows, "copies": index, "purpose": f"Of {word}."}
    ids["ai_catalog.access_request"] = (await made(own.admin.post("ai-catalog/access-requests", request)))["id"]
    ids["ai_catalog.subscription"] = (await made(own.admin.post("ai-catalog/subscriptions", {"asset": rows})))["id"]
    await add_rows(api.admin, ids)
    ids |= {"operations.operation": f"op_{word}", "ai_catalog.schedule": f"{word}_nightly"}
    ids |= {"ai_catalog.sensor": f"{word}_landing"}
    _fill(api, found)
    return found


def _fill(api: Api, of: House) -> None:
    """A definition and an operation, as its admin would have made them."""
    now, admin, name = clock.now(), of.tenant.admin_id, f"{of.word}-admin"
    written = {"component": "SqlTransformComponent", "attributes": {"sql": f"SELECT '{of.word}' AS word"}}
    values: dict[str, Any] = {column.name: None for column in OPERATION.c}
    values |= {"id": f"op_{of.word}", "action": "ai_catalog.asset.materialize", "subject": of.assets[0]}
    values |= {"organization_id": of.tenant.organization, "project_id": of.tenant.project}
    values |= {"principal": name, "principal_id": admin, "request_id": "req", "executor": "LAUNCH"}
    values |= {"state": "SUCCEEDED", "assets": of.assets, "partitions": [], "config": {}, "stages": 1, "stage": 1}
    values |= {"launched_stage": 1, "runs": [], "done": 1, "total": 1, "produced": []}
    with api.database.write() as connection:
        connection.execute(
            DEFINITION.insert().values(
                asset_id=of.assets[0],
                project=f"{of.word}_data",
                **written,
                published_component=written["component"],
                published_attributes=written["attributes"],
                published_at=now,
                published_by=name,
                published_by_id=admin,
                published_reads=[],
                revision=1,
                created_at=now,
                created_by=name,
                updated_at=now,
            )
        )
        connection.execute(OPERATION.insert().values(**values | {"created_at": now, "updated_at": now}))


@dataclass
class Two:
    """The organizations, and the callers of the first."""

    api: Api
    own_house: House
    other: House
    callers: dict[str, Caller] = field(default_factory=dict)

    def disclosed(self, text: str, sent: str = "") -> list[str]:
        """What a text says of the other organization, beyond what the request itself said."""
        sent = sent.lower()
        ids = [id for id in self.other.ids.values() if id not in sent]
        found = [id for id in ids if id in text]
        text = text.lower()
        # The expression looks at every word of a text, and most texts do not contain the one it looks for.
        words = set(re.findall(r"[\w.@:/+-]*canary[\w.@:/+-]*", text)) if CANARY in text else set()
        return found + sorted(word for word in words if not _asked(word, sent))


def _asked(word: str, sent: str) -> bool:
    """Whether a request had a word. A fault has a text of it as the last part of a JSON pointer."""
    return any(part in sent for part in (word, word.strip(".:/"), f'"{word.rpartition("/")[2]}"'))


async def begun(api: Api, orchestrator: FakeOrchestrator) -> Two:
    """Makes both organizations, the callers of one, and what touches both."""
    other, own_house = await house(api, orchestrator, CANARY), await house(api, orchestrator, "mine")
    found = Two(api, own_house, other)
    await _touching(found, orchestrator)
    own = own_house.tenant
    reader = await user(api, "mine-reader", own.organization)
    await grant(api, reader, "rol_viewer", own.organization)
    await grant(api, own_house.ids["admin.service_account"], "rol_admin", own.project)
    await grant(api, own_house.ids["admin.service_account"], "admin.user.get", own.organization)
    await grant(api, own_house.ids["admin.service_account"], "admin.group.get", own.organization)
    found.callers = {"admin": own.admin, "viewer": api.caller("mine-reader")}
    for name, holder in (("key", own.admin_id), ("service", own_house.ids["admin.service_account"])):
        secret = await made(own.admin.post("admin/api-keys", {"label": name, "principal_id": holder}))
        found.callers[name] = Caller(api.app, secret["secret"])
    return found


async def _touching(found: Two, orchestrator: FakeOrchestrator) -> None:
    """What the platform's admin can put across: members, and tables made of one another."""
    api, own_house, other = found.api, found.own_house, found.other
    theirs = [other.ids[name] for name in ("admin.user", "admin.group", "admin.service_account")]
    await made(api.admin.post(f"admin/groups/{own_house.ids['admin.group']}:add-members", {"members": theirs}))
    own_principals = [own_house.ids[name] for name in ("admin.user", "admin.service_account")]
    await made(api.admin.post(f"admin/groups/{other.ids['admin.group']}:add-members", {"members": own_principals}))
    settings = api.app.platform.settings
    tables, lineage = Tables.from_settings(settings, api.database), Lineage(api.database)
    rows, before = own_house.assets[0], other.assets[0]
    tables.overwrite(before, pl.DataFrame({"canary": ["canary"]}))
    for asset, source in ((rows, before), (other.assets[1], rows)):
        by = f"{asset.partition('_')[0]}-admin"
        facts = {"run": "run-1", "step": "make", "code_version": "1", "engine": "polars", "principal": by}
        step = Step(tables, lineage, asset=asset, **facts)
        step.read(source)
        step.declare_columns({"id": []})  # so that it isn't a copy, and its rows can be read
        step.append(pl.DataFrame({"id": [1]}), once=asset)
        orchestrator.nodes[asset] = node(asset, [source], kinds=orchestrator.nodes[asset].kinds)
    orchestrator.states[rows] = orchestrator.states["flights.bronze.flights"]
