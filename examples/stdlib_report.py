"""Report on the standard library of the Python that runs this file: its packages, their size, their longest functions.

A manager lists the packages, a task measures each of them, on all cores of this machine, and another task writes `report.json`
and `report.html`. Run this file as a script, or serve it and start `make_report` in the web app:

    python examples/stdlib_report.py
    microflow serve -f examples/stdlib_report.py:flow
"""

from __future__ import annotations

import ast
import json
import platform
import sysconfig
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from microflow import ExecutionResult, create_flow, current_execution, map_parallel

flow = create_flow("stdlib_report")

LIBRARY = Path(sysconfig.get_path("stdlib"))
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}
"""Folders that do not belong to the library itself: packages that were installed, and tests."""


@flow.manager
def make_report(options: dict[str, Any] | None = None) -> ExecutionResult:
    """Measure every package of the standard library and write the report.

    `options` may name the `directory` to write to. The default is `report` in the working directory.
    """
    directory = str(Path((options or {}).get("directory") or "report").absolute())
    packages = library_packages()
    execution = current_execution()

    def requests() -> Iterator[dict[str, Any]]:
        # map_parallel takes an input when a core is free for it, so this shows how far the work is
        for number, package in enumerate(packages):
            execution.progress(number, len(packages), package)
            yield {"package": package, "directory": directory}

    results = map_parallel(measure_package, requests())
    execution.progress(len(packages), len(packages), "writing the report")
    # if a package could not be measured, the report leaves it out, and its execution shows the error
    measured = [result["package"] for result in results if result]
    return write_report({"packages": measured, "directory": directory})


@flow.task
def measure_package(request: dict[str, Any]) -> dict[str, Any]:
    """Parse every module of one package, and count its lines, functions and classes.

    The details of each module go to a file, which the last task reads: payloads are small, and only name the data.
    """
    package = request["package"]
    paths = module_paths(package)
    modules = []
    for number, path in enumerate(paths):
        current_execution().progress(number, len(paths), path.name)
        modules.append(measure_module(path))
    measurement = {"package": package, "modules": modules}
    file = measurement_file(request["directory"], package)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(measurement), "utf-8")
    summary = {"package": package, **totals(modules)}
    print(f"{package}: {summary['modules']} modules, {summary['lines']:,} lines")
    return summary


@flow.task
def write_report(request: dict[str, Any]) -> dict[str, Any]:
    """Put the measurements together and write them as JSON and as a web page."""
    directory = Path(request["directory"])
    packages = []
    for package in request["packages"]:
        modules = json.loads(measurement_file(directory, package).read_text("utf-8"))["modules"]
        packages.append({"package": package, **totals(modules), "details": modules})
    packages.sort(key=lambda package: -package["lines"])
    summary = {
        "python": platform.python_version(),
        "packages": len(packages),
        **totals([module for package in packages for module in package["details"]]),
    }
    json_file, html_file = directory / "report.json", directory / "report.html"
    json_file.write_text(json.dumps({**summary, "details": packages}, indent=1), "utf-8")
    html_file.write_text(page(summary, packages), "utf-8")
    return {**summary, "json": str(json_file), "html": str(html_file)}


# --- Finding and measuring -------------------------------------------------------------------------------------------


def library_packages() -> list[str]:
    """Return the file names of all packages and single modules, the largest first, so that a large one does not come last."""
    entries = [
        entry
        for entry in LIBRARY.iterdir()
        if entry.name not in LEFT_OUT and (entry.suffix == ".py" or (entry / "__init__.py").exists())
    ]
    if not entries:
        raise FileNotFoundError(f"{LIBRARY} holds no modules: this Python keeps its library in an archive.")
    return sorted((entry.name for entry in entries), key=package_size, reverse=True)


def module_paths(package: str) -> list[Path]:
    """Return the files of one package, or the file of a single module."""
    path = LIBRARY / package
    if path.is_file():
        return [path]
    return [module for module in sorted(path.rglob("*.py")) if LEFT_OUT.isdisjoint(module.relative_to(path).parts)]


def package_size(package: str) -> int:
    """Return the size of the source, in bytes."""
    return sum(path.stat().st_size for path in module_paths(package))


def measurement_file(directory: str | Path, package: str) -> Path:
    """Return the file with the measurement of one package."""
    return Path(directory) / "packages" / f"{package}.json"


