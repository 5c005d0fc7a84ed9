"""What a VHF receiver of a SensorGnome makes of a coded tag's burst: up to four lines of pulses.

    p<port>,ts,offset kHz,signal dB,noise dB

Receivers are tuned 4 kHz below the tags' frequency; levels are relative to full scale, which lies
45 dB above a milliwatt's worth of antenna level here: strong tags read -35 to -50, noise about -80,
as in recordings. Source: tve/sensorgnome-control, vah.js; levels and scatter of public recordings.
"""

import math
import random
from typing import Final

from simulator.tags import Tag

TUNED_BELOW_HZ: Final = 4_000
PULSES: Final = 4

_FULL_SCALE_DB: Final = 45.0
_NOISE_BELOW_SENSITIVITY_DB: Final = 6.0
"""The detector takes what stands 6 dB above the noise."""
_JITTER_S: Final = 0.000_1
_FREQUENCY_SD_HZ: Final = 6.0
_LEVEL_SD_DB: Final = 0.5

_WARMEST_HOUR: Final = 15.0
_MEAN_C: Final = 12.0
_SWING_C: Final = 8.0
_TUNED_AT_C: Final = 20.0


def air_temperature_c(unix_s: float, longitude: float) -> float:
    """Return a spring day's temperature: warmest at three in the afternoon, local sun time."""
    hour = (unix_s / 3600 + longitude / 15) % 24
    return _MEAN_C + _SWING_C * math.cos((hour - _WARMEST_HOUR) / 24 * 2 * math.pi)


def frequency_offset_hz(tag: Tag, temperature_c: float) -> float:
    """Return what a receiver that is tuned 4 kHz below reads of a tag."""
    return TUNED_BELOW_HZ + carrier_offset_hz(tag, temperature_c)


def carrier_offset_hz(tag: Tag, temperature_c: float) -> float:
    """Return how far a tag is off its frequency: its crystal's error, and the temperature."""
    return tag.offset_hz + tag.hz_per_degree * (temperature_c - _TUNED_AT_C)


def burst_lines(
    tag: Tag,
    port: int,
    stamped_unix_s: float,
    *,
    level_dbm: float,
    sensitivity_dbm: float,
    offset_hz: float,
    dice: random.Random,
) -> list[bytes]:
    """Return one line for each of a burst's pulses that was received, line ends and all."""
    lines: list[bytes] = []
    at_s = stamped_unix_s
    for gap_ms in (*(tag.gaps_ms or ()), 0.0):
        level = dice.gauss(level_dbm, _LEVEL_SD_DB)
        if level >= sensitivity_dbm:
            lines.append(
                pulse_line(
                    port,
                    at_s + dice.gauss(0, _JITTER_S),
                    dice.gauss(offset_hz, _FREQUENCY_SD_HZ),
                    level + _FULL_SCALE_DB,
                    _noise_db(sensitivity_dbm, dice),
                )
            )
        at_s += gap_ms / 1000
    return lines


def pulse_line(
    port: int, unix_s: float, offset_hz: float, signal_db: float, noise_db: float
) -> bytes:
    """Return one line: time to 0.1 ms, frequency to 1 Hz, levels to 0.01 dB."""
    return f"p{port},{unix_s:.4f},{offset_hz / 1000:.3f},{signal_db:.2f},{noise_db:.2f}\n".encode()


def _noise_db(sensitivity_dbm: float, dice: random.Random) -> float:
    return sensitivity_dbm - _NOISE_BELOW_SENSITIVITY_DB + _FULL_SCALE_DB + dice.gauss(0, 0.4)
