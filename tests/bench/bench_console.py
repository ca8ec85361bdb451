"""The console in a browser: how soon its pages show, how soon they respond, and how many frames large ones keep.

    python -m tests.bench.bench_console [--rounds N]

The platform runs in a separate process. Wall times are the median of the rounds. A row also has the CPU time of what
users wait for, which a busy machine hardly changes: a goal holds on an idle machine if its CPU time is clearly below.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page  # noqa: E402

from tests.api_process import PASSWORD  # noqa: E402
from tests.bench.browser_trace import FRAMES, OBSERVE, Trace, Transfer, traced  # noqa: E402
from tests.e2e.login_pages import browser_of  # noqa: E402

ROUNDS, FRAMES_SCROLLED, STEP = 3, 120, 600
ASSET = "/ai-catalog/assets/flights.silver.flights"
ROWS = 100_000
NUMBERS = f"select i as number, i * 7 % 1000 as rest, 'row ' || i as text, i / 3 as third from range({ROWS}) t(i)"
PAGES = {"home": "/", "assets": "/assets", "an asset": ASSET, "lineage": "/lineage", "users": "/admin/users"}
READ = """() => document.querySelector("main h1") && !document.documentElement.hasAttribute("data-fetching")
    && !document.querySelector("main .mantine-Skeleton-root, main [aria-busy=true]")"""
"""A page that shows what it reads."""


@dataclass
class Served:
    """A platform in another process."""

    url: str
    pid: int
    commands: IO[str]
    answers: IO[str]

    def grow(self) -> None:
        """Adds 5,010 assets."""
        self.commands.write("grow\n")
        self.commands.flush()
        assert self.answers.readline()

    def cpu(self) -> float:
        """The CPU milliseconds of the server so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run() -> list[dict[str, Any]]:
    """The rows of the report."""
    return list(rows(ROUNDS))


def rows(rounds: int) -> Iterator[dict[str, Any]]:
    """The rows, as they are measured."""
    with serving() as served, browser_of() as browser:
        state = log_in(browser, served.url)
        yield _painted(browser, served, "login", "/login", None, rounds)
        for name, path in PAGES.items():
            yield _painted(browser, served, name, path, state, rounds)
        served.grow()
        for name, case in INTERACTIONS.items():
            yield _responds(browser, served, state, name, *case)
        yield _graph(browser, served, state, "in groups", "/lineage", ".react-flow__node", rounds)
        yield _graph(browser, served, state, "all", "/lineage?group=none", "[data-testid=overview]", rounds)
        yield _scrolls(browser, served, state, "result of a query", _queried)
        yield _scrolls(browser, served, state, "list of items", _listed)


@contextmanager
def serving() -> Iterator[Served]:
    """A platform, as long as it is entered."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, "-m", "tests.bench.served_console", home]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert process.stdin
        assert process.stdout
        started = json.loads(process.stdout.readline())
        yield Served(started["url"], process.pid, process.stdin, process.stdout)
        process.stdin.close()
        process.wait()


def log_in(browser: Browser, url: str) -> Any:
    """What a browser stores when its user has logged in."""
    with _page(browser, None) as page:
        page.goto(f"{url}/account")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{url}/account")
        return page.context.storage_state()


@contextmanager
def _page(browser: Browser, state: Any) -> Iterator[Page]:
    """A page of a browser that has nothing of the console in its cache."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=state)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(OBSERVE)
    yield page
    context.close()


def _painted(browser: Browser, served: Served, name: str, path: str, state: Any, rounds: int) -> dict[str, Any]:
    """Largest contentful paint of a page that the browser opens for the first time."""
    walls, cpus, servers, sizes = [], [], [], []
    requests = 0
    for _ in range(rounds):
        with _page(browser, state) as page:
            transfer = Transfer(page)
            before = served.cpu()
            with traced(page) as trace:
                page.goto(f"{served.url}{path}")
                page.wait_for_function(READ if state else "() => document.readyState === 'complete'")
                # The browser reports a paint after the frame in which it happened.
                page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
                walls.append(float(page.evaluate("measured.lcp")))
            servers.append(served.cpu() - before)
            cpus.append(trace.cpu(until=trace.lcp))
            sizes.append(transfer.size_bytes)
            requests = transfer.requests
    note = (
        f"CPU until then {median(cpus):.0f} ms in the page, {median(servers):.0f} ms in the server for the whole page"
    )
    size = f"{median(sizes) / 1000:.0f} KB in {requests} requests"
    return _row(f"LCP of {name}, nothing cached", walls, "< 1500 ms", f"{note}; {size}")


def _palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_placeholder("Find a page or an item").wait_for()
    page.keyboard.press("Escape")


