"""How we connect to an MQTT broker: addresses, passwords, TLS, and what a failure means.

Links, sinks and collectors share it. The broker's certificate and name are checked, always.
"""

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

import aiomqtt
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

_PORT: Final = 1883
_TLS_PORT: Final = 8883

_SERVER_UNAVAILABLE: Final = "Server unavailable"
"""The one refusal that time may mend. Source: MQTT 3.1.1, 3.2.2.3: return code 3."""

_SUBSCRIBE_FAILURE: Final = 0x80
"""Source: MQTT 3.1.1, 3.9.3: the return code of a subscription that was refused."""

_library_log = logging.getLogger("receiver.links.broker.library")
# The libraries log each failure that they also raise; who connects tells it once, in own words.
_library_log.setLevel(logging.CRITICAL)


class Credentials(Protocol):
    """The files and names with which one logs in somewhere: a part of several settings."""

    @property
    def username(self) -> str | None:
        """User at the far end."""
        ...

    @property
    def password_file(self) -> str | None:
        """File whose first line is the password."""
        ...

    @property
    def ca_file(self) -> str | None:
        """Certificates to trust, else the system's."""
        ...

    @property
    def certificate_file(self) -> str | None:
        """An own certificate."""
        ...

    @property
    def key_file(self) -> str | None:
        """The key of that certificate."""
        ...


class BrokerAddress(Credentials, Protocol):
    """A broker and how to log in to it."""

    @property
    def broker(self) -> str:
        """mqtt://HOST[:PORT] or mqtts://HOST[:PORT]."""
        ...


class ConnectError(Exception):
    """A connection that could not be made; `advice` says what to do."""

    def __init__(self, reason: str, advice: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.advice = advice
        self.refused = refused
        """The far end said no: trying again soon mends nothing."""


async def client(
    settings: BrokerAddress,
    *,
    identifier: str,
    clean_session: bool,
    keepalive_s: int,
    timeout_s: float,
    will: aiomqtt.Will | None = None,
    receive_maximum: int | None = None,
) -> aiomqtt.Client:
    """Return a client made from the settings and from what their files hold now.

    With `receive_maximum` it speaks MQTT 5 and has at most that many messages in flight; without,
    it speaks 3.1.1, which every broker does.

    Raises:
        ConnectError: a file cannot be used.
    """
    address = urlsplit(settings.broker)
    tls = address.scheme == "mqtts"
    try:
        password = await asyncio.to_thread(read_password, settings)
        context = await asyncio.to_thread(tls_context, settings) if tls else None
        port = address.port or (_TLS_PORT if tls else _PORT)
    except (OSError, ValueError) as error:
        raise ConnectError(
            f"{settings.broker}: {error}", "check the files and the port that it names"
        ) from error
    properties = None
    if receive_maximum is not None:
        properties = Properties(_CONNECT_PACKET)  # type: ignore[no-untyped-call]  # paho's own.
        properties.ReceiveMaximum = receive_maximum
    return aiomqtt.Client(
        address.hostname or "",
        port,
        username=settings.username,
        password=password,
        identifier=identifier,
        protocol=aiomqtt.ProtocolVersion.V5 if properties else None,
        properties=properties,
        clean_session=None if properties else clean_session,
        clean_start=clean_session if properties else MQTT_CLEAN_START_FIRST_ONLY,
        will=will,
        keepalive=keepalive_s,
        timeout=timeout_s,
        tls_context=context,
        logger=_library_log,
    )


_CONNECT_PACKET: Final = 1
"""Source: MQTT 5, 2.1.2: the control packet whose properties these are."""


async def connect(client: aiomqtt.Client, broker: str) -> None:
    """Connect; whoever calls it also calls `disconnect`, whatever happened.

    Raises:
        ConnectError: the broker cannot be reached, or refuses us.
    """
    try:
        # `disconnect` leaves it, also where this fails, which `async with` would not.
        await client.__aenter__()
    except aiomqtt.MqttCodeError as error:
        said = str(error.rc) if isinstance(error.rc, ReasonCode) else str(error)
        raise ConnectError(
            f"{broker}: the broker refuses us: {said}",
            "check username, password_file and client_id, and the broker's own log",
            refused=said != _SERVER_UNAVAILABLE,
        ) from error
    except (aiomqtt.MqttError, ValueError, OverflowError) as error:
        reason = words(error)
        raise ConnectError(f"{broker}: {reason}", advice(reason)) from error


async def disconnect(client: aiomqtt.Client) -> None:
    """Disconnect, also from a broker that never answered."""
    paho = client._client  # noqa: SLF001  aiomqtt leaves a half-made connection to its user.
    connected = paho.is_connected()
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        if connected:
            async with asyncio.timeout(1.0):
                await client.__aexit__(None, None, None)
        else:
            paho.disconnect()
    ended = client._disconnected  # noqa: SLF001  Else asyncio complains that nobody looked.
    if ended.done() and not ended.cancelled():
        ended.exception()


def heed_cancellation() -> None:
    """End the task if it was cancelled; call it in loops after calls of aiomqtt.

    It waits with `asyncio.wait_for`, which before Python 3.12 swallows a cancellation that comes in
    the same moment as what it waits for: https://bugs.python.org/issue37658.

    Raises:
        asyncio.CancelledError: it was.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def advice(reason: str) -> str:
    """Return what to do about a connection that failed."""
    if "not yet valid" in reason:
        return "the clock of this station seems to be behind: see `stopover status`"
    if "has expired" in reason:
        return "renew the far end's certificate, or mend this station's clock if it is ahead"
    if "certificate" in reason.lower():
        return "check ca_file, and that the far end's certificate bears its host's name"
    return "is the far end up, its address right, the network there?"


def words(error: Exception) -> str:
    """Return what happened, where the library only says where it noticed."""
    cause = error.__cause__
    if isinstance(cause, aiomqtt.MqttCodeError) and isinstance(cause.rc, ReasonCode):
        return str(cause.rc)
    said = str(cause or error)
    return "the broker does not answer" if said == "Operation timed out" else said


def is_refusal(code: int | ReasonCode) -> bool:
    """Tell whether a broker refused a subscription."""
    return code.is_failure if isinstance(code, ReasonCode) else code >= _SUBSCRIBE_FAILURE


def read_password(settings: Credentials) -> str | None:
    """Return the first line of the password file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no UTF-8 text.
    """
    if settings.password_file is None:
        return None
    lines = Path(settings.password_file).read_text(encoding="utf-8").splitlines()
    return lines[0] if lines else ""


def tls_context(settings: Credentials) -> ssl.SSLContext:
    """Return the TLS settings: the far end's certificate and name are checked, always.

    Raises:
        OSError: a file cannot be read or holds no certificate or key.
    """
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.certificate_file is not None:
        context.load_cert_chain(settings.certificate_file, settings.key_file)
    return context
