"""The station as Prometheus reads it: the text that `/metrics` answers with on loopback.

All of it comes from one `StationSnapshot`. Units stand in the names; a total counts from the start
of the daemon. Labels are links, antennas, sinks, alarms and the decoders' own reasons, all of them
few; there is none for tags, of which a noisy site makes thousands. Antennas that frames name and
the owner does not are bounded by `receiver.health.totals`.

Sources: prometheus.io/docs/practices/naming, prometheus.io/docs/instrumenting/exposition_formats.
"""

import datetime as dt
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from receiver.arrivals import SET_CLOCKS
from receiver.health.snapshot import StationSnapshot
from receiver.links.intake import LinkState
from receiver.log import escaped

if TYPE_CHECKING:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    Family: TypeAlias = CounterMetricFamily | GaugeMetricFamily

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_STATM: Final = Path("/proc/self/statm")
_LONGEST_LABEL: Final = 100
_LISTENING: Final = (LinkState.HEARING, LinkState.QUIET)

_Labelled: TypeAlias = Iterable[tuple[tuple[str, ...], float | None]]
"""Values with those of their labels; None where there is no value now."""


def text(snapshot: StationSnapshot) -> bytes:
    """Return the metrics of a station in Prometheus's text format.

    Call it in a thread: the first call imports the library, 80 ms on a PC.
    """
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  As said.

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Station(snapshot))
    return generate_latest(registry)


