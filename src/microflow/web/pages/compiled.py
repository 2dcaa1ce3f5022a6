"""Templates compiled once for each version of their source, as Python does with modules.

Compiling them all takes longer than the rest of a server's start, so the code is kept in ``__pycache__`` beside the
templates, with a hash of what it was made from. Where nothing may be written there, every start compiles them anew.
"""

from __future__ import annotations

import marshal
import os
import sys
from collections.abc import Mapping, MutableMapping
from hashlib import sha256
from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2 import BaseLoader, Environment, Template, TemplateNotFound


class CompilingLoader(BaseLoader):
    """Loads templates from ``sources`` (by name), compiled. ``folder`` keeps the code; None keeps none."""

    def __init__(self, sources: Mapping[str, str], folder: Path | None) -> None:
        self._sources = sources
        self._folder = folder

    def list_templates(self) -> list[str]:
        """The names, in order."""
        return sorted(self._sources)

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - the base's name
    ) -> Template:
        """The template of this name. Raises ``TemplateNotFound``, and ``TemplateSyntaxError`` for one that does not compile."""
        if name not in self._sources:
            raise TemplateNotFound(name)
        code = self._code(environment, name, self._sources[name])
        return environment.template_class.from_code(environment, code, environment.make_globals(globals))

    def _code(self, environment: Environment, name: str, source: str) -> CodeType:
        options = (environment.autoescape, environment.trim_blocks, environment.lstrip_blocks)
        made_from = f"{sys.version}\0{jinja2.__version__}\0{options}\0{name}\0{source}"
        digest = sha256(made_from.encode()).digest()
        file = None if self._folder is None else self._folder / f"{name}.{sys.implementation.cache_tag}.code"
        if file is not None and (kept := _read(file, digest)) is not None:
            return kept
        code = environment.compile(source, name, name)
        if file is not None and not sys.dont_write_bytecode:
            _write(file, digest + marshal.dumps(code))
        return code


def _read(file: Path, digest: bytes) -> CodeType | None:
    try:
        kept = file.read_bytes()
    except OSError:
        return None  # not kept yet
    if kept[: len(digest)] != digest:
        return None
    code = marshal.loads(kept[len(digest) :])
    return code if isinstance(code, CodeType) else None


def _write(file: Path, content: bytes) -> None:
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_bytes(content)
        beside.replace(file)  # whole or not at all: another server may start at the same moment
    except OSError:
        return  # an installation that can't be written to: the next start compiles again
