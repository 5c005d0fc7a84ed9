"""How commands ask the running station: HTTP over the Unix socket beside its store.

Only the standard library: a command starts at once, and needs no more memory than it must.
"""

import http.client
import socket
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from receiver.health.snapshot import StationSnapshot
from receiver.live import LiveDetection
from receiver.web.unix_address import address_of, socket_beside

_ANSWERS_WITHIN_S: Final = 60.0
"""The first question loads the daemon's HTTP library: three seconds on a Pi Zero."""
_TOLD_EVERY_S: Final = 1.0
_LONGEST_EVENT_BYTES: Final = 16 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_OK: Final = 200
_REFUSED_FROM: Final = 400


class LocalStationError(Exception):
    """The running station did not answer, or said no; `do` says what would help."""

    def __init__(self, error: str, do: str = "") -> None:
        super().__init__(error)
        self.do = do


def connect(store: Path) -> "LocalStation | None":
    """Return the daemon that has this store, None where none answers.

    Raises:
        LocalStationError: one runs, but this user may not ask it.
    """
    path = socket_beside(store.absolute())
    try:
        _connected(path).close()
    except PermissionError as error:
        raise LocalStationError(
            f"{path}: you may not ask the running station",
            "use sudo, or join the group that the file belongs to",
        ) from error
    except OSError:
        return None
    return LocalStation(path)


class LocalStation:
    """The running station; every question is a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def status(self) -> StationSnapshot:
        """Return how it is.

        Raises:
            LocalStationError: it did not answer.
        """
        return msgspec.json.decode(self._asked("GET", "/api/status"), type=StationSnapshot)

    def get(self, path: str) -> Any:  # noqa: ANN401  JSON of any shape.
        """Return the JSON at `path`.

        Raises:
            LocalStationError: it did not answer, or said no.
        """
        return _json(self._asked("GET", path))

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401  Same.
        """Send JSON to `path`; return the JSON that comes back.

        Raises:
            LocalStationError: it did not answer, or said no.
        """
        return _json(self._asked("POST", path, msgspec.json.encode(body)))

    def text(self, path: str) -> str:
        """Return the text at `path`, a report for instance.

        Raises:
            LocalStationError: it did not answer, or said no.
        """
        return self._asked("GET", path).decode("utf-8", "replace")

    def live(
        self, since: int = 0, tag: str | None = None, antenna: str | None = None
    ) -> Generator[LiveDetection | None, None, None]:
        """Yield detections as they come, for ever; None once a second while there are none.

        Begins after the number `since`, or with the newest fifty.

        Raises:
            LocalStationError: it has ended, or said no.
        """
        asked = {"only": "detections", "since": since, "tag": tag, "antenna": antenna}
        query = urlencode({name: told for name, told in asked.items() if told})
        connection = _reached(self._path)
        try:
            # HTTP/1.0: the answer then comes as it is, without chunks around it.
            connection.sendall(
                f"GET /api/live?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
            )
            yield from _detections(_blocks(connection))
        except OSError as error:
            raise LocalStationError(f"the station was lost: {error}", "see its log") from error
        finally:
            connection.close()

    def _asked(self, method: str, path: str, body: bytes | None = None) -> bytes:
        connection = _Connection(self._path)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            told = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise LocalStationError(
                f"the station does not answer: {error}", "see its log"
            ) from error
        finally:
            connection.close()
        if response.status >= _REFUSED_FROM:
            raise _problem(response.status, told)
        return told


class _Connection(http.client.HTTPConnection):
    """HTTP over the station's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_ANSWERS_WITHIN_S)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = _reached(self._path)


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_ANSWERS_WITHIN_S)
        with address_of(path) as address:
            connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _reached(path: Path) -> socket.socket:
    try:
        return _connected(path)
    except OSError as error:
        raise LocalStationError(
            f"the station does not answer: {error.strerror or error}", "is it still running?"
        ) from error


def _blocks(connection: socket.socket) -> Iterator[bytes | None]:
    """Yield what stands between blank lines: first the answer's head, then events; None if idle."""
    received = b""
    connection.settimeout(_TOLD_EVERY_S)
    given_up_s = time.monotonic() + _ANSWERS_WITHIN_S
    is_head = True
    while True:
        end = b"\r\n\r\n" if is_head else b"\n\n"
        while (place := received.find(end)) >= 0:
            yield received[:place]
            received = received[place + len(end) :]
            is_head, end = False, b"\n\n"
        try:
            chunk = connection.recv(_READ_BYTES)
        except TimeoutError:
            if is_head and time.monotonic() >= given_up_s:
                raise
            yield None
            continue
        if not chunk and is_head:
            raise LocalStationError("the station does not answer", "is it still running?")
        if not chunk or len(received) > _LONGEST_EVENT_BYTES:
            if received:
                yield received
            return
        received += chunk


def _detections(blocks: Iterator[bytes | None]) -> Iterator[LiveDetection | None]:
    status = None
    for block in blocks:
        if block is None:
            yield None
        elif status is None:
            words = block.split(b"\r\n", 1)[0].split()
            status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
        elif status != _OK:
            raise _problem(status, block)
        else:
            for line in block.split(b"\n"):
                if line.startswith(b"data: "):
                    yield from msgspec.json.decode(line[6:], type=tuple[LiveDetection, ...])
    raise LocalStationError("the station has ended", "see its log")


def _problem(status: int, told: bytes) -> LocalStationError:
    try:
        body = _json(told)
    except LocalStationError:
        body = {}
    error = body.get("error") if isinstance(body, dict) else None
    do = body.get("do") if isinstance(body, dict) else None
    return LocalStationError(str(error or f"the station answered {status}"), str(do or ""))


def _json(told: bytes) -> Any:  # noqa: ANN401  JSON of any shape.
    try:
        return msgspec.json.decode(told)
    except (msgspec.MsgspecError, ValueError) as error:
        raise LocalStationError(f"the station answered no JSON: {error}") from error
