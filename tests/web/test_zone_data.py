"""Which time zone data is used: the system's or the package's, in which version, and whether the other one is newer."""

from __future__ import annotations

import sys
import zoneinfo
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from microflow.views.zone_data import ZoneData, zone_data

Install = Callable[..., None]


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Path]:
    """A system's folder of zones, which Python uses for this test."""
    (tmp_path / "Etc").mkdir()
    (tmp_path / "Etc" / "UTC").write_bytes(b"TZif")
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(tmp_path)])
    yield tmp_path
    zoneinfo.reset_tzpath(before)


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Has the package tzdata installed in a version, or not at all."""

    def install(version: str | None) -> None:
        package = ModuleType("tzdata")
        package.IANA_VERSION = version  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "tzdata", package if version is not None else None)  # type: ignore[arg-type]

    return install


@pytest.mark.parametrize(
    ("file", "content", "version"),
    [
        ("tzdata.zi", "# version 2025b\n# ddeps\n", "2025b"),
        ("+VERSION", "2024a\n", "2024a"),
        ("+VERSION", "", None),
        ("tzdata.zi", "# version unknown\n", None),
        ("tzdata.zi", "\xff\x00", None),
        ("README", "", None),
    ],
)
def test_the_systems_version_is_read_from_its_files(
    system: Path, install: Install, file: str, content: str, version: str | None
) -> None:
    install(None)
    (system / file).write_text(content, "latin-1")

    found = zone_data()

    assert found == ZoneData(source="system", version=version, path=str(system))
    assert found.describe() == f"{version or 'of an unknown version'}, the system's ({system})"


@pytest.mark.parametrize(("package", "warns"), [("2026a", True), ("2025b", False), ("2024b", False), (None, False)])
def test_a_newer_package_is_warned_of(system: Path, install: Install, package: str | None, warns: bool) -> None:
    install(package)
    (system / "tzdata.zi").write_text("# version 2025b\n", "utf-8")

    found = zone_data()

    assert (found.source, found.version) == ("system", "2025b")
    assert (found.warning is not None) == warns
    if warns:
        assert found.warning == (
            f"The installed package tzdata has newer zone data (2026a) than the system (2025b, in {system}), and Python uses the "
            "system's. Update that, or set PYTHONTZPATH to an empty string to use the package's."
        )


@pytest.mark.parametrize("leave", [True, False])
def test_the_package_is_used_where_the_system_has_no_zones(system: Path, install: Install, leave: bool) -> None:
    install("2025b")
    (system / "Etc" / "UTC").unlink()
    if leave:
        zoneinfo.reset_tzpath([])

    found = zone_data()

    assert (found, found.describe()) == (
        ZoneData(source="package", version="2025b"),
        "2025b, the package tzdata's",
    )


def test_without_any_zones_that_is_said(system: Path, install: Install) -> None:
    install(None)
    (system / "Etc" / "UTC").unlink()

    assert zone_data().describe() == "none is installed, so that only UTC is known"
