"""The brokers and web servers that links and sinks need: there, and open to us; nothing sent."""

import asyncio
import base64
import http.client
import os
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from receiver.doctor.findings import Finding
from receiver.doctor.site import Site
from receiver.links import broker
from receiver.settings import MqttLink
from receiver.sink_settings import FolderSink, HttpSink, MotusSink, MqttSink

_FarEnd: TypeAlias = MqttLink | MqttSink | HttpSink | MotusSink

_KEEPALIVE_S: Final = 15
_FORBIDDEN: Final = (401, 403)
_NOT_FOUND: Final = 404
_FAILED: Final = 500
_SERVER: Final = "stopover"
"""What the page calls itself in its answers."""
_EVERYWHERE: Final = ("", "::", "0.0.0.0")  # noqa: S104  As configured; nothing is bound here.


def far_ends(site: Site) -> Iterator[Finding]:
    """Look whether each broker and each web server is there and lets this station in."""
    if site.settings is None:
        return
    named: list[tuple[str, _FarEnd]] = [
        (f"link {link.name}", link) for link in site.settings.links if isinstance(link, MqttLink)
    ]
    named += [
        (f"sink {sink.name}", sink)
        for sink in site.settings.sinks
        if not isinstance(sink, FolderSink)
    ]
    if named:
        yield from asyncio.run(_looked_at(site, named))


def webhook(site: Site) -> Iterator[Finding]:
    """Look whether the server that takes alarms is there; nothing is sent, not even its path."""
    url = site.settings.alarms.webhook if site.settings else None
    if url is None:
        return
    address = urlsplit(url)
    subject = "alarms.webhook"
    place = f"{address.scheme}://{address.hostname}"  # A path holds the token, mostly.
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=site.patience_s)
    try:
        connection.request("OPTIONS", "/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        yield Finding(
            check="webhook",
            severity="fault",
            subject=subject,
            found=f"{place}: {reason}: nobody is told of alarms",
            do=broker.advice(reason),
        )
    else:
        found = f"{place}: answers ({status})"
        yield Finding(check="webhook", severity="ok", subject=subject, found=found)
    finally:
        connection.close()


def page(site: Site) -> Iterator[Finding]:
    """Look whether the running station's page is served where it should be."""
    if site.settings is None or site.snapshot is None or not site.settings.page.port:
        return
    settings = site.settings.page
    host = "127.0.0.1" if settings.address in _EVERYWHERE else settings.address
    connection = http.client.HTTPConnection(host, settings.port, timeout=site.patience_s)
    found = "another program answers there"
    try:
        connection.request("HEAD", "/")
        is_ours = connection.getresponse().getheader("Server") == _SERVER
    except (OSError, http.client.HTTPException) as error:
        is_ours, found = False, str(error) or type(error).__name__
    finally:
        connection.close()
    subject = f"page, port {settings.port}"
    if is_ours:
        yield Finding(check="page", severity="ok", subject=subject, found="is served")
    else:
        yield Finding(
            check="page",
            severity="warning",
            subject=subject,
            found=f"is not served: {found}",
            do=f"`sudo ss -ltnp 'sport = :{settings.port}'` tells who has the port: end that"
            " program, or set page.port",
        )


async def _looked_at(site: Site, named: list[tuple[str, _FarEnd]]) -> list[Finding]:
    """Look at all of them side by side: each may take its time."""
    looks: list[Awaitable[Finding]] = []
    for subject, settings in named:
        if isinstance(settings, MqttLink | MqttSink):
            looks.append(_broker(site, subject, settings))
        else:
            looks.append(asyncio.to_thread(_web_server, site, subject, settings))
    return await asyncio.gather(*looks)


