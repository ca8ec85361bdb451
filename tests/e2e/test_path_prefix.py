"""A platform that a reverse proxy serves below a path, in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.runs import RunState, RunStatus
from tests.api_process import PASSWORD
from tests.dagster_processes import DagsterProcesses
from tests.e2e.console_pages import built
from tests.e2e.login_pages import site
from tests.lakehouse_tables import SILVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_platform_below_a_path_prefix_keeps_it_on_every_page(tmp_path: Path) -> None:
    with site(tmp_path, HEADWATER_URL="https://example.org/headwater") as running:
        running.user("pia")
        with running.page() as page:
            page.goto(f"{running.url}/headwater/admin/roles")
            page.wait_for_url("**/headwater/login?next=**")
            page.get_by_label("User name").fill("pia")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.keyboard.press("Enter")
            page.wait_for_url(f"{running.url}/headwater/admin/roles")
            page.get_by_role("main").get_by_role("link", name="viewer", exact=True).click()
            expect(page.get_by_role("heading", name="viewer", exact=True)).to_be_visible()
            assert page.url.startswith(f"{running.url}/headwater/admin/roles/")
            page.reload()
            expect(page.get_by_role("heading", name="viewer", exact=True)).to_be_visible()
            page.get_by_role("button", name="Your account").click()
            page.get_by_role("menuitem", name="Log out").click()
            page.wait_for_url(f"{running.url}/headwater/login")


def test_an_operation_of_the_reference_is_tried_out_below_the_prefix(tmp_path: Path) -> None:
    with site(tmp_path, HEADWATER_URL="https://example.org/headwater") as running:
        running.user("pia")
        with running.page() as page:
            page.goto(f"{running.url}/headwater/api/docs/admin")
            page.get_by_label("User name").fill("pia")
            page.get_by_label("Password", exact=True).fill(PASSWORD)
            page.keyboard.press("Enter")
            operation = page.locator("#operations-Project-admin_list_projects")
            operation.locator(".opblock-summary-control").click()
            operation.get_by_text("Try it out").click()
            with page.expect_request("**/api/v1/admin/projects*") as sent:
                operation.get_by_text("Execute").click()
            assert sent.value.url.startswith(f"{running.url}/headwater/api/v1/admin/projects")
            answered = operation.locator(".live-responses-table tbody .response-col_status").first
            expect(answered).to_contain_text("200")


def test_a_run_opens_in_dagster_below_the_prefix_and_the_page_of_the_run_stays(tmp_path: Path) -> None:
    built()
    address = {"HEADWATER_URL": "https://example.org/headwater"}
    with DagsterProcesses(tmp_path, {}, code=tmp_path, environment=address, daemon=False) as dagster:
        port = str(dagster.settings.port)
        with site(tmp_path, HEADWATER_PORT=port, **address) as running:
            running.user("pia")
            run = "5c4ed41e-0000-4000-8000-000000000001"
            running.orchestrator.run_states[run] = RunState(run, RunStatus.SUCCEEDED, 1, 1, assets=(SILVER,))
            running.orchestrator.step_states[run] = []
            with running.page() as page:
                page.goto(f"{running.url}/headwater/runs/{run}")
                page.get_by_label("User name").fill("pia")
                page.get_by_label("Password", exact=True).fill(PASSWORD)
                page.keyboard.press("Enter")
                with page.expect_popup() as opened:
                    page.get_by_role("link", name="Open in Dagster").click()
                dagster_page = opened.value
                # Dagster looks the run up, and has none of this id.
                expect(dagster_page.get_by_text(run[:8]).first).to_be_visible()
                answer = dagster_page.evaluate(GRAPHQL)
                assert answer["data"]["version"], "its requests reach Dagster below the prefix"
                assert dagster_page.url == f"{running.url}/headwater/dagster/runs/{run}"
                dagster_page.close()
                expect(page.get_by_role("link", name="Open in Dagster")).to_be_visible()
                assert page.url == f"{running.url}/headwater/runs/{run}"


GRAPHQL = """() => fetch('/headwater/dagster/graphql', {
    method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify({query: '{ version }'}),
}).then(answer => answer.json())"""
