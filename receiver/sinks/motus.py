"""The `motus` sink: archives to motus.org the way SensorGnome stations send them. Off by default.

What is known and what is not:

- The interface is not documented. It is taken from the station program of SensorGnome and may
  change without notice. The safe way is `stopover export motus` and the upload page of motus.org.
- Motus takes files of receivers that are registered; whether it takes a receiver that is no
  SensorGnome under such a serial is not known: ask Motus before you switch this on.
- Motus hands files of CTT tags on to CTT, and their detections come back from there.
- "Stored" is what Motus answers when it has begun to look at the archive. That a file was damaged
  it tells on its web pages only.

A batch stands for the UTC days of its rows. Days that are over are exported whole, zipped (at most
10 MB of files an archive) and sent in four steps: log in, ask whether it knows the archive's SHA-1
(then it is done), post it, let it be taken over. The same day gives the same archive, so a
repetition ends at the second step.

Source: tve/sensorgnome-control, src/motus_up.js and src/datafiles.js.
"""

import asyncio
import datetime as dt
import hashlib
import html
import io
import re
import sqlite3
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from receiver.config import ConfigError
from receiver.exports.formats import export
from receiver.exports.metadata_tables import Metadata, Motus
from receiver.exports.request import ExportError, Request
from receiver.links.broker import advice, read_password, tls_context
from receiver.sink_settings import MotusSink as MotusSettings
from receiver.sinks.batches import Batch, unpack
from receiver.sinks.far_end import FarEndError, NotYetError
from receiver.store.errors import StoreError
from receiver.store.queries import DetectionFilter, Reader

_ARCHIVE_BYTES: Final = 10 * 1024 * 1024
_DAY_S: Final = 86_400
_GRACE_S: Final = 600.0
"""What was heard in the last second of a day is in the store by then, with its time corrected."""

_LOGIN_REFUSED: Final = "check username and password_file: log in at motus.org by hand"
_REDIRECTIONS: Final = range(300, 400)
_TAKEN_OVER: Final = re.compile(r"Job ID:\s*(\d+)")
_KNOWN: Final = "already been uploaded"


class _Archive(msgspec.Struct, frozen=True):
    name: str
    sha1: str
    content: bytes


