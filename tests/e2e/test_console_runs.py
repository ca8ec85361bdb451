"""Runs in the console: what runs is seen as it happens, a failed run leads to its cause, and is retried."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from core import clock
from core.runs import LogLine, RunState, RunStatus, StepState, StepStatus
from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ASSET, SILVER = "flights.gold.route_delays", "flights.silver.flights"
STEPS = {ASSET: "flights__gold__route_delays", SILVER: "flights__silver__flights"}


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("console")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "vic", "rol_viewer", "platform")
        other = running.post("organizations", {"name": "other", "spec": {"title": "Other"}})["id"]
        add_user(running, other, "olga", "rol_admin", other)
        yield running


def ran(site: Site, id: str, status: RunStatus, **values: object) -> str:
    """A run that the platform did not launch."""
    began = clock.now() - timedelta(minutes=2)
    ended = began + timedelta(seconds=90) if status.final else None
    defaults = {
        "created_at": began,
        "started_at": began,
        "ended_at": ended,
        "job": "__ASSET_JOB",
        "location": "flights",
    }
    run = RunState(id, status, 1, 2, **({"assets": (ASSET, SILVER)} | defaults | values))  # type: ignore[arg-type]
    site.orchestrator.run_states[id] = run
    site.orchestrator.step_states[id] = [
        StepState(STEPS[SILVER], StepStatus.SUCCEEDED, began, began + timedelta(seconds=30), 1),
        StepState(STEPS[ASSET], StepStatus.RUNNING, began + timedelta(seconds=30), ended, 1),
    ]
    return id


def fail(site: Site, id: str, error: str) -> None:
    done, last = site.orchestrator.step_states[id]
    failed = dataclasses.replace(last, status=StepStatus.FAILED, error=error, ended_at=clock.now())
    site.orchestrator.step_states[id] = [done, failed]
    lines = site.orchestrator.lines.setdefault(id, [])
    for n in range(300):
        lines.append(LogLine(str(len(lines) + 1), clock.now(), "INFO", "LOG", STEPS[SILVER], f"read part {n}"))
    lines.append(LogLine(str(len(lines) + 1), clock.now(), "ERROR", "STEP_FAILURE", STEPS[ASSET], error))
    site.orchestrator.end(id, RunStatus.FAILED, error=f"{STEPS[ASSET]}: {error}")


def fits_a_phone(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_run_is_started_watched_failed_and_retried(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", f"/ai-catalog/assets/{ASSET}") as page:
        page.get_by_role("button", name="Materialize", exact=True).click()
        page.get_by_role("dialog").get_by_role("button", name="Materialize", exact=True).click()
        page.get_by_role("region", name="Progress").get_by_role("link", name="Open the run").click()
        page.get_by_role("link", name="Operation", exact=True).click()
        expect(page.get_by_role("heading", name=f"Materialize {ASSET}")).to_be_visible()
        page.get_by_role("region", name="Runs").get_by_role("link").click()
        expect(page.get_by_role("heading", name=ASSET)).to_be_visible()
        expect(page.get_by_text("Running", exact=True).first).to_be_visible()
        id = page.url.rpartition("/")[2]
        platform_site.orchestrator.log(id, "the first line")
        expect(page.get_by_role("log").get_by_text("the first line")).to_be_visible()

        began = clock.now()
        steps = [
            StepState(STEPS[SILVER], StepStatus.SUCCEEDED, began, began, 1),
            StepState(STEPS[ASSET], StepStatus.RUNNING, began),
        ]
        platform_site.orchestrator.step_states[id] = steps
        fail(platform_site, id, "Column delay has no values")
        expect(page.get_by_role("alert")).to_contain_text("Column delay has no values")
        expect(page.get_by_role("button", name=f"{ASSET} failed")).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_role("log").get_by_text("Column delay has no values")).to_be_visible()
        expect(page.get_by_role("log").get_by_text("the first line")).to_be_hidden()
        assert_accessible(page)

        page.get_by_role("button", name="Retry from the failed step").click()
        page.get_by_role("dialog").get_by_role("button", name="Retry").click()
        expect(page.get_by_role("link", name="Run that it retries")).to_be_visible()
        retry = page.url.rpartition("/")[2]
        assert platform_site.orchestrator.launches[-1].retries == id
        page.get_by_role("button", name="Cancel run").click()
        page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
        expect(page.get_by_text("Canceled", exact=True).first).to_be_visible()
        assert platform_site.orchestrator.terminated == [retry]
        link = page.get_by_role("link", name="Open in Dagster")
        expect(link).to_have_attribute("href", f"/dagster/runs/{retry}")
        page.go_back()
        expect(page.get_by_role("alert", name="The run failed")).to_contain_text("Column delay has no values")


def test_the_list_is_live_and_its_rows_stay_where_they_are(platform_site: Site) -> None:
    ran(platform_site, "5c4ed41e-0001", RunStatus.RUNNING, tags={"dagster/schedule_name": "daily"})
    with logged_in(platform_site, "ada", "/runs?origin=SCHEDULE") as page:
        table = page.get_by_role("table", name="Runs")
        expect(table.get_by_text("Schedule: daily")).to_be_visible()
        expect(table.get_by_text("Running", exact=True)).to_be_visible()
        ran(platform_site, "5c4ed41e-0002", RunStatus.RUNNING, tags={"dagster/schedule_name": "hourly"})
        platform_site.orchestrator.end("5c4ed41e-0001", RunStatus.SUCCEEDED)
        expect(table.get_by_text("Succeeded", exact=True)).to_be_visible()
        expect(table.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="1 new run").click()
        expect(table.locator("tbody tr")).to_have_count(2)
        assert_accessible(page)

        page.get_by_label("User, schedule, or sensor").fill("daily")
        page.keyboard.press("Enter")
        page.wait_for_url("**by=daily**")
        expect(table.locator("tbody tr")).to_have_count(1)
        page.reload()
        expect(table.locator("tbody tr")).to_have_count(1)
        page.get_by_role("button", name="Clear filters").click()
        page.wait_for_url(f"**{CONSOLE}/runs")


def test_a_failed_run_opens_at_its_cause_by_keyboard(platform_site: Site) -> None:
    id = ran(platform_site, "fa11ed00-0001", RunStatus.RUNNING, tags={"dagster/sensor_name": "landing"})
    fail(platform_site, id, "No such file")
    with logged_in(platform_site, "ada", "/runs?state=FAILED&origin=SENSOR") as page:
        page.get_by_role("link", name="fa11ed00").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("No such file")
        page.get_by_role("button", name="Show all steps").click()
        expect(page.get_by_text("301 lines")).to_be_visible()
        page.get_by_label("Search the log").fill("part 29")
        expect(page.get_by_text("11 of 301 lines")).to_be_visible()
        page.get_by_role("tab", name="Graph").click()
        expect(page.locator(".react-flow__node").first).to_be_visible()
        assert_accessible(page)
        page.get_by_role("tab", name="Versions").click()
        expect(page.get_by_role("region", name="Written").get_by_role("link", name=ASSET)).to_be_visible()
        assert_accessible(page)
        page.reload()
        expect(
            page.get_by_role("region", name="Read").get_by_role("link", name="flights.bronze.flights")
        ).to_be_visible()


def test_schedules_and_sensors_say_why_they_did_nothing(platform_site: Site) -> None:
    daily = platform_site.orchestrator.schedules["daily"]
    times = tuple(clock.now() + timedelta(days=n, hours=1) for n in range(1, 6))
    platform_site.orchestrator.schedules["daily"] = dataclasses.replace(daily, upcoming=times, next_tick_at=times[0])
    with logged_in(platform_site, "ada", "/runs/automation") as page:
        expect(page.get_by_role("table", name="Sensors").get_by_text("nothing new")).to_be_visible()
        expect(page.get_by_role("table", name="Schedules").get_by_text("tomorrow")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("switch", name="landing is off").press("Space")
        expect(page.get_by_role("switch", name="landing is on")).to_be_checked()
        assert platform_site.orchestrator.sensors["landing"].running
    with logged_in(platform_site, "vic", "/runs/automation") as page:
        expect(page.get_by_role("switch", name="daily is on")).to_be_disabled()


def test_a_pipeline_shows_its_assets_and_parameters(platform_site: Site) -> None:
    project = {"name": "flights", "organization_id": "default", "spec": {"title": "Flights"}}
    body = {
        "name": "nightly",
        "project_id": platform_site.post("projects", project)["id"],
        "spec": {
            "title": "Nightly tables",
            "assets": [ASSET],
            "parameters": {"days": {"type": "INTEGER", "default": 3, "targets": [{"asset": ASSET, "field": "days"}]}},
        },
    }
    id = platform_site.post("../ai-catalog/pipelines", body)["id"]
    ran(platform_site, "91e0e00-0001", RunStatus.SUCCEEDED, tags={"headwater/pipeline": id})
    with logged_in(platform_site, "ada", f"/ai-catalog/pipelines/{id}") as page:
        expect(page.get_by_role("heading", name="Nightly tables")).to_be_visible()
        expect(page.locator(".react-flow__node")).to_have_count(2)
        expect(page.get_by_role("region", name="Parameters").get_by_text("days", exact=True)).to_be_visible()
        expect(page.get_by_role("table", name="Runs of the pipeline").locator("tbody tr")).to_have_count(1)
        assert_accessible(page)
        page.goto(f"{platform_site.url}{CONSOLE}/ai-catalog/pipelines/new")
        expect(page.get_by_role("heading", name="Create pipeline")).to_be_visible()


def test_another_organization_sees_no_run(platform_site: Site) -> None:
    id = ran(platform_site, "5ec3e700-0001", RunStatus.RUNNING)
    with logged_in(platform_site, "olga", "/runs") as page:
        expect(page.get_by_text("Nothing has run yet.")).to_be_visible()
        page.goto(f"{platform_site.url}{CONSOLE}/runs/{id}")
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")


def test_the_pages_fit_a_phone(platform_site: Site) -> None:
    id = ran(platform_site, "9404e000-0001", RunStatus.RUNNING)
    with logged_in(platform_site, "ada", "/runs", viewport={"width": 390, "height": 800}) as page:
        for path in ("/runs", f"/runs/{id}", "/runs/automation"):
            page.goto(f"{platform_site.url}{CONSOLE}{path}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.locator("[aria-busy=true]")).to_have_count(0)
            assert fits_a_phone(page), path
