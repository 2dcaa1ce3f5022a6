"""How smooth the page of 200,000 partitions is in a browser: ``python bench/partition_page.py [--quick]``. Needs Chromium.

A frame may be late because others use the machine. So the longest piece of work of the page's thread is told too, in
processor time: a frame can be no later than that on a machine of one's own.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import msgspec
import uvicorn
from playwright.sync_api import Page, sync_playwright

from microflow import Job, TimePartitions, create_flow
from microflow.engine.engine import Engine
from microflow.web.app import create_app

flow = create_flow("page", timezone="UTC")


@flow.task(
    runner="thread",
    time_partitions=TimePartitions("daily", start="1999-07-09", end="2026-11-23"),
    cat_partitions=[f"station {number:02}" for number in range(1, 21)],
)
def long(a: dict[str, Any]) -> dict[str, Any]:
    """10,000 days of 20 categories."""
    return {}


@flow.task(
    runner="thread",
    time_partitions=TimePartitions("daily", start="2025-07-12", end="2026-11-23"),
    cat_partitions=[f"customer {number:03}" for number in range(1, 401)],
)
def wide(a: dict[str, Any]) -> dict[str, Any]:
    """500 days of 400 categories."""
    return {}


GOAL = "(no frame above 50 ms)"

ZOOMS = (
    ("zooming in, seven times", 7, "[data-zoom=in]"),
    ("zooming out, seven times", 7, "[data-zoom=out]"),
    ("everything made to fit", 1, "[data-zoom=fit]"),
    ("coloured by duration", 1, "label:has([value=duration])"),
    ("coloured by status", 1, "label:has([value=status])"),
    ("all that has failed selected", 1, "[data-select=failed]"),
    ("nothing selected", 1, "[data-select=none]"),
)
"""What else is done to the picture: in words, how often, and what is pressed."""

FRAMES = """(milliseconds) => new Promise((done) => {
  const picture = document.querySelector("partition-matrix").picture;
  const frames = [], drawings = [];
  const end = performance.now() + milliseconds;
  let last = NaN, drawn = picture.frames;
  requestAnimationFrame(function step(now) {
    if (!Number.isNaN(last)) frames.push(now - last);
    last = now;
    if (picture.frames !== drawn) drawings.push(picture.took);
    drawn = picture.frames;
    if (now < end) requestAnimationFrame(step);
    else done({ frames, drawings });
  });
})"""

SCROLLING = """() => {
  const { scroller } = document.querySelector("partition-matrix").picture;
  window.scrolling = true;
  scroller.scrollTo({ left: 0, top: 0, behavior: "instant" });
  (function step() {
    if (!window.scrolling) return;
    scroller.scrollBy(37, 3);
    if (scroller.scrollLeft + scroller.clientWidth > scroller.scrollWidth - 2) scroller.scrollLeft = 0;
    document.querySelector("partition-matrix").picture.invalidate();
    requestAnimationFrame(step);
  })();
}"""


def row(name: str, value: str, goal: str = "") -> None:
    """One line of the table."""
    print(f"{name:<56}{value:>66}   {goal}")


def fill(engine: Engine, job: Job[Any]) -> None:
    """Most partitions in one state or another, in stretches, as failures come."""
    chance = random.Random(1)
    grid = engine.partitions.grid(job)
    with engine.store.database.transaction():
        for category in grid.cats:
            bad = 0
            for text in grid.times:
                bad = chance.randint(5, 60) if chance.random() < 0.004 else bad - 1
                status = "error" if bad > 0 and chance.random() < 0.7 else chance.choice(["success"] * 40 + ["skipped"])
                if chance.random() < 0.04:
                    continue
                engine.store.database.execute_text(
                    "INSERT INTO partitions (flow, job, cat_partition, time_partition, status, execution_id, started_at,"
                    " ended_at, attempt) VALUES ('page', ?, ?, ?, ?, 0, 1e9, ?, 1)",
                    (job.name, category, text, status, 1e9 + chance.random() * 100),
                )


@contextmanager
def served(engine: Engine) -> Iterator[str]:
    """The address of a server of the engine."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(engine), log_level="warning", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def told(measured: Any, work: float) -> str:
    """The middle and the longest of the frames, and of what drawing took of them; the longest piece of work."""
    frames, drawings = sorted(measured["frames"]), sorted(measured["drawings"]) or [0.0]
    late = sum(1 for frame in frames if frame > 50)
    return (
        f"{median(frames):.1f} / {frames[-1]:.1f} ms, {late} late; draw {median(drawings):.1f} / {drawings[-1]:.1f} ms; "
        f"work {work:.1f} ms"
    )


