"""From the form to the result, and everything in between, without reloading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, expect


def same_page(page: Page) -> Callable[[], None]:
    """What checks that the page was not loaded anew since now."""
    page.evaluate("window.here = true")

    def check() -> None:
        assert page.evaluate("window.here === true")

    return check


def test_compute_is_started_from_its_form_and_succeeds(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="compute", exact=True).click()
    page.get_by_label("input_dict").fill('{"my_value": 1}')
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("compute #1")
    expect(page.locator("h1 .status")).to_have_text("success")
    expect(page.locator("#output pre")).to_have_text('{"my_value": 5}')
    calls = page.get_by_role("table", name="Calls")
    expect(calls.locator(".name")).to_have_text(["compute", "increment_value", "increment_value", "add_inputs"])
    calls.get_by_role("link", name="add_inputs").click()
    expect(page.get_by_label("b", exact=True)).to_have_text('{"my_value": 3}')
    page.get_by_role("link", name="compute #1").click()
    expect(page.locator("h1")).to_contain_text("compute")


def test_an_execution_is_watched_from_its_start_to_its_end(page: Page, server: Any, gate: Any) -> None:
    page.goto("/jobs/my_flow/steps")
    page.get_by_label("options").fill('{"steps": 3}')
    page.get_by_role("button", name="Run").click()
    expect(page.locator("h1 .status")).to_have_text("running")
    check = same_page(page)
    log = page.locator("#log pre")
    for step in range(3):
        expect(log).to_contain_text(f"step {step} line 0")
        expect(page.locator("#top .progress")).to_contain_text(f"{step} / 3")
        gate.open()
    expect(page.locator("h1 .status")).to_have_text("success")
    expect(page.locator("#output pre")).to_have_text('{"steps": 3}')
    expect(page.get_by_role("button", name="Run again")).to_be_visible()
    expect(page).to_have_title("steps #1 success · Microflow")
    assert log.inner_text() == "step 0 line 0\nstep 1 line 0\nstep 2 line 0\n"
    check()


def test_the_log_follows_its_end_unless_the_reader_scrolled_up(page: Page, server: Any, gate: Any) -> None:
    steps = server.engine.job("my_flow", "steps")
    started = server.engine.submit(steps, [{"steps": 4, "lines": 200}])
    page.goto(f"/executions/{started.id}")
    log = page.locator("#log pre")
    below = "element => element.scrollHeight - element.scrollTop - element.clientHeight"
    expect(log).to_contain_text("step 0 line 199")
    page.wait_for_function(f"({below})(document.querySelector('.log pre')) < 2")
    gate.open()
    expect(log).to_contain_text("step 1 line 199")
    page.wait_for_function(f"({below})(document.querySelector('.log pre')) < 2")
    log.hover()
    page.mouse.wheel(0, -1000)
    follow = page.get_by_role("button", name="Follow the end")
    expect(follow).to_be_visible()
    place = log.evaluate("element => element.scrollTop")
    gate.open()
    expect(log).to_contain_text("step 2 line 199")
    assert log.evaluate("element => element.scrollTop") == place
    follow.click()
    expect(follow).to_be_hidden()
    gate.open()
    expect(log).to_contain_text("step 3 line 199")
    page.wait_for_function(f"({below})(document.querySelector('.log pre')) < 2")
    gate.open(4)
    started.future.result(60)


def test_the_home_page_is_live_and_keeps_what_the_reader_does(page: Page, server: Any, gate: Any) -> None:
    engine = server.engine
    engine.submit(engine.job("my_flow", "broken"), [{"rows": []}]).future.result(60)
    page.goto("/")
    check = same_page(page)
    link = page.locator("#recent").get_by_role("link", name="broken")
    link.focus()
    started = engine.submit(engine.job("my_flow", "steps"), [{"steps": 1}])
    now = page.locator("#now")
    expect(now.get_by_role("link", name="steps")).to_be_visible()
    expect(page.locator("#recent tbody tr").first).to_contain_text("steps")
    expect(link).to_be_focused()
    expect(page).to_have_title("(1) Microflow")
    gate.open()
    started.future.result(60)
    expect(now).to_contain_text("Nothing runs")
    expect(page.locator("#recent tbody tr").first).to_contain_text("success")
    expect(link).to_be_focused()
    check()


def test_a_log_of_very_long_lines_is_shown_as_it_comes(page: Page, server: Any, gate: Any) -> None:
    started = server.engine.submit(server.engine.job("my_flow", "steps"), [{"steps": 4, "dots": 1_500_000}])
    page.goto(f"/executions/{started.id}")
    log = page.locator("#log pre")
    for step in range(1, 4):
        gate.open()
        page.wait_for_function(
            "(text) => document.querySelector('#log pre').textContent.includes(text)", arg=f"step {step} line 0"
        )
    gate.open()
    started.future.result(60)
    # what is far above is left out, and a line says where it is
    expect(log.locator(".gap").first).to_have_text("What was printed before this is in the log as text")
    assert log.evaluate("element => element.textContent.length") < 3_000_000


def count_patches(page: Page) -> None:
    """Have the pages that are opened from now on count how often they were made like the server's."""
    page.add_init_script(
        "window.patches = 0; document.addEventListener('microflow:patched', () => { window.patches += 1 })"
    )


