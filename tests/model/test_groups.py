"""What a group of concurrency is called: as it says, after its variable, after its first job."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from microflow import ConcurrencyGroup, DefinitionError, create_flow

Write = Callable[[str, str], ModuleType]


@pytest.fixture
def write() -> Iterator[Write]:
    """Makes modules of their code, as importing them does."""
    made: list[str] = []

    def make(name: str, code: str) -> ModuleType:
        module = ModuleType(name)
        sys.modules[name] = module
        made.append(name)
        exec(
            compile(f"from microflow import *\nfrom microflow import ConcurrencyGroup\n{code}", name, "exec"),
            vars(module),
        )
        return module

    yield make
    for name in made:
        del sys.modules[name]


def names(module: ModuleType, flow: str = "flow") -> dict[str, list[str | None]]:
    """The names of the groups of each job, once the flow is checked."""
    getattr(module, flow).check()
    return {job.name: [group.name for group in job.limits] for job in getattr(module, flow).jobs.values()}


FLOW = """
flow = create_flow("shop")
def job(name, limits):
    return flow.task(name=name, max_concurrency=limits)(lambda: {})
"""


def test_a_group_is_called_after_the_variable_that_holds_it(write: Write) -> None:
    module = write(
        "shop_flow",
        f"""{FLOW}
api_limit = ConcurrencyGroup(max_concurrency=2)
per_customer = ConcurrencyGroup(key="customer")
named = ConcurrencyGroup(1, "database")
job("load", [api_limit, per_customer])
job("save", [api_limit, named])
""",
    )
    assert names(module) == {"load": ["api_limit", "per_customer"], "save": ["api_limit", "database"]}
    assert repr(module.per_customer) == "ConcurrencyGroup(1, name='per_customer', key='customer')"
    assert module.per_customer.max_concurrency == 1


def test_a_group_of_another_module_has_its_name_there(write: Write) -> None:
    write("shop_limits", "api_limit = ConcurrencyGroup(2)\nother = ConcurrencyGroup(3)")
    module = write(
        "shop_flow",
        f"""import shop_limits
from shop_limits import api_limit as renamed
{FLOW}
job("load", renamed)
job("save", shop_limits.other)
""",
    )
    assert names(module) == {"load": ["api_limit"], "save": ["other"]}


def test_a_group_that_another_module_only_makes_has_the_name_of_the_variable_it_is_given_to(write: Write) -> None:
    write("shop_limits", "def limit(): return ConcurrencyGroup(2)")
    module = write("shop_flow", f"from shop_limits import limit\n{FLOW}\napi_limit = limit()\njob('load', api_limit)")
    assert names(module) == {"load": ["api_limit"]}


def test_a_group_that_no_variable_of_a_module_holds_is_called_after_its_first_job(write: Write) -> None:
    module = write(
        "shop_flow",
        f"""{FLOW}
class Limits:
    api = ConcurrencyGroup(2)
limits = {{"db": ConcurrencyGroup(2)}}
job("load", Limits.api)
job("save", [Limits.api, limits["db"]])
job("alone", ConcurrencyGroup(2))
""",
    )
    assert names(module) == {"load": ["load"], "save": ["load", "save"], "alone": ["alone"]}


def test_of_two_variables_the_first_without_an_underscore_counts(write: Write) -> None:
    module = write("shop_flow", f"{FLOW}\n_ = ConcurrencyGroup(2)\napi = _\nlater = api\njob('load', later)")
    assert names(module) == {"load": ["api"]}


def test_two_groups_of_one_flow_are_not_called_alike_unless_they_say_so(write: Write) -> None:
    write("shop_a", "limit = ConcurrencyGroup(2)")
    write("shop_b", "limit = ConcurrencyGroup(3)")
    module = write(
        "shop_flow",
        f"""import shop_a, shop_b
{FLOW}
job("load", shop_a.limit)
job("save", shop_b.limit)
api = ConcurrencyGroup(2)
job("ask", [api, ConcurrencyGroup(2, "api")])
job("tell", [ConcurrencyGroup(4, "said"), ConcurrencyGroup(5, "said")])
""",
    )
    assert names(module) == {
        "load": ["limit"],
        "save": ["save"],
        "ask": ["ask", "api"],
        "tell": ["said", "said"],
    }


def test_a_group_of_two_flows_has_one_name(write: Write) -> None:
    module = write(
        "shop_flow",
        f"""{FLOW}
second = create_flow("second")
api_limit = ConcurrencyGroup(2)
job("load", api_limit)
second.task(name="other", max_concurrency=api_limit)(lambda: {{}})
""",
    )
    assert names(module, "second") == {"other": ["api_limit"]}
    assert names(module) == {"load": ["api_limit"]}


def test_a_name_that_was_settled_stays_whatever_becomes_of_the_variable(write: Write) -> None:
    module = write("shop_flow", f"{FLOW}\napi_limit = ConcurrencyGroup(2)\njob('load', api_limit)")
    assert names(module) == {"load": ["api_limit"]}
    vars(module)["another"] = vars(module).pop("api_limit")
    assert names(module) == {"load": ["api_limit"]}


def test_a_group_in_a_function_is_called_after_its_first_job() -> None:
    flow, group = create_flow("shop"), ConcurrencyGroup()
    assert group.name is None
    flow.task(name="load", max_concurrency=group)(lambda: {})
    flow.task(name="save", max_concurrency=group)(lambda: {})
    flow.check()
    assert group.name == "load"


@pytest.mark.parametrize("given", ["api", "2"])
def test_a_name_in_the_place_of_the_limit_is_told(given: Any) -> None:
    with pytest.raises(DefinitionError, match=f"A name is given as name='{given}'."):
        ConcurrencyGroup(given)
