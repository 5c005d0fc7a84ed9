"""`stopover record` and `stopover replay`: raw bytes with their times, to keep and to send."""

import asyncio
import contextlib
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from receiver.cli.options import CONFIG_PATH, WrongConfigurationError, explained
from receiver.radio_settings import SoftwareRadioLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocols.records import Record
    from receiver.arrivals import Arrival
    from receiver.links.intake import FrameListener
    from receiver.recording import Recorder, RecordingError
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
@click.option("--decoder", default="ctt", show_default=True, help="With --device: what it speaks.")
@click.option("--duration", type=click.FloatRange(min=0), help="Seconds; else until Ctrl-C.")
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
    from receiver.coded_ids.tag_lists import TagListError, canonical, read_known_tags

    try:
        listed = read_known_tags(Path(tags.known_file)) if tags.known_file else frozenset()
    except TagListError as error:
        raise click.ClickException(str(error)) from error
    record_samples(
        radio,
        file,
        duration_s=duration_s,
        most_mb=most_mb,
        around=around,
        known_tags=canonical(tags.known) | listed,
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


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Decode into this store; else print each record as one JSON object a line.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="1 keeps the recorded pauses, 10 is ten times faster, 0 as fast as possible.",
)
@click.option("--decoder", help="Decode with this one, not with the one that the recording names.")
@explained
def replay_command(file: Path, db: Path | None, speed: float, decoder: str | None) -> None:
    """Decode the recording FILE again, into a store or onto the screen, under its recorded times.

    Replaying twice into one store stores twice. Exit status 1 where lines of the recording are
    damaged; the others are replayed all the same.

    Example:  stopover replay strange-radio.jsonl | head
    """
    from receiver.recording import RecordingError
    from receiver.store.database import Store

    damaged = 0

    def tell_damage(error: "RecordingError") -> None:
        nonlocal damaged
        damaged += 1
        click.echo(f"Damaged: {error}", err=True)

    try:
        if db is None:
            _replay(file, _print_arrivals, tell_damage, speed=speed, decoder=decoder)
        else:
            with Store.open(db) as store:
                batch = _Batch(store.append)
                try:
                    _replay(file, batch.add, tell_damage, speed=speed, decoder=decoder)
                finally:  # Ctrl-C ends a slow replay; what it decoded is kept.
                    batch.flush()
                click.echo(f"{file}: {batch.rows} records into {db}", err=True)
    except BrokenPipeError:
        # Python would complain once more when it closes the stream at exit.
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123
    except RecordingError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be read: {error.strerror}") from error
    if damaged:
        raise click.ClickException(f"{file}: {damaged} damaged lines were left out")


def _replay(
    file: Path,
    take: "Callable[[Sequence[Arrival]], None]",
    on_damage: "Callable[[RecordingError], None]",
    *,
    speed: float,
    decoder: str | None,
) -> None:
    from receiver.links.replay import DecodingIntake, ReplayLink

    link = ReplayLink(
        file,
        lambda session: DecodingIntake(session.link, decoder or session.decoder, take),
        speed=speed,
        on_damage=on_damage,
    )
    asyncio.run(link.run())


class _Batch:
    """Arrivals that go into the store together: a transaction for each read would take hours."""

    def __init__(self, append: "Callable[[Sequence[Arrival]], None]") -> None:
        self._append = append
        self._waiting: list[Arrival] = []
        self.rows = 0

    def add(self, arrivals: "Sequence[Arrival]") -> None:
        from receiver.limits import MAX_BATCH_ROWS

        self._waiting += arrivals
        if len(self._waiting) >= MAX_BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        self._append(self._waiting)
        self.rows += len(self._waiting)
        self._waiting = []


def _print_arrivals(arrivals: "Sequence[Arrival]") -> None:
    import datetime as dt

    import msgspec

    for arrival in arrivals:
        microseconds = arrival.stamp.utc_ns // 1000
        time_utc = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
        row: dict[str, Any] = {
            "time": time_utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "time_quality": arrival.stamp.clock,
            "link": arrival.source.link,
            "record": type(arrival.record).__name__,
        }
        for name, value in msgspec.structs.asdict(arrival.record).items():
            row[name] = value.hex() if isinstance(value, bytes) else value
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
    sys.stdout.flush()
