"""SensorGnome-style lines as they come live: vamp-alsa-host's pulses, a datafeed's lines.

The lines are those of SensorGnome's files (`protocols.sensorgnome`); vamp-alsa-host puts JSON
objects between them: replies to commands, and what happens to its radios.
"""

import msgspec

from protocols.records import LogLine, Pulse, Record, Unknown
from protocols.registry import register
from protocols.sensorgnome import SensorGnomeReader


@register(
    "sensorgnome",
    version="1",
    framing="lines",
    takes="lines of vamp-alsa-host or SensorGnome's datafeed (p3,1639614325.5266,2.637,-38.9,…)",
)
class SensorGnomeDecoder:
    """One line of a live SensorGnome.

    line                                                record
    p<port>,ts,offset kHz,signal dB,noise dB[,snr dB]   a pulse; `device_time_ns` is ts, to 0.1 ms
    T, G, S, C, F, B, b, n                              as in files
    {"async":true,"event":"devStalled",…}               a log line of vamp-alsa-host

    All but pulses are stamped as they arrive.

    Source: `protocols.sensorgnome`; sensorgnome-control's vah.js for the JSON between the pulses.
    """

    def __init__(self) -> None:
        self._reader = SensorGnomeReader()

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Return the record of one line; never raises, never returns an empty tuple."""
        if frame.startswith(b"{") and frame.endswith(b"}"):
            return (LogLine(message=frame.decode("utf-8", "backslashreplace"), raw=frame),)
        record, utc_ns, _ = self._reader.read(frame)
        if isinstance(record, Pulse):
            return (msgspec.structs.replace(record, device_time_ns=utc_ns, raw=frame),)
        if isinstance(record, Unknown) or not hasattr(record, "raw"):
            return (record,)
        return (msgspec.structs.replace(record, raw=frame),)
