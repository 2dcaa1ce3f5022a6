"""Which time zone data this Python uses: the rules of all zones change several times a year, and two places may have them."""

from __future__ import annotations

import re
import zoneinfo
from functools import lru_cache
from importlib import import_module
from pathlib import Path

import msgspec


class ZoneData(msgspec.Struct, frozen=True, kw_only=True):
    """The zone data that is used.

    ``source`` is "system", "package" (``tzdata``) or "none". ``version`` is that of the IANA database, such as 2025b; null
    where the system does not say it. ``path`` is the system's folder. ``warning`` says, in words, that the package is
    installed and newer than the system's data, which Python uses first.
    """

    source: str
    version: str | None = None
    path: str | None = None
    warning: str | None = None

    def describe(self) -> str:
        """The same in words."""
        if self.source == "none":
            return "none is installed, so that only UTC is known"
        version = self.version or "of an unknown version"
        return (
            f"{version}, the system's ({self.path})" if self.source == "system" else f"{version}, the package tzdata's"
        )


def zone_data() -> ZoneData:
    """The zone data of this process, as it was when it was first asked for: zones that were read stay as they are."""
    return _find(zoneinfo.TZPATH)


@lru_cache(maxsize=8)
def _find(folders: tuple[str, ...]) -> ZoneData:
    package = _package_version()
    folder = next((folder for folder in folders if Path(folder, "Etc", "UTC").is_file()), None)
    if folder is None:
        return ZoneData(source="none") if package is None else ZoneData(source="package", version=package)
    version = _system_version(Path(folder))
    warning = None
    if version is not None and package is not None and version < package:
        warning = (
            f"The installed package tzdata has newer zone data ({package}) than the system ({version}, in {folder}), and "
            "Python uses the system's. Update that, or set PYTHONTZPATH to an empty string to use the package's."
        )
    return ZoneData(source="system", version=version, path=folder, warning=warning)


def _system_version(folder: Path) -> str | None:
    for name in ("tzdata.zi", "+VERSION"):  # written by the database's own makefile; by BSD and macOS
        try:
            with (folder / name).open(encoding="utf-8", errors="replace") as file:
                found = re.match(r"(?:# version )?(\d{4}[a-z]+)\b", file.readline())
        except OSError:  # not silent: the version is said to be unknown
            continue
        if found:
            return found[1]
    return None


def _package_version() -> str | None:
    try:
        return str(import_module("tzdata").IANA_VERSION)
    except (ImportError, AttributeError):  # not installed, or older than the first one that tells
        return None