async def _broker(site: Site, subject: str, settings: MqttLink | MqttSink) -> Finding:
    client = None
    try:
        client = await broker.client(
            settings,
            # Another name than the station's own, whose session would end.
            identifier=f"stopover-doctor-{os.getpid()}-{settings.name}",
            clean_session=True,
            keepalive_s=_KEEPALIVE_S,
            timeout_s=site.patience_s,
        )
        await broker.connect(client, settings.broker)
    except broker.ConnectError as error:
        return Finding(
            check="broker", severity="fault", subject=subject, found=str(error), do=error.advice
        )
    finally:
        if client is not None:
            await broker.disconnect(client)
    secured = " over TLS" if settings.broker.startswith("mqtts") else ""
    who = f" as {settings.username}" if settings.username else ""
    return Finding(
        check="broker",
        severity="ok",
        subject=subject,
        found=f"{settings.broker} lets us in{who}{secured}",
    )


def _web_server(site: Site, subject: str, settings: HttpSink | MotusSink) -> Finding:
    """Ask what may be done at the address (OPTIONS): any answer says that it is there."""

    def finding(found: str, do: str) -> Finding:
        severity: Final = "fault" if do else "ok"
        return Finding(check="web-server", severity=severity, subject=subject, found=found, do=do)

    address = urlsplit(settings.url)
    try:
        connection = _connection(address, settings, site.patience_s)
        login = _login(settings)
    except (OSError, ValueError) as error:
        return finding(f"{settings.url}: {error}", "check the files that the sink names")
    try:
        connection.request("OPTIONS", address.path or "/", headers=login)
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        return finding(f"{settings.url}: {reason}", broker.advice(reason))
    finally:
        connection.close()
    found = f"{settings.url}: answers ({answer.status})"
    if isinstance(settings, HttpSink) and answer.status in _FORBIDDEN:
        return finding(
            f"{settings.url}: lets us not in ({answer.status})",
            "check username and password_file, or token_file",
        )
    if isinstance(settings, HttpSink) and answer.status == _NOT_FOUND:
        return finding(f"{settings.url}: has no such path (404)", "check the path of the url")
    if answer.status >= _FAILED and answer.status != http.HTTPStatus.NOT_IMPLEMENTED:
        return finding(f"{settings.url}: fails ({answer.status})", "see the far end's own log")
    return finding(found, "")


def _login(settings: HttpSink | MotusSink) -> dict[str, str]:
    """Return the headers that say who we are; not to Motus, which wants a form."""
    if isinstance(settings, MotusSink):
        return {}
    if settings.token_file is not None:
        lines = Path(settings.token_file).read_text(encoding="utf-8").splitlines()
        return {"Authorization": f"Bearer {lines[0] if lines else ''}"}
    if settings.username is None:
        return {}
    login = f"{settings.username}:{broker.read_password(settings) or ''}".encode()
    return {"Authorization": f"Basic {base64.b64encode(login).decode()}"}


def _connection(
    address: SplitResult, settings: HttpSink | MotusSink, timeout_s: float
) -> http.client.HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "https":
        context = broker.tls_context(settings)
        return http.client.HTTPSConnection(host, address.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, address.port, timeout=timeout_s)


def folders(site: Site) -> Iterator[Finding]:
    """Look whether the folders of sinks are there and can be written."""
    for sink in site.settings.sinks if site.settings else ():
        if not isinstance(sink, FolderSink):
            continue
        folder = Path(sink.folder)
        subject = f"sink {sink.name}"
        if sink.mark_file is not None and not (folder / sink.mark_file).exists():
            yield Finding(
                check="folder",
                severity="note",
                subject=subject,
                found=f"no {sink.mark_file} in {folder}: no stick is plugged in",
                do="nothing, unless one is: a stick needs that empty file on it",
            )
        elif not folder.is_dir():
            yield Finding(
                check="folder",
                severity="fault",
                subject=subject,
                found=f"{folder} is not there",
                do="make the folder, or mount what it is on",
            )
        elif not site.identity.may(folder, os.W_OK | os.X_OK):
            yield Finding(
                check="folder",
                severity="fault",
                subject=subject,
                found=f"{site.identity.user} may not write to {folder}",
                do=f"`sudo chown {site.identity.user} {folder}`",
            )
        else:
            yield Finding(
                check="folder", severity="ok", subject=subject, found=f"{folder} can be written"
            )
