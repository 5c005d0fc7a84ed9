"""Coded-ID tags live: pulses of every link and antenna in, detections and runs out.

    pipeline ─ pulse ─► time line ─► queue ─► decoder ─► detections, runs ─► pipeline
                                    (antenna by antenna, a few ms at a time)

Reception never waits for the search: pulses queue up, a slice of the loop's time takes them on, and
where too many wait they are stored and counted but not searched (`pulses_not_searched`). Decoding
runs on CLOCK_BOOTTIME, so that a step of the system clock cuts no run.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import msgspec
import structlog

from protocols.coded_id import (
    AntennaDecoder,
    BurstSeen,
    Event,
    HeardPulse,
    IntervalMismatch,
    RunEnded,
    RunOpened,
)
from protocols.records import Pulse, Setting
from receiver.activity import LinkActivity
from receiver.arrivals import Arrival, RunRow, Source
from receiver.code_books import CodeBooks
from receiver.coded_runs import DECODER, CodedRuns, tuned_mhz, unlisted_interval
from receiver.limits import (
    ANTENNAS_SEARCHED,
    CODED_ID_SLICE_S,
    PULSES_WAITING_TO_BE_SEARCHED,
)
from receiver.pulse_origins import PulseOrigin, kept_now, later, raw_of, stamp_of
from receiver.pulse_times import PulseTimes
from receiver.run_log import RunLog
from receiver.tag_list_in_use import TagListInUse

log = structlog.get_logger()

PulsesKept: TypeAlias = Literal["used", "all"]

_TICK_S: Final = 1.0
_SETTLES_WITHIN_NS: Final = 3 * 10**9
"""Lateness, the longest burst, and a tick: then nothing but open runs waits for time to pass."""

_AT_ONCE: Final = 16
"""Pulses of one antenna that are searched before the next antenna has its turn."""

_FINISH_S: Final = 2.0
"""How long the search may go on when the station stops; SIGTERM has ten seconds in all."""

_COUNTED: Final = (
    "implausible_pulses",
    "late_pulses",
    "pulses_released_early",
    "narrowed_searches",
    "skipped_pulses",
    "lone_bursts_dropped",
    "runs_cut",
)
"""The decoder's counters that `activity` has too, under the same names."""


class Takes(Protocol):
    """Where detections go: `Pipeline.take_decoded`."""

    def __call__(
        self, arrivals: Sequence[Arrival], runs: Sequence[RunRow], activity: LinkActivity
    ) -> None:
        """Queue rows, detections among them, with the runs that they belong to."""
        ...


class _Antenna:
    """One antenna of one link."""

    def __init__(self, source: Source, radio: str | None, numbers: Iterator[int]) -> None:
        self.radio = radio
        self.label = source.antenna_of(radio)
        self.source = _decoded(source)
        self.heard_from = source
        self.activity: LinkActivity | None = None
        self.times = PulseTimes()
        self.waiting: deque[HeardPulse] = deque()
        self.tuned_mhz: float | None = None
        self.decoder: AntennaDecoder | None = None
        self.runs = CodedRuns(self.label or source.link, radio, numbers, raw_of)
        self.shift_ns = 0
        """UTC less time line, as of the latest pulse."""
        self.heard_mono_ns = 0
        self.counted = dict.fromkeys(_COUNTED, 0)