def measure_module(path: Path) -> dict[str, Any]:
    """Count the functions, classes and lines of one file, and find its longest function."""
    source = path.read_bytes()
    nodes = list(ast.walk(ast.parse(source, str(path))))
    functions = [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    longest = max(functions, key=function_length, default=None)
    name = ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")
    return {
        "module": name,
        "lines": len(source.splitlines()),
        "functions": len(functions),
        "classes": sum(isinstance(node, ast.ClassDef) for node in nodes),
        "longest": {"name": longest.name, "module": name, "lines": function_length(longest)} if longest else None,
    }


def function_length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines from `def` to the last statement."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def totals(modules: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up the figures of several modules."""
    found = [module["longest"] for module in modules if module["longest"]]
    return {
        "modules": len(modules),
        **{key: sum(module[key] for module in modules) for key in ("lines", "functions", "classes")},
        "longest": max(found, key=lambda function: function["lines"], default=None),
    }


# --- The page --------------------------------------------------------------------------------------------------------


def page(summary: dict[str, Any], packages: list[dict[str, Any]]) -> str:
    """Return the report as a single file without external parts."""
    modules = [module for package in packages for module in package["details"]]
    longest = sorted((module["longest"] for module in modules if module["longest"]), key=lambda f: -f["lines"])[:15]
    tiles = "".join(
        f"<div><dt>{label}</dt><dd>{summary[key]:,}</dd></div>"
        for label, key in [
            ("packages", "packages"),
            ("modules", "modules"),
            ("lines", "lines"),
            ("functions", "functions"),
            ("classes", "classes"),
        ]
    )
    functions = "".join(
        f"<tr><th><code>{escape(function['name'])}</code></th><td class=name>{escape(function['module'])}</td>"
        f"{bar(function['lines'], longest[0]['lines'])}</tr>"
        for function in longest
    )
    rows = "".join(package_row(package, packages[0]["lines"]) for package in packages)
    return PAGE.format(python=escape(summary["python"]), tiles=tiles, functions=functions, packages=rows)


def package_row(package: dict[str, Any], most: int) -> str:
    """Return a package as a row of the table."""
    longest = package["longest"]
    shown = f"<code>{escape(longest['name'])}</code> <small>{longest['lines']} lines</small>" if longest else "–"
    return (
        f"<tr><th><code>{escape(package['package'].removesuffix('.py'))}</code></th><td>{package['modules']}</td>"
        f"<td>{package['functions']:,}</td><td>{package['classes']:,}</td>{bar(package['lines'], most)}"
        f"<td class=name>{shown}</td></tr>"
    )


def bar(value: int, most: int) -> str:
    """Return a cell with a figure and its bar."""
    return f'<td class=bar><i style="width:{80 * value / max(most, 1):.2f}%"></i><span>{value:,}</span></td>'


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The standard library of Python {python}</title>
<style>
:root {{
  color-scheme: light dark;
  --ground: #f7f7f5; --sheet: #ffffff; --ink: #1d2126; --quiet: #646c76; --line: #e4e5e2; --accent: #2f6fb0; --fill: #cfe0f1;
}}
@media (prefers-color-scheme: dark) {{
  :root {{
    --ground: #14171a; --sheet: #1c2024; --ink: #e5e8eb; --quiet: #98a1ab; --line: #2c3238; --accent: #7db4e6; --fill: #274767;
  }}
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", sans-serif; }}
main {{ max-width: 1040px; margin: 0 auto; padding: 48px 20px 80px; }}
h1 {{ font-size: 30px; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 6px; }}
h2 {{ font-size: 18px; margin: 44px 0 12px; }}
p {{ color: var(--quiet); margin: 0; }}
code {{ font: 13px/1.4 ui-monospace, "Cascadia Code", Menlo, Consolas, monospace; }}
small {{ color: var(--quiet); white-space: nowrap; }}
dl {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 28px 0 0; }}
dl div {{ background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }}
dt {{ color: var(--quiet); font-size: 13px; }}
dd {{ margin: 0; font-size: 26px; font-weight: 600; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }}
.sheet {{ background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 7px 14px; text-align: right; border-top: 1px solid var(--line); white-space: nowrap; }}
thead th {{ border: 0; color: var(--quiet); font-size: 13px; font-weight: 500; }}
th:first-child, .name {{ text-align: left; font-weight: 400; }}
.name {{ color: var(--quiet); }}
.bar {{ position: relative; width: 34%; min-width: 150px; }}
.bar i {{ position: absolute; inset: 5px auto 5px 0; background: var(--fill); border-radius: 3px; }}
.bar span {{ position: relative; }}
tbody tr:hover {{ background: color-mix(in srgb, var(--accent) 7%, transparent); }}
</style>
</head>
<body>
<main>
<h1>The standard library of Python {python}</h1>
<p>Every module without the tests, parsed and counted by a Microflow flow.</p>
<dl>{tiles}</dl>
<h2>The longest functions</h2>
<div class="sheet"><table>
<thead><tr><th>Function</th><th class="name">Module</th><th>Lines</th></tr></thead>
<tbody>{functions}</tbody>
</table></div>
<h2>Packages</h2>
<div class="sheet"><table>
<thead><tr>
<th>Package</th><th>Modules</th><th>Functions</th><th>Classes</th><th>Lines</th><th class="name">Longest function</th>
</tr></thead>
<tbody>{packages}</tbody>
</table></div>
</main>
</body>
</html>
"""


if __name__ == "__main__":
    # A script needs no other guard: worker processes never run this file again.
    result = make_report({})
    print(f"{result['modules']} modules, {result['lines']:,} lines: {result['html']}")
