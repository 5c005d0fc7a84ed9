"""The `http` sink: a batch is a POST, and a 2xx after the far end's commit acknowledges it.

The request: the batch as body, `Content-Type: application/x-ndjson`, `Content-Encoding: gzip` or
`zstd` where it is compressed, `Idempotency-Key:` the batch's name, so that a far end may tell a
repetition before it reads it.

The answer: any 2xx is an acknowledgement, but for 202 (accepted, not stored) and HTML (the login
page of a hotel or a mobile network). Where the answer is JSON with `acknowledged`, it must be the
batch's name. 413, 400 and 422 say that this batch will never do; everything else, that it may
another time.
"""

import asyncio
import base64
import io
import ssl
from typing import Final

import aiohttp
import msgspec

from receiver.links.broker import advice, read_password, tls_context
from receiver.sink_settings import HttpSink as HttpSettings
from receiver.sinks.batches import Batch
from receiver.sinks.far_end import BatchRefusedError, FarEndError

_ANSWER_BYTES: Final = 64 * 1024
_TOLD_BYTES: Final = 200
_ACCEPTED: Final = 202
_NEVER: Final = frozenset({400, 413, 422})
_LATER: Final = frozenset({408, 409, 425, 429})
_SERVER_FAILED: Final = 500

_ADVICE: Final = {
    401: "check username and password_file, or token_file",
    403: "this user may not send for this station: ask the far end's owner",
    404: "check the path of the url",
    405: "check the path of the url: nothing takes batches there",
    415: "the far end does not know this compression: take gzip",
}


class HttpSink:
    """Posts batches to one address; keeps the connection between them."""

    def __init__(self, settings: HttpSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def send(self, batch: Batch) -> None:
        """Post a batch; see `receiver.sinks.far_end.Sink`."""
        session = await self._open()
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": batch.name}
        if batch.compression != "none":
            headers["Content-Encoding"] = batch.compression
        try:
            async with session.post(
                self._settings.url,
                data=io.BytesIO(batch.body),  # It is written in pieces.
                headers=headers,
                allow_redirects=False,
            ) as response:
                said = await response.content.read(_ANSWER_BYTES)
        except TimeoutError as error:
            raise FarEndError(
                f"{self._settings.url}: no answer within {self._settings.timeout:g} s",
                "the far end or the line is slow; a smaller batch follows",
            ) from error
        except aiohttp.ClientConnectorError as error:
            await self.close()
            reason = _words(error)
            raise FarEndError(
                f"{self._settings.url}: {reason}", advice(reason), is_reached=False
            ) from error
        except (aiohttp.ClientError, ConnectionError, ssl.SSLError) as error:
            reason = _words(error)
            raise FarEndError(f"{self._settings.url}: {reason}", advice(reason)) from error
        self._judge(batch, response, said)

    async def close(self) -> None:
        """Close the connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            settings = self._settings
            try:
                password = await asyncio.to_thread(read_password, settings)
                token = await asyncio.to_thread(_first_line, settings.token_file)
                context = await asyncio.to_thread(tls_context, settings)
            except (OSError, ValueError) as error:
                raise FarEndError(
                    f"{settings.url}: {error}",
                    "check the files that the sink names",
                    is_reached=False,
                ) from error
            headers = {"User-Agent": "stopover"}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            elif settings.username is not None:
                login = f"{settings.username}:{password or ''}".encode()
                headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context, limit=1),
                timeout=aiohttp.ClientTimeout(total=settings.timeout),
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _judge(self, batch: Batch, response: aiohttp.ClientResponse, said: bytes) -> None:
        status = response.status
        told = said[:_TOLD_BYTES].decode("utf-8", "replace").strip()
        reason = f"{self._settings.url}: {status} {response.reason or ''}: {told}".rstrip(": ")
        if response.ok and status < 300:  # noqa: PLR2004  `ok` includes redirections.
            self._look_at_acknowledgement(batch, response, said)
            return
        if status in _NEVER:
            raise BatchRefusedError(reason)
        raise FarEndError(
            reason,
            _ADVICE.get(status, "see the far end's own log"),
            refused=status < _SERVER_FAILED and status not in _LATER,
            retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
        )

    def _look_at_acknowledgement(
        self, batch: Batch, response: aiohttp.ClientResponse, said: bytes
    ) -> None:
        url = self._settings.url
        if response.status == _ACCEPTED:
            raise FarEndError(
                f"{url}: 202 says that the batch is accepted, not that it is stored",
                "the far end must answer after its commit, with 200",
            )
        if response.content_type == "text/html":
            raise FarEndError(
                f"{url}: a web page answered, not a collector",
                "does this network want a login? Is the url right?",
            )
        acknowledged = _acknowledged(said)
        if acknowledged not in (None, batch.name):
            raise FarEndError(
                f"{url}: the answer acknowledges another batch, {acknowledged}",
                "a cache between us and the far end mixes up answers",
            )


def _acknowledged(said: bytes) -> str | None:
    """Return the batch that an answer names, None where it names none."""
    try:
        answer = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return None
    named = answer.get("acknowledged") if isinstance(answer, dict) else None
    return named if isinstance(named, str) else None


def _retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header; a date is left to our own back-off."""
    if value is None or not value.strip().isdecimal():
        return None
    return float(value)


def _first_line(path: str | None) -> str | None:
    if path is None:
        return None
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  A path of the settings.
        return file.readline().strip()


def _words(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or error.__cause__ or error
    return str(cause) or type(error).__name__
