"""Alarms posted to the owner's address: each once when it begins and once when it is over.

    POST URL, Content-Type: application/json, Authorization: Bearer TOKEN where there is one
    {"text": "marsh: ALARM radio-silent ch1: silent for 5 min",     for chats that show `text`
     "station": "marsh", "state": "on" or "over", "alarm": "radio-silent", "subject": "ch1",
     "since": "…Z", "time": "…Z", "message": "…", "do": "…"}

Any 2xx takes it. What is not taken waits, in order, and is posted again until it is: an alarm may
come twice, never not at all while the station runs. Nothing is loaded and no task runs while there
is nothing to post. The log names the host only: addresses of chats are secrets.
"""

import asyncio
import importlib
import ssl
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
import structlog

from receiver.limits import (
    SINK_RETRY_FIRST_S,
    SINK_RETRY_LONGEST_S,
    WEBHOOK_TIMEOUT_S,
    WEBHOOK_WAITING,
)
from receiver.links.backoff import Backoff
from receiver.links.broker import advice
from receiver.watch_settings import AlarmSettings

log = structlog.get_logger()

_LATER: Final = frozenset({408, 425, 429})
_REFUSED: Final = range(400, 500)
_TAKEN: Final = range(200, 300)
_TOLD_BYTES: Final = 200


class AlarmMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted of one alarm."""

    text: str
    station: str
    state: Literal["on", "over"]
    alarm: str
    subject: str
    since: str
    time: str
    message: str
    do: str


class _NotTakenError(Exception):
    """The webhook did not take a message."""

    def __init__(self, reason: str, do: str, *, is_refused: bool = False) -> None:
        super().__init__(reason)
        self.do = do
        self.is_refused = is_refused


class Webhook:
    """Posts messages in order; belongs to the loop."""

    def __init__(
        self,
        settings: AlarmSettings,
        posted: Callable[[AlarmMessage], None],
        *,
        backoff: Callable[[], Backoff] = lambda: Backoff(
            first_s=SINK_RETRY_FIRST_S, longest_s=SINK_RETRY_LONGEST_S
        ),
    ) -> None:
        """`posted` is told each message that was taken."""
        self.dropped = 0
        """Messages that found no room, the oldest ones."""
        self._settings = settings
        self._posted = posted
        self._backoff = backoff
        self._waiting: deque[AlarmMessage] = deque()
        self._posting: asyncio.Task[None] | None = None
        self._told_failing = False

    @property
    def waiting(self) -> int:
        """Messages that are not taken yet."""
        return len(self._waiting)

    def post(self, message: AlarmMessage) -> None:
        """Post a message as soon as that can be; nothing where there is no webhook."""
        if self._settings.webhook is None:
            return
        if len(self._waiting) >= WEBHOOK_WAITING:
            self._waiting.popleft()
            self.dropped += 1
            if self.dropped == 1:
                log.warning("alarms for the webhook are dropped: too many wait")
        self._waiting.append(message)
        self._begin()

    def change(self, settings: AlarmSettings) -> None:
        """Post to this address from now on, what waits first."""
        before = (self._settings.webhook, self._settings.webhook_token_file)
        self._settings = settings
        if (settings.webhook, settings.webhook_token_file) == before:
            return
        if settings.webhook is None:
            self._waiting.clear()
        if self._posting is not None:
            self._posting.cancel()
            self._posting = None
        self._begin()

    async def stop(self) -> None:
        """Post no more."""
        posting, self._posting = self._posting, None
        if posting is not None:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)

    def _begin(self) -> None:
        if self._waiting and (self._posting is None or self._posting.done()):
            self._posting = asyncio.create_task(self._post_all())

    async def _post_all(self) -> None:
        backoff = self._backoff()
        while self._waiting:
            message = self._waiting[0]
            backoff.works()
            try:
                await self._try(message)
            except _NotTakenError as error:
                self._tell_failing(error)
                await asyncio.sleep(backoff.refused() if error.is_refused else backoff.failed())
                continue
            if self._waiting and self._waiting[0] is message:
                self._waiting.popleft()
            if self._told_failing:
                self._told_failing = False
                log.warning("webhook takes alarms again", webhook=self._host)
            self._posted(message)

    @property
    def _host(self) -> str | None:
        return urlsplit(self._settings.webhook or "").hostname

    async def _try(self, message: AlarmMessage) -> None:
        # Loading it takes 0.2 s on a PC: too long for the loop.
        aiohttp = await asyncio.to_thread(importlib.import_module, "aiohttp")
        url, token_file = self._settings.webhook or "", self._settings.webhook_token_file
        headers = {"Content-Type": "application/json", "User-Agent": "stopover"}
        if token_file is not None:
            try:
                token = await asyncio.to_thread(_first_line, token_file)
            except (OSError, UnicodeDecodeError) as error:
                raise _NotTakenError(str(error), "check alarms.webhook_token_file") from error
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with (
                aiohttp.ClientSession(
                    timeout=aiohttp.ClientTimeout(total=WEBHOOK_TIMEOUT_S),
                    cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.post(
                    url,
                    data=msgspec.json.encode(message),
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                status = response.status
                said = (await response.content.read(_TOLD_BYTES)).decode("utf-8", "replace")
        except TimeoutError as error:
            raise _NotTakenError("no answer", "is the far end up? Is the network slow?") from error
        except (aiohttp.ClientError, OSError, ssl.SSLError, ValueError) as error:
            cause = getattr(error, "os_error", None) or error.__cause__ or error
            reason = str(cause) or type(error).__name__
            raise _NotTakenError(reason, advice(reason)) from error
        if status not in _TAKEN:
            raise _NotTakenError(
                f"{status} {said}".strip(),
                "check alarms.webhook and alarms.webhook_token_file",
                is_refused=status in _REFUSED and status not in _LATER,
            )

    def _tell_failing(self, error: _NotTakenError) -> None:
        if not self._told_failing:
            self._told_failing = True
            log.warning(
                "webhook takes no alarms; they wait",
                webhook=self._host,
                reason=str(error),
                do=error.do,
            )


def _first_line(path: str) -> str:
    with Path(path).open(encoding="utf-8") as file:
        return file.readline().strip()