class _Station:
    """Makes the families of one snapshot."""

    def __init__(self, snapshot: StationSnapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator["Family"]:
        """Yield each family with its samples."""
        yield from self._heard()
        yield from self._links()
        yield from self._clock()
        yield from self._store()
        yield from self._sinks()
        yield from self._host()
        yield from self._station()

    def _heard(self) -> Iterator["Family"]:
        snapshot = self._snapshot
        places = [((each.link, each.antenna or ""), each) for each in snapshot.antennas]
        labels = ("link", "antenna")
        yield _counter(
            "stopover_detections",
            "Receptions of tags.",
            labels,
            ((place, each.detections) for place, each in places),
        )
        yield _gauge(
            "stopover_antenna_noise_dbm",
            "Noise as the radio last told it.",
            labels,
            ((place, each.noise_dbm) for place, each in places),
        )
        yield _gauge(
            "stopover_antenna_noise_dbfs",
            "Noise of a software radio, relative to full scale at its gain.",
            labels,
            ((place, each.noise_dbfs) for place, each in places),
        )
        yield _gauge(
            "stopover_antenna_gain_db",
            "Gain of a software radio's tuner.",
            labels,
            ((place, each.gain_db) for place, each in places),
        )
        yield _gauge(
            "stopover_antenna_tags_last_hour",
            "Different ids heard in the last hour, false ones among them.",
            labels,
            ((place, each.tags) for place, each in places),
        )
        yield _counter(
            "stopover_pulses",
            "VHF pulses of coded-ID tags and of noise.",
            (),
            (((), snapshot.pulses),),
        )

    def _links(self) -> Iterator["Family"]:
        snapshot = self._snapshot
        links = [((link.name,), link) for link in snapshot.links]
        now_s = time.time()
        yield _counter(
            "stopover_frames",
            "Lines, packets or messages that arrived.",
            ("link",),
            ((name, link.frames) for name, link in links),
        )
        yield _counter(
            "stopover_frames_unknown",
            "Frames that the decoder could not read.",
            ("link",),
            ((name, link.unknown_frames) for name, link in links),
        )
        yield _counter(
            "stopover_rejects",
            "Frames and rows that came to nothing, by reason.",
            ("link", "reason"),
            (
                ((link.name, reason), count)
                for link in snapshot.links
                for reason, count in sorted(link.rejects.items())
            ),
        )
        yield _gauge(
            "stopover_link_hearing",
            "1 while the link is open and its radio answers.",
            ("link",),
            ((name, link.state in _LISTENING) for name, link in links),
        )
        yield _gauge(
            "stopover_link_state",
            "1 for the state that the link is in.",
            ("link", "state"),
            (
                ((link.name, str(state)), link.state == state)
                for link in snapshot.links
                for state in LinkState
            ),
        )
        yield _gauge(
            "stopover_link_last_heard_timestamp_seconds",
            "When anything last arrived, by this computer's clock.",
            ("link",),
            (
                (name, None if link.last_heard_s is None else now_s - link.last_heard_s)
                for name, link in links
            ),
        )
        yield _counter(
            "stopover_link_opened",
            "How often the link was opened.",
            ("link",),
            ((name, link.opened) for name, link in links),
        )

    def _clock(self) -> Iterator["Family"]:
        clock = self._snapshot.clock
        yield _one(
            "stopover_clock_good",
            "1 while something disciplines the clock.",
            clock.quality in SET_CLOCKS,
        )
        yield _counter("stopover_clock_steps", "Steps of the clock.", (), (((), clock.steps),))

    def _store(self) -> Iterator["Family"]:
        store = self._snapshot.store
        yield _one(
            "stopover_store_writing", "1 while the store can be written.", store.state == "writing"
        )
        yield _one("stopover_store_bytes", "The store's file and its log.", store.bytes)
        yield _one("stopover_store_detections", "Detections in the store.", store.detections)
        yield _one(
            "stopover_store_growth_bytes_per_day",
            "How fast the store grew lately.",
            store.bytes_per_day,
        )
        yield _one(
            "stopover_stores_set_aside",
            "Damaged stores that lie beside this one.",
            len(store.set_aside),
        )
        yield _one("stopover_disk_free_bytes", "Free on the store's disk.", store.free_bytes)
        yield _one("stopover_disk_bytes", "The size of the store's disk.", store.disk_bytes)
        yield _one(
            "stopover_disk_days_left",
            "Until the disk is full at the present rate.",
            store.days_left,
        )
        yield _one("stopover_rows_waiting", "Heard, not yet on the disk.", store.waiting_rows)
        yield _counter(
            "stopover_rows_dropped",
            "Found no room while the store was away.",
            (),
            (((), store.dropped_rows),),
        )

    def _sinks(self) -> Iterator["Family"]:
        sinks = [((sink.name,), sink) for sink in self._snapshot.sinks]
        yield _gauge(
            "stopover_sink_waiting_rows",
            "Rows that the far end does not have.",
            ("sink",),
            ((name, sink.waiting_rows) for name, sink in sinks),
        )
        yield _gauge(
            "stopover_sink_oldest_waiting_timestamp_seconds",
            "Since when the oldest of them waits.",
            ("sink",),
            ((name, _unix_s(sink.oldest_waiting)) for name, sink in sinks),
        )
        yield _gauge(
            "stopover_sink_acknowledged_timestamp_seconds",
            "When the far end last acknowledged rows.",
            ("sink",),
            ((name, _unix_s(sink.acknowledged_at)) for name, sink in sinks),
        )
        yield _gauge(
            "stopover_sink_rows_refused",
            "Rows that the far end refuses.",
            ("sink",),
            ((name, sink.rows_refused) for name, sink in sinks),
        )
        yield _gauge(
            "stopover_sink_state",
            "1 under the words for how the sink is.",
            ("sink", "state"),
            (((sink.name, sink.state), 1) for sink in self._snapshot.sinks),
        )

    def _host(self) -> Iterator["Family"]:
        host = self._snapshot.host
        yield _one("stopover_cpu_temperature_celsius", "Of the processor.", host.temperature_c)
        yield _one("stopover_supply_volts", "Where the computer measures it.", host.voltage_v)
        yield _one("stopover_undervoltage", "1 while the supply is too low.", host.undervoltage)
        yield _one("stopover_throttled", "1 while the processor is slowed down.", host.throttled)
        yield _one(
            "stopover_host_load1", "Processes that run or wait to, over a minute.", host.load_1min
        )
        yield _one(
            "stopover_host_memory_free_bytes",
            "Memory that programs may still take.",
            host.memory_free_bytes,
        )
        yield _one("stopover_host_memory_bytes", "The computer's memory.", host.memory_bytes)
        yield _one("stopover_host_uptime_seconds", "Since the computer started.", host.uptime_s)
        yield _counter(
            "stopover_disk_written_bytes",
            "Written to the store's disk by everything since the computer started.",
            (),
            (((), host.disk_written_bytes),),
        )
        yield _one(
            "stopover_disk_wear_ratio",
            "Used part of the disk's life, where it tells.",
            None if host.disk_wear_percent is None else host.disk_wear_percent / 100,
        )

    def _station(self) -> Iterator["Family"]:
        snapshot = self._snapshot
        yield _gauge(
            "stopover_alarm",
            "1 for each alarm that is on.",
            ("alarm", "subject"),
            (((alarm.alarm, alarm.subject), 1) for alarm in snapshot.alarms),
        )
        yield _one("stopover_alarms", "Alarms that are on.", len(snapshot.alarms))
        yield _one("stopover_uptime_seconds", "Since the daemon started.", snapshot.uptime_s)
        yield _gauge(
            "stopover_build_info",
            "Always 1; what runs stands in the labels.",
            ("version", "station"),
            (((snapshot.version, snapshot.station), 1),),
        )
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
        yield _one(
            "process_resident_memory_bytes",
            "Memory that the daemon takes.",
            pages * os.sysconf("SC_PAGE_SIZE"),
        )
        times = os.times()
        yield _counter(
            "process_cpu_seconds",
            "Processor time that the daemon took.",
            (),
            (((), times.user + times.system),),
        )


def _gauge(name: str, told: str, labels: tuple[str, ...], values: _Labelled) -> "Family":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415  Loaded where used.

    return _filled(GaugeMetricFamily(name, told, labels=labels), values)


def _counter(name: str, told: str, labels: tuple[str, ...], values: _Labelled) -> "Family":
    """Return a family whose samples are called NAME_total."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415  Same.

    return _filled(CounterMetricFamily(name, told, labels=labels), values)


def _one(name: str, told: str, value: float | None) -> "Family":
    return _gauge(name, told, (), (((), value),))


def _filled(family: "Family", values: _Labelled) -> "Family":
    told = set()
    for labels, value in values:
        # Frames may name an antenna in any characters, and two that look alike here.
        shown = tuple(escaped(label, _LONGEST_LABEL) for label in labels)
        if value is not None and shown not in told:
            told.add(shown)
            family.add_metric(shown, float(value))
    return family


def _unix_s(iso: str | None) -> float | None:
    return None if iso is None else dt.datetime.fromisoformat(iso).timestamp()
