"""A subscriber gets a notice of each change once, by mail and to webhooks, and only while they may see the target."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import sqlalchemy as sa

from api.services.ai_catalog.logic.subscription_mail import subscribers
from api.services.ai_catalog.logic.subscription_watch import NOTIFIED, SubscriptionWatch
from core import clock
from core.contracts import ActiveContract, record_violation
from core.errors import Unavailable
from core.events import EVENT, event_from_row
from core.mailer import Mail
from core.pipelines import PIPELINE_TAG
from core.reports import CheckStatus
from core.runs import RunState, RunStatus, RunSummary
from tests.api.admin.tenants import grant, made, tenant, user
from tests.api.ai_catalog.pipelines import add_assets, published
from tests.api.ai_catalog.test_contracts import SILVER, activated, prepared
from tests.api.ai_catalog.test_models import file, registered, version
from tests.api.ai_catalog.test_runs import run
from tests.api.both_databases import on_both
from tests.api_process import Api
from tests.orchestration import FakeOrchestrator
from tests.orchestration import made as materialized

PATH = "ai-catalog/subscriptions"


async def subscribed(api: Api, name: str = "mia", **body: Any) -> str:
    """A viewer with a mail address subscribes. Returns the id of the subscription."""
    id = await user(api, name)
    await made(api.admin("PATCH", f"admin/users/{id}", json={"spec": {"emails": [f"{name}@example.org"]}}))
    await grant(api, id, "rol_viewer", "default")
    return str((await made(api.caller(name).post(PATH, body)))["id"])


def fake(api: Api) -> FakeOrchestrator:
    orchestrator = api.app.platform.orchestrator
    assert isinstance(orchestrator, FakeOrchestrator)
    return orchestrator


async def notices(api: Api) -> list[tuple[str, str]]:
    """The notices that are given now, with their details."""
    watch, before = SubscriptionWatch(api.app.platform), api.last_sequence()
    await watch.look(watch._pipelines() or set())
    return [(one["data"]["notice"], one["data"]["detail"]) for one in api.events(NOTIFIED, after=before)]


@on_both
@pytest.mark.effect("ai_catalog_create_subscription", "ai_catalog_delete_subscription")
async def test_each_change_of_an_asset_is_one_notice(api: Api) -> None:
    await prepared(api)
    id = await subscribed(api, asset=SILVER)
    assert await notices(api) == []
    state = fake(api).states[SILVER]
    failed = dataclasses.replace(state.checks[0], status=CheckStatus.FAILED, message="a secret value")
    run = RunSummary("run-9", RunStatus.FAILED, None, None)
    changed = dataclasses.replace(state, materialization=materialized("abc@9"), last_run=run, checks=(failed,))
    fake(api).states[SILVER] = changed
    assert await notices(api) == [
        ("NEW_VERSION", "abc@9"),
        ("FAILED", "run-9"),
        ("CHECK_FAILED", f"{failed.name} of abc@9"),
    ]
    assert await notices(api) == []
    contract = await activated(api)
    assert await notices(api) == [("CONTRACT", "version 1")]
    facts = ActiveContract(contract["id"], 1, {}, contract["organization_id"], contract["project_id"])
    with api.database.write() as connection:
        record_violation(connection, facts, "abc@10", ["It broke."], "run-1")
    assert await notices(api) == [("CONTRACT_BROKEN", "abc@10")]
    (event,) = api.events(NOTIFIED, after=api.last_sequence() - 1)
    assert (event["subject"], event["project_id"], "secret" in str(event["data"])) == (
        id,
        contract["project_id"],
        False,
    )
    fake(api).states.pop(SILVER)
    assert await notices(api) == [], "an asset that is not observed now has not changed"
    assert (await api.caller("mia")("DELETE", f"{PATH}/{id}")).status == 204
    fake(api).states[SILVER] = dataclasses.replace(changed, materialization=materialized("abc@11"))
    assert await notices(api) == []


async def test_only_what_the_subscriber_asked_for(api: Api) -> None:
    await prepared(api)
    await subscribed(api, asset=SILVER, notices=["FAILED"])
    state = fake(api).states[SILVER]
    fake(api).states[SILVER] = dataclasses.replace(state, materialization=materialized("abc@9"))
    assert await notices(api) == []
    wrong = await api.caller("mia").post(PATH, {"asset": SILVER, "notices": ["ALIAS"]})
    assert (wrong.status, wrong.json["errors"][0]["pointer"]) == (422, "/notices")
    for body in ({}, {"asset": SILVER, "pipeline_id": "x"}):
        assert (await api.caller("mia").post(PATH, body)).status == 422


@on_both
async def test_runs_of_a_pipeline_that_end_later(api: Api) -> None:
    add_assets(fake(api))
    pipeline = await published(api)
    runs = fake(api).run_states
    old = RunState("run-0", RunStatus.FAILED, 0, 1, ended_at=clock.now(), tags={PIPELINE_TAG: pipeline["id"]})
    runs["run-0"] = old
    await subscribed(api, pipeline_id=pipeline["id"])
    assert await notices(api) == []
    for number, status in enumerate((RunStatus.SUCCEEDED, RunStatus.CANCELED, RunStatus.FAILED), 1):
        runs[f"run-{number}"] = dataclasses.replace(old, id=f"run-{number}", status=status, ended_at=clock.now())
    assert await notices(api) == [("SUCCEEDED", "run-1"), ("FAILED", "run-3")]
    assert await notices(api) == []


@on_both
async def test_versions_and_aliases_of_a_model(api: Api) -> None:
    made_by = (await run(api))["id"]
    model = await registered(api)
    await file(api, made_by)
    await subscribed(api, registered_model_id=model)
    await version(api, model, f"runs:/{made_by}/model")
    assert await notices(api) == [("NEW_VERSION", "1")]
    await made(api.editor.post(f"ai-catalog/registered-models/{model}:set-alias", {"alias": "champion", "version": 1}))
    assert await notices(api) == [("ALIAS", "champion: version 1")]


async def test_what_the_caller_cannot_see_does_not_exist(api: Api) -> None:
    await prepared(api)
    other = await tenant(api, "other")
    assert (await other.admin.post(PATH, {"asset": SILVER})).status == 404
    id = await subscribed(api, asset=SILVER)
    assert (await other.admin.get(f"{PATH}/{id}")).status == 404
    await subscribed(api, "zoe", asset=SILVER)
    own = (await made(api.caller("zoe").get(PATH)))["items"]
    assert [one["created_by"] for one in own] == ["zoe"], "viewers see their own subscriptions only"


class Post:
    """A mail server that keeps what it gets, or is down."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.down = False

    async def send(self, mail: Mail) -> None:
        if self.down:
            raise Unavailable("The mail server is down.")
        self.mails.append(mail)