def wait_for_patch(page: Page, number: int = 1) -> None:
    page.wait_for_function("(number) => window.patches >= number", arg=number)


def test_what_the_server_could_not_tell_at_once_is_asked_for_again(page: Page, server: Any) -> None:
    engine = server.engine
    count_patches(page)
    page.goto("/executions")
    wait_for_patch(page)
    refused: list[int] = []

    def refuse_twice(route: Route) -> None:
        refused.append(1)
        if len(refused) == 1:
            route.fulfill(status=503, content_type="text/html", body="<title>busy</title>")
        elif len(refused) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/executions", refuse_twice)
    engine.submit(engine.job("my_flow", "broken"), [{"rows": []}]).future.result(60)
    # no other event comes after the last one of this execution
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.locator("#list tbody tr").first).to_contain_text("error")
    assert len(refused) > 2


def test_what_is_being_pressed_does_not_move_away(page: Page, server: Any) -> None:
    engine = server.engine
    broken = engine.job("my_flow", "broken")
    engine.submit(broken, [{"rows": []}]).future.result(60)
    count_patches(page)
    page.goto("/executions")
    # the look that a page has once its stream is open: what is pressed during it would hold up every later one
    wait_for_patch(page)
    rows = page.locator("#list tbody tr")
    page.evaluate("document.addEventListener('click', (event) => event.preventDefault())")
    page.evaluate(
        "document.addEventListener('click', (event) => { window.pressed = event.target.closest('a')?.pathname })"
    )
    place = rows.first.get_by_role("link").bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 5, place["y"] + 5)
    page.mouse.down()
    with page.expect_event("requestfinished", lambda request: request.url.endswith("/executions")):
        engine.submit(broken, [{"rows": [1]}]).future.result(60)
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(rows).to_have_count(1)
    page.mouse.up()
    assert page.evaluate("window.pressed") == "/executions/1"
    expect(rows).to_have_count(2)


def test_what_was_folded_stays_folded(page: Page, server: Any) -> None:
    engine = server.engine
    engine.submit(engine.job("my_flow", "broken"), [{"rows": []}]).future.result(60)
    page.goto("/executions/1")
    expect(page.get_by_label("Traceback")).to_be_visible()
    page.get_by_text("Traceback", exact=True).click()
    expect(page.get_by_label("Traceback")).to_be_hidden()
    with page.expect_event("response", lambda response: response.url.endswith("/executions/1")):
        page.evaluate("document.dispatchEvent(new CustomEvent('microflow:resync'))")
    patched = "new Promise(done => document.addEventListener('microflow:patched', () => done(true), {once: true}))"
    page.evaluate(
        f"(() => {{ const seen = {patched}; document.dispatchEvent(new CustomEvent('microflow:resync')); return seen; }})()"
    )
    expect(page.get_by_label("Traceback")).to_be_hidden()


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/jobs/my_flow/broken")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "input":
            break
    field = page.get_by_label("a", exact=True)
    expect(field).to_be_focused()
    assert field.evaluate("element => getComputedStyle(element).outlineStyle") == "solid"
    page.keyboard.press("Control+A")
    page.keyboard.type('{"rows": [4, 6]}')
    page.keyboard.press("Control+Enter")
    expect(page.locator("#output pre")).to_have_text('{"mean": 5.0}')


