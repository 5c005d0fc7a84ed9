"""The page put together: every route with who may use it, errors as JSON, connections bounded.

Imported on the first connection only: aiohttp and what comes with it take 10 MB and 0.3 s, some ten
times as long on a Pi Zero.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, TypeAlias

import msgspec
import structlog
from aiohttp import web

from receiver.limits import (
    PAGE_CLOSE_S,
    PAGE_CONNECTIONS,
    PAGE_HEADER_BYTES,
    PAGE_IDLE_S,
    PAGE_REQUEST_BYTES,
    PAGE_RESTS_AFTER_S,
    PAGE_SLOW_S,
)
from receiver.returned_memory import give_back
from receiver.web.access import Access
from receiver.web.answers import Refused, refusal
from receiver.web.commission_routes import CommissionRoutes
from receiver.web.downloads import Downloads
from receiver.web.facts import Facts
from receiver.web.headers import add_headers
from receiver.web.live_stream import LiveStreams
from receiver.web.login import Login, caller_of, refused
from receiver.web.looking import Looking, StatusText
from receiver.web.parts import StationParts
from receiver.web.plotting import Plotting
from receiver.web.rest import Rest
from receiver.web.static_files import StaticFiles
from receiver.web.walk_test_routes import WalkTests

log = structlog.get_logger()

Answer: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BACKLOG: Final = 128
_HEAVY: Final = ("/api/history", "/api/tags", "/api/download", "/api/commission")
"""Begins of paths whose answers take megabytes to make, and are not asked for all the time."""


class May(StrEnum):
    """Who may use a route."""

    EVERYBODY = "everybody"
    """The page's own files and logging in: they tell nothing of the station."""
    LOOK = "look"
    CHANGE = "change"
    THIS_MACHINE = "this machine"


class Route(msgspec.Struct, frozen=True):
    """One route."""

    method: str
    path: str
    may: May
    answer: Answer