async def delivered(api: Api, post: Post) -> None:
    """Hands the newest notice to the consumer of the mails."""
    api.app.platform.mailer = post
    (subscriber,) = subscribers(api.app.platform)
    with api.database.read() as connection:
        select = sa.select(EVENT).where(EVENT.c.type == NOTIFIED).order_by(EVENT.c.sequence.desc()).limit(1)
        item = event_from_row(connection.execute(select).one())
    await subscriber.handle(item)


@on_both
async def test_a_mail_needs_the_right_at_its_delivery(api: Api) -> None:
    await prepared(api)
    id = await subscribed(api, asset=SILVER)
    post, state = Post(), fake(api).states[SILVER]

    async def change(version: str) -> None:
        fake(api).states[SILVER] = dataclasses.replace(state, materialization=materialized(version))
        assert await notices(api) == [("NEW_VERSION", version)]

    await change("abc@9")
    await delivered(api, post)
    (mail,) = post.mails
    assert (mail.to, SILVER in mail.subject, "abc@9" in mail.text) == ("mia@example.org", True, True)
    found = await made(api.caller("mia").get(f"{PATH}/{id}"))
    assert (found["mailed_at"] is None, found["mail_problem"]) == (False, None)
    await change("abc@10")
    post.down = True
    with pytest.raises(Unavailable):
        await delivered(api, post)
    assert "tried again" in (await made(api.caller("mia").get(f"{PATH}/{id}")))["mail_problem"]
    post.down = False
    await grant(
        api, found["principal_id"], "ai_catalog.asset.get", SILVER, securable_kind="ai_catalog.asset", effect="DENY"
    )
    await delivered(api, post)
    assert len(post.mails) == 1
    assert "can't see" in (await made(api.caller("mia").get(f"{PATH}/{id}")))["mail_problem"]
    await made(api.admin.post(f"admin/users/{found['principal_id']}:suspend", {}))
    await delivered(api, post)
    assert len(post.mails) == 1
