"""A world's air as one of its radios has it before any decoding: I/Q, in blocks or to a file.

The level of each reception is the truth's, so that the truth file belongs to the samples too. What
is so weak that the truth has no row of it is left out. A site's own noise and its neighbours' are
white here, and as strong as the truth has them in a receiver's bandwidth.

Beside a file of samples lies its description, `.sigmf-meta`: what they are, when they began and
which antenna's they are, and which tags without a CRC the station's list names: software radios
believe no others. Source: the SigMF specification 1.0; the names that begin with `stopover:` are
the project's own.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import msgspec
import numpy as np

from protocols.ctt.packet import PREAMBLE, SYNC_WORD
from simulator.air import FREQUENCY_HZ, summed_dbm
from simulator.iq import (
    BIT_RATE,
    RATE_HZ,
    IqFormat,
    IqTape,
    coded_bursts,
    encoded,
    fsk_samples,
    noise_samples,
)
from simulator.iq import Burst as IqBurst
from simulator.pulse_radio import (
    TUNED_BELOW_HZ,
    air_temperature_c,
    carrier_offset_hz,
    frequency_offset_hz,
)
from simulator.scenario import Scenario, ScenarioError
from simulator.station_life import StationLife
from simulator.stations import Radio, Station
from simulator.tags import PREAMBLE_AND_SYNC_BITS
from simulator.truth import Reception, Transmission, TruthRow
from simulator.world import Emission, World

NOISE_DBM: Final = -114.0
"""Thermal noise of 250 kHz, -120 dBm, and 6 dB of the receiver's own."""

_WIDER_DB: Final = 7.0
"""What 250 kHz have of white noise more than a receiver's 50 kHz, in which the truth tells it."""
_LEAD_S: Final = (8 * len(PREAMBLE + SYNC_WORD) - PREAMBLE_AND_SYNC_BITS) / BIT_RATE
"""The truth counts two bytes of preamble: a third was sent before."""

_BLOCK_S: Final = 1.0
_PIECES_A_BLOCK: Final = 100
"""Neighbours come and go at hundredths of a second."""
_TOLD_WITHIN_S: Final = 2.0
"""Every reception is told so soon after its beginning: a burst lasts under half a second."""


class IqAir:
    """What one radio's antenna hears, block by block; told the truth row by row, in order."""

    def __init__(
        self,
        scenario: Scenario,
        receiver: str | None,
        form: IqFormat,
        write: Callable[[bytes], object],
    ) -> None:
        """Hand blocks of a second to `write`, in order.

        `receiver` is `station/radio`; else the first radio of 434 MHz or VHF is taken.

        Raises:
            ScenarioError: there is no such radio.
        """
        self.station, self.radio = radio_called(scenario, receiver)
        self.bursts = 0
        self._form: IqFormat = form
        self._write = write
        self._tags = {tag.tag_id: tag for tag in scenario.tags}
        self.start_unix_s = scenario.start_unix_s
        self._duration_s = scenario.duration_s
        self._tape = IqTape(scenario.seed)
        self._life = StationLife(self.station, scenario.seed, scenario.start_unix_s)
        self._neighbours = np.random.Generator(np.random.PCG64([scenario.seed, 1]))
        self._noise_dbm = summed_dbm(
            NOISE_DBM,
            *(
                each.level_dbm + _WIDER_DB
                for each in self.station.noise
                if each.band == self.radio.band
            ),
        )
        self._written_s = 0.0
        self._recent: dict[int, Transmission] = {}

    def witness(self, row: TruthRow) -> None:
        """Put what the radio's antenna receives on the tape."""
        if isinstance(row, Transmission):
            self._recent[row.number] = row
            self._write_until(row.sent_at_unix_s - self.start_unix_s - _TOLD_WITHIN_S)
        elif (
            isinstance(row, Reception)
            and (row.station, row.receiver) == (self.station.name, self.radio.name)
            and row.outcome != "off"
        ):
            self._put(self._recent[row.transmission], row)

    def writes_one_before(self, sent: Transmission) -> bool:
        """Hand on one block that a transmission is sure not to be in; False where there is none."""
        until_s = self._written_s + _BLOCK_S
        if until_s > sent.sent_at_unix_s - self.start_unix_s - _TOLD_WITHIN_S:
            return False
        self._write_until(until_s)
        return True

    def end(self) -> None:
        """Hand on the rest."""
        self._write_until(self._duration_s)

    def _put(self, sent: Transmission, row: Reception) -> None:
        at_s = sent.sent_at_unix_s - self.start_unix_s
        snr_db = row.rssi_dbm - self._noise_dbm
        tag = self._tags.get(sent.sender)
        if tag is not None and tag.gaps_ms is not None and tag.band == "vhf":
            warmth_c = air_temperature_c(sent.sent_at_unix_s, sent.longitude or 0.0)
            offset_hz = frequency_offset_hz(tag, warmth_c)
            for burst in coded_bursts(at_s, tag.gaps_ms, offset_hz, snr_db):
                self._tape.put(burst)
        elif sent.packet is not None and sent.band == "434" and tag is not None:
            warmth_c = air_temperature_c(sent.sent_at_unix_s, sent.longitude or 0.0)
            samples = fsk_samples(
                bytes.fromhex(sent.packet), offset_hz=carrier_offset_hz(tag, warmth_c)
            )
            self._tape.put(IqBurst(at_s - _LEAD_S, samples, snr_db))
        else:
            return
        self.bursts += 1

    def _write_until(self, time_s: float) -> None:
        while self._written_s + _BLOCK_S <= time_s or (
            self._written_s < time_s == self._duration_s
        ):
            begin_s = self._written_s
            self._written_s = min(begin_s + _BLOCK_S, self._duration_s)
            self._disturb(begin_s)
            self._write(encoded(self._tape.take(self._written_s), self._form))
            self._forget()

    def _disturb(self, begin_s: float) -> None:
        """Put what neighbours do in the next block on the tape."""
        step_s = _BLOCK_S / _PIECES_A_BLOCK
        for number in range(_PIECES_A_BLOCK):
            at_s = begin_s + number * step_s
            levels_dbm = self._life.interference_dbm(self.radio.band, at_s, at_s + step_s)
            if levels_dbm:
                above_db = summed_dbm(*levels_dbm) + _WIDER_DB - self._noise_dbm
                noise = noise_samples(self._neighbours, round(step_s * RATE_HZ))
                self._tape.put(IqBurst(at_s, noise, above_db))

    def _forget(self) -> None:
        oldest_s = self.start_unix_s + self._written_s - _TOLD_WITHIN_S
        for number in list(self._recent):
            if self._recent[number].sent_at_unix_s >= oldest_s:
                return
            del self._recent[number]