class Work:
    """The longest piece of work of the page's thread while a block is carried out, in milliseconds of processor time."""

    longest = 0.0

    def __init__(self, page: Page) -> None:
        self._page = page

    def __enter__(self) -> Work:
        browser = self._page.context.browser
        assert browser is not None
        self._browser = browser
        browser.start_tracing(
            page=self._page, categories=["toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
        )
        return self

    def __exit__(self, *_: object) -> None:
        trace = msgspec.json.decode(self._browser.stop_tracing())["traceEvents"]
        threads = {
            (event["pid"], event["tid"])
            for event in trace
            if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
        }
        tasks = [event["tdur"] for event in trace if "tdur" in event and (event["pid"], event["tid"]) in threads]
        self.longest = max(tasks, default=0) / 1e3


def look(page: Page, address: str, job: Job[Any], milliseconds: int) -> None:
    """One job: its loading, then frames while it is scrolled and dragged over, at several sizes."""
    picture = "document.querySelector('partition-matrix').picture"
    loads = []
    for _ in range(3):
        page.goto(f"{address}/jobs/page/{job.name}/partitions")
        page.locator("[data-total]", has_text="200,000 partitions").wait_for()
        loads.append(page.evaluate("performance.now()"))
    row(f"{job.name}: from the request to the picture (best of 3)", f"{min(loads):.0f} ms")
    for zooms in (0, 3, 6, 9, 12):
        page.evaluate(f"{picture}.selection.clear()")
        page.evaluate(f"{picture}.fit()")
        for _ in range(zooms):
            page.evaluate(f"{picture}.zoomBy('in')")
        unit = page.evaluate(f"{picture}.view.columns.unit")
        with Work(page) as work:
            page.evaluate(SCROLLING)
            measured = page.evaluate(FRAMES, milliseconds)
            page.evaluate("window.scrolling = false")
        row(f"{job.name}: scrolling, {unit:.2f} pixels a day", told(measured, work.longest), GOAL)
        box = page.locator("canvas").bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 200, box["y"] + 60)
        with Work(page) as work:
            page.mouse.down()
            page.evaluate(f"void (window.measured = ({FRAMES})({milliseconds}))")
            for step in range(milliseconds // 18):
                page.mouse.move(box["x"] + 200 + step % 700, box["y"] + 60 + step % 300)
            measured = page.evaluate("window.measured")
            page.mouse.up()
        row(f"{job.name}: dragging, {unit:.2f} pixels a day", told(measured, work.longest), GOAL)
    page.evaluate(f"{picture}.selection.clear()")
    page.evaluate(f"{picture}.fit()")
    for what, times, act in ZOOMS:
        with Work(page) as work:
            page.evaluate(f"void (window.measured = ({FRAMES})({milliseconds}))")
            for _ in range(times):
                page.locator(act).click()
            measured = page.evaluate("window.measured")
        row(f"{job.name}: {what}", told(measured, work.longest), GOAL)
    started = page.evaluate("performance.now()")
    page.locator("[data-select=missing]").click()
    page.locator("[data-estimate]", has_text="executions").wait_for()
    row(
        f"{job.name}: all that is missing selected and planned",
        f"{page.evaluate('performance.now()') - started:.0f} ms",
    )


def main() -> None:
    """Print the table."""
    milliseconds = 500 if "--quick" in sys.argv else 2000
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine([flow], store=f"sqlite:///{folder}/store.db", kind="server")
        engine.start()
        fill(engine, long)
        fill(engine, wide)
        with served(engine) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"] if is_root else [])
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            row("", "frame: middle / longest")
            for job in (long, wide):
                look(page, address, job, milliseconds)
            browser.close()
        engine.stop(grace=5)


if __name__ == "__main__":
    main()
