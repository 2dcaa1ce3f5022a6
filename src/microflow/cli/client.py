"""A running server, by its REST API; Python's own ``urllib`` is enough for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

import msgspec

from ..errors import MicroflowError
from ..model.events import Event
from ..store.filters import Filters
from ..store.views import ExecutionView, Page, TickView, Tree
from ..views.live import LogText
from .source import LOG_PART

if TYPE_CHECKING:
    from ..engine.admission.limits import LimitState
    from ..engine.changes import Changes
    from ..views.definitions import JobView
    from ..views.partitions import PartitionMatrix
    from ..views.schedules import ScheduleState
    from ..views.zone_data import ZoneData
    from ..web.api.partition_messages import PartitionPreview

T = TypeVar("T")

TIMEOUT = 30.0
"""Seconds without a byte after which a server is taken for dead; an open stream says something twice as often."""

RESYNC = "resync"
"""The event that says that anything may have changed."""

RELOADING = 600.0
"""The same for a reload: the server answers once everything is imported."""

_LARGE = 1024 * 1024
"""Bytes of a request that are many: a server that breaks the connection then has most likely refused them."""

_BROKEN = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)

_LOCAL = ("localhost", "127.0.0.1", "::1")


class Client:
    """Asks one server. Every method raises ``MicroflowError`` with what the server says, or that it does not answer."""

    def __init__(self, url: str, token: str | None = None) -> None:
        if "://" not in url:
            url = f"http://{url}"
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and url.isascii()
            (parts.hostname or "").encode("idna")
        except ValueError:  # a port that is no number, a bracket that is not closed, a name that no host can have
            known = False
        if not known:
            raise MicroflowError(f"The server {url!r} is no address; give one as http://localhost:3000.")
        self.url = url.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token:
            if not (token.isascii() and token.isprintable()):
                raise MicroflowError("The token holds a character that can't be sent: it is printable ASCII.")
            self._headers["Authorization"] = f"Bearer {token}"
        # a proxy for the world outside knows nothing of this machine's own addresses
        self._opener: OpenerDirector = build_opener(*([ProxyHandler({})] if parts.hostname in _LOCAL else []))

    # Looking

    def execution(self, id: int) -> ExecutionView:  # noqa: A002 - the field is called id everywhere else
        """One execution, as it is at this moment."""
        return _view(self._get(f"/api/executions/{id}", _Execution))

    def executions(self, filters: Filters, limit: int, cursor: str | None = None) -> Page:
        """At most ``limit`` executions, newest first."""
        given = {name: getattr(filters, name) for name in Filters.__struct_fields__ if name != "top_level"}
        asked: dict[str, Any] = {name: value for name, value in given.items() if value not in (None, ())}
        for name in ("since", "until"):
            if name in asked:
                asked[name] = asked[name].isoformat()
        asked |= {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        page = self._get("/api/executions", _Page, asked)
        return Page([_view(item) for item in page.items], page.next)

    def tree(self, id: int) -> Tree:  # noqa: A002
        """An execution and everything below it."""
        return self._get(f"/api/executions/{id}/tree", Tree)

    def log(self, id: int, after: int) -> LogText:  # noqa: A002
        """The part of an execution's log that begins at this offset."""
        return self._get(f"/api/executions/{id}/logs", LogText, {"after": after, "limit": LOG_PART})

    def jobs(self) -> list[JobView]:
        """Every job of the server."""
        from ..views.definitions import JobView

        return self._get("/api/jobs", _Items[JobView]).items

    def limits(self) -> list[LimitState]:
        """Every limit in use."""
        from ..engine.admission.limits import LimitState

        return self._get("/api/concurrency", _Items[LimitState]).items

    def schedules(self) -> list[ScheduleState]:
        """Every schedule of the server."""
        from ..views.schedules import ScheduleState

        return self._get("/api/schedules", _Items[ScheduleState]).items

    def ticks(self, flow: str, name: str, limit: int) -> list[TickView]:
        """What became of a schedule's newest ticks, newest first."""
        return self._get(f"{_schedule(flow, name)}/ticks", _Items[TickView], {"limit": limit}).items

    def zone_data(self) -> ZoneData | None:
        """The time zone data that the server uses; None if it is too old to say it."""
        from ..views.zone_data import ZoneData

        found = self._get("/api/health", dict[str, msgspec.Raw]).get("zone_data")
        return None if found is None else msgspec.json.decode(found, type=ZoneData)

    def note(self) -> str:
        """Why no tick of its schedules runs now: none, since it is a server."""
        return ""

    def partitions(self, flow: str, job: str, query: Mapping[str, Any]) -> PartitionMatrix:
        """The partitions of a job with their statuses; ``query`` is what the REST API takes."""
        from ..views.partitions import PartitionMatrix

        return self._get(f"{_job(flow, job)}/partitions", PartitionMatrix, query)

    def plan_partitions(self, flow: str, job: str, body: Mapping[str, Any]) -> PartitionPreview:
        """What a run over partitions would be."""
        from ..web.api.partition_messages import PartitionPreview

        return self._send(f"{_job(flow, job)}/partitions/plan", body, PartitionPreview)

    # Acting

    def execute(self, flow: str, job: str, body: Mapping[str, Any]) -> ExecutionView:
        """Begin an execution; ``body`` is what the REST API takes, its inputs as plain JSON."""
        return self._post(f"{_job(flow, job)}/executions", body)

    def map(self, flow: str, job: str, body: Mapping[str, Any]) -> ExecutionView:
        """Begin a mapping; as ``execute``."""
        return self._post(f"{_job(flow, job)}/map", body)

    def run_partitions(self, flow: str, job: str, body: Mapping[str, Any]) -> ExecutionView:
        """Begin a run over partitions; as ``execute``."""
        return self._post(f"{_job(flow, job)}/partitions/executions", body)

    def cancel(self, id: int) -> ExecutionView:  # noqa: A002
        """Ask an execution, and everything below it, to end."""
        return self._post(f"/api/executions/{id}/cancel")

    def pause(self, id: int) -> ExecutionView:  # noqa: A002
        """Let a run over many inputs or partitions begin nothing new."""
        return self._post(f"/api/executions/{id}/pause")

    def resume(self, id: int) -> ExecutionView:  # noqa: A002
        """Let a run that is paused go on."""
        return self._post(f"/api/executions/{id}/resume")

    def retry(self, id: int) -> ExecutionView:  # noqa: A002
        """Begin a new execution of the same job with the same inputs."""
        return self._post(f"/api/executions/{id}/retry")

    def change_schedule(self, flow: str, name: str, act: str) -> None:
        """Pause or resume a schedule; ``act`` says which."""
        self._send(f"{_schedule(flow, name)}/{act}", None, msgspec.Raw)

    def run_schedule(self, flow: str, name: str, at: str | None = None) -> ExecutionView:
        """Start a run of a schedule, as of the tick ``at``."""
        return self._post(f"{_schedule(flow, name)}/run", {} if at is None else {"at": at})

    def reload(self) -> Changes:
        """Let the server load the code of its flows again; what changed."""
        from ..engine.changes import Changes

        return self._send("/api/reload", None, Changes, timeout=RELOADING)

    @contextmanager
    def events(self) -> Iterator[Iterator[Event | None]]:
        """The server's events from now on: None where anything may have changed, as it may now and then without a reason."""
        with closing(self._open(Request(self.url + "/api/events", headers=self._headers))) as response:
            yield self._told(response)

    def _told(self, response: HTTPResponse) -> Iterator[Event | None]:
        name = ""
        try:
            for line in response:
                field, _, value = line.rstrip(b"\r\n").partition(b": ")
                if field == b"event":
                    name = value.decode()
                elif field == b"data":
                    yield None if name == RESYNC else msgspec.json.decode(value, type=Event)
                elif line.startswith(b":"):  # a comment, now and then: the server lives
                    yield None
        except (OSError, HTTPException) as error:
            raise MicroflowError(f"The connection to the server {self.url} broke: {error}.") from error

    # How

    def _get(self, path: str, form: type[T], query: Mapping[str, Any] | None = None) -> T:
        address = self.url + path + (f"?{urlencode(query, doseq=True, errors='surrogatepass')}" if query else "")
        return self._read(Request(address, headers=self._headers), form)

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> ExecutionView:
        return _view(self._send(path, body, _Execution))

    def _send(self, path: str, body: Mapping[str, Any] | None, form: type[T], *, timeout: float = TIMEOUT) -> T:
        data = json.dumps(body or {}, ensure_ascii=False).encode("utf-8", "surrogatepass")
        headers = {**self._headers, "Content-Type": "application/json"}
        return self._read(Request(self.url + path, data, headers, method="POST"), form, timeout)

    def _read(self, request: Request, form: type[T], timeout: float = TIMEOUT) -> T:
        with closing(self._open(request, timeout)) as response:
            try:
                return msgspec.json.decode(response.read(), type=form)
            except (OSError, HTTPException) as error:
                raise MicroflowError(f"The connection to the server {self.url} broke: {error}.") from error
            except msgspec.MsgspecError as error:
                raise self._no_microflow(f"its answer does not fit ({error})") from error

    def _open(self, request: Request, timeout: float = TIMEOUT) -> HTTPResponse:
        try:
            response: HTTPResponse = self._opener.open(request, timeout=timeout)
            return response
        except HTTPError as error:
            with closing(error):
                raise self._refusal(error) from None
        except (URLError, OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, _BROKEN) and len(body := cast(bytes, request.data or b"")) > _LARGE:
                raise MicroflowError(
                    f"The server {self.url} broke the connection while it was sent {len(body):,} bytes, which is more than it "
                    "takes at once. Send them in parts, or hand over keys to the data instead of the data."
                ) from error
            raise MicroflowError(
                f"No server answers at {self.url} ({reason}). Start one with microflow serve, or name another with --server."
            ) from error

    def _refusal(self, error: HTTPError) -> MicroflowError:
        """What an answer that is no success says to a person."""
        if error.code == 401 and "Authorization" in self._headers:
            return MicroflowError(
                f"The server {self.url} has another token than the one given with --token or MICROFLOW_TOKEN."
            )
        if error.code == 401:
            return MicroflowError(f"The server {self.url} asks for its token: give it with --token or MICROFLOW_TOKEN.")
        try:
            detail = msgspec.json.decode(error.read(), type=_Problem).detail
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError, HTTPException):
            return self._no_microflow(f"it answered {error.code} {error.reason}")
        return MicroflowError(detail)

    def _no_microflow(self, why: str) -> MicroflowError:
        return MicroflowError(
            f"What answers at {self.url} is no Microflow server, or another version of it: {why}. Look at --server."
        )


def _job(flow: str, job: str) -> str:
    return f"/api/jobs/{quote(flow, '')}/{quote(job, '')}"


def _schedule(flow: str, name: str) -> str:
    return f"/api/schedules/{quote(flow, '')}/{quote(name, '')}"


class _Problem(msgspec.Struct):
    detail: str


class _Items(msgspec.Struct, Generic[T]):
    items: list[T]


class _Execution(ExecutionView, frozen=True, kw_only=True):
    """An execution as it is decoded: where its type may be null too, msgspec keeps no JSON as it is."""

    output: msgspec.Raw


class _Page(msgspec.Struct):
    items: list[_Execution]
    next: str | None


def _view(told: _Execution) -> ExecutionView:
    return msgspec.structs.replace(told, output=None) if bytes(told.output) == b"null" else told