class IqFile(IqAir):
    """The same into a file, as an outlet and context manager."""

    def __init__(self, path: Path, scenario: Scenario, receiver: str | None = None) -> None:
        """Write to `path`, whose suffix is the format: .cu8 or .cf32, and what it is beside it.

        Raises:
            ScenarioError: there is no such radio, or the suffix is another.
        """
        form = _format_of(path)
        radio_called(scenario, receiver)
        self._file = path.open("wb")
        super().__init__(scenario, receiver, form, self._file.write)
        path.with_suffix(".sigmf-meta").write_bytes(_description(self, scenario, path.name, form))

    def send(self, emission: Emission) -> bool:
        """Tell whether it is in the file: `witness` puts what reaches the antenna there."""
        place = (emission.station.name, emission.radio.name)
        if place != (self.station.name, self.radio.name):
            return False
        return self._recent[emission.reception.transmission].sender in self._tags

    def close(self) -> None:
        """Write the rest and close the file."""
        self.end()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def iq_blocks(
    scenario: Scenario,
    receiver: str | None = None,
    *,
    form: IqFormat = "cu8",
    witness: Callable[[TruthRow], None] | None = None,
) -> Iterator[bytes]:
    """Yield a world's air at one radio, a second a block: what a simulated stick serves.

    `witness` is told the truth, row by row, a little ahead of the samples.

    Raises:
        ScenarioError: there is no such radio.
    """
    ready: list[bytes] = []
    air = IqAir(scenario, receiver, form, ready.append)
    for happening in World(scenario).happenings():
        row = happening.reception if isinstance(happening, Emission) else happening
        if isinstance(row, Transmission):
            # A block at a time: until the next tag sends, there may be an hour of them.
            while air.writes_one_before(row):
                yield from ready
                ready.clear()
        air.witness(row)
        if witness is not None:
            witness(row)
        yield from ready
        ready.clear()
    air.end()
    yield from ready


def _description(air: IqAir, scenario: Scenario, file_name: str, form: IqFormat) -> bytes:
    """Return the `.sigmf-meta` of an air's samples."""
    is_vhf = air.radio.band == "vhf"
    channel_hz = FREQUENCY_HZ[air.radio.band]
    told = {
        "global": {
            "core:datatype": "cu8" if form == "cu8" else "cf32_le",
            "core:sample_rate": RATE_HZ,
            "core:version": "1.0.0",
            "core:dataset": file_name,
            "stopover:link": air.radio.name,
            "stopover:antenna": air.radio.antenna,
            "stopover:hears": "coded-id" if is_vhf else "ctt-434",
            "stopover:channel_hz": channel_hz,
            "stopover:known_tags": sorted(
                tag.tag_id for tag in scenario.tags if tag.kind == "power-tag"
            ),
        },
        "captures": [
            {
                "core:sample_start": 0,
                "core:frequency": channel_hz - (TUNED_BELOW_HZ if is_vhf else 0),
                "core:datetime": datetime.fromtimestamp(air.start_unix_s, UTC).isoformat(),
            }
        ],
        "annotations": [],
    }
    return msgspec.json.format(msgspec.json.encode(told)) + b"\n"


def _format_of(path: Path) -> IqFormat:
    if path.suffix == ".cu8":
        return "cu8"
    if path.suffix == ".cf32":
        return "cf32"
    raise ScenarioError(f"{path}: I/Q is written as .cu8 or .cf32: name the file so")


def radio_called(scenario: Scenario, receiver: str | None) -> tuple[Station, Radio]:
    """Return the radio of 434 MHz or VHF called `station/radio`; None for the first there is.

    Raises:
        ScenarioError: there is no such radio.
    """
    radios = {
        f"{station.name}/{radio.name}": (station, radio)
        for station in scenario.stations
        for radio in station.radios
        if radio.band in ("434", "vhf")
    }
    if receiver is None and radios:
        return next(iter(radios.values()))
    if receiver not in radios:
        raise ScenarioError(f"there is no radio {receiver!r}; there are: {', '.join(radios)}")
    return radios[receiver]
