"""Which link listens where, as its settings or its radio tell, and whether that fits."""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from receiver.radio_settings import SoftwareRadioLink
from receiver.settings import Link, MqttLink, SerialLink, Settings
from receiver.spectrum.allocations import Allocation, names, shipped

_CTT_PRESETS_HZ: Final = {"fsktag": 434_000_000, "node3": 433_250_000}
"""Source: CTT user guides. Of ooktag no frequency is published."""

_BLU_HZ: Final = (2_400_000_000, 2_483_500_000)
"""2.4 GHz tags: the whole band, since their channel is not published."""

_BLU_DECODERS: Final = ("ctt-blu", "ctt-blu-driver")


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    """What one radio, or one MQTT subscription, listens to."""

    link: str
    antenna: str | None
    decoder: str
    low_hz: int | None
    """None where nothing tells."""
    high_hz: int | None
    known_from: str

    @property
    def band(self) -> str:
        """The band as people write it, `unknown` where it is not told."""
        return band_text(self.low_hz, self.high_hz)


def tunings(links: Iterable[Link]) -> Iterator[Tuning]:
    """Yield what each link listens to; an MQTT link has one for each of its topics.

    `frequency_mhz` counts before what a preset or a decoder implies.
    """
    for link in links:
        for each in link.topics if isinstance(link, MqttLink) else (link,):
            low_hz, high_hz, known_from = _implied(link, each.decoder)
            if each.frequency_mhz is not None:
                low_hz = high_hz = round(each.frequency_mhz * 1e6)
                known_from = "frequency_mhz"
            yield Tuning(
                link=link.name,
                antenna=each.antenna,
                decoder=each.decoder,
                low_hz=low_hz,
                high_hz=high_hz,
                known_from=known_from,
            )


def misfits(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each link whose frequency fits no allocation at the station's place.

    Nothing is said of a station without a place, nor of a frequency that the settings do not tell.
    """
    latitude, longitude = settings.station.latitude, settings.station.longitude
    if latitude is None or longitude is None:
        return
    heard_on = [each for each in tunings(settings.links) if each.low_hz is not None]
    if not heard_on:
        return
    known = shipped()
    regions = known.regions_at(latitude, longitude)
    rows = known.applying(regions)
    place = names(regions)
    for tuning in heard_on:
        if fitting(rows, tuning.low_hz, tuning.high_hz):
            continue
        covering = [row.id for row in rows if row.covers(tuning.low_hz or 0, tuning.high_hz or 0)]
        but = f" (not for wildlife tags: {', '.join(covering)})" if covering else ""
        yield (
            f"link {tuning.link}: {tuning.band} fits no allocation known for {place}{but};"
            " see `stopover spectrum`, and ask the authority before tags use it"
        )


def fitting(
    rows: Iterable[Allocation], low_hz: float | None, high_hz: float | None
) -> list[Allocation]:
    """Return the rows that a band fits; none where the band is unknown."""
    if low_hz is None or high_hz is None:
        return []
    return [row for row in rows if row.fits(low_hz, high_hz)]


def band_text(low_hz: int | None, high_hz: int | None) -> str:
    """Return a band in MHz: `434.000 MHz`, `2400.000-2483.500 MHz`, `unknown`."""
    if low_hz is None or high_hz is None:
        return "unknown"
    low, high = (_mhz(hz) for hz in (low_hz, high_hz))
    return f"{low} MHz" if low == high else f"{low}-{high} MHz"


def _mhz(hz: int) -> str:
    """Return megahertz with three digits, more where they say something."""
    whole, rest = divmod(hz, 1_000_000)
    return f"{whole}.{f'{rest:06d}'.rstrip('0'):0<3}"


def _implied(link: Link, decoder: str) -> tuple[int | None, int | None, str]:
    """Return what a preset or a decoder says of the band, and which of them says it."""
    if decoder in _BLU_DECODERS:
        return (*_BLU_HZ, f"decoder {decoder}")
    if isinstance(link, SoftwareRadioLink):
        return link.channel_hz, link.channel_hz, f"hears {link.hears}"
    if isinstance(link, SerialLink) and decoder == "ctt" and link.preset in _CTT_PRESETS_HZ:
        hz = _CTT_PRESETS_HZ[link.preset]
        return hz, hz, f"preset {link.preset}"
    return None, None, "not told: set frequency_mhz"
