"""The flow in the picture of the web app: sales of some regions, day by day, with days that failed and days that are missing."""

from __future__ import annotations

from typing import Any

from microflow import Skip, TimePartitions, create_flow

flow = create_flow("sales", timezone="Europe/Berlin")

DAYS = TimePartitions("daily", start="2026-01-01", end="2026-06-30")
REGIONS = ["Berlin", "Hamburg", "Köln", "Leipzig", "München", "Stuttgart"]


@flow.task(time_partitions=DAYS, cat_partitions=REGIONS, runner="thread")
def load(part: dict[str, Any]) -> dict[str, Any]:
    """Load the sales of one day in one region."""
    day, region = part["time_partition"], part["cat_partition"]
    number = day.toordinal() * 7 + REGIONS.index(region) * 31
    if day.weekday() == 6 and REGIONS.index(region) > 3:
        raise Skip("The shop is closed on Sundays.")
    if number % 41 == 0 or (day.month == 5 and 11 <= day.day <= 14 and region == "Leipzig"):
        raise ConnectionError(f"The till of {region} does not answer.")
    return {"sales": number % 97}
