"""The arithmetic of the picture of partitions: axes as the server writes them, layouts, what is where, selections as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from microflow.model.frequencies import Frequency
from microflow.model.segments import segments
from microflow.model.time_partitions import TimePartitions

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)

RANGES = [
    ("hourly", "2024-03-30T20:00+01:00", "2024-11-02T05:00+01:00", "Europe/Oslo"),
    ("hourly", "2024-03-30T00:00+11:00", "2024-04-09T00:00+10:30", "Australia/Lord_Howe"),
    ("hourly", "2026-11-01T00:00+00:00", "2026-11-02T03:00+00:00", "UTC"),
    ("daily", "2023-12-28", "2024-03-03", "Europe/Oslo"),
    ("daily", "2011-12-20", "2012-01-05", "Pacific/Apia"),
    ("weekly", "2019-W50", "2027-W02", "UTC"),
    ("monthly", "2019-11", "2026-02", "UTC"),
    ("quarterly", "2019-Q4", "2026-Q1", "UTC"),
    ("yearly", "1999", "2026", "UTC"),
]


@pytest.fixture(scope="module")
def page(browser: Browser, serve: Any, tmp_path_factory: Any) -> Iterator[Page]:
    with serve(tmp_path_factory.mktemp("modules")) as server:
        page = browser.new_page()
        page.goto(f"{server.url}/flows")
        yield page
        page.close()


def run(page: Page, modules: str, script: str, given: Any = None) -> Any:
    """What a script returns that works with all names of some modules, and with ``given``."""
    names = modules.split()
    imports = ", ".join(f"import(base + 'partitions/{name}.js')" for name in names)
    return page.evaluate(
        "async ({ given }) => {"
        " const base = document.querySelector('script[type=module]').src.replace(/[^/]*$/, '');"
        f" const all = Object.assign({{}}, ...await Promise.all([{imports}]));"
        f" return await (async ({{ {NAMES} }}) => {{ {script} }})(all); }}",
        {"given": given},
    )


NAMES = (
    "expand, columnOf, levelsOf, longLabels, layoutOf, View, Cells, Selection, areaText, readArea, common, shares, STATES, "
    "bandAt, ONLY, told"
)


def axis(frequency: str, first: str, last: str, zone: str) -> list[str]:
    return TimePartitions(frequency, first, last, timezone=zone).axis(None, None, NOW).texts


@pytest.mark.parametrize(("frequency", "first", "last", "zone"), RANGES)
def test_an_axis_is_the_same_here_as_on_the_server(
    page: Page, frequency: str, first: str, last: str, zone: str
) -> None:
    texts = axis(frequency, first, last, zone)
    stretches = segments(texts, Frequency(frequency))
    assert run(page, "times", "return expand(given[0], given[1])", [stretches, frequency]) == texts
    days = run(page, "times", "return given[0].map((text) => columnOf(text, given[1]))", [texts, frequency])
    periods = TimePartitions(frequency, timezone=zone)
    starts = [periods.parse(text) for text in texts]
    offset = 3 if frequency == "weekly" else 0  # a week is known by its Thursday
    assert [column["day"] for column in days] == [start.date().toordinal() - 719163 + offset for start in starts]
    assert [column["hour"] for column in days] == [start.hour if frequency == "hourly" else 0 for start in starts]


@pytest.mark.parametrize(("frequency", "first", "last", "zone"), RANGES)
def test_every_partition_has_one_place_of_its_own(page: Page, frequency: str, first: str, last: str, zone: str) -> None:
    found = run(
        page,
        "layout",
        """
        const layout = layoutOf({ frequency: given[1], times: given[0], cats: null }, 1);
        const places = given[0].map((_, time) => [layout.row(0, time), layout.column(0, time)]);
        const back = places.every(([row, column], time) => layout.time(row, column) === time && layout.line(row, column) === 0);
        return { kind: layout.kind, back, columns: layout.columns, labels: layout.labels,
                 distinct: new Set(places.map(String)).size };""",
        [axis(frequency, first, last, zone), frequency],
    )
    assert found["back"]
    assert found["distinct"] == len(axis(frequency, first, last, zone))
    calendar = {"hourly", "daily", "monthly", "quarterly"}
    assert found["kind"] == ("calendar" if frequency in calendar else "matrix")
    if zone == "Europe/Oslo" and frequency == "hourly":  # the hour that the clock shows twice in October
        assert found["labels"][-2:] == ["23", "again"]
    if frequency == "daily":
        assert found["labels"][0] == "Monday"


def test_tiles_fill_their_rows(page: Page) -> None:
    found = run(
        page,
        "layout",
        """
        const layout = layoutOf({ frequency: null, times: null, cats: [..."abcdefg"] }, 3);
        return [layout.rows, layout.columns, layout.line(2, 0), layout.line(2, 1), layout.row(5, 0), layout.column(5, 0)];""",
    )
    assert found == [3, 3, 6, -1, 1, 2]


def test_columns_are_gathered_into_calendar_periods(page: Page) -> None:
    days = axis("daily", "2023-12-28", "2024-03-03", "UTC")
    levels = run(
        page,
        "times",
        """
        const columns = given.map((text) => columnOf(text, "daily"));
        return levelsOf(columns, "day").map(({ period, starts }) =>
          [period, [...starts], [...starts.slice(0, -1)].map((start) => longLabels(period, columns[start])[0])]);""",
        days,
    )
    by_period = {period: (starts, labels) for period, starts, labels in levels}
    assert list(by_period) == ["day", "week", "month", "quarter", "year", "decade"]
    assert by_period["week"][0][:3] == [0, 4, 11]
    assert by_period["week"][1][0] == "Week 52 of 2023"
    assert by_period["month"] == (
        [0, 4, 35, 64, 67],
        ["December 2023", "January 2024", "February 2024", "March 2024"],
    )
    assert by_period["year"] == ([0, 4, 67], ["2023", "2024"])
    assert by_period["day"][1][0] == "Thursday 28 December 2023"


VIEW = """
    const layout = layoutOf({ frequency: "daily", times: given, cats: ["a", "b", "c"] }, 1);
    const view = new View(layout);
    view.resize(1000, 500, 100);
