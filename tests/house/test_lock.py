"""The lock fits pyproject.toml, and its files fit each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Pins = dict[str, list[Requirement]]


@pytest.fixture(scope="module")
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


@pytest.fixture(scope="module")
def lock(root: Path) -> dict[str, Pins]:
    return {file.stem: read_pins(file.read_text("utf-8")) for file in (root / "requirements").glob("*.txt")}


def read_pins(text: str) -> Pins:
    found: Pins = {}
    for line in re.findall(r"^[\w.\[\]-]+==.*?(?= \\$|$)", text, re.MULTILINE):
        requirement = Requirement(line)
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def test_what_is_asked_for_is_locked(project: dict[str, Any], lock: dict[str, Pins]) -> None:
    asked: dict[str, list[Any]] = {"run": project["project"]["dependencies"], **project["dependency-groups"]}
    del asked["dev"]  # the others together

    for group, texts in asked.items():
        for wanted in map(Requirement, texts):
            pins = lock[group].get(canonicalize_name(wanted.name), [])
            assert pins, f"{wanted} is not in requirements/{group}.txt: python3 dev.py lock"
            for pin in pins:
                (version,) = (specifier.version for specifier in pin.specifier)
                assert wanted.specifier.contains(version), f"{pin} does not fit {wanted}: python3 dev.py lock"


def test_every_file_of_the_lock_has_its_hashes(root: Path) -> None:
    for file in (root / "requirements").glob("*.txt"):
        blocks = re.split(r"^(?=\S+==)", file.read_text("utf-8"), flags=re.MULTILINE)[1:]
        assert blocks
        assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []


def test_the_groups_agree(lock: dict[str, Pins]) -> None:
    """All of them go into one environment."""
    here = {key: str(value) for key, value in default_environment().items()}
    chosen: dict[str, set[str]] = {}
    for pins in lock.values():
        for name, requirements in pins.items():
            for requirement in requirements:
                if requirement.marker is None or requirement.marker.evaluate(here):
                    chosen.setdefault(name, set()).add(str(requirement.specifier))

    assert {name: versions for name, versions in chosen.items() if len(versions) > 1} == {}