class CodedIdListener:
    """Decodes the pulses of a running station while there is a tag list.

    Belongs to the loop; `look` once a minute notices that the tag list has changed.
    """

    def __init__(
        self,
        take: Takes,
        *,
        mono_ns: Callable[[], int],
        pulses_kept: PulsesKept = "used",
        slice_s: float = CODED_ID_SLICE_S,
        most_waiting: int = PULSES_WAITING_TO_BE_SEARCHED,
        busy_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Prepare; nothing is decoded before `change` names a tag list.

        Args:
            take: where detections, runs and pulses go that are kept later than they came.
            mono_ns: the clock of the stamps' `mono_ns`.
            pulses_kept: `all`, or those `used` in a run; without a tag list always all.
            slice_s: how long the loop may be held at a time.
            most_waiting: pulses in the queue beyond which new ones are not searched.
            busy_s: measures a slice.
        """
        self.pulses_kept = pulses_kept
        self._take = take
        self._mono_ns = mono_ns
        self._slice_s = slice_s
        self._most_waiting = most_waiting
        self._busy_s = busy_s
        self._tags = TagListInUse()
        self._antennas: dict[tuple[str, str | None], _Antenna] = {}
        self._numbers = itertools.count(1)
        self._turns: deque[_Antenna] = deque()
        """Those with pulses that wait, in the order in which they are served."""
        self._waiting = 0
        self._work_handle: asyncio.Handle | None = None
        self._tick_handle: asyncio.TimerHandle | None = None
        self._run_log = RunLog()

    @property
    def is_decoding(self) -> bool:
        """Whether there is a tag list."""
        return self._books is not None

    @property
    def _books(self) -> CodeBooks | None:
        return self._tags.books

    @property
    def open_runs(self) -> int:
        """Runs that may go on."""
        return sum(len(antenna.runs) for antenna in self._antennas.values())

    @property
    def waits_for_time(self) -> bool:
        """Whether `tick` is going to be called: something is open."""
        return self._tick_handle is not None

    # The tag list.

    async def change(self, path: str | None) -> None:
        """Use the tag list at `path` from now on; None: decode no more."""
        if await self._tags.change(path, self._tunings()):
            self._use_list()

    async def look(self) -> None:
        """Use the tag list's new content, if its file has changed."""
        if await self._tags.look(self._tunings()):
            self._use_list()

    def _tunings(self) -> set[float | None]:
        return {antenna.tuned_mhz for antenna in self._antennas.values()} or {None}

    def _use_list(self) -> None:
        if self._tags.books is None:
            self.finish()
            for antenna in self._antennas.values():
                antenna.decoder = None
        for antenna in self._antennas.values():
            self._retune(antenna)

    def _retune(self, antenna: _Antenna) -> None:
        if self._books is None or antenna.decoder is None:
            return
        chosen = self._books.of(antenna.tuned_mhz)
        antenna.runs.use(chosen.tags)
        self._tell(antenna, antenna.decoder.use(chosen.book))

    # Pulses.

    def heard(self, arrival: Arrival, activity: LinkActivity) -> Arrival | None:
        """Take a pulse, or a radio's setting; return what is to be stored now.

        A pulse comes back stamped as well as its radio's own clock allows; None where it is only
        stored once it turns out to be one of a listed tag.
        """
        record = arrival.record
        if isinstance(record, Setting):
            self._tune(arrival.source, record)
            return arrival
        if not isinstance(record, Pulse):
            return arrival
        antenna = self._antenna(arrival.source, record.antenna)
        antenna.activity = activity
        line_ns, stamp = antenna.times.place(record, arrival.stamp)
        # A row's stamp is that of its frame: the age is taken off when it is written.
        arrival = Arrival(record, arrival.source, later(stamp, 1000 * (record.age_us or 0)))
        if antenna.decoder is None:
            if self._books is not None:
                self._refuse(antenna, 1)
            return arrival
        antenna.shift_ns = stamp.utc_ns - line_ns
        if record.tuned_frequency_hz is not None:
            self._tune_antenna(antenna, record.tuned_frequency_hz / 1e6)
        if self._waiting >= self._most_waiting:
            self._refuse(antenna, 1)
            return arrival
        kept = arrival if self.pulses_kept == "all" else None
        pulse = HeardPulse.of(line_ns, record)
        pulse.origin = PulseOrigin(arrival, stamp, is_kept=kept is not None)
        if not antenna.waiting:
            self._turns.append(antenna)
        antenna.waiting.append(pulse)
        self._waiting += 1
        if self._work_handle is None:
            self._work_handle = asyncio.get_running_loop().call_soon(self._work)
        return kept

    def tick(self, mono_ns: int) -> None:
        """Let time pass for the antennas that hear nothing: their runs end."""
        for antenna in self._antennas.values():
            if antenna.decoder is not None and not antenna.waiting:
                self._tell(antenna, antenna.decoder.tick(mono_ns))

    def finish(self) -> None:
        """Search what waits and end all runs, as before the station stops."""
        for handle in (self._work_handle, self._tick_handle):
            if handle is not None:
                handle.cancel()
        self._work_handle = self._tick_handle = None
        self._search(self._busy_s() + _FINISH_S)
        for antenna in self._antennas.values():
            if antenna.waiting:
                self._refuse(antenna, len(antenna.waiting))
                antenna.waiting.clear()
            if antenna.decoder is not None:
                self._tell(antenna, antenna.decoder.finish())
        self._turns.clear()
        self._waiting = 0

    def _antenna(self, source: Source, radio: str | None) -> _Antenna:
        key = (source.link, source.antenna_of(radio))
        antenna = self._antennas.get(key)
        if antenna is None:
            antenna = _Antenna(source, radio, self._numbers)
            if len(self._antennas) >= ANTENNAS_SEARCHED:
                return antenna
            self._antennas[key] = antenna
        if antenna.heard_from is not source:
            antenna.heard_from, antenna.source = source, _decoded(source)
        if antenna.decoder is None and self._books is not None:
            chosen = self._books.of(antenna.tuned_mhz)
            antenna.runs.use(chosen.tags)
            antenna.decoder = AntennaDecoder(chosen.book)
            antenna.counted = dict.fromkeys(_COUNTED, 0)
        return antenna

    def _refuse(self, antenna: _Antenna, pulses: int) -> None:
        if antenna.activity is not None:
            antenna.activity.of(antenna.label).rejects["pulses_not_searched"] += pulses

    def _tune(self, source: Source, setting: Setting) -> None:
        mhz = tuned_mhz(setting)
        if mhz is not None:
            self._tune_antenna(self._antenna(source, setting.antenna), mhz)

    def _tune_antenna(self, antenna: _Antenna, mhz: float) -> None:
        if antenna.tuned_mhz is None or abs(antenna.tuned_mhz - mhz) > 1e-3:  # noqa: PLR2004  A kHz.
            antenna.tuned_mhz = mhz
            self._retune(antenna)

    def _work(self) -> None:
        """Search for a slice of time; come back after the loop has read what arrived meanwhile."""
        self._work_handle = None
        self._search(self._busy_s() + self._slice_s)
        loop = asyncio.get_running_loop()
        if self._waiting:
            self._work_handle = loop.call_soon(self._work)
        elif self._tick_handle is None:
            self._tick_handle = loop.call_later(_TICK_S, self._tick)

    def _search(self, until_s: float) -> None:
        """Search what waits, each antenna a little in its turn, until a moment of `busy_s`."""
        while self._turns:
            antenna = self._turns.popleft()
            count = min(len(antenna.waiting), _AT_ONCE)
            self._waiting -= count
            pulses = [antenna.waiting.popleft() for _ in range(count)]
            if antenna.waiting:
                self._turns.append(antenna)
            assert antenna.decoder is not None  # noqa: S101  Else nothing would wait for it.
            events = antenna.decoder.feed(pulses)
            # From here on time passes for this antenna, also when it hears nothing more.
            antenna.heard_mono_ns = self._mono_ns()
            events += antenna.decoder.tick(antenna.heard_mono_ns)
            self._tell(antenna, events)
            self._count(antenna)
            if self._busy_s() >= until_s:
                return

    def _tick(self) -> None:
        self._tick_handle = None
        now_ns = self._mono_ns()
        self.tick(now_ns)
        if any(
            antenna.decoder is not None
            and (antenna.decoder.open_runs or now_ns - antenna.heard_mono_ns < _SETTLES_WITHIN_NS)
            for antenna in self._antennas.values()
        ):
            self._tick_handle = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _count(self, antenna: _Antenna) -> None:
        """Put what the search could not take on into the hour's activity."""
        if antenna.decoder is None or antenna.activity is None:
            return
        counters = antenna.decoder.counters
        for name in _COUNTED:
            more = getattr(counters, name) - antenna.counted[name]
            if more:
                antenna.counted[name] += more
                antenna.activity.of(antenna.label).rejects[name] += more

    # What was found.

    def _tell(self, antenna: _Antenna, events: Iterable[Event]) -> None:
        arrivals: list[Arrival] = []
        runs: dict[int, RunRow] = {}
        for event in events:
            if isinstance(event, BurstSeen):
                log.debug("burst seen", tags=",".join(event.tag_ids), antenna=antenna.label)
                continue
            if isinstance(event, IntervalMismatch):
                arrivals += self._mismatch(antenna, event)
                continue
            heard, run = antenna.runs.take(event, antenna.shift_ns)
            for each in heard:
                arrivals += kept_now(each.burst.pulses)
                stamp = stamp_of(each.burst.time_ns, each.burst.pulses[0])
                arrivals.append(Arrival(each.detection, antenna.source, stamp, each.run))
            if run is not None:
                runs[run.number] = run
                if isinstance(event, RunOpened | RunEnded):
                    self._run_log.tell(event, run, antenna.source.link, self._mono_ns())
        if (arrivals or runs) and antenna.activity is not None:
            self._take(arrivals, list(runs.values()), antenna.activity)

    def _mismatch(self, antenna: _Antenna, event: IntervalMismatch) -> Iterator[Arrival]:
        log.warning(
            "code seen, interval does not match the list",
            tags=",".join(event.labels),
            antenna=antenna.label,
            heard_every_s=round(event.measured_interval_s, 3),
            listed_s=",".join(f"{interval:g}" for interval in event.listed_intervals_s),
            bursts=event.burst_count,
        )
        for burst in event.bursts:
            # Once the list is mended, these are the tag's.
            yield from kept_now(burst.pulses)
        last = event.bursts[-1]
        yield Arrival(
            unlisted_interval(event, antenna.radio),
            antenna.source,
            stamp_of(last.time_ns, last.pulses[0]),
        )


def _decoded(source: Source) -> Source:
    return msgspec.structs.replace(source, decoder=DECODER)