"""


def test_what_is_at_a_point_stays_there_when_one_zooms(page: Page) -> None:
    found = run(
        page,
        "layout view",
        VIEW
        + """
        view.zoom(view.fitting, 400, 0, 0);
        const at = (x) => (x - view.gutter + view.columns.offset) / view.columns.unit;
        const seen = [];
        for (const unit of [0.5, 2, 3, 12, 40]) {
          const before = at(450);
          view.zoom(unit, 400, 450 - view.gutter, 10);
          seen.push([before, at(450), view.level]);
        }
        return seen;""",
        axis("daily", "2016-01-01", "2026-11-20", "UTC"),
    )
    for before, after, _ in found:
        assert after == pytest.approx(before, abs=0.01)
    assert [level for *_, level in found] == [2, 1, 0, 0, 0]  # quarters or months, weeks, then days


def test_labels_stand_for_whole_rows_and_columns(page: Page) -> None:
    found = run(
        page,
        "layout view",
        VIEW
        + """
        view.zoom(12, 400, 0, 0);
        const hit = (x, y) => {
            const { zone, region } = view.hit(x, y);
            return [zone, region.top, region.bottom, region.left, region.right];
        };
        return { cell: hit(100 + 5 * 12 + 1, view.header + view.rows.unit + 1), row: hit(10, view.header + 1),
                 fine: hit(100 + 5 * 12 + 1, view.header - 3), coarse: hit(100 + 5 * 12 + 1, 3), corner: hit(5, 5),
                 beyond: hit(999, 499)[0], unit: view.rows.unit };""",
        axis("daily", "2026-01-01", "2026-03-31", "UTC"),
    )
    assert found["cell"] == ["cell", 1, 2, 5, 6]
    assert found["row"] == ["row", 0, 1, 0, 90]
    assert found["fine"] == ["column", 0, 3, 4, 11]  # the week from Monday 5 January on
    assert found["coarse"] == ["column", 0, 3, 0, 31]  # January
    assert found["corner"] == ["corner", 0, 3, 0, 90]
    assert found["beyond"] == "none"


def test_cells_tell_what_has_changed(page: Page) -> None:
    found = run(
        page,
        "layout cells",
        """
        const layout = layoutOf({ frequency: "daily", times: ["2026-01-01", "2026-01-02", "2026-01-03"], cats: ["a", "b"] }, 1);
        const cells = new Cells(layout);
        cells.fill(["s.e", " qk"]);
        const changed = cells.fill(["rs"], 1);
        return { changed, counts: cells.count(), told: told(cells.count()), same: cells.fill(["srs"]) };""",
    )
    assert found["changed"] == {"top": 0, "bottom": 1, "left": 1, "right": 3}
    assert found["counts"] == [0, 0, 1, 2, 1, 1, 0, 0]
    assert found["told"] == "1 running, 1 queued, 2 success, 1 skipped"
    assert found["same"] == {"top": 2, "bottom": 0, "left": 3, "right": 0}


SELECTION = """
    const cats = ["a", "b..c", "50 %; off", "d"];
    const axes = { frequency: "daily", times: given, cats };
    const layout = layoutOf(axes, 1);
    const cells = new Cells(layout);
    cells.fill(cats.map((_, index) => given.map((_, time) => index === 1 && time === 3 ? " " : "s").join("")));
    const selection = new Selection(cells);
    const texts = () => selection.areas(cats.length, given.length).map((area) => areaText(area, axes));
