"""Pages of the console when the platform fails, refuses, or can't be reached, and for people who need more contrast or
less motion.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Page, Route, TimeoutError, expect

from tests.e2e.console_pages import AXE, add_user, built, logged_in
from tests.e2e.login_pages import Site, site
from tests.lakehouse_tables import SILVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ASSET = f"/ai-catalog/assets/{SILVER}"
PAGES = (
    "/",
    "/assets",
    ASSET,
    *(
        f"{ASSET}?tab={tab}"
        for tab in ("schema", "data", "versions", "runs", "provenance", "code", "contract", "access")
    ),
    "/lineage",
    "/models",
    "/ai-catalog/registered-models/rmd_1",
    "/experiments",
    "/ai-catalog/experiments/exp_1",
    "/ai-catalog/runs/run_1",
    "/rounds",
    "/ask",
    "/definitions",
    "/ai-catalog/definitions/flights.gold.absent",
    "/runs",
    "/runs/automation",
    "/runs/5c4ed41e-0000-4000-8000-000000000001",
    "/operations/operations",
    "/operations/operations/op_1",
    "/ai-catalog/pipelines/pip_1",
    "/connections/connections/new",
    "/connections/connections/con_1",
    "/account",
    "/admin",
    "/admin/monitoring",
    "/admin/audit-events",
    "/admin/settings",
    "/admin/users",
    "/admin/users/usr_1",
    "/admin/service-accounts/sva_1",
    "/admin/webhook-endpoints/whk_1",
    "/admin/projects/prj_1/move",
)
"""Pages that read something before the user does anything."""

WITHOUT_RIGHTS = ("/admin",)
"""Pages for everyone, on which each figure says in its place that the roles of the user don't include it."""

OF_THE_FRAME = ("/admin/sessions/current", "/admin/preferences/", "/openapi", "/kinds", "/decisions:")
"""What the frame of all pages reads. It fails in no test here, so that each page shows its own error."""

NOWHERE = "/nothing/is/here/at-all"
REQUEST = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def platform_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    built()
    with site(tmp_path_factory.mktemp("states")) as running:
        add_user(running, "default", "ada", "rol_admin", "platform")
        yield running


@dataclass
class Failing:
    """Answers everything that pages read with a problem of a status; without one, the platform can't be reached."""

    status: int | None
    detail: str
    failed: list[str] = field(default_factory=list)

    def __call__(self, route: Route) -> None:
        if any(part in route.request.url for part in OF_THE_FRAME):
            route.continue_()
            return
        self.failed.append(route.request.url)
        if self.status is None:
            route.abort("internetdisconnected")
            return
        body = {"type": "about:blank", "status": self.status, "detail": self.detail, "request_id": REQUEST}
        headers = {"content-type": "application/problem+json", "x-request-id": REQUEST}
        route.fulfill(status=self.status, headers=headers, body=json.dumps(body))


def go(page: Page, path: str) -> None:
    """Follows an address within the console, so that nothing of the frame is read again."""
    page.evaluate("path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')) }", path)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "It failed on purpose. Tell the operator."),
        (403, "You need the permission of the test. Ask an administrator."),
        (None, "Check your connection to the platform"),
    ],
    ids=["failed", "not permitted", "offline"],
)
def test_every_page_says_what_went_wrong_and_offers_a_way_out(
    platform_site: Site, status: int | None, reason: str
) -> None:
    missing: dict[str, str] = {}
    with logged_in(platform_site, "ada", NOWHERE, quiet=True) as page:
        expect(page.get_by_role("heading", name="There is no page at this address.")).to_be_visible()
        expect(page.get_by_role("navigation").get_by_role("link", name="Assets", exact=True)).to_be_visible()
        failing = Failing(status, reason)
        page.route("**/api/v1/**", failing)
        for path in PAGES:
            if status == 403 and path in WITHOUT_RIGHTS:
                continue
            go(page, NOWHERE)
            expect(page.get_by_role("heading", name="There is no page at this address.")).to_be_visible()
            expect(page.locator("main [role=alert]")).to_have_count(0)
            failing.failed.clear()
            go(page, path)
            alert = page.locator("main [role=alert]").filter(has_text=reason)
            if status is not None:
                alert = alert.filter(has_text=REQUEST)
            try:
                alert.filter(has=page.locator("a, button")).first.wait_for(timeout=20_000)
            except TimeoutError:
                missing[path] = f"after {failing.failed}: {page.locator('main').inner_text()[:200]!r}"
    assert missing == {}, "\n".join(f"{path} {why}" for path, why in missing.items())


