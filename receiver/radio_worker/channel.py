"""One channel of a software radio: bytes in, packets or pulses out, under the stream's own numbers.

    bytes ─► samples ─► ear ─► records

Samples are numbered as they came from the source, whatever is done to them on the way.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from protocols.radio.ctt_ear import CttEar
from protocols.radio.heard_packet import HeardPacket, detection_of
from protocols.radio.pulse_ear import PulseEar
from protocols.radio.pulse_records import HeardPulse, pulse_of
from protocols.radio.samples import BYTES_PER_SAMPLE, SampleBytes
from protocols.records import Detection, Pulse
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.pace import grids
from receiver.radio_worker.tuning import Decimator

_CTT_ID = re.compile("[0-9A-F]{8}")
_APART_HZ = 10_000
"""Halfway between two carrier offsets a packet loses 0.6 dB."""


class Caught(NamedTuple):
    """A packet or pulse, and which samples of the stream it is in."""

    record: Detection | Pulse
    first: float
    end: float


class Channel(Protocol):
    """What every channel promises."""

    @property
    def grid_levels(self) -> int:
        """How many grids of frequencies there are; 1 where there is nothing to thin."""
        ...

    def begin(self, sample: int) -> None:
        """Go on with this sample of the stream; those before it are lost."""
        ...

    def feed(self, chunk: bytes, full_scale_dbm: float | None) -> list[Caught]:
        """Take bytes; return what has become known, in levels of that calibration."""
        ...

    def finish(self, full_scale_dbm: float | None) -> list[Caught]:
        """Return the rest: what comes next does not follow what was fed."""
        ...

    def know(self, tags: frozenset[str]) -> None:
        """Believe these tags where a packet is weak, from the next beginning on."""
        ...

    def thin(self, level: int) -> str | None:
        """Listen on the grid of a level from now on; return what that costs, in words."""
        ...

    @property
    def noise_dbfs(self) -> float | None:
        """The noise, relative to full scale; None before it is known."""
        ...

    @property
    def occupancy(self) -> float | None:
        """Part of the time that something was on the air, where it is known."""
        ...

    @property
    def left_out(self) -> int:
        """What was too much to be told, since the start."""
        ...


class CttChannel:
    """CTT packets: the ear itself moves its channel to the middle and thins it out."""

    def __init__(self, link: SoftwareRadioLink, known_tags: frozenset[str]) -> None:
        self._link = link
        self.know(known_tags)
        self._grids = grids(_offsets_hz(link.half_width_hz))
        self._level = 0
        self.grid_levels = len(self._grids)
        self.begin(0)

    def know(self, tags: frozenset[str]) -> None:
        """Believe these tags where a packet is weak, from the next beginning on."""
        # A station's list has coded and LoRa tags too.
        self._known_tags = frozenset(tag for tag in tags if _CTT_ID.fullmatch(tag))

    def begin(self, sample: int) -> None:
        """Go on with this sample of the stream."""
        self._first = sample
        self._bytes = SampleBytes(self._link.sample_form)
        self._ear = CttEar(
            self._link.rate_hz,
            centre_offset_hz=self._link.channel_offset_hz,
            known_tags=self._known_tags,
            offsets_hz=self._grids[self._level],
        )

    def feed(self, chunk: bytes, full_scale_dbm: float | None) -> list[Caught]:
        """Return the packets that have become known."""
        return self._caught(self._ear.feed(self._bytes.feed(chunk)), full_scale_dbm)

    def finish(self, full_scale_dbm: float | None) -> list[Caught]:
        """Return the last packets, as far as they are whole."""
        return self._caught(self._ear.finish(), full_scale_dbm)

    def thin(self, level: int) -> str | None:
        """Listen on fewer frequencies, or on all again."""
        self._level = level
        self._ear.listen_at(self._grids[level])
        if not level:
            return None
        return (
            f"tags are looked for on {len(self._grids[level])} of {len(self._grids[0])} frequencies"
        )

    @property
    def noise_dbfs(self) -> float | None:
        """In 250 kHz."""
        return None if self._ear.occupancy is None else self._ear.noise_dbfs

    @property
    def occupancy(self) -> float | None:
        """As the ear has it."""
        return self._ear.occupancy

    @property
    def left_out(self) -> int:
        """Nothing is."""
        return 0

    def _caught(self, heard: Sequence[HeardPacket], full_scale_dbm: float | None) -> list[Caught]:
        return [
            Caught(
                detection_of(packet, antenna=None, full_scale_dbm=full_scale_dbm),
                self._first + packet.first_sample,
                self._first + packet.end_sample,
            )
            for packet in heard
        ]


class PulseChannel:
    """Pulses of coded-ID tags."""

    grid_levels = 1

    def __init__(self, link: SoftwareRadioLink) -> None:
        self._link = link
        self._rate_hz = link.rate_hz // link.decimation
        self._left_out = 0
        self._first = 0
        self._bytes = SampleBytes(link.sample_form)
        self._decimator = self._new_decimator()
        self._ear = self._new_ear()

    def begin(self, sample: int) -> None:
        """Go on with this sample of the stream."""
        self._left_out += self._ear.left_out
        self._first = sample
        self._bytes = SampleBytes(self._link.sample_form)
        self._decimator = self._new_decimator()
        self._ear = self._new_ear()

    def know(self, tags: frozenset[str]) -> None:
        """Do nothing: a pulse has no id."""

    def feed(self, chunk: bytes, full_scale_dbm: float | None) -> list[Caught]:
        """Return the pulses that have become known."""
        samples = self._decimator.feed(self._bytes.feed(chunk))
        return self._caught(self._ear.feed(samples), full_scale_dbm)

    def finish(self, full_scale_dbm: float | None) -> list[Caught]:
        """Return the last pulses."""
        return self._caught(self._ear.finish(), full_scale_dbm)

    def thin(self, level: int) -> str | None:
        """Do nothing: there is only one grid."""
        del level
        return None

    @property
    def noise_dbfs(self) -> float | None:
        """In the bandwidth of a pulse."""
        return self._ear.noise_dbfs

    @property
    def occupancy(self) -> float | None:
        """Not known."""
        return None

    @property
    def left_out(self) -> int:
        """Pulses that were too many."""
        return self._left_out + self._ear.left_out

    def _caught(self, heard: Sequence[HeardPulse], full_scale_dbm: float | None) -> list[Caught]:
        return [
            Caught(
                self._pulse(each, full_scale_dbm or 0.0),
                self._number(each.first_sample),
                self._number(each.first_sample + each.width_us * 1e-6 * self._rate_hz),
            )
            for each in heard
        ]

    def _pulse(self, heard: HeardPulse, level_db: float) -> Pulse:
        """Return the record: as of a radio that is tuned to where the tags are.

        When it was is told by its stamp, which follows the host's clock, not the stick's crystal.
        """
        pulse = pulse_of(
            heard, rate_hz=self._rate_hz, tuned_frequency_hz=float(self._link.channel_hz)
        )
        return msgspec.structs.replace(
            pulse,
            signal_db=round(pulse.signal_db + level_db, 2),
            noise_db=None if pulse.noise_db is None else round(pulse.noise_db + level_db, 2),
            device_time_ns=None,
        )

    def _new_decimator(self) -> Decimator:
        link = self._link
        return Decimator(link.rate_hz, link.channel_offset_hz, link.decimation)

    def _new_ear(self) -> PulseEar:
        width_hz = self._link.half_width_hz
        return PulseEar(
            self._rate_hz,
            band_hz=(-width_hz, width_hz),
            sampled_hz=self._link.rate_hz,
            middle_hz=-self._link.channel_offset_hz,
        )

    def _number(self, sample: float) -> float:
        """Return the stream's number of a sample as the ear counts."""
        return self._first + sample * self._decimator.count - self._decimator.delay


def channel_of(link: SoftwareRadioLink, known_tags: frozenset[str]) -> CttChannel | PulseChannel:
    """Return what hears what the link is to hear."""
    return CttChannel(link, known_tags) if link.hears == "ctt-434" else PulseChannel(link)


def _offsets_hz(half_width_hz: int) -> list[float]:
    """Return carrier offsets that cover a width, evenly, no more than `_APART_HZ` apart."""
    steps = -(-half_width_hz // _APART_HZ)
    return [half_width_hz * step / max(1, steps) for step in range(-steps, steps + 1)]


def frame_bytes(link: SoftwareRadioLink) -> int:
    """Return how many bytes a sample of a link has."""
    return BYTES_PER_SAMPLE[link.sample_form]
