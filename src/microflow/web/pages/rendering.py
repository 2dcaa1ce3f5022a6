"""HTML from templates: one environment, every template compiled when the server starts, so that a broken one fails there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from ...views import formats
from ...views.json_view import inputs_line, json_html
from ..http.static import StaticFiles
from .compiled import CompilingLoader

STYLES = (
    *("tokens", "base", "layout", "status", "table", "form", "detail", "chart"),
    *("dag", "limits", "schedules", "partition", "partition-runs", "reload"),
)
"""The style sheets of every page; a later one goes before an earlier one."""

_EXECUTION = re.compile(r"(?<=\bexecution )(\d{1,18})\b")

_SHORT_NAME = 24
"""Characters of a name that every place has room for."""

SHORT = 200
"""Characters of a text that a list shows at most; the whole text is on the page that the list leads to."""


class Templates:
    """The templates below ``web/templates``. ``served`` gives what every page shows of the engine: ``flows``, the names in the way
    about; ``code``, which changes when other code is served; ``newer``, the files that are newer than that code.

    Raises ``jinja2.TemplateError`` for a template that does not compile, ``KeyError`` for one that includes a missing file.
    """

    def __init__(
        self,
        static: StaticFiles,
        served: Callable[[], Mapping[str, Any]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._served = served
        self._now = now
        folder = files("microflow.web").joinpath("templates")
        sources = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".html")}
        environment = Environment(
            loader=CompilingLoader(sources, folder / "__pycache__" if isinstance(folder, Path) else None),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=len(sources) + 1,
        )
        environment.filters.update(
            duration=formats.duration,
            size=formats.size,
            number=formats.number,
            json=json_html,
            inputs_line=inputs_line,
            segment=lambda text: quote(str(text), safe=""),
            breakable=_breakable,
            short=_short,
            linked=_linked,
        )
        environment.globals.update(
            static=static.url,
            styles=[static.url(f"css/{name}.css") for name in STYLES],
            moment=_moment,
            elapsed=_elapsed,
            query=_query,
            short_error=formats.short_error,
        )
        self._templates: dict[str, Template] = {name: environment.get_template(name) for name in sources}

    def page(
        self,
        request: Request,
        name: str,
        values: Mapping[str, Any] | None = None,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """The page that a template makes of ``values``; it knows ``path`` (of the request) and ``now`` (an aware datetime) too."""
        known = {**self._served(), "path": request.url.path, "now": self._now(), "can_sign_out": _can_sign_out(request)}
        text = self._templates[name].render({**known, **(values or {})})
        # a page is the state of a moment: going back shows it anew
        return HTMLResponse(text, status, {"Cache-Control": "no-store", **(headers or {})})

    def error(self, request: Request, status: int, title: str, detail: str) -> HTMLResponse:
        """The page for a request that can't be answered: ``title`` says what, ``detail`` why and what to do."""
        # without a word of what is served: the sender may not have the token, or be a page of another site
        values = {"status": status, "title": title, "detail": detail, "newer": (), "flows": ()}
        return self.page(request, "error.html", values, status=status)


def _can_sign_out(request: Request) -> bool:
    """Whether this server asks for a token, and so has a way to sign out."""
    app = request.scope.get("app")
    return app is not None and any(getattr(route, "name", "") == "sign_out" for route in app.routes)


def _breakable(name: str) -> Markup:
    """A name; a long one may go on in the next line behind an underscore, and nowhere else as long as a part of it fits."""
    return escape(name) if len(name) <= _SHORT_NAME else escape(_short(name)).replace("_", Markup("_<wbr>"))


def _short(text: str) -> str:
    """A text as a list shows it: of a very long one the beginning."""
    return text if len(text) <= SHORT else f"{text[:SHORT]}…"


def _linked(text: str) -> Markup:
    """A text, in which the number of an execution leads to it."""
    link = Markup('<a href="/executions/{0}">{0}</a>')
    parts = enumerate(_EXECUTION.split(text))
    return Markup().join(link.format(part) if index % 2 else part for index, part in parts)


def _moment(when: datetime | None, style: str = "near") -> Markup:
    """A point in time, in UTC; a module of the page turns it into the reader's own time.

    ``style``: "near" (how long ago, if it is recent), "clock" (hours and minutes), "until" (how long it is until
    then), "full" (to the millisecond).
    """
    if when is None:
        return Markup('<span class="quiet">–</span>')
    return Markup('<time datetime="{}" data-time="{}">{}</time>').format(
        formats.iso(when), style, formats.clock(when) if style == "clock" else formats.timestamp(when)
    )


def _elapsed(start: datetime | None, end: datetime | None, now: datetime) -> Markup:
    """How long something took, or takes until now: then a module of the page goes on counting."""
    if start is None:
        return Markup('<span class="quiet">–</span>')
    seconds = ((end or now) - start).total_seconds()
    if end is None:
        return Markup('<data value="{:.3f}" data-elapsed="{}">{}</data>').format(
            seconds, formats.iso(start), formats.duration(seconds)
        )
    return Markup('<data value="{:.3f}">{}</data>').format(seconds, formats.duration(seconds))


def _query(path: str, given: Mapping[str, Any], **changes: Any) -> str:
    """A URL with a query; what is None or empty is left out, a list is repeated."""
    wanted = {name: value for name, value in {**given, **changes}.items() if value not in (None, "", [], ())}
    return f"{path}?{urlencode(wanted, doseq=True)}" if wanted else path