"""


def test_a_selection_is_few_rectangles_and_comes_back_from_their_texts(page: Page) -> None:
    found = run(
        page,
        "layout cells selection",
        SELECTION
        + """
        selection.set({ top: 0, bottom: 3, left: 1, right: 6 });
        selection.set({ top: 3, bottom: 4, left: 0, right: 10 });
        selection.set({ top: 0, bottom: 1, left: 4, right: 5 }, false);
        const written = texts();
        const count = selection.count;
        selection.clear();
        for (const text of written) selection.addArea(readArea(text, axes));
        const [unknown, everything] = [readArea("2020-01-01;a", axes), readArea("all", axes)];
        return { written, count, again: selection.count, unknown, everything };""",
        axis("daily", "2026-01-01", "2026-01-10", "UTC"),
    )
    assert found["written"] == [
        "2026-01-02..2026-01-04;a",
        "2026-01-06;a",
        # a place without a partition does not cut a rectangle in two
        "2026-01-02..2026-01-06;b%2E%2Ec..50 %25%3B off",
        ";d",
    ]
    assert found["count"] == found["again"] == 15 - 2 + 10
    assert found["unknown"] is None
    assert found["everything"] == {"first": 0, "last": 9, "lines": [0, 1, 2, 3]}


def test_a_drag_draws_anew_from_what_was_selected_before(page: Page) -> None:
    found = run(
        page,
        "layout cells selection",
        SELECTION
        + """
        selection.set({ top: 0, bottom: 1, left: 0, right: 2 });
        selection.begin();
        selection.draw({ top: 0, bottom: 4, left: 0, right: 10 }, "add");
        selection.draw({ top: 0, bottom: 1, left: 1, right: 3 }, "add");
        const added = texts();
        selection.begin();
        selection.draw({ top: 0, bottom: 1, left: 1, right: 2 }, "take");
        const taken = texts();
        selection.draw({ top: 3, bottom: 4, left: 5, right: 6 }, "only");
        return [added, taken, texts()];""",
        axis("daily", "2026-01-01", "2026-01-10", "UTC"),
    )
    assert found == [
        ["2026-01-01..2026-01-03;a"],
        ["2026-01-01;a", "2026-01-03;a"],
        ["2026-01-06;d"],
    ]


def test_a_stack_shows_what_is_rare(page: Page) -> None:
    found = run(
        page,
        "drawing",
        """
        const counts = new Int32Array(14);
        counts[3] = 9000; counts[2] = 100; counts[7] = 1;
        const draw = (length) => {
          const parts = [];
          shares([3, 2, 1, 4, 5, 6, 7], [1, 5, 7], counts, length, 2, (code, from, to) => parts.push([code, from, to]));
          return parts;
        };
        return [draw(20), draw(9)];""",
    )
    assert found == [[[3, 0, 18], [7, 18, 20]], [[3, 0, 8], [7, 8, 9]]]
