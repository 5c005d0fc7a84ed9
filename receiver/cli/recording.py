"""`stopover record`: raw bytes with their times, to keep and to send."""

import asyncio
import contextlib
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from receiver.cli.options import (
    CONFIG_PATH,
    Number,
    WrongConfigurationError,
    decoder_of,
    explained,
)
from receiver.radio_settings import SoftwareRadioLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.records import Record
    from receiver.links.intake import FrameListener
    from receiver.recording import Recorder
    from receiver.settings import SerialLink, TagsSettings

_EXAMPLES = """
\b
Examples:
  stopover record ch1 strange-radio.jsonl --duration 600
  stopover record stick1 morning.cu8 --duration 60
  stopover record stick1 strange-tags --around unknown --max-mb 200
"""


@click.command("record", epilog=_EXAMPLES)
@click.argument("link")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "-c",
    "--config",
    "config_path",
    type=click.Path(path_type=Path, dir_okay=False),
    default=CONFIG_PATH,
    show_default=True,
    help="The configuration that names the link.",
)
@click.option("--device", help="Record this port, without a configuration; LINK is a name for it.")
@click.option(
    "--baud-rate", type=click.IntRange(300, 4_000_000), default=115_200, help="With --device."
)
@click.option(
    "--decoder",
    default="ctt",
    callback=decoder_of,
    show_default=True,
    help="With --device: what it speaks.",
)
@click.option("--duration", type=Number(min=0), help="Seconds; else until Ctrl-C.")
@click.option(
    "--around",
    type=click.Choice(["weak", "unknown", "all"]),
    help="Software radios: only around such packets, as files in the folder FILE.",
)
@click.option(
    "--max-mb",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Software radios: no more than so much; around packets the oldest are removed.",
)
@explained
def record_command(
    *,
    link: str,
    file: Path,
    config_path: Path,
    device: str | None,
    baud_rate: int,
    decoder: str,
    duration: float | None,
    around: Literal["weak", "unknown", "all"] | None,
    max_mb: int,
) -> None:
    """Record the raw bytes of serial link LINK, with their times, to the end of FILE.

    Of a software radio the samples are recorded into the new FILE.cu8, with a description
    FILE.sigmf-meta beside it, for `stopover import`, rtl_433 and others.

    The daemon must not be running: a port serves one program. A link of the configuration is spoken
    to as the daemon would; with --device nothing is ever written to the radio.
    """
    from receiver import config, log
    from receiver.links.serial_port import PortError, SerialPort
    from receiver.recording import Recorder, RecordingError
    from receiver.settings import SerialLink

    if device is None:
        told = config.load(config_path)
        radio = next((each for each in told.links if each.name == link), None)
        if isinstance(radio, SoftwareRadioLink):
            _record_samples(
                radio, file, told.tags, duration_s=duration, around=around, most_mb=max_mb
            )
            return
        settings = _serial_link(told.links, link, config_path)
    else:
        settings = SerialLink(
            name=link, device=device, decoder=decoder, baud_rate=baud_rate, talk="never"
        )
    log.configure("pretty", "info")
    try:
        SerialPort.open(settings.device, settings.bits_per_second).close()
        with Recorder.open(file) as recorder:
            asyncio.run(_record(settings, recorder, duration))
    except PortError as error:
        raise click.ClickException(f"{error}: {error.advice}") from error
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from error
    click.echo(
        f"{file}: {recorder.received_bytes} bytes in {recorder.chunks} reads recorded", err=True
    )


def _record_samples(
    radio: SoftwareRadioLink,
    file: Path,
    tags: "TagsSettings",
    *,
    duration_s: float | None,
    around: Literal["weak", "unknown", "all"] | None,
    most_mb: int,
) -> None:
    from receiver.cli.sample_recording import record_samples
    from receiver.coded_ids.tag_lists import TagListError, known_tags

    try:
        known = known_tags(tags)
    except TagListError as error:
        raise click.ClickException(str(error)) from error
    record_samples(
        radio,
        file,
        duration_s=duration_s,
        most_mb=most_mb,
        around=around,
        known_tags=known,
    )


def _serial_link(links: "Sequence[object]", name: str, config_path: Path) -> "SerialLink":
    from receiver.settings import SerialLink

    serial_links = {link.name: link for link in links if isinstance(link, SerialLink)}
    if name not in serial_links:
        known = ", ".join(serial_links) or "none"
        raise WrongConfigurationError(
            f"{config_path}: there is no serial link {name!r}; there are: {known};"
            " or name a port with --device"
        )
    return serial_links[name]


async def _record(settings: "SerialLink", recorder: "Recorder", duration_s: float | None) -> None:
    from protocols import registry
    from receiver.clock import Clock
    from receiver.links.intake import LinkStatus
    from receiver.links.serial import SerialLink as Link
    from receiver.links.serial import conversation_for, listener_of
    from receiver.recording import Session

    stamp = Clock().stamp()
    recorder.begin(
        Session(
            link=settings.name,
            device=settings.device,
            decoder=registry.entry(settings.decoder).name,
            baud_rate=settings.bits_per_second,
            boot=stamp.boot or "",
            t_ns=stamp.mono_ns or 0,
            utc_ns=stamp.utc_ns,
            clock=stamp.clock,
        )
    )
    status = LinkStatus(settings.name)
    conversation = conversation_for(settings, status)
    intake = _RecordingIntake(recorder, settings, listener_of(conversation))
    link = Link(settings, intake, status, conversation=conversation)
    running = asyncio.ensure_future(link.run())
    intake.on_failure = running.cancel
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    if duration_s is not None:
        loop.call_later(duration_s, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    if intake.failure is not None:
        raise intake.failure


class _RecordingIntake:
    """Records what arrives; decodes it too, so that the link hears its radio's answers."""

    def __init__(
        self, recorder: "Recorder", settings: "SerialLink", listener: "FrameListener | None"
    ) -> None:
        from receiver.links.replay import DecodingIntake

        self._recorder = recorder
        self._decoding = DecodingIntake(settings.name, settings.decoder, lambda _: None, listener)
        self.failure: OSError | None = None
        self.on_failure: Callable[[], object] = lambda: None

    def received(self, chunk: bytes) -> "Sequence[Record]":
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        try:
            self._recorder.received(now_ns, chunk)
        except OSError as error:
            self._fail(error)
        return self._decoding.received(chunk)

    def interrupted(self) -> None:
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        try:
            self._recorder.interrupted(now_ns, "the port was closed")
        except OSError as error:
            self._fail(error)
        self._decoding.interrupted()

    def _fail(self, error: OSError) -> None:
        """End the recording: a disk that is full must not look like a quiet radio."""
        self.failure = error
        self.on_failure()
