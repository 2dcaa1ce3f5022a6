"""What flows, jobs and schedules may be called: their names stand in URLs, on terminals and in logs."""

from __future__ import annotations

from typing import TypeGuard

NAME_RULE = "a name is printable text, not empty, without a slash, and neither . nor .."


def is_name(value: object) -> TypeGuard[str]:
    """Whether something may be called so; ``NAME_RULE`` says it in words."""
    return isinstance(value, str) and value.isprintable() and "/" not in value and value not in ("", ".", "..")
