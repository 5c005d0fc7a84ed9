"""`stopover record` of a software radio: all its samples, or those around some packets."""

import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from receiver.limits import RADIO_CONNECT_S, RADIO_WAITING_BYTES
from receiver.radio_settings import KeptPackets, SoftwareRadioLink
from receiver.radio_worker.messages import HeardDetection, HeardPulse, Level, Report

if TYPE_CHECKING:
    from receiver.radio_worker.channel import Caught, Channel
    from receiver.radio_worker.sources import Source

_MB: Final = 1_000_000
_STOPS: Final = (signal.SIGINT, signal.SIGTERM)


def record_samples(
    link: SoftwareRadioLink,
    file: Path,
    *,
    duration_s: float | None,
    most_mb: int,
    around: KeptPackets | None,
    known_tags: frozenset[str],
) -> None:
    """Record until it is over or Ctrl-C; `around` keeps samples around packets in folder `file`.

    Raises:
        click.ClickException: there are no samples, or the file cannot be written.
    """
    try:
        from receiver.radio_worker.channel import channel_of, frame_bytes
        from receiver.radio_worker.kept_samples import META_SUFFIX, description
        from receiver.radio_worker.sources import SourceError, source_of
    except ImportError as error:
        raise click.ClickException(
            f"samples need numpy ({error}): pip install 'stopover[sdr]'"
        ) from error
    import msgspec

    heard = _Heard()
    try:
        source = source_of(link, _connection(link), frame_bytes(link))
        if around is not None:
            kept = msgspec.structs.replace(
                link, keep=around, keep_folder=str(file), keep_mb=most_mb
            )
            _listen(
                kept,
                source,
                channel_of(link, known_tags),
                heard,
                duration_s=duration_s,
                known_tags=known_tags,
            )
            click.echo(f"{file}: {heard.packets} packets heard, {heard.files} files kept", err=True)
            return
        with file.open("xb") as out:
            tape = _Tape(out, most_mb * _MB)
            begun_ns = _listen(
                link, source, tape, heard, duration_s=duration_s, known_tags=known_tags
            )
        meta = file.with_suffix(META_SUFFIX)
        meta.write_bytes(description(link, file.name, begun_ns))
    except FileExistsError:
        raise click.ClickException(f"{file}: is there already: name another") from None
    except SourceError as error:
        raise click.ClickException(f"{error}: {error.do}") from error
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be written: {error.strerror}") from error
    seconds = tape.written_bytes / frame_bytes(link) / link.rate_hz
    click.echo(f"{file}: {seconds:.1f} s of samples recorded, described in {meta.name}", err=True)


class _Heard:
    """Counts what is told while it is recorded."""

    def __init__(self) -> None:
        self.packets = 0
        self.files = 0

    def __call__(self, report: Report) -> None:
        self.packets += isinstance(report, HeardDetection | HeardPulse)
        if isinstance(report, Level):
            self.files = round(report.measurements.get("kept_files", 0))
            if report.straits is not None:
                click.echo(f"the processor cannot keep up: {report.straits}", err=True)


class _Full(Exception):  # noqa: N818  It is the end of a recording, no error.
    """The file is as large as it may become."""


class _Tape:
    """A channel that listens for nothing and writes everything."""

    grid_levels = 1
    noise_dbfs = None
    occupancy = None
    left_out = 0

    def __init__(self, out: BinaryIO, most_bytes: int) -> None:
        self._out = out
        self._most_bytes = most_bytes
        self.written_bytes = 0

    def begin(self, sample: int) -> None:
        """Go on behind a gap: samples were dropped, and the times of what follows are wrong."""
        del sample
        click.echo(
            "samples were dropped: the disk is too slow; times are wrong from here", err=True
        )

    def feed(self, chunk: bytes, full_scale_dbm: float | None) -> "list[Caught]":
        """Write the samples."""
        del full_scale_dbm
        self._out.write(chunk[: self._most_bytes - self.written_bytes])
        self.written_bytes = min(self._most_bytes, self.written_bytes + len(chunk))
        if self.written_bytes == self._most_bytes:
            raise _Full
        return []

    def finish(self, full_scale_dbm: float | None) -> "list[Caught]":
        """Return nothing."""
        del full_scale_dbm
        return []

    def know(self, tags: frozenset[str]) -> None:
        """Do nothing."""

    def thin(self, level: int) -> str | None:
        """Do nothing."""
        del level
        return None


def _connection(link: SoftwareRadioLink) -> socket.socket | None:
    if not link.is_stick:
        return None
    host, port = link.address
    try:
        return socket.create_connection((host, port), RADIO_CONNECT_S)
    except OSError as error:
        raise click.ClickException(
            f"rtl_tcp at {host}:{port}: {error.strerror or error}: is the stick plugged in, does"
            " rtl_tcp run?"
        ) from error


def _listen(
    link: SoftwareRadioLink,
    source: "Source",
    channel: "Channel",
    heard: _Heard,
    *,
    duration_s: float | None,
    known_tags: frozenset[str],
) -> int:
    """Listen until it is over; return when the first sample was, in nanoseconds since 1970."""
    from receiver.radio_worker.channel import frame_bytes
    from receiver.radio_worker.feed import Feed
    from receiver.radio_worker.listening import Listening
    from receiver.radio_worker.sources import SourceError

    feed = Feed(source, RADIO_WAITING_BYTES)
    listening = Listening(
        link,
        source,
        feed,
        channel,
        frame_bytes=frame_bytes(link),
        tell=heard,
        known_tags=known_tags,
    )
    is_stopped = threading.Event()

    def stop() -> None:
        is_stopped.set()
        feed.close()

    before = {
        number: signal.signal(number, lambda *_: threading.Thread(target=stop).start())
        for number in _STOPS
    }
    timer = threading.Timer(duration_s if duration_s is not None else threading.TIMEOUT_MAX, stop)
    timer.daemon = True
    timer.start()
    feed.start()
    try:
        listening.run()
    except _Full:
        feed.close()
    except SourceError as error:
        if not (is_stopped.is_set() or error.is_over):
            raise
    finally:
        timer.cancel()
        for number, action in before.items():
            signal.signal(number, action)
    return listening.utc_ns(0)