def _type(label: str, text: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_label(label).first.press_sequentially(text, delay=30)

    return act


def _open_row(page: Page) -> None:
    page.locator("tr[data-index='2'] td").last.click()
    page.get_by_role("complementary", name="Side view").wait_for()


def _open_tab(page: Page) -> None:
    page.get_by_role("tab", name="Schema").click()
    page.wait_for_url("**tab=schema**")


INTERACTIONS: dict[str, tuple[str, Callable[[Page], None]]] = {
    "typing in the search of 5,015 assets": ("/assets", _type("Search assets", "silver t1")),
    "typing in the filter of 100,000 groups": ("/admin/groups", _type("Filter", "name == 1")),
    "typing in the search of a graph of 5,015 assets": ("/lineage", _type("Find an asset", "silver.t1")),
    "opening the palette": ("/assets", _palette),
    "opening a row": ("/admin/groups", _open_row),
    "opening a tab": (ASSET, _open_tab),
}


def _responds(
    browser: Browser, served: Served, state: Any, name: str, path: str, act: Callable[[Page], None]
) -> dict[str, Any]:
    """The slowest of a page's interactions, from the input to the next frame."""
    with _page(browser, state) as page:
        page.goto(f"{served.url}{path}")
        page.wait_for_function(READ)
        with traced(page) as trace:
            act(page)
            page.wait_for_function(READ)
            page.evaluate("() => new Promise((done) => setTimeout(done, 500))")
            durations = [float(one) for one in page.evaluate("measured.interactions")]
    cpu = max(trace.between("input", "painted"), default=0.0)
    # The browser reports no interaction below 16 ms.
    return _row(f"INP, {name}", [max(durations, default=16.0)], "< 200 ms", f"CPU of the slowest one {cpu:.0f} ms")


def _graph(
    browser: Browser, served: Served, state: Any, name: str, path: str, drawn: str, rounds: int
) -> dict[str, Any]:
    """First paint of the graph, after the console was opened before."""
    walls: list[float] = []
    found: list[Trace] = []
    servers = []
    for _ in range(rounds):
        with _page(browser, state) as page:
            page.goto(f"{served.url}/assets")
            page.wait_for_function(READ)
            before = served.cpu()
            with traced(page) as trace:
                page.goto(f"{served.url}{path}")
                page.locator(drawn).first.wait_for()
                walls.append(
                    float(
                        page.evaluate("""() => new Promise((done) =>
                    requestAnimationFrame(() => setTimeout(() => done(performance.now()))))""")
                    )
                )
            servers.append(served.cpu() - before)
            found.append(trace)
    cpu, worker, longest = (
        median(getter(one) for one in found) for getter in (Trace.cpu, Trace.worker_cpu, Trace.longest)
    )
    note = f"CPU {cpu:.0f} ms in the page (longest task {longest:.0f}), {worker:.0f} in its worker, "
    return _row(
        f"first paint of 5,015 assets, {name}", walls, "< 1000 ms", note + f"{median(servers):.0f} in the server"
    )


def _queried(page: Page, url: str) -> None:
    page.goto(f"{url}/query?limit={ROWS}")
    page.get_by_label("SQL statement").fill(NUMBERS)
    page.get_by_label("SQL statement").press("Control+Enter")
    page.locator(f"table[aria-rowcount='{ROWS + 1}']").wait_for()


def _listed(page: Page, url: str) -> None:
    page.goto(f"{url}/admin/groups?order_by=name")
    page.get_by_text("100,000 groups").wait_for()
    page.locator("table[aria-busy=false]").wait_for()


SCROLL = """(step) => {
  const table = document.querySelector("table[aria-rowcount]");
  const box = table.closest("[role=region]");
  const tick = () => {
    box.scrollTop += step;
    window.scrolling = requestAnimationFrame(tick);
  };
  tick();
}"""


def _scrolls(
    browser: Browser, served: Served, state: Any, name: str, open_page: Callable[[Page, str], None]
) -> dict[str, Any]:
    """Frames while a table scrolls by most of a screen in each."""
    with _page(browser, state) as page:
        open_page(page, served.url)
        page.wait_for_function(READ)
        with traced(page) as trace:
            page.evaluate(SCROLL, STEP)
            times = [float(one) for one in page.evaluate(FRAMES, FRAMES_SCROLLED)]
            page.evaluate("cancelAnimationFrame(window.scrolling)")
    cpus = sorted(trace.steps("frame"))
    slow = cpus[int(len(cpus) * 0.95)]
    note = f"{STEP} px a frame; CPU {median(cpus):.1f} ms a frame, {slow:.1f} at the 95th percentile (50 a second: 20)"
    rate = 1000 / (sum(times) / len(times))
    return _row(f"{name} of 100,000 rows, frames a second", [rate], ">= 50", note, unit="fps")


def _row(name: str, values: list[float], goal: str, note: str, unit: str = "ms") -> dict[str, Any]:
    best = f"; best {min(values):.0f}" if len(values) > 1 else ""
    return {
        "name": name,
        "peer": "",
        "ours_ms": round(median(values), 1),
        "peer_ms": None,
        "ratio": "",
        "goal": goal,
        "note": note + best,
        "unit": unit,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    for row in rows(parser.parse_args().rounds):
        print(f"{row['name']}: {row['ours_ms']} {row['unit']} (goal {row['goal']}); {row['note']}", flush=True)