class MotusSink:
    """Sends days; remembers which it sent, and in which state."""

    def __init__(
        self, settings: MotusSettings, store: Path, *, utc_s: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._store = store
        self._utc_s = utc_s
        self._session: aiohttp.ClientSession | None = None
        self._sent: set[str] = set()

    async def send(self, batch: Batch) -> None:
        """Send the days of a batch; see `receiver.sinks.far_end.Sink`."""
        for day in _days(batch):
            until_s = (day + 1) * _DAY_S + _GRACE_S
            if self._utc_s() < until_s:
                raise NotYetError(f"the day of {_date(day)} is not over", until_s - self._utc_s())
            for archive in await asyncio.to_thread(self._archives, day):
                if archive.sha1 not in self._sent:
                    await self._hand_over(archive)
                    self._sent.add(archive.sha1)

    async def close(self) -> None:
        """Forget the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _archives(self, day: int) -> list[_Archive]:
        """Return the archives of a day.

        Raises:
            FarEndError: the store or the temporary folder fails.
        """
        serial = self._settings.serial
        try:
            with tempfile.TemporaryDirectory() as folder, Reader(self._store) as reader:
                request = Request(
                    reader=reader,
                    metadata=Metadata(motus=Motus(serial=serial)),
                    wanted=DetectionFilter(
                        since_utc_ns=day * _DAY_S * 10**9,
                        until_utc_ns=(day + 1) * _DAY_S * 10**9,
                    ),
                    now_ns=int(self._utc_s() * 1e9),
                )
                export("motus", request, Path(folder))
                return [_archive(serial, _date(day), files) for files in _portions(Path(folder))]
        except (ExportError, ConfigError, StoreError, sqlite3.Error, OSError) as error:
            raise FarEndError(
                f"no files of {_date(day)}: {error}", "see the log", is_reached=False
            ) from error

    async def _hand_over(self, archive: _Archive) -> None:
        try:
            session = await self._open()
            job = {"projectID": str(self._settings.project)}
            known = await self._ask(
                session, {**job, "verifyHash": archive.sha1, "fileName": archive.name}
            )
            part = known.get("filePartName")
            if not isinstance(part, str):
                if _KNOWN in str(known.get("msg", "")):
                    return
                raise self._failed(f"the check of {archive.name} failed: {_said(known)}")
            job["filePartName"] = part
            started = await self._ask(session, {**job, "action": "start"}, archive.content)
            if "error" in started:
                raise self._failed(f"{archive.name} was not taken: {_said(started)}")
            done = await self._ask(
                session, {**job, "localFileName": archive.name, "action": "transfer"}
            )
            if not _TAKEN_OVER.search(str(done.get("msg", ""))):
                raise self._failed(f"{archive.name} was not taken over: {_said(done)}")
        except TimeoutError as error:
            raise self._failed(f"no answer within {self._settings.timeout:g} s") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            await self.close()
            reason = str(error) or type(error).__name__
            raise FarEndError(f"{self._settings.url}: {reason}", advice(reason)) from error

    async def _open(self) -> aiohttp.ClientSession:
        """Return a session that is logged in.

        Raises:
            FarEndError: the password is refused, or a file cannot be read.
        """
        if self._session is not None:
            return self._session
        settings = self._settings
        try:
            password = await asyncio.to_thread(read_password, settings)
            context = await asyncio.to_thread(tls_context, settings)
        except (OSError, ValueError) as error:
            raise FarEndError(
                f"{settings.url}: {error}", "check the files that the sink names", is_reached=False
            ) from error
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=1),
            timeout=aiohttp.ClientTimeout(total=settings.timeout),
            # Its cookies are for a host that may be named by its address.
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )
        self._session = session
        form = {"login_name": settings.username or "", "login_password": password or ""}
        async with session.post(
            f"{settings.url}/data/login", data=form, allow_redirects=False
        ) as answer:
            # Odd but so: a redirection that leads nowhere is the yes.
            is_in = answer.status in _REDIRECTIONS and "Location" not in answer.headers
        if not is_in:
            await self.close()
            raise FarEndError(f"{settings.url}: the login is refused", _LOGIN_REFUSED, refused=True)
        return session

    async def _ask(
        self,
        session: aiohttp.ClientSession,
        query: Mapping[str, str],
        content: bytes | None = None,
    ) -> dict[str, Any]:
        url = f"{self._settings.url}/data/project/sgJobs"
        call = (
            session.get(url, params=query, allow_redirects=False)
            if content is None
            else session.post(
                url,
                params=query,
                data=io.BytesIO(content),
                headers={"Content-Type": "application/zip"},
                allow_redirects=False,
            )
        )
        async with call as answer:
            body = await answer.read()
            location = answer.headers.get("Location", "")
        if answer.status in _REDIRECTIONS:
            await self.close()
            if location.rstrip("/").endswith("/login"):
                raise self._failed("the session has ended")
            raise FarEndError(
                f"{url}: no permission for project {self._settings.project}",
                "is `project` right, and is this user a member of it?",
                refused=True,
            )
        try:
            told = msgspec.json.decode(body)
        except msgspec.DecodeError:
            told = None
        if answer.status != 200 or not isinstance(told, dict):  # noqa: PLR2004  The one good answer.
            raise self._failed(f"{answer.status}, and no JSON: {body[:120]!r}")
        return told

    def _failed(self, reason: str) -> FarEndError:
        return FarEndError(
            f"{self._settings.url}: {reason}",
            "try `stopover export motus` and the upload page of motus.org",
        )


def _days(batch: Batch) -> list[int]:
    """Return the days of a batch's rows, since 1970."""
    _, lines = unpack(batch.body, len(batch.body) * 2_000 + 1_000_000)
    times = (_decode_times(line) for line in lines)
    return sorted({int(told.when.timestamp() // _DAY_S) for told in times if told.when})


class _Times(msgspec.Struct, frozen=True):
    time_stamped: dt.datetime | None = None
    time: dt.datetime | None = None

    @property
    def when(self) -> dt.datetime | None:
        return self.time or self.time_stamped


_decode_times = msgspec.json.Decoder(_Times).decode


def _date(day: int) -> str:
    return f"{dt.date(1970, 1, 1) + dt.timedelta(days=day):%Y-%m-%d}"


def _portions(folder: Path) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the files of a folder by name, as many together as an archive may hold."""
    portion: list[tuple[str, bytes]] = []
    size = 0
    for path in sorted(path for path in folder.rglob("*.txt*") if path.is_file()):
        content = path.read_bytes()
        if portion and size + len(content) > _ARCHIVE_BYTES:
            yield portion
            portion, size = [], 0
        portion.append((path.relative_to(folder).as_posix(), content))
        size += len(content)
    if portion:
        yield portion


def _archive(serial: str, date: str, files: Sequence[tuple[str, bytes]]) -> _Archive:
    """Return a zip file; the same files give the same bytes."""
    packed = io.BytesIO()
    year, month, day = (int(part) for part in date.split("-"))
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=7) as archive:
        for name, content in files:
            entry = zipfile.ZipInfo(name, (max(year, 1980), month, day, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=7)
    content = packed.getvalue()
    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    return _Archive(f"{serial}-{date.replace('-', '')}-{sha1[:8]}.zip", sha1, content)


def _said(answer: Mapping[str, Any]) -> str:
    return html.unescape(str(answer.get("error") or answer.get("msg") or answer))[:200]
