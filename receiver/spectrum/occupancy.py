"""How full each band was in each hour: the evidence that spectrum authorities ask for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from receiver.spectrum.allocations import Allocation
from receiver.spectrum.tuning import Tuning, band_text, fitting

OCCUPANCY_KEYS: Final = (
    "hour",
    "band",
    "low_hz",
    "high_hz",
    "allocations",
    "antennas",
    "listening_s",
    "frames",
    "packets",
    "pulses",
    "noise_dbm",
    "pulse_noise_db",
    "noise_dbfs",
    "occupied",
)
"""The keys of an hour in JSON and CSV, in this order."""


class HourlyNoise(msgspec.Struct, frozen=True, kw_only=True):
    """What receptions on one antenna told of the noise in one hour: means, in the unit's own dB."""

    hour: str
    link: str
    antenna: str | None
    noise_dbm: float | None
    pulse_noise_db: float | None
    """Relative to the receiver's full scale."""
    noise_dbfs: float | None = None
    """In 250 kHz, relative to a software radio's full scale."""
    occupied: float | None = None
    """Part of the time, 0 to 1, in which something was on the channel of a software radio."""


class HourlyTuning(msgspec.Struct, frozen=True):
    """What a radio told in one hour of where it listens."""

    hour: str
    tuning: Tuning


_NOTHING_TOLD: Final = HourlyNoise(
    hour="", link="", antenna=None, noise_dbm=None, pulse_noise_db=None
)


def hourly_occupancy(
    hours: Iterable[Mapping[str, Any]],
    noise: Iterable[HourlyNoise],
    tunings: Sequence[Tuning],
    rows: Sequence[Allocation],
    told: Iterable[HourlyTuning] = (),
) -> Iterator[dict[str, Any]]:
    """Yield what was heard in each hour and band, hours without any reception included.

    `hours` is what `hours_listened` yields. Counts and `listening_s` are sums over the antennas
    that listened in the band, so two antennas give two hours of listening an hour. A noise, and how
    occupied the band was, is the highest that any of them told. What the radio told in the hour
    counts before the configuration's `tunings`. Where neither tells, and where it was tuned anew
    within the hour, the band is `unknown`.
    """
    noises = {(each.hour, each.link, each.antenna): each for each in noise}
    told_in: dict[str, list[Tuning]] = {}
    for each in told:
        told_in.setdefault(each.hour, []).append(each.tuning)
    bands: dict[tuple[str, int, int], dict[str, Any]] = {}
    for hour in hours:
        place = hour["link"], hour["antenna"]
        now = [each for each in told_in.get(hour["hour"], ()) if (each.link, each.antenna) == place]
        low_hz, high_hz = _band_of(*place, now or tunings)
        key = (hour["hour"], low_hz or 0, high_hz or 0)
        band = bands.setdefault(key, _empty(hour["hour"], low_hz, high_hz, rows))
        band["antennas"] += 1
        for count in ("listening_s", "frames", "pulses"):
            band[count] += hour[count]
        band["packets"] += hour["detections"]
        of_receptions = noises.get((hour["hour"], *place), _NOTHING_TOLD)
        band["noise_dbm"] = _highest(band["noise_dbm"], hour["noise_dbm"], of_receptions.noise_dbm)
        band["pulse_noise_db"] = _highest(band["pulse_noise_db"], of_receptions.pulse_noise_db)
        band["noise_dbfs"] = _highest(band["noise_dbfs"], of_receptions.noise_dbfs)
        band["occupied"] = _highest(band["occupied"], of_receptions.occupied)
    for key in sorted(bands):
        yield bands[key]


def band_totals(hours: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a band: how many hours, sums over them, highest noise, fullest hour."""
    totals: dict[str, dict[str, Any]] = {}
    for hour in hours:
        total = totals.setdefault(
            hour["band"],
            {
                "band": hour["band"],
                "allocations": hour["allocations"],
                "first_hour": hour["hour"],
                "last_hour": hour["hour"],
                "hours": 0,
                "listening_s": 0.0,
                "packets": 0,
                "pulses": 0,
                "noise_dbm": None,
                "pulse_noise_db": None,
                "noise_dbfs": None,
                "occupied": None,
            },
        )
        total["hours"] += 1
        total["last_hour"] = hour["hour"]
        for count in ("listening_s", "packets", "pulses"):
            total[count] += hour[count]
        for most in ("noise_dbm", "pulse_noise_db", "noise_dbfs", "occupied"):
            total[most] = _highest(total[most], hour[most])
    return list(totals.values())


def untold(told: Iterable[HourlyTuning], known: Iterable[Tuning]) -> list[Tuning]:
    """Return what radios told of links that are not among the `known` ones, each once."""
    links = {each.link for each in known}
    return list(dict.fromkeys(each.tuning for each in told if each.tuning.link not in links))


def _band_of(
    link: str, antenna: str | None, tunings: Sequence[Tuning]
) -> tuple[int | None, int | None]:
    """Return the band that an antenna listens in, by its label, else by all that its link has."""
    of_link = [each for each in tunings if each.link == link]
    of_antenna = [each for each in of_link if each.antenna == antenna]
    bands = {(each.low_hz, each.high_hz) for each in of_antenna or of_link}
    return bands.pop() if len(bands) == 1 else (None, None)


def _empty(
    hour: str, low_hz: int | None, high_hz: int | None, rows: Sequence[Allocation]
) -> dict[str, Any]:
    return {
        "hour": hour,
        "band": band_text(low_hz, high_hz),
        "low_hz": low_hz,
        "high_hz": high_hz,
        "allocations": [row.id for row in fitting(rows, low_hz, high_hz)],
        "antennas": 0,
        "listening_s": 0.0,
        "frames": 0,
        "packets": 0,
        "pulses": 0,
        "noise_dbm": None,
        "pulse_noise_db": None,
        "noise_dbfs": None,
        "occupied": None,
    }


def _highest(*values: float | None) -> float | None:
    return max((value for value in values if value is not None), default=None)