class Page:
    """The running page: serves sockets that are listening already."""

    def __init__(self, parts: StationParts, *, connections: int = PAGE_CONNECTIONS) -> None:
        self.access = Access(lambda: parts.settings().page)
        self._connections = connections
        status = StatusText(parts)
        self._streams = LiveStreams(parts, status)
        self._looking = Looking(parts, status)
        self._plotting = Plotting(parts)
        self._downloads = Downloads(parts)
        self._facts = Facts(parts)
        self._walks = WalkTests(parts)
        self._commission = CommissionRoutes(parts)
        self._login = Login(self.access)
        self._files = StaticFiles()
        self._rest = Rest(self._let_go, PAGE_RESTS_AFTER_S)
        self.routes = self._all_routes()
        application = web.Application(
            client_max_size=PAGE_REQUEST_BYTES, middlewares=[_errors_as_json]
        )
        for route in self.routes:
            answer = self._guarded(route)
            application.router.add_route(route.method, route.path, answer)
            if route.method == "GET" and route.may is May.EVERYBODY:
                # What asks whether the page is there (`curl -I`, monitors) asks so.
                application.router.add_route("HEAD", route.path, answer)
        application.on_response_prepare.append(add_headers)
        application.on_shutdown.append(self._end_what_lasts)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            auto_decompress=False,
            keepalive_timeout=PAGE_IDLE_S,
            max_line_size=PAGE_HEADER_BYTES,
            max_field_size=PAGE_HEADER_BYTES,
            lingering_time=1.0,
            shutdown_timeout=PAGE_CLOSE_S,
            logger=_silent_logger(),
        )

    async def start(self) -> None:
        """Get ready to serve."""
        await self._runner.setup()

    async def serve(self, listening: socket.socket) -> asyncio.Server:
        """Answer what comes to a listening socket, until the server that is returned is closed."""
        return await asyncio.get_running_loop().create_server(
            self._connection, sock=listening, backlog=_BACKLOG
        )

    async def close(self) -> None:
        """End streams at once and other answers soon."""
        await self._runner.cleanup()
        await self._rest.close()
        await self._plotting.close()

    def _all_routes(self) -> tuple[Route, ...]:
        looking, login, downloads = self._looking, self._login, self._downloads
        walks, commission = self._walks, self._commission
        rows = "/api/download/detections.{ending:csv|json}"
        return (
            Route("GET", "/", May.EVERYBODY, self._files.page),
            Route("GET", "/static/{name}", May.EVERYBODY, self._files.file),
            Route("GET", "/api/session", May.EVERYBODY, login.show),
            Route("POST", "/api/session", May.EVERYBODY, login.begin),
            Route("DELETE", "/api/session", May.EVERYBODY, login.end),
            Route("GET", "/api/status", May.LOOK, looking.status),
            Route("GET", "/api/log", May.LOOK, looking.log),
            Route("GET", "/api/live", May.LOOK, self._live),
            Route("GET", "/api/history", May.LOOK, self._plotting.history),
            Route("GET", "/api/tags", May.LOOK, self._plotting.tags),
            Route("GET", "/api/facts", May.LOOK, self._facts.show),
            Route("GET", "/api/downloads", May.LOOK, downloads.show),
            Route("GET", "/api/download/file/{name}", May.LOOK, downloads.file),
            Route("GET", rows, May.LOOK, downloads.detections),
            # Of a refused download a browser tells in words of its own: the page asks first.
            Route("HEAD", rows, May.LOOK, downloads.detections),
            Route("GET", "/api/download/export/{format}.zip", May.LOOK, downloads.export),
            Route("POST", "/api/walk-test", May.CHANGE, walks.begin),
            Route("POST", "/api/walk-test/mark", May.CHANGE, walks.mark),
            Route("GET", "/api/commission", May.LOOK, commission.state),
            Route("GET", "/api/commission/report.html", May.LOOK, commission.report_html),
            Route("GET", "/api/commission/report.txt", May.LOOK, commission.report_text),
            Route("POST", "/api/commission/{step}", May.CHANGE, commission.step),
            Route("GET", "/metrics", May.THIS_MACHINE, looking.metrics),
        )

    def _guarded(self, route: Route) -> Answer:
        is_heavy = route.path.startswith(_HEAVY)

        async def answer(request: web.Request) -> web.StreamResponse:
            _drop_if_dead(request)
            caller = caller_of(request)
            denial = None
            if route.may is May.LOOK:
                denial = self.access.reading(caller)
            elif route.may is May.CHANGE:
                denial = self.access.changing(caller)
            elif route.may is May.THIS_MACHINE:
                denial = self.access.on_this_machine(caller)
            if denial is not None:
                raise refused(denial)
            with self._rest.disturbed() if is_heavy else contextlib.nullcontext():
                return await route.answer(request)

        return answer

    async def _live(self, request: web.Request) -> web.StreamResponse:
        caller = caller_of(request)
        return await self._streams.answer(request, lambda: self.access.reading(caller) is None)

    async def _let_go(self) -> None:
        await self._plotting.rest()
        await asyncio.to_thread(give_back)

    async def _end_what_lasts(self, _: web.Application) -> None:
        await self._streams.close()
        await self._downloads.close()
        await self._walks.close()
        await self._commission.close()

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        if server is None or len(server.connections) >= self._connections:
            return _TurnedAway()
        return server()


class _TurnedAway(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        if isinstance(transport, asyncio.Transport):
            transport.abort()


@web.middleware
async def _errors_as_json(request: web.Request, handler: Answer) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as problem:
        return refusal(problem)
    except web.HTTPRequestEntityTooLarge:
        most = PAGE_REQUEST_BYTES // 1024
        return refusal(Refused(413, "the request is too long", f"send at most {most} kB"))
    except web.HTTPMethodNotAllowed as problem:
        allowed = ", ".join(sorted(problem.allowed_methods))
        return refusal(
            Refused(405, "this cannot be done here", f"use {allowed}", headers={"Allow": allowed})
        )
    except web.HTTPException as problem:
        return refusal(Refused(problem.status, problem.reason, "see the documentation"))
    except (ConnectionError, asyncio.CancelledError):
        raise  # The client has gone, or the station stops.
    except Exception:
        log.exception("request failed by a fault in the program", path=request.path)
        return refusal(Refused(500, "a fault in the program", "see the station's log"))


def _drop_if_dead(request: web.Request) -> None:
    """Let the kernel give a connection up whose far end takes nothing: a phone that has left."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is not None and connection.family != socket.AF_UNIX:
        patience_ms = int(PAGE_SLOW_S * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience_ms)


def _silent_logger() -> logging.Logger:
    """Return where aiohttp may complain of what strangers send; faults are logged above."""
    silent = logging.getLogger("receiver.web.aiohttp")
    silent.propagate = False
    silent.handlers = [logging.NullHandler()]
    return silent
