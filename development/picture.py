"""Draw ``docs/web_app.webp``, the picture of the web app in the README: ``python -m development.picture CHROMIUM``."""

from __future__ import annotations

import base64
import signal
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from .browser import sandbox_options
from .demo import port_from, request, wait_for
from .processes import ROOT, end, start

PICTURE = ROOT / "docs" / "web_app.webp"
QUALITY = 80
JOB = "sales/load"
AFTER_DRAWING = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def draw(chromium: str, url: str) -> None:
    """Run most partitions of the flow, open their page in a browser, and write the picture."""
    body = {"end": "2026-06-12", "max_concurrency": 8, "wait": 120}
    request("POST", f"{url}/api/jobs/{JOB}/partitions/executions", body)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=sandbox_options())
        page = browser.new_page(
            viewport={"width": 1200, "height": 720}, base_url=url, color_scheme="light", device_scale_factor=1.5
        )
        page.goto(f"/jobs/{JOB}/partitions")
        page.get_by_role("button", name="Failed", exact=True).click()
        page.get_by_text("Nothing selected").wait_for(state="hidden")
        page.wait_for_load_state("networkidle")  # the estimate of the run is there
        page.evaluate(AFTER_DRAWING)
        PICTURE.write_bytes(screenshot(page))
        browser.close()


def screenshot(page: Page) -> bytes:
    """Return what the browser shows, as WebP."""
    session = page.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    return base64.b64decode(shot["data"])


def main(chromium: str) -> None:
    """Serve the flow with a store of its own, and draw its picture."""
    microflow = str(Path(sys.executable).with_name("microflow"))
    port = port_from([])
    url = f"http://localhost:{port}"
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder).as_posix()}/store.db"
        command = [microflow, "serve", "-f", "development/picture_flow.py:flow", "--store", store, "--port", str(port)]
        server = start(command)
        try:
            wait_for(url, server)
            draw(chromium, url)
        finally:
            end(server, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])
