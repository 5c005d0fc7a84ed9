"""What a coded-ID decoder tells, as detections and runs of the store; live and in imports alike.

A burst of a confirmed run is one detection: time, mean frequency offset and SNR of its pulses, and
in `measurements` `pulse_count` (4, or 3 where one was lost), `signal_db`, `signal_sd_percent`,
`noise_db`, `frequency_sd_hz`, `slop_ms` (sum of the gaps' errors) and `interval_error_ms`. Levels
are relative to full scale unless the radio is calibrated, so they are not in `rssi_dbm`. Where the
list holds tags that cannot be told apart, `tag_id` is all of them, sorted and joined by `|`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from protocols.coded_id import (
    Burst,
    CodedTag,
    Event,
    HeardPulse,
    HourOfRuns,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
    run_confidence,
)
from protocols.records import Detection, Setting, UnlistedInterval
from receiver.arrivals import RunRow

PROTOCOL: Final = "coded-id"
DECODER: Final = "coded-id/1"
"""Name and version of the decoder, as a stored row carries them."""

_HOUR_NS: Final = 3600 * 10**9
_HOURS_KEPT: Final = 24
_PULSES_OF_A_CODE: Final = 4
_DIGITS: Final = 4
"""Of a ms, dB, Hz: a tenth of what is measured and no dust of binary fractions."""

_TUNING_SETTINGS: Final = ("-m", "frequency")
_TUNABLE_MHZ: Final = (1.0, 10_000.0)


def joined(tag_ids: Iterable[str]) -> str:
    """Return the `tag_id` of tags that cannot be told apart."""
    return "|".join(sorted(set(tag_ids)))


class HeardBurst(msgspec.Struct, frozen=True):
    """One burst of a confirmed run: a detection to be."""

    burst: Burst
    detection: Detection
    run: int
    """The number of its `RunRow`."""


class _OpenRun:
    """What a run's row tells, so far."""

    __slots__ = (
        "complete",
        "error_sum_ms",
        "first_ns",
        "last_ns",
        "length",
        "missed",
        "number",
        "tag_ids",
        "worst_error_ms",
    )

    def __init__(self, number: int, first_ns: int) -> None:
        self.number = number
        self.first_ns = self.last_ns = first_ns
        self.tag_ids: tuple[str, ...] = ()
        self.length = self.complete = self.missed = 0
        self.error_sum_ms = self.worst_error_ms = 0.0

    def add(self, burst: Burst, error_ms: float | None) -> None:
        self.last_ns = max(self.last_ns, burst.time_ns)
        self.length += 1
        self.complete += burst.pulse_count == _PULSES_OF_A_CODE
        self.error_sum_ms += error_ms or 0.0
        self.worst_error_ms = max(self.worst_error_ms, abs(error_ms or 0.0))

    @property
    def interval_s(self) -> float:
        """As measured over the run."""
        return (self.last_ns - self.first_ns) / max(self.length - 1 + self.missed, 1) / 1e9


