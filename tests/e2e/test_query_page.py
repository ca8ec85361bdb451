"""The query page in a real browser: from a statement to a chart that a colleague opens and an outsider can't."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.console_pages import CONSOLE, add_user, assert_accessible, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.lakehouse_tables import BRONZE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DELAYS = "SELECT range AS delay, 'c' || range % 3 AS carrier FROM range(30)"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("query")) as running:
        projects = {
            name: running.post("projects", {"name": name, "spec": {"title": name.title()}})["id"]
            for name in ("flights", "shop")
        }
        add_user(running, "default", "ada", "rol_admin", "platform")
        add_user(running, "default", "carl", "rol_viewer", projects["flights"])
        add_user(running, "default", "olga", "rol_admin", projects["shop"])
        yield running


def run(page: Page, sql: str) -> None:
    page.get_by_label("SQL statement").fill(sql)
    page.get_by_label("SQL statement").press("Control+Enter")


def test_a_statement_shows_its_rows_or_what_is_wrong(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        editor = page.get_by_label("SQL statement")
        editor.fill("SELECT range AS number FROM range(100000)")
        page.get_by_label("Maximum number of rows").fill("100000")
        editor.press("Control+Enter")
        expect(page.get_by_text("100,000 rows in")).to_be_visible()
        grid = page.get_by_role("region", name="Result")
        assert grid.locator("tr").count() < 100, "only the rows on the screen are drawn"
        grid.evaluate("box => box.scrollTo(0, box.scrollHeight)")
        expect(grid.get_by_role("cell", name="99999", exact=True)).to_be_visible()
        assert_accessible(page)
        address = page.url
        editor.fill("SELECT nothing")
        editor.press("Control+Enter")
        expect(page.get_by_role("alert")).to_contain_text("nothing")
        page.goto(address)
        expect(page.get_by_label("SQL statement")).to_contain_text("range(100000)")


def test_a_saved_chart_opens_for_a_colleague_and_not_for_an_outsider(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        run(page, DELAYS)
        page.get_by_role("tab", name="Chart").click()
        page.get_by_label("Form of the chart").get_by_text("Line").click()
        page.get_by_role("combobox", name="One series for each").click()
        page.get_by_role("option", name="carrier").click()
        page.get_by_role("combobox", name="X", exact=True).click()
        page.get_by_role("option", name="delay").click()
        expect(page.get_by_role("img", name="delay by delay")).to_be_visible()
        assert_accessible(page)
        page.get_by_role("button", name="Save", exact=True).click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Title").fill("Delays by carrier")
        dialog.get_by_role("combobox", name="Project").click()
        page.get_by_role("option", name="Flights").click()
        assert_accessible(page)
        dialog.get_by_role("button", name="Save").click()
        expect(page.get_by_role("heading", name="Delays by carrier")).to_be_visible()
        address = page.url.removeprefix(f"{platform_site.url}{CONSOLE}")
        assert address.startswith("/query?saved=")
    with logged_in(platform_site, "carl", address) as page:
        expect(page.get_by_role("img", name="delay by delay")).to_be_visible()
        expect(page.get_by_role("button", name="Save changes")).to_be_disabled()
        page.get_by_role("button", name="Show as table").click()
        table = page.get_by_role("region", name="delay by delay").get_by_role("table")
        expect(table).to_have_attribute("aria-rowcount", "31")
        page.get_by_role("button", name="Saved and run before").click()
        expect(page.get_by_role("dialog").get_by_text("Delays by carrier")).to_be_visible()
    with logged_in(platform_site, "olga", address) as page:
        expect(page.get_by_role("alert")).to_contain_text("There is nothing here that you can see")
        expect(page.get_by_text("Delays by carrier")).to_have_count(0)


def test_an_error_is_marked_at_its_line(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        run(page, f"SELECT id,\n  gate\nFROM {BRONZE}")
        expect(page.get_by_role("alert")).to_contain_text("gate")
        expect(page.get_by_text("Line 2 of the statement is marked.")).to_be_visible()
        expect(page.locator(".cm-lintRange-error")).to_have_text("gate")
        assert_accessible(page)
        run(page, "SELECT 1 AS one\nFORM nothing nowhere")
        expect(page.get_by_text("Line 2 of the statement is marked.")).to_be_visible()


def test_a_result_names_its_versions_and_an_earlier_one_can_be_read(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        run(page, f"SELECT count(*) AS number FROM {BRONZE}")
        grid = page.get_by_role("region", name="Result")
        expect(grid.get_by_role("cell", name="25")).to_be_visible()
        read = page.get_by_role("region", name="Tables that were read")
        expect(read.get_by_role("link", name=BRONZE)).to_have_attribute("href", f"{CONSOLE}/ai-catalog/assets/{BRONZE}")
        read.get_by_role("button", name="version 1 (newest)").click()
        page.get_by_role("menuitem", name="Version 0").click()
        expect(grid.get_by_role("cell", name="10")).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Run Ctrl Enter").click()
        expect(grid.get_by_role("cell", name="10")).to_be_visible()


def test_columns_of_the_named_tables_complete(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        editor = page.get_by_label("SQL statement")
        editor.press_sequentially(f"SELECT * FROM {BRONZE} WHERE ")
        editor.press_sequentially("carr")
        option = page.locator(".cm-tooltip-autocomplete [role=option]", has_text="carrier")
        expect(option).to_contain_text("string")
        option.click()
        expect(editor).to_contain_text("WHERE carrier")


def test_a_statement_is_cancelled_and_a_result_is_downloaded(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        run(page, "SELECT count(*) FROM range(100000000) AS a, range(100000) AS b WHERE a.range % 7 = b.range % 5")
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("status").get_by_text("Cancelled")).to_be_visible()
        run(page, "SELECT '=1+1' AS text, -1 AS number")
        with page.expect_download() as file:
            page.get_by_role("button", name="Download 1 row as CSV").click()
        assert Path(file.value.path()).read_bytes() == b"text,number\r\n'=1+1,-1\r\n"


def test_fits_a_phone(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query", viewport={"width": 390, "height": 800}) as page:
        run(page, DELAYS)
        page.get_by_role("tab", name="Chart").click()
        expect(page.get_by_role("img", name="delay by carrier")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_result_and_a_table_are_downloaded_with_their_types(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", "/query") as page:
        run(page, f"SELECT id, price FROM {BRONZE} ORDER BY id")
        expect(page.get_by_text("25 rows in")).to_be_visible()
        with page.expect_download() as file:
            page.get_by_role("button", name="As Parquet").click()
        found = pl.read_parquet(file.value.path())
        assert (file.value.suggested_filename, found["id"].to_list()) == ("result.parquet", list(range(25)))
        assert found.schema["price"] == pl.Decimal(10, 2)
        page.goto(f"{platform_site.url}{CONSOLE}/ai-catalog/assets/{BRONZE}?tab=data&version=0")
        with page.expect_download() as file:
            page.get_by_role("link", name="Download as Parquet").click()
        assert file.value.suggested_filename == f"{BRONZE}@0.parquet"
        assert sorted(pl.read_parquet(file.value.path())["id"]) == list(range(10))
