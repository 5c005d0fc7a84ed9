"""What a software radio's worker hears, into the pipeline: stamped, counted, its levels kept."""

from collections.abc import Mapping

import msgspec

from protocols.ctt.extended import PayloadCodecs, read_air_packet
from protocols.records import Detection, Pulse, RadioInfo, Record, StationHealth
from receiver.activity import LinkActivity
from receiver.arrivals import Source, Stamp
from receiver.coded_ids.pulse_origins import later
from receiver.limits import RADIO_LEVEL_STORED_S
from receiver.links.intake import LinkStatus
from receiver.pipeline import Pipeline
from receiver.radio_settings import DECODER_VERSION, SoftwareRadioLink

_NS_PER_S = 1_000_000_000
_MEANS = {"noise_dbm": 1, "noise_dbfs": 1, "occupancy": 5}
"""What a row tells the mean of, and with how many digits."""


class RadioIntake:
    """Takes the reports of one software radio."""

    def __init__(self, pipeline: Pipeline, link: SoftwareRadioLink, status: LinkStatus) -> None:
        self._pipeline = pipeline
        self._activity = LinkActivity(status, iter([link.antenna]))
        pipeline.count_activity(self._activity)
        self._source = Source(
            link=link.name, decoder=f"{link.decoder}/{DECODER_VERSION}", antenna=link.antenna
        )
        self._frequency_hz = link.channel_hz
        self._codecs = PayloadCodecs.of(pipeline.payloads)
        self._level_stored_ns: int | None = None
        self._levels: list[Mapping[str, float]] = []
        """Since a row was stored: sixty of five seconds each."""

    def opened(self, radio: str, gain_db: float | None) -> None:
        """Keep what receives, each time that it begins to."""
        gain = {} if gain_db is None else {"gain_db": gain_db}
        self._take(RadioInfo(name=radio, measurements=gain or None), self._now())

    def heard(self, record: Detection | Pulse, mono_ns: int) -> None:
        """Take a packet or pulse that was at a moment of CLOCK_BOOTTIME."""
        now = self._now()
        self._pipeline.count_frames(1, self._activity.of(self._source.antenna))
        if isinstance(record, Detection) and record.payload is not None:
            record = self._with_payload(record)
        self._take(record, later(now, mono_ns - (now.mono_ns or mono_ns)))

    def level(self, measurements: Mapping[str, float], counted: Mapping[str, int]) -> None:
        """Take how the radio is: noise and counts for the hour, now and then a row."""
        antenna = self._activity.of(self._source.antenna)
        antenna.rejects.update(counted)
        antenna.noise_dbm = measurements.get("noise_dbm", antenna.noise_dbm)
        antenna.noise_dbfs = measurements.get("noise_dbfs", antenna.noise_dbfs)
        antenna.gain_db = measurements.get("gain_db", antenna.gain_db)
        now = self._now()
        self._levels.append(measurements)
        stored_ns, now_ns = self._level_stored_ns, now.mono_ns or 0
        if stored_ns is None or now_ns - stored_ns >= RADIO_LEVEL_STORED_S * _NS_PER_S:
            self._level_stored_ns = now_ns
            self._take(StationHealth(measurements=self._mean_level()), now)
            self._levels.clear()

    def _mean_level(self) -> dict[str, float]:
        """Return the newest of what was told, of noise and occupancy the means, and where."""
        told = {"frequency_hz": float(self._frequency_hz), **self._levels[-1]}
        for name, digits in _MEANS.items():
            values = [level[name] for level in self._levels if name in level]
            if values:
                told[name] = round(sum(values) / len(values), digits)
        return told

    def _with_payload(self, detection: Detection) -> Detection:
        """Return the detection of a data tag with what its payload tells."""
        air = read_air_packet(detection.raw)
        told = None if air is None else self._codecs.measurements(air)
        measurements = {**(detection.measurements or {}), **(told or {})}
        return msgspec.structs.replace(detection, measurements=measurements)

    def _now(self) -> Stamp:
        return self._pipeline.clock.stamp()

    def _take(self, record: Record, stamp: Stamp) -> None:
        self._pipeline.take([record], self._source, stamp, self._activity)
