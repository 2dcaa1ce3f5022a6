"""``prune``: old history is deleted, and nonsense is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Call

pytestmark = pytest.mark.usefixtures("work")


def test_an_age_that_is_none_is_refused(call: Call) -> None:
    for nonsense in ("3x", "d", "-3d", "1.5d", ""):
        result = call("prune", f"--older-than={nonsense}")
        assert result.exit_code == 2
        assert "a number and a unit, as 90d, 12h, 30m, 45s or 2w" in result.stderr


def test_an_age_must_be_given(call: Call) -> None:
    result = call("prune")
    assert result.exit_code == 2
    assert "--older-than" in result.stderr


def test_a_store_that_does_not_exist_is_not_made(call: Call, work: Path) -> None:
    result = call("prune", "--older-than", "1d", "--store", "sqlite:///nowhere.db")
    assert result.exit_code == 2
    assert "nowhere.db" in result.stderr
    assert not (work / "nowhere.db").exists()


def test_what_is_older_goes_and_what_is_younger_stays(call: Call) -> None:
    for _ in range(2):
        call("run", "double", "-f", "work_flow", "-i", '{"v": 1}')
    assert call("prune", "--older-than", "1h").stdout == "Deleted 0 executions.\n"
    assert len(json.loads(call("executions", "--json").stdout)["items"]) == 2
    assert json.loads(call("prune", "--older-than", "0s", "--json").stdout) == {"deleted": 1}
    left = json.loads(call("executions", "--json").stdout)["items"]
    assert [execution["id"] for execution in left] == [2]  # the job's newest success, which its context falls back to