class _Hours:
    """How many runs began in each of the last hours, and how many of them are of two bursts."""

    def __init__(self) -> None:
        self._hours: dict[int, list[int]] = {}

    def add(self, at_ns: int, *, runs: int, of_two: int) -> None:
        hour = at_ns // _HOUR_NS
        counts = self._hours.setdefault(hour, [0, 0])
        counts[0] += runs
        counts[1] += of_two
        while len(self._hours) > _HOURS_KEPT:
            del self._hours[min(self._hours)]

    def of(self, at_ns: int) -> HourOfRuns:
        runs, of_two = self._hours.get(at_ns // _HOUR_NS, (0, 0))
        return HourOfRuns(runs=runs, runs_of_two=of_two)


class CodedRuns:
    """Keeps the runs of one antenna's decoder as the store wants them."""

    def __init__(
        self,
        place: str,
        antenna: str | None,
        numbers: Iterator[int],
        raw_of: Callable[[HeardPulse], bytes],
    ) -> None:
        """Prepare for a decoder.

        Args:
            place: the antenna's label, for the runs.
            antenna: the radio as the frames name it, for the detections.
            numbers: gives each run a number that no other of this process has.
            raw_of: returns the bytes that a pulse was decoded from.
        """
        self._place = place
        self._antenna = antenna
        self._numbers = numbers
        self._raw_of = raw_of
        self._open: dict[int, _OpenRun] = {}
        self._hours = _Hours()
        self._intervals_s: Mapping[str, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def use(self, tags: Iterable[CodedTag]) -> None:
        """Take the intervals of the list that the decoder looks for."""
        self._intervals_s = {tag.label: tag.burst_interval_s for tag in tags}

    def take(self, event: Event, shift_ns: int = 0) -> tuple[list[HeardBurst], RunRow | None]:
        """Return the detections that an event is, and the run as it then stands.

        `shift_ns` is the UTC of the decoder's time 0, where its pulses are not stamped with UTC.
        """
        if isinstance(event, RunOpened):
            return self._opened(event, shift_ns)
        if isinstance(event, RunContinued):
            return self._continued(event, shift_ns)
        if isinstance(event, RunEnded):
            run = self._open.pop(event.run, None)
            return [], None if run is None else self._row(run, shift_ns)
        return [], None

    def _opened(self, event: RunOpened, shift_ns: int) -> tuple[list[HeardBurst], RunRow]:
        run = _OpenRun(next(self._numbers), event.bursts[0].time_ns)
        self._open[event.run] = run
        run.tag_ids = event.tag_ids
        heard = []
        for burst, error_ms in zip(event.bursts, event.interval_errors_ms, strict=True):
            run.missed += self._missed(event.labels, burst.time_ns - run.last_ns)
            run.add(burst, error_ms)
            heard.append(self._heard(burst, event.tag_ids, error_ms, run.number))
        self._hours.add(run.first_ns + shift_ns, runs=1, of_two=run.length == 2)  # noqa: PLR2004  Two.
        return heard, self._row(run, shift_ns)

    def _continued(
        self, event: RunContinued, shift_ns: int
    ) -> tuple[list[HeardBurst], RunRow | None]:
        run = self._open.get(event.run)
        if run is None:
            return [], None
        if run.length == 2:  # noqa: PLR2004  Two.
            self._hours.add(run.first_ns + shift_ns, runs=0, of_two=-1)
        run.tag_ids = event.tag_ids
        run.missed = event.missed_bursts
        run.add(event.burst, event.interval_error_ms)
        heard = self._heard(event.burst, event.tag_ids, event.interval_error_ms, run.number)
        return [heard], self._row(run, shift_ns)

    def _missed(self, labels: tuple[str, ...], since_ns: int) -> int:
        interval_s = next(
            (self._intervals_s[each] for each in labels if each in self._intervals_s), None
        )
        if interval_s is None:
            return 0
        return max(round(since_ns / 1e9 / interval_s) - 1, 0)

    def _heard(
        self, burst: Burst, tag_ids: tuple[str, ...], error_ms: float | None, number: int
    ) -> HeardBurst:
        told = {name: round(value, _DIGITS) for name, value in burst.measurements(error_ms).items()}
        snr_db = (
            None if burst.noise_db is None else round(burst.signal_db - burst.noise_db, _DIGITS)
        )
        detection = Detection(
            protocol=PROTOCOL,
            tag_id=joined(tag_ids),
            integrity="unverified",
            antenna=self._antenna,
            snr_db=snr_db,
            frequency_offset_hz=round(burst.frequency_offset_hz, _DIGITS),
            measurements=told,
            raw=b"\n".join(filter(None, map(self._raw_of, burst.pulses))),
        )
        return HeardBurst(burst, detection, number)

    def _row(self, run: _OpenRun, shift_ns: int) -> RunRow:
        hour = self._hours.of(run.first_ns + shift_ns)
        confidence = run_confidence(
            run.length,
            missed_bursts=run.missed,
            complete_bursts=run.complete,
            mean_interval_error_ms=run.error_sum_ms / max(run.length - 1, 1),
            hour=hour,
        )
        reason = f"{run.length}-bursts"
        if run.missed:
            reason += f"-{run.missed}-missed"
        if hour.is_noisy:
            reason += "-in-a-noisy-hour"
        return RunRow(
            number=run.number,
            protocol=PROTOCOL,
            tag_id=joined(run.tag_ids),
            place=self._place,
            first_utc_ns=run.first_ns + shift_ns,
            last_utc_ns=run.last_ns + shift_ns,
            detections=run.length,
            verified=0,
            missed=run.missed,
            interval_s=round(run.interval_s, 6),
            interval_error_ms=round(run.worst_error_ms, _DIGITS),
            confidence=confidence,
            reason=reason,
        )


def unlisted_interval(event: IntervalMismatch, antenna: str | None) -> UnlistedInterval:
    """Return the record that tells of an interval which the list does not have."""
    return UnlistedInterval(
        tag_id=joined(event.tag_ids),
        labels=event.labels,
        measured_interval_s=round(event.measured_interval_s, _DIGITS),
        listed_intervals_s=event.listed_intervals_s,
        burst_count=event.burst_count,
        antenna=antenna,
    )


def tuned_mhz(setting: Setting) -> float | None:
    """Return what frequency a setting that was made tunes a radio to; None where it is another.

    SensorGnome writes `S,ts,port,-m,166.376,0,`; only a setting without an error code counts
    (find_tags).
    """
    if setting.name not in _TUNING_SETTINGS or setting.error_code not in (None, "0"):
        return None
    try:
        mhz = float(setting.value)
    except ValueError:
        return None
    return mhz if _TUNABLE_MHZ[0] <= mhz <= _TUNABLE_MHZ[1] else None