def test_a_page_recovers_when_the_platform_does(platform_site: Site) -> None:
    with logged_in(platform_site, "ada", NOWHERE, quiet=True) as page:
        expect(page.get_by_role("navigation").get_by_role("link", name="Assets", exact=True)).to_be_visible()
        failing = Failing(500, "It failed on purpose.")
        page.route("**/api/v1/**", failing)
        go(page, "/assets")
        page.locator("main [role=alert]").get_by_role("button", name="Try again").wait_for()
        page.unroute("**/api/v1/**", failing)
        page.locator("main [role=alert]").get_by_role("button", name="Try again").click()
        expect(page.get_by_role("list", name="Assets").get_by_role("listitem").first).to_be_visible()
        expect(page.locator("main [role=alert]")).to_have_count(0)


CONTRASTED = (
    *("/", "/assets", ASSET, f"{ASSET}?tab=schema", "/lineage", "/query"),
    *("/models", "/runs", "/admin", "/admin/users", "/admin/settings", "/account"),
)
"""Pages with the different elements of the console: cards, tables, tabs, graphs, editors, forms, badges."""

CONTRAST = """() => {
    const rgb = name => {
        const probe = document.body.appendChild(document.createElement('i'));
        probe.style.color = `var(--mantine-color-${name})`;
        const found = getComputedStyle(probe).color;
        probe.remove();
        return found;
    };
    return [rgb('text'), rgb('body')];
}"""


def test_pages_are_accessible_in_high_contrast(platform_site: Site) -> None:
    serious: list[object] = []
    black, white = "rgb(0, 0, 0)", "rgb(255, 255, 255)"
    with logged_in(platform_site, "ada", "/account") as page:
        page.get_by_text("High contrast", exact=True).click()
        expect(page.locator("html[data-contrast=high]")).to_have_count(1)
        for number, path in enumerate(CONTRASTED):
            # Half of the pages in each scheme: what they are made of is the same.
            scheme, colors = (("light", [black, white]), ("dark", [white, black]))[number % 2]
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.goto(f"{platform_site.url}{path}")
            expect(page.locator("main h1")).to_be_visible()
            expect(page.locator("html[data-contrast=high]")).to_have_count(1)
            page.wait_for_function("() => !document.documentElement.hasAttribute('data-fetching')")
            assert page.evaluate(CONTRAST) == colors
            page.evaluate(AXE.read_text())
            found = [
                one for one in page.evaluate("axe.run()")["violations"] if one["impact"] in ("serious", "critical")
            ]
            serious += [(path, scheme, one["id"], one["nodes"][0]["html"]) for one in found]
    assert serious == []


WATCH = """() => {
    window.moved = [];
    const look = () => {
        for (const one of document.getAnimations()) {
            const { duration, iterations } = one.effect.getComputedTiming();
            if (one.effect.target?.closest('.cm-editor')) continue;
            if (duration > 1 || iterations > 1) moved.push(`${one.effect.target?.className} ${duration} ${iterations}`);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_nothing_moves_for_people_who_want_no_motion(platform_site: Site, motion: str) -> None:
    with logged_in(platform_site, "ada", "/assets", reduced_motion=motion) as page:
        expect(page.get_by_role("list", name="Assets").get_by_role("listitem").first).to_be_visible()
        page.evaluate(WATCH)
        page.keyboard.press("Control+k")
        expect(page.get_by_placeholder("Find a page or an item, or run a command")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Your account").click()
        expect(page.get_by_role("menuitem", name="Log out")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("listitem").filter(has_text="silver").get_by_role("link").click()
        page.get_by_role("button", name="Materialize").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        moved = page.evaluate("moved")
    assert (moved == []) is (motion == "reduce"), moved[:5]
