"""The flows that ``schedules.py`` measures."""

from __future__ import annotations

import time
from typing import Any

from microflow import ConcurrencyGroup, create_flow

SCHEDULES = 1_000
GROUPS = 10
LINKS = 200
BLADES = 1_000

many = create_flow("many", max_concurrency=GROUPS)
rare = create_flow("rare")
chain = create_flow("chain")
fan = create_flow("fan")

_groups = [ConcurrencyGroup(1, name=f"group_{number}") for number in range(GROUPS)]


def _tell_time() -> dict[str, Any]:
    return {"at": time.time()}


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


for _number in range(SCHEDULES):
    many.task(name=f"job_{_number}", schedule="* * * * *", max_concurrency=_groups[_number % GROUPS])(_tell_time)
    rare.task(name=f"job_{_number}", schedule=f"{_number % 60} 3 29 2 *")(_nothing)
for _number in range(LINKS):
    chain.task(name=f"link_{_number}", inputs=[f"link_{_number - 1}"] if _number else None)(_nothing)
fan.task(name="hub")(_nothing)
for _number in range(BLADES):
    fan.task(name=f"blade_{_number}", inputs=["hub"])(_nothing)
