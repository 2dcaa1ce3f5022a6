"""Flows and jobs by their names, and the store that flows share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from ..errors import DefinitionError, UnknownNameError
from ..flow import Flow
from ..store import default_url


def by_name(flows: Sequence[Flow]) -> dict[str, Flow]:
    """Flows by their names. Raises ``DefinitionError`` where two have the same."""
    named: dict[str, Flow] = {}
    for flow in flows:
        if named.setdefault(flow.name, flow) is not flow:
            raise DefinitionError(f"Two flows are named {flow.name!r}; give one of them another name in create_flow().")
    return named


def store_of(flows: Iterable[Flow]) -> str:
    """The URL of the store of flows that share an engine. Raises ``DefinitionError`` if they name different stores."""
    return named_store(flows) or default_url()


def named_store(flows: Iterable[Flow]) -> str | None:
    """The URL of the store that flows name; None if they name none. Raises ``DefinitionError`` if they name different stores."""
    urls = {flow.store for flow in flows if flow.store is not None}
    if len(urls) > 1:
        raise DefinitionError(
            f"The flows name different stores ({', '.join(sorted(urls))}). Say with --store which one they are to share."
        )
    return urls.pop() if urls else None


def named(known: Mapping[str, Any], name: str, kind: str, where: str) -> Any:
    """What has this name. Raises ``UnknownNameError`` with the nearest names where nothing has."""
    found = known.get(name)
    if found is None:
        near = get_close_matches(name, known, 3)
        hint = (
            f"; did you mean {', '.join(map(repr, near))}?" if near else f"; there are: {', '.join(map(repr, known))}."
        )
        raise UnknownNameError(f"There is no {kind} {name!r} in {where}{hint}")
    return found
