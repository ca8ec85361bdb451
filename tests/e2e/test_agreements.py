"""What two users agree on, each in a separate browser: a contract, access to rows, and the stage of a model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.api_process import PASSWORD
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.lakehouse_tables import BRONZE, SILVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GOLD, DAILY = "flights.gold.route_delays", "flights.gold.daily"
CATALOG = "../ai-catalog"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("agreements")) as running:
        running.post("projects", {"name": "flights", "spec": {"title": "Flights"}})
        for name in ("ada", "bob"):
            add_user(running, "default", name, "rol_admin", "platform")
        guest = running.post("users", {"name": "gil", "organization_id": "default", "spec": {}})["id"]
        running.post(f"users/{guest}:set-password", {"password": PASSWORD})
        for permission in (
            "asset.get",
            "asset.access",
            "asset.history",
            "access_request.create",
            "access_request.list",
        ):
            place = {"securable_id": BRONZE, "securable_kind": "ai_catalog.asset"}
            running.post("grants", {"principal_id": guest, "permission": f"ai_catalog.{permission}"} | place)
        yield running


def test_a_weaker_contract_waits_for_the_consent_of_its_consumers(platform_site: Site) -> None:
    terms = {"columns": [{"name": "id", "type": "int64"}], "min_rows": 2}
    body = {"asset": SILVER, "contact": "team:data", "terms": terms}
    first = platform_site.post(f"{CATALOG}/contracts", body)["id"]
    platform_site.post(f"{CATALOG}/contracts/{first}:activate", {})
    path = f"/ai-catalog/assets/{SILVER}?tab=contract"
    with logged_in(platform_site, "ada", path) as page, logged_in(platform_site, "bob", path) as consumer:
        expect(consumer.get_by_role("button", name="Propose a version")).to_be_enabled()
        page.get_by_role("button", name="Propose a version").click()
        form = page.get_by_role("dialog")
        expect(form.get_by_label("Contact")).to_have_value("team:data")
        form.get_by_label("Min rows").fill("1")
        assert_accessible(page)
        form.get_by_role("button", name="Propose", exact=True).click()
        expect(form).to_be_hidden()
        draft = page.get_by_role("article", name="Version 2")
        expect(draft.get_by_text("at least 2 rows become at least 1 rows")).to_be_visible()
        expect(draft.get_by_text("2 consumers have not consented yet.")).to_be_visible()
        assert_accessible(page)
        draft.get_by_role("button", name="Activate").click()
        question = page.get_by_role("dialog")
        question.get_by_role("button", name="Activate").click()
        expect(question.get_by_role("alert")).to_contain_text("2 have not consented")
        question.get_by_role("button", name="Cancel").click()

        seen = consumer.get_by_role("article", name="Version 2")
        for asset in (DAILY, GOLD):
            seen.get_by_role("button", name=f"Consent for {asset}").click()
            consumer.get_by_role("dialog").get_by_role("button", name="Consent", exact=True).click()
            expect(seen.get_by_role("button", name=f"Consent for {asset}")).to_have_count(0)
        expect(draft.get_by_text("Consented", exact=True)).to_have_count(2)
        draft.get_by_role("button", name="Activate").click()
        page.get_by_role("dialog").get_by_role("button", name="Activate").click()
        for one in (page, consumer):
            expect(one.get_by_role("link", name="Version 2 of the contract")).to_be_visible()
            expect(one.get_by_role("article", name="Version 2")).to_have_count(0)


def test_a_user_asks_for_access_the_owner_approves_and_the_rows_show(platform_site: Site) -> None:
    path = f"/ai-catalog/assets/{BRONZE}?tab="
    with (
        logged_in(platform_site, "gil", f"{path}data") as guest,
        logged_in(platform_site, "ada", f"{path}access") as owner,
    ):
        expect(guest.get_by_role("alert")).to_be_visible()
        expect(guest.get_by_role("region", name=f"Rows of {BRONZE}")).to_have_count(0)
        guest.get_by_role("tab", name="Access").click()
        guest.get_by_role("button", name="Ask for access").click()
        guest.get_by_role("dialog").get_by_label("Purpose").fill("The yearly report.")
        assert_accessible(guest)
        guest.get_by_role("dialog").get_by_role("button", name="Ask", exact=True).click()
        asks = guest.get_by_role("region", name="Access requests")
        expect(asks.get_by_text("The yearly report.")).to_be_visible()
        expect(asks.get_by_role("button", name="Approve")).to_be_disabled()

        asked = owner.get_by_role("region", name="Access requests")
        expect(asked.get_by_text("The yearly report.")).to_be_visible()
        asked.get_by_role("button", name="Approve").click()
        owner.get_by_role("dialog").get_by_role("button", name="Approve").click()
        expect(asked.get_by_text("Approved", exact=True)).to_be_visible()
        assert_accessible(owner)

        expect(asks.get_by_text("Approved", exact=True)).to_be_visible()
        expect(guest.get_by_text("You can read the rows of this asset")).to_be_visible()
        guest.get_by_role("tab", name="Data").click()
        expect(
            guest.get_by_role("region", name=f"Rows of {BRONZE}").get_by_role("cell", name="C2").first
        ).to_be_visible()


def model_of(platform_site: Site) -> str:
    """A registered model with one version. Returns its id."""
    project = {"project_id": "flights", "spec": {"title": "Trials"}}
    experiment = platform_site.post(f"{CATALOG}/experiments", {"name": "trials"} | project)["id"]
    run = platform_site.post(f"{CATALOG}/runs", {"experiment_id": experiment, "name": "one"})["id"]
    platform_site.post(f"{CATALOG}/artifacts", {"parent": run, "path": "model/weights.txt", "text": "1 2 3"})
    model = str(platform_site.post(f"{CATALOG}/registered-models", {"name": "price"} | project)["id"])
    body = {"registered_model_id": model, "source": f"runs:/{run}/model"}
    platform_site.post(f"{CATALOG}/model-versions", body)
    return model


def test_a_stage_is_approved_by_another_user_than_the_one_who_asked(platform_site: Site) -> None:
    path = f"/ai-catalog/registered-models/{model_of(platform_site)}?tab=versions"
    with logged_in(platform_site, "ada", path) as page, logged_in(platform_site, "bob", path) as other:
        page.get_by_role("button", name="Request stage").click()
        form = page.get_by_role("dialog")
        form.get_by_role("combobox", name="Stage").click()
        page.get_by_role("option", name="PRODUCTION").click()
        form.get_by_role("button", name="Request stage").click()
        expect(page.get_by_text("ada asks for production")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Approve", exact=True).click()
        own = page.get_by_role("dialog")
        own.get_by_role("button", name="Approve", exact=True).click()
        expect(own.get_by_role("alert")).to_contain_text("You made this request")
        own.get_by_role("button", name="Cancel").click()

        expect(other.get_by_text("ada asks for production")).to_be_visible()
        other.get_by_role("button", name="Approve", exact=True).click()
        decision = other.get_by_role("dialog")
        decision.get_by_label("Comment").fill("It predicts better.")
        assert_accessible(other)
        decision.get_by_role("button", name="Approve", exact=True).click()
        for one in (other, page):
            expect(one.get_by_role("cell", name="production", exact=True)).to_be_visible()
            expect(one.get_by_text("bob: approved (It predicts better.)")).to_be_visible()
