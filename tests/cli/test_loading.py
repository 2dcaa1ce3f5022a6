"""Finding a flow by what a person calls it: every way that works, and a clear message for every way that does not."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from microflow import LoadError
from microflow.loading import load_flow

FLOW = 'from microflow import create_flow\nflow = create_flow("{name}")\n@flow.task\ndef job(x):\n    return x\n'


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def refusal(spec: str) -> str:
    with pytest.raises(LoadError) as caught:
        load_flow(spec)
    return str(caught.value)


@pytest.mark.parametrize("spec", ["shop:flow", "shop", "shop.py:flow", "shop.py", "./shop.py:flow", " shop:flow "])
def test_a_flow_of_the_working_directory_is_found(folder: Path, spec: str) -> None:
    write(folder / "shop.py", FLOW.format(name="shop"))

    assert load_flow(spec).name == "shop"
    assert sys.path[0] == str(folder)


def test_a_module_of_a_folder_is_imported_under_its_own_name_so_that_workers_find_it(folder: Path) -> None:
    write(folder / "flows" / "stock_prices.py", "import exchange\n" + FLOW.format(name="stock"))
    write(folder / "flows" / "exchange.py", "")

    flow = load_flow("flows/stock_prices.py:flow")

    assert flow.reference() == ("stock_prices", "flow", "stock")
    assert str(folder / "flows") in sys.path


def test_a_module_of_a_package_keeps_its_place_in_the_package(folder: Path) -> None:
    write(folder / "company" / "__init__.py", "")
    write(folder / "company" / "names.py", "NAME = 'orders'\n")
    write(folder / "company" / "orders.py", "from .names import NAME\n" + FLOW.format(name="orders"))

    assert load_flow("company/orders.py").module == "company.orders"
    assert load_flow("company.orders:flow") is load_flow("company/orders.py")


def test_of_several_flows_the_module_s_own_is_meant(folder: Path) -> None:
    write(folder / "first.py", FLOW.format(name="first"))
    write(folder / "second.py", "from first import flow as other\n" + FLOW.format(name="second"))

    assert load_flow("second").name == "second"
    assert load_flow("second:other").name == "first"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "'' names no module: name the flow as module:flow or path/to/my_flow.py:flow."),
        (":flow", "':flow' names no module: name the flow as module:flow or path/to/my_flow.py:flow."),
        ("shop:", "'shop:' names no flow after the colon: leave the colon out, or write shop:flow."),
        ("a..b:flow", "'a..b:flow' names no module: name the flow as module:flow or path/to/my_flow.py:flow."),
        ("shop:flwo", "shop has no 'flwo'; did you mean shop:flow?"),
        ("shop:job", "shop:job is a task of flow 'shop', not a flow; name its flow: shop:flow."),
        ("shop:create_flow", "shop:create_flow is a function, not a flow made by create_flow."),
        ("shop.flow", "There is no module 'shop.flow'; a flow is named after a colon: did you mean shop:flow?"),
        ("two", "two holds several flows; say which one: two:one, two:other."),
        ("none", 'none holds no flow; make one at its top level, as in: flow = create_flow("none")'),
        ("none:flow", "none has no 'flow', and it holds no flow."),
        ("inner", "inner is a folder; name a module in it, as in inner.my_flow:flow."),
        ("my.shop.py", "my.shop.py can't be imported, since its name has a dot in it; rename the file."),
        ("inner/", "inner/ is a folder; name the flow as path/to/my_flow.py:flow."),
        ("inner/notes.txt:flow", "inner/notes.txt is no Python file (.py); name the flow as path/to/my_flow.py:flow."),
    ],
)
def test_what_names_no_flow_is_told_with_a_hint(folder: Path, spec: str, message: str) -> None:
    write(folder / "shop.py", FLOW.format(name="shop"))
    write(folder / "my.shop.py", FLOW.format(name="shop"))
    write(folder / "none.py", "")
    write(folder / "inner" / "notes.txt", "")
    two = "from microflow import create_flow\none, other = create_flow('one'), create_flow('other')\n"
    write(folder / "two.py", two)

    assert refusal(spec) == message


def test_a_module_that_is_not_there_has_near_names(folder: Path) -> None:
    write(folder / "my_flow.py", FLOW.format(name="my_flow"))

    assert refusal("my_flwo:flow").endswith("or among those installed; did you mean 'my_flow'?")
    assert refusal("my_flwo.py:flow") == f"There is no file my_flwo.py in {folder}; did you mean my_flow.py?"
    assert refusal("elsewhere/my_flow.py") == (
        f"There is no file elsewhere/my_flow.py: there is no folder {folder / 'elsewhere'} either."
    )


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\nopen('nowhere.txt')\n", "FileNotFoundError: [Errno 2] No such file or directory: 'nowhere.txt'"),
        ("x = 1\nimport nothing_like_this\n", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("x = 1\nreturn (\n", "SyntaxError: '(' was never closed: return ("),
        ("def f():\n    raise KeyError\nf()\n", "KeyError"),
        ("x = 1\ncreate_flow('')\n", "NameError: name 'create_flow' is not defined"),
    ],
)
def test_what_a_module_raises_is_told_with_its_line(folder: Path, code: str, told: str) -> None:
    write(folder / "broken.py", code)

    assert refusal("broken:flow") == f"broken:flow can't be loaded: broken.py, line 2: {told}"


def test_a_mistake_in_a_definition_is_told_where_it_is_made_not_where_it_is_found(folder: Path) -> None:
    write(folder / "twice.py", FLOW.format(name="twice") + "@flow.task(name='job')\ndef again(x):\n    return x\n")

    assert refusal("twice").startswith(
        "twice can't be loaded: twice.py, line 6: DuplicateJobError: Flow 'twice' has a task"
    )


def test_an_error_in_another_module_is_told_there(folder: Path) -> None:
    write(folder / "lib" / "__init__.py", "def connect():\n    raise ConnectionError('no route')\n")
    write(folder / "user.py", "from lib import connect\nconnect()\n")
    expected = str(Path("lib") / "__init__.py")

    assert refusal("user") == f"user can't be loaded: {expected}, line 2: ConnectionError: no route"


def test_a_module_that_ends_the_program_is_told(folder: Path) -> None:
    write(folder / "script.py", "import sys\nsys.exit(3)\n")

    assert refusal("script:flow") == (
        "script:flow can't be loaded: script.py, line 2: it ends the program while it is imported (sys.exit). Put what is only "
        'for running it as a script under if __name__ == "__main__".'
    )


def test_a_file_whose_name_is_taken_is_told(folder: Path) -> None:
    write(folder / "json.py", FLOW.format(name="json"))
    write(folder / "a" / "same.py", FLOW.format(name="a"))
    write(folder / "b" / "same.py", FLOW.format(name="b"))

    # an embeddable Python has no sources of its own modules
    taken_by = "the module of " if json.__file__.endswith(".py") else "a module of Python itself"
    assert refusal("json.py:flow").startswith(f"json.py can't be imported as 'json': that name is taken by {taken_by}")
    assert load_flow("a/same.py").name == "a"
    assert refusal("b/same.py").endswith(
        f"that name is taken by the module of {folder / 'a' / 'same.py'}. Rename the file."
    )


def test_ctrl_c_while_a_module_is_imported_is_no_mistake_of_the_module(folder: Path) -> None:
    write(folder / "long.py", "raise KeyboardInterrupt\n")

    with pytest.raises(KeyboardInterrupt):
        load_flow("long")
