"""The most that the air allows: what a station must bear."""

from typing import Final

from simulator.positions import Position
from simulator.scenario_file import everyday_id
from simulator.stations import Radio, Station
from simulator.tags import Tag

SATURATED_PACKETS_PER_S: Final = 350
"""A packet lasts 2.88 ms, so no more fit on the channel."""

SATURATING_TAGS: Final = 35
_PLACE: Final = Position(38.24, -75.14)


def saturated_station(radios: int) -> Station:
    """Return a station of so many radios, G4 and G5 in turn."""
    return Station(
        name="colony",
        position=_PLACE,
        radios=tuple(
            Radio(
                name=f"radio-{number}",
                generation="G5" if number % 2 else "G4",
                antenna=f"antenna-{number}",
            )
            for number in range(1, radios + 1)
        ),
    )


def saturating_tags() -> tuple[Tag, ...]:
    """Return tags that take turns without a pause."""
    interval_s = SATURATING_TAGS / SATURATED_PACKETS_PER_S
    return tuple(
        Tag(
            tag_id=everyday_id(4_097 + number * 1_607),
            position=_PLACE.moved(50 + 5 * number, 0),
            interval_s=interval_s,
            jitter_s=0,
            first_beep_s=number * interval_s / SATURATING_TAGS,
        )
        for number in range(SATURATING_TAGS)
    )
