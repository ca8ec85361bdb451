"""Models in the console of a whole platform: what is known of one, a prediction, its runs, rounds, and an index."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, browsed
from tests.running_platform import Running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MODEL = "flights.models.arrival_delay"
CATALOG = "../ai-catalog"


@pytest.fixture(scope="module")
def real_site(platform: Running) -> Iterator[Site]:
    built()
    with browsed(platform.url, platform.headwater("token").stdout.strip()) as running:
        add_user(running, "default", "mona", "rol_admin", "platform")
        other = running.post("organizations", {"name": "faraway", "spec": {"title": "Faraway"}})["id"]
        add_user(running, other, "fay", "rol_admin", other)
        yield running


def test_a_prediction_names_the_versions_that_it_comes_from(real_site: Site) -> None:
    with logged_in(real_site, "mona", "/models") as page:
        row = page.get_by_role("row", name=MODEL)
        expect(row).to_contain_text("auc 0.")
        expect(row).to_contain_text(re.compile("fresh|stale", re.IGNORECASE))
        assert_accessible(page)
        page.get_by_role("link", name=MODEL).click()
        expect(page.get_by_role("heading", name="Purpose and limits")).to_be_visible()
        expect(page.get_by_role("region", name="Data").get_by_text("flights.features.departures")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("tab", name="Try it").click()
        page.get_by_role("button", name="Use an example").click()
        expect(page.get_by_label("flight_id")).not_to_have_value("")
        page.get_by_role("button", name="Predict").click()
        versions = page.get_by_role("region", name="Versions")
        served = real_site.admin.get(f"../ai-system/models/{MODEL}").json()["serving"]
        expect(versions).to_contain_text(served["data_version"])
        expect(versions).to_contain_text(f"{served['entity_table']} {served['features_version'].split('@')[0]}")
        expect(page.get_by_role("region", name="Contributions")).to_be_visible()
        assert_accessible(page)

        page.get_by_role("button", name="inputs, to replace").click()
        page.get_by_role("textbox", name=served["inputs"][0]["name"], exact=True).fill("1000000")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_text("Outside the range of the training")).to_contain_text(served["inputs"][0]["name"])
        page.reload()
        expect(page.get_by_label("flight_id")).not_to_have_value("")
        page.get_by_label("flight_id").fill("no such flight")
        page.get_by_role("button", name="Predict").click()
        expect(page.get_by_role("alert")).to_be_visible()


def test_a_version_gets_an_alias_a_card_and_a_stage_that_somebody_else_approves(real_site: Site) -> None:
    with logged_in(real_site, "mona", "/models") as page:
        page.get_by_role("link", name=MODEL).click()
        page.get_by_role("button", name="Set alias").click()
        page.get_by_role("dialog").get_by_role("button", name="Set alias").click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.get_by_role("button", name=re.compile("^(Write|Revise)$")).click()
        page.get_by_role("dialog").get_by_role("textbox", name="Text").fill("For planning only.")
        page.get_by_role("dialog").get_by_role("button", name="Write card").click()
        page.get_by_role("dialog").get_by_text("Close", exact=True).click()
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.get_by_role("region", name="Description")).to_contain_text("For planning only.")
        page.get_by_role("tab", name="Versions").click()
        expect(page.get_by_role("cell", name="champion")).to_be_visible()
        page.get_by_role("button", name="Request stage").first.click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_role("combobox", name="Stage").click()
        page.get_by_role("option", name="PRODUCTION").click()
        dialog.get_by_role("button", name="Request stage").click()
        expect(page.get_by_text("mona asks for production")).to_be_visible()
        assert_accessible(page)
        page.goto(f"{real_site.url}{CONSOLE}/models")
        expect(page.get_by_role("row", name=MODEL)).to_contain_text("champion")


def test_runs_are_compared_over_their_steps(real_site: Site) -> None:
    experiment = real_site.post(
        f"{CATALOG}/experiments", {"name": "console-lines", "project_id": "flights", "spec": {"title": "Console lines"}}
    )["id"]
    for number, name in enumerate(("slow", "fast")):
        run = real_site.post(f"{CATALOG}/runs", {"experiment_id": experiment, "name": name})["id"]
        metrics = [{"key": "loss", "value": 1 / (1 + step * (1 + number)), "step": step} for step in range(50)]
        real_site.post(
            f"{CATALOG}/runs/{run}:log-batch", {"metrics": metrics, "params": [{"key": "rate", "value": str(number)}]}
        )
    with logged_in(real_site, "mona", "/experiments") as page:
        page.get_by_role("link", name="Console lines").click()
        page.get_by_label("Compare slow").check()
        page.get_by_label("Compare fast").check()
        comparison = page.get_by_role("region", name="Comparison")
        expect(comparison.get_by_role("img", name="loss over the steps of each run")).to_be_visible()
        expect(comparison.get_by_role("region", name="Parameters").get_by_role("row", name="rate")).to_be_visible()
        assert_accessible(page)
        page.reload()
        expect(comparison.get_by_role("img", name="loss over the steps of each run")).to_be_visible()
        page.get_by_role("link", name="fast", exact=True).click()
        expect(page.get_by_role("img", name="loss over the steps")).to_be_visible()
        page.get_by_role("button", name="Show as table").click()
        expect(
            page.get_by_role("region", name="loss over the steps").get_by_role("cell", name="1", exact=True).first
        ).to_be_visible()
        assert_accessible(page)


def test_a_citation_opens_the_chunk_at_its_version(real_site: Site) -> None:
    with logged_in(real_site, "mona", "/ask") as page:
        page.get_by_label("Question").fill("How is a feature kept from knowing the future?")
        page.keyboard.press("Enter")
        answer = page.get_by_role("region", name="Answer")
        passage = answer.get_by_role("article").first
        expect(passage).to_be_visible()
        assert_accessible(page)
        text = passage.locator("p").nth(2).inner_text()
        passage.get_by_role("button").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("blockquote")).to_have_text(text)
        version = real_site.admin.get("../rag/indexes/flights.index.handbook").json()["data_version"]
        expect(dialog).to_contain_text(version)
        assert_accessible(page)
        page.reload()
        expect(dialog.locator("blockquote")).to_have_text(text)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        expect(answer.get_by_role("article").first).to_be_visible()


def test_rounds_show_each_client(real_site: Site) -> None:
    with logged_in(real_site, "mona", "/rounds") as page:
        expect(page.get_by_role("img", name="AUC on the holdout of each client over the rounds")).to_be_visible()
        clients = page.get_by_role("region", name="Clients")
        expect(clients.get_by_role("row", name="JFK")).to_be_visible()
        expect(clients.get_by_role("heading")).to_have_text("Clients in round 12")
        assert_accessible(page)


def test_another_organization_begins_with_its_first_model(real_site: Site) -> None:
    with logged_in(real_site, "fay", "/models") as page:
        expect(page.get_by_role("heading", name="Train your first model")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("link", name="Define a training").click()
        page.wait_for_url("**/ai-catalog/definitions/new?component=ModelTrainingComponent")
        expect(page.get_by_role("textbox", name="Target")).to_be_visible()
        for path, title in (("/ask", "Define an index"), ("/rounds", "Define a federated training")):
            page.goto(f"{real_site.url}{CONSOLE}{path}")
            expect(page.get_by_role("link", name=title)).to_be_visible()
        page.goto(f"{real_site.url}{CONSOLE}/experiments")
        expect(page.get_by_role("heading", name="Log your first run")).to_be_visible()


def test_the_pages_fit_a_phone(real_site: Site) -> None:
    with logged_in(real_site, "mona", "/models", viewport={"width": 390, "height": 800}) as page:
        page.get_by_role("link", name=MODEL).click()
        expect(page.get_by_role("tab", name="Card")).to_be_visible()
        model = page.url
        tabs = [f"{model}?tab={tab}" for tab in ("versions", "try", "evaluation")]
        paths = [
            f"{real_site.url}{CONSOLE}{path}" for path in ("/models", "/experiments", "/rounds", "/ask?q=lateness")
        ]
        for address in (model, *tabs, *paths):
            page.goto(address)
            expect(page.get_by_role("heading").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") == 390, address
