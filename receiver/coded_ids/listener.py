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

import structlog

from protocols.coded_id import (
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
from receiver.coded_ids.antenna import CodedAntenna
from receiver.coded_ids.code_books import CodeBooks
from receiver.coded_ids.pulse_origins import PulseOrigin, kept_now, later, stamp_of
from receiver.coded_ids.run_log import RunLog
from receiver.coded_ids.runs import tuned_mhz, unlisted_interval
from receiver.coded_ids.tag_list_in_use import TagListInUse
from receiver.limits import (
    ANTENNAS_SEARCHED,
    CODED_ID_SLICE_S,
    PULSES_WAITING_TO_BE_SEARCHED,
)

log = structlog.get_logger()

PulsesKept: TypeAlias = Literal["used", "all"]

_TICK_S: Final = 1.0

_AT_ONCE: Final = 16
"""Pulses of one antenna that are searched before the next antenna has its turn."""

_FINISH_S: Final = 2.0
"""How long the search may go on when the station stops; SIGTERM has ten seconds in all."""


class Takes(Protocol):
    """Where detections go: `Pipeline.take_decoded`."""

    def __call__(
        self, arrivals: Sequence[Arrival], runs: Sequence[RunRow], activity: LinkActivity
    ) -> None:
        """Queue rows, detections among them, with the runs that they belong to."""
        ...


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
        self._antennas: dict[tuple[str, str | None], CodedAntenna] = {}
        self._numbers = itertools.count(1)
        self._turns: deque[CodedAntenna] = deque()
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
        if self._books is None:
            self.finish()
            for antenna in self._antennas.values():
                antenna.decoder = None
            return
        for antenna in self._antennas.values():
            self._tell(antenna, antenna.use(self._books))

    # Pulses.

    def heard(self, arrival: Arrival, activity: LinkActivity) -> Arrival | None:
        """Take a pulse, or a radio's setting; return what is to be stored now.

        A pulse comes back stamped as well as its radio's own clock allows; None where it is only
        stored once it turns out to be one of a listed tag.
        """
        record = arrival.record
        if isinstance(record, Setting):
            self._tune(arrival.source, record, activity)
            return arrival
        if not isinstance(record, Pulse):
            return arrival
        antenna = self._antenna(arrival.source, record.antenna, activity)
        line_ns, stamp = antenna.times.place(record, arrival.stamp)
        # A row's stamp is that of its frame: the age is taken off when it is written.
        arrival = Arrival(record, arrival.source, later(stamp, 1000 * (record.age_us or 0)))
        if antenna.decoder is None:
            if self._books is not None:
                antenna.refuse(1)
            return arrival
        antenna.shift_ns = stamp.utc_ns - line_ns
        if record.tuned_frequency_hz is not None:
            self._tune_antenna(antenna, record.tuned_frequency_hz / 1e6)
        if self._waiting >= self._most_waiting:
            antenna.refuse(1)
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
                antenna.refuse(len(antenna.waiting))
                antenna.waiting.clear()
            if antenna.decoder is not None:
                self._tell(antenna, antenna.decoder.finish())
        self._turns.clear()
        self._waiting = 0

    def _antenna(self, source: Source, radio: str | None, activity: LinkActivity) -> CodedAntenna:
        key = (source.link, source.antenna_of(radio))
        antenna = self._antennas.get(key)
        if antenna is None:
            antenna = CodedAntenna(source, radio, activity, self._numbers)
            if len(self._antennas) >= ANTENNAS_SEARCHED:
                return antenna
            self._antennas[key] = antenna
        antenna.heard_from(source, activity)
        if antenna.decoder is None and self._books is not None:
            self._tell(antenna, antenna.begin(self._books))
        return antenna

    def _tune(self, source: Source, setting: Setting, activity: LinkActivity) -> None:
        mhz = tuned_mhz(setting)
        if mhz is not None:
            self._tune_antenna(self._antenna(source, setting.antenna, activity), mhz)

    def _tune_antenna(self, antenna: CodedAntenna, mhz: float) -> None:
        if antenna.tuned_mhz is None or abs(antenna.tuned_mhz - mhz) > 1e-3:  # noqa: PLR2004  A kHz.
            antenna.tuned_mhz = mhz
            if antenna.decoder is not None and self._books is not None:
                self._tell(antenna, antenna.begin(self._books))

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
            antenna.searched_mono_ns = self._mono_ns()
            events += antenna.decoder.tick(antenna.searched_mono_ns)
            self._tell(antenna, events)
            antenna.count()
            if self._busy_s() >= until_s:
                return

    def _tick(self) -> None:
        self._tick_handle = None
        now_ns = self._mono_ns()
        self.tick(now_ns)
        if any(antenna.is_open(now_ns) for antenna in self._antennas.values()):
            self._tick_handle = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    # What was found.

    def _tell(self, antenna: CodedAntenna, events: Iterable[Event]) -> None:
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
        if arrivals or runs:
            self._take(arrivals, list(runs.values()), antenna.activity)

    def _mismatch(self, antenna: CodedAntenna, event: IntervalMismatch) -> Iterator[Arrival]:
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