def test_cancelling_asks_first(page: Page, server: Any, gate: Any) -> None:
    started = server.engine.submit(server.engine.job("my_flow", "steps"), [{"steps": 2}])
    page.goto(f"/executions/{started.id}")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog", name=f"Cancel steps #{started.id}?")
    expect(dialog.get_by_role("button", name="Let it run")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("h1 .status")).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    dialog.get_by_role("button", name="Cancel the execution").click()
    gate.open(2)
    expect(page.locator("h1 .status")).to_have_text("cancelled")


def test_what_ends_while_somebody_is_about_to_cancel_it_is_not_run_again(page: Page, server: Any, gate: Any) -> None:
    engine = server.engine
    for is_asked in (False, True):
        started = engine.submit(engine.job("my_flow", "steps"), [{"steps": 1}])
        page.goto(f"/executions/{started.id}")
        cancel = page.get_by_role("button", name="Cancel", exact=True)
        cancel.focus()
        place = cancel.bounding_box()
        assert place is not None
        if is_asked:
            cancel.click()
        gate.open()
        again = page.get_by_role("button", name="Run again", include_hidden=True)
        expect(again).to_be_attached()
        if is_asked:
            page.get_by_role("button", name="Cancel the execution").click()
        expect(again).not_to_be_focused()
        under = page.evaluate(
            "([x, y]) => document.elementFromPoint(x, y).textContent.trim()", [place["x"] + 20, place["y"] + 10]
        )
        assert under != "Run again"
        expect(page.locator("h1 .status")).to_have_text("success")
    assert [execution.id for execution in engine.store.reading.executions().items] == [2, 1]


def test_a_server_that_goes_and_comes_back_is_told_and_caught_up_with(page: Page, server: Any) -> None:
    page.goto("/executions")
    mark = page.locator("live-mark")
    expect(mark).to_have_text("Live")
    check = same_page(page)
    server.stop()
    expect(mark).to_have_text("Not live")
    engine = server.engine
    engine.submit(engine.job("my_flow", "broken"), [{"rows": [1]}]).future.result(60)
    server.start()
    expect(mark).to_have_text("Live")
    expect(page.get_by_role("link", name="broken #1")).to_be_visible()
    check()


def test_pages_that_are_seen_at_once_share_one_stream(
    new_context: Callable[..., BrowserContext], server: Any, gate: Any
) -> None:
    context = new_context()
    streams: list[str] = []
    context.on("request", lambda request: streams.append(request.url) if request.url.endswith("/api/events") else None)
    # more than a browser has connections to one server
    pages = [context.new_page() for _ in range(8)]
    for page in pages:
        page.goto("/executions")
        expect(page.locator("live-mark")).to_have_text("Live")
    assert len(streams) == 1
    engine = server.engine
    broken = engine.job("my_flow", "broken")
    engine.submit(broken, [{"rows": [1]}]).future.result(60)
    for page in pages:
        expect(page.get_by_role("link", name="broken #1")).to_be_visible()
    # the one that has the stream goes, and another one takes over
    pages[0].close()
    engine.submit(broken, [{"rows": [1]}]).future.result(60)
    for page in pages[1:]:
        expect(page.get_by_role("link", name="broken #2")).to_be_visible()
        expect(page.locator("live-mark")).to_have_text("Live")
    assert len(streams) == 2


def test_everything_works_without_scripts(new_context: Callable[..., BrowserContext], server: Any, gate: Any) -> None:
    page = new_context(java_script_enabled=False).new_page()
    page.goto("/jobs/my_flow/steps")
    page.get_by_label("options").fill('{"steps": 1')
    page.get_by_role("button", name="Run").click()
    expect(page.locator(".mistake")).to_contain_text("Line 1, column 12")
    expect(page.get_by_label("options")).to_have_value('{"steps": 1')
    page.get_by_label("options").fill('{"steps": 1}')
    page.get_by_role("button", name="Run").click()
    expect(page.locator("h1")).to_contain_text("steps #1")
    expect(page.locator("time").first).to_contain_text("UTC")
    page.get_by_role("button", name="Cancel").click()
    gate.open()
    expect(page.locator("h1")).to_contain_text("steps #1")
    page.get_by_role("link", name="Executions").click()
    page.get_by_role("checkbox", name="error").check()
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("main")).to_contain_text("No executions match")
    expect(page.locator("live-mark")).to_be_hidden()
