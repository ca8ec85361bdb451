"""What a browser measures: wall times as users feel them, and CPU times, which a busy machine hardly changes.

The trace of Chromium has the CPU time of each task of each thread.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from playwright.sync_api import CDPSession, Page

MAIN, WORKER = "CrRendererMain", "DedicatedWorker thread"
_CATEGORIES = ["toplevel", "blink.user_timing", "loading"]
_TASKS = ("ThreadControllerImpl::RunTask", "ThreadPool_RunTask")

OBSERVE = """
window.measured = { lcp: 0, interactions: [] };
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) measured.lcp = entry.startTime;
}).observe({ type: "largest-contentful-paint", buffered: true });
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (entry.interactionId) measured.interactions.push(entry.duration);
}).observe({ type: "event", durationThreshold: 16, buffered: true });
for (const type of ["keydown", "pointerdown", "pointerup", "click"]) {
  addEventListener(type, () => {
    performance.mark("input");
    requestAnimationFrame(() => setTimeout(() => performance.mark("painted")));
  }, true);
}
"""
"""Largest contentful paint and the durations of interactions, as the `web-vitals` library defines them. Durations
below 16 ms are not reported."""

FRAMES = """(frames) => new Promise((resolve) => {
  const times = [];
  const tick = (time) => {
    performance.mark("frame");
    times.push(time);
    if (times.length > frames) resolve(times.map((one, at) => one - (times[at - 1] ?? one)).slice(1));
    else requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
})"""
"""Marks each frame, and returns the milliseconds between them."""


@dataclass
class Trace:
    """The tasks and marks of the page that was measured, in milliseconds."""

    main: list[tuple[float, float]] = field(default_factory=list)
    """Begin and CPU time of each task of the page's main thread."""

    worker: list[tuple[float, float]] = field(default_factory=list)
    marks: list[tuple[str, float, float]] = field(default_factory=list)
    """Name, time, and CPU time of the main thread until then."""

    started: float = 0.0
    lcp: float = 0.0

    def cpu(self, until: float = float("inf")) -> float:
        """The CPU time of the main thread from the navigation on."""
        return sum(cpu for begin, cpu in self.main if self.started <= begin < until)

    def worker_cpu(self) -> float:
        return sum(cpu for begin, cpu in self.worker if begin >= self.started)

    def longest(self) -> float:
        """The CPU time of the longest task of the main thread."""
        return max((cpu for begin, cpu in self.main if begin >= self.started), default=0.0)

    def steps(self, name: str) -> list[float]:
        """The CPU time of the main thread between each mark of a name and the next one."""
        times = [cpu for mark, _, cpu in self.marks if mark == name]
        return [later - earlier for earlier, later in pairwise(times)]

    def between(self, first: str, last: str) -> list[float]:
        """The CPU time of the main thread from each mark to the next one with another name."""
        found, open_at = [], None
        for mark, _, cpu in self.marks:
            if mark == first and open_at is None:
                open_at = cpu
            elif mark == last and open_at is not None:
                found.append(cpu - open_at)
                open_at = None
        return found


@contextmanager
def traced(page: Page) -> Iterator[Trace]:
    """Records what the page does. The trace is there when the block has ended."""
    browser = page.context.browser
    assert browser
    trace = Trace()
    browser.start_tracing(page=page, categories=_CATEGORIES)
    yield trace
    page.evaluate("performance.mark('traced')")
    _read(json.loads(browser.stop_tracing())["traceEvents"], trace)


def _read(events: list[dict[str, Any]], trace: Trace) -> None:
    names = {(one["pid"], one["tid"]): one["args"]["name"] for one in events if one.get("name") == "thread_name"}
    page = next(one["pid"] for one in events if one["name"] == "traced" and "tts" in one)
    for one in events:
        if one["pid"] != page:
            continue
        thread, at = names.get((page, one["tid"])), one.get("ts", 0) / 1000
        if one["name"] in _TASKS and "tdur" in one and thread in (MAIN, WORKER):
            (trace.main if thread == MAIN else trace.worker).append((at, one["tdur"] / 1000))
        elif one.get("cat") == "blink.user_timing" and one["ph"] == "I" and thread == MAIN:
            trace.marks.append((one["name"], at, one["tts"] / 1000))
        elif one["name"] == "navigationStart" and one["args"]["data"]["documentLoaderURL"]:
            trace.started = at
        elif one["name"] == "largestContentfulPaint::Candidate" and one["args"]["data"]["isOutermostMainFrame"]:
            trace.lcp = at
    trace.marks.sort(key=lambda mark: mark[1])


class Transfer:
    """The bytes and requests of a page, as they come over the network."""

    def __init__(self, page: Page) -> None:
        self.size_bytes = 0
        self.requests = 0
        self._session: CDPSession = page.context.new_cdp_session(page)
        self._session.on("Network.loadingFinished", self._add)
        self._session.send("Network.enable")

    def _add(self, event: dict[str, Any]) -> None:
        self.size_bytes += int(event["encodedDataLength"])
        self.requests += 1
