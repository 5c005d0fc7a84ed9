"""One antenna of one link, as the search for coded-ID tags knows it."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from protocols.coded_id import AntennaDecoder, Event, HeardPulse
from receiver.activity import LinkActivity
from receiver.arrivals import Source
from receiver.coded_ids.code_books import Chosen, CodeBooks
from receiver.coded_ids.pulse_origins import raw_of
from receiver.coded_ids.pulse_times import PulseTimes
from receiver.coded_ids.runs import DECODER, CodedRuns

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

_SETTLES_WITHIN_NS: Final = 3 * 10**9
"""Lateness, the longest burst, and a tick: then nothing but open runs waits for time to pass."""


class CodedAntenna:
    """What was heard, what is looked for, and the decoder between the two."""

    def __init__(
        self, source: Source, radio: str | None, activity: LinkActivity, numbers: Iterator[int]
    ) -> None:
        """`radio` is the antenna as the frames name it; `numbers` are those of runs."""
        self.radio = radio
        self.label = source.antenna_of(radio)
        self.source = _decoded(source)
        """Of its detections."""
        self.activity = activity
        self.times = PulseTimes()
        self.waiting: deque[HeardPulse] = deque()
        """Pulses that are to be searched."""
        self.tuned_mhz: float | None = None
        self.decoder: AntennaDecoder | None = None
        self.runs = CodedRuns(self.label or source.link, radio, numbers, raw_of)
        self.shift_ns = 0
        """UTC less time line, as of the latest pulse."""
        self.searched_mono_ns = 0
        """When pulses were searched last."""
        self._heard_from = source
        self._chosen: Chosen | None = None
        self._counted = dict.fromkeys(_COUNTED, 0)

    def heard_from(self, source: Source, activity: LinkActivity) -> None:
        """Take where pulses come from, which is new after a change of the configuration."""
        self.activity = activity
        if self._heard_from is not source:
            self._heard_from, self.source = source, _decoded(source)

    def begin(self, books: CodeBooks) -> Sequence[Event]:
        """Look for what the antenna can hear as it is tuned now, if not yet; runs of others end."""
        chosen = books.of(self.tuned_mhz)
        if self.decoder is not None and chosen is self._chosen:
            return ()
        ended = () if self.decoder is None else self.decoder.finish()
        self._chosen = chosen
        self.runs.use(chosen.tags)
        self.decoder = AntennaDecoder(chosen.book)
        self._counted = dict.fromkeys(_COUNTED, 0)
        return ended

    def use(self, books: CodeBooks) -> Sequence[Event]:
        """Look for the tags of another list, if for any; runs of tags on both go on."""
        if self.decoder is None:
            return ()
        self._chosen = books.of(self.tuned_mhz)
        self.runs.use(self._chosen.tags)
        return self.decoder.use(self._chosen.book)

    def is_open(self, mono_ns: int) -> bool:
        """Whether something can still come of time that passes."""
        if self.decoder is None:
            return False
        return bool(self.decoder.open_runs or mono_ns - self.searched_mono_ns < _SETTLES_WITHIN_NS)

    def refuse(self, pulses: int) -> None:
        """Count pulses that are not searched."""
        self.activity.of(self.label).rejects["pulses_not_searched"] += pulses

    def count(self) -> None:
        """Put what the search could not take on into the hour's activity."""
        if self.decoder is None:
            return
        counters = self.decoder.counters
        for name in _COUNTED:
            more = getattr(counters, name) - self._counted[name]
            if more:
                self._counted[name] += more
                self.activity.of(self.label).rejects[name] += more


def _decoded(source: Source) -> Source:
    return msgspec.structs.replace(source, decoder=DECODER)
