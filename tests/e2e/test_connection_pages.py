"""Connections in a browser: a database is added, tested, and looked into, and its password stays a secret."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from tests.e2e.choosing import choose
from tests.e2e.console_pages import add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.remote_postgresql import RemotePostgreSql, remote_postgresql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("connections")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        running.post("projects", {"name": "sales", "spec": {"title": "Sales"}})
        yield running


@pytest.fixture
def remote(postgresql_url: str) -> Iterator[RemotePostgreSql]:
    with remote_postgresql(postgresql_url) as database:
        with sa.create_engine(database.url, poolclass=sa.pool.NullPool).begin() as owner:
            owner.exec_driver_sql("CREATE TABLE orders (id int PRIMARY KEY, amount numeric(12, 2) NOT NULL)")
            owner.exec_driver_sql(f"GRANT SELECT ON orders TO {database.user}")
        yield database


def test_a_database_is_added_tested_and_looked_into(platform_site: Site, remote: RemotePostgreSql) -> None:
    with logged_in(platform_site, "ada", "/connections/connections") as page:
        page.get_by_role("link", name="Create connection").first.click()
        assert_accessible(page)
        page.get_by_role("button", name="PostgreSQL").click()
        choose(page, "Project", "sales")
        page.get_by_role("textbox", name="Name", exact=True).fill("shop")
        page.get_by_label("Title").fill("The shop")
        page.get_by_label("Host").fill("127.0.0.1")
        page.get_by_label("Port").fill(str(remote.port))
        page.get_by_label("Database").fill(remote.database)
        page.get_by_role("textbox", name="User").fill(remote.user)
        page.get_by_role("textbox", name="Password").fill("not the password")
        page.get_by_role("combobox", name="TLS").click()
        page.get_by_role("option", name="disable").click()
        page.get_by_role("button", name="Test", exact=True).click()
        steps = page.get_by_role("table", name="Steps of the test")
        expect(steps.get_by_role("row").filter(has_text="Failed")).to_contain_text("password")
        expect(steps.get_by_text("Not tried")).not_to_have_count(0)
        page.get_by_role("textbox", name="Password").fill(remote.password)
        page.get_by_role("button", name="Test", exact=True).click()
        expect(steps.get_by_text("Passed", exact=True)).to_have_count(4)
        assert_accessible(page)
        page.get_by_role("button", name="Create the connection").click()
        page.wait_for_url("**/connections/connections/con_*")
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_role("region", name="Former tests").get_by_text("Passed")).to_be_visible()
        expect(steps.get_by_text("Passed", exact=True)).to_have_count(4)
        assert_accessible(page)
        page.get_by_role("tab", name="Content").click()
        content = page.get_by_role("table", name="What the connection leads to")
        expect(content.get_by_role("row", name="public.orders")).to_contain_text("id INTEGER not null")
        assert_accessible(page)
        # The name of the new secret is taken by the first one, which other connections may use.
        for password, outcome in (("another password", "Failed"), (remote.password, "Passed")):
            page.get_by_role("tab", name="Settings").click()
            page.get_by_role("button", name="Enter a value instead").click()
            page.get_by_role("textbox", name="Password").fill(password)
            page.get_by_role("button", name="Save").click()
            page.get_by_role("button", name="Test again", exact=True).click()
            expect(steps.get_by_role("row", name="Log in")).to_contain_text(outcome)
        page.set_viewport_size({"width": 390, "height": 800})
        expect(page.locator("html")).to_have_js_property("scrollWidth", 390)
        assert remote.password not in page.content()


def call(platform_site: Site, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the platform answers to a request about connections."""
    reply = platform_site.admin.post(f"{platform_site.url}/api/v1/connections/{path}", json=body)
    assert reply.is_success, reply.text
    return dict(reply.json())


def test_a_connection_is_changed_without_its_secret(platform_site: Site, remote: RemotePostgreSql) -> None:
    secret = call(platform_site, "secrets", {"name": "books", "project_id": "sales", "spec": {"title": "B"}})
    call(platform_site, f"secrets/{secret['id']}:put-version", {"value": remote.password})
    spec = {"title": "Books", "connector": "postgresql", "config": remote.config, "secrets": {"password": "books"}}
    made = call(platform_site, "connections", {"name": "books", "project_id": "sales", "spec": spec})
    with logged_in(platform_site, "ada", f"/connections/connections/{made['id']}?tab=settings") as page:
        page.get_by_label("Title").fill("The books")
        page.get_by_label("Database").fill("absent")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("The connection is saved.")).to_be_visible()
        page.get_by_role("button", name="Test", exact=True).click()
        steps = page.get_by_role("table", name="Steps of the test")
        expect(steps.get_by_role("row").filter(has_text="Failed")).to_contain_text("absent")
        page.get_by_role("tab", name="Settings").click()
        expect(page.get_by_label("Title")).to_have_value("The books")
        expect(page.get_by_role("combobox", name="Password")).to_have_value("books")
