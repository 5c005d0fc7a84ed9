"""Scenarios: everything that makes a world, in one frozen value, and those that ship by name."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from protocols.ctt.packet import id_from_number
from simulator.air import Air
from simulator.positions import Position
from simulator.stations import Node, Radio, Station
from simulator.tags import Tag

MARSH: Final = Position(38.24, -75.14)
_DEGREE_M: Final = 111_195.0
"""Metres in one degree of latitude."""

SATURATED_PACKETS_PER_S: Final = 350
"""A packet lasts 2.88 ms, so no more fit on the channel."""


class ScenarioError(Exception):
    """A scenario that cannot be had; the message says what would be right."""


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A world before it begins."""

    name: str
    shows: str
    """One line for people."""
    stations: tuple[Station, ...]
    tags: tuple[Tag, ...]
    nodes: tuple[Node, ...] = ()
    air: Air = Air()
    line_noise: float = 0.0
    """Chance that a printed line is cut or comes with garbage."""
    seed: int = 1
    duration_s: float = 3600.0
    start_unix_s: float = 1_714_536_000.0
    """When the world begins where no real clock is near: 2024-05-01 04:00 UTC."""

    def changed(
        self,
        *,
        seed: int | None = None,
        duration_s: float | None = None,
        bit_error_rate: float | None = None,
        line_noise: float | None = None,
        start_unix_s: float | None = None,
    ) -> "Scenario":
        """Return this scenario with what is not None replaced.

        Raises:
            ScenarioError: a value that cannot be.
        """
        wanted = {
            "seed": seed,
            "duration_s": duration_s,
            "line_noise": line_noise,
            "start_unix_s": start_unix_s,
        }
        other = msgspec.structs.replace(
            self, **{name: value for name, value in wanted.items() if value is not None}
        )
        if bit_error_rate is not None:
            air = msgspec.structs.replace(self.air, bit_error_rate=bit_error_rate)
            other = msgspec.structs.replace(other, air=air)
        if other.duration_s <= 0:
            raise ScenarioError(f"duration: {other.duration_s} s must be more than 0")
        for name, rate in (
            ("bit error rate", other.air.bit_error_rate),
            ("line noise", other.line_noise),
        ):
            if not 0 <= rate <= 1:
                raise ScenarioError(f"{name}: {rate} must be 0 to 1")
        return other


def _away(metres_north: float, metres_east: float = 0.0) -> Position:
    """Return a place near the marsh, where a degree of longitude is 0.785 of one of latitude."""
    return Position(
        MARSH.latitude + metres_north / _DEGREE_M,
        MARSH.longitude + metres_east / (_DEGREE_M * 0.785),
    )


def _everyday_id(number: int) -> str:
    """Return one of the 65,536 ids without bit 7 in any byte: assigned ids have none."""
    words = (((number >> 4 * place) & 0xF) << 5 * place for place in range(4))
    return id_from_number(sum(words))


def quiet_marsh() -> Scenario:
    """Return one station with three radios, one node, six tags: what `stopover demo` shows."""
    return Scenario(
        name="quiet-marsh",
        shows="one station, three radios of different generations, one node, six tags",
        stations=(
            Station(
                name="marsh",
                position=MARSH,
                radios=(
                    Radio(name="north", generation="G3", antenna="north", gain_dbi=5),
                    Radio(name="south", generation="G4", antenna="south", gain_dbi=3),
                    Radio(name="nodes", generation="G5", antenna="nodes", channel="nodes"),
                ),
            ),
        ),
        nodes=(
            Node(
                node_id="3796F5",
                generation=2,
                position=_away(900),
                relay_interval_s=5,
                health_interval_s=30,
            ),
        ),
        tags=(
            Tag(tag_id="78664C33", position=_away(150), interval_s=2, first_beep_s=0.5),
            Tag(tag_id="6161527F", position=_away(-300, 200), interval_s=3, first_beep_s=1.1),
            Tag(tag_id="344C2A55", position=_away(800, 100), interval_s=5, first_beep_s=1.7),
            Tag(tag_id="1E4C3433", position=_away(950, -50), interval_s=5, first_beep_s=2.3),
            Tag(
                tag_id="2D2D2D33",
                position=_away(-500, -500),
                kind="power-tag",
                interval_s=10,
                first_beep_s=2.6,
            ),
            Tag(
                tag_id="61337F34",
                position=_away(100, -400),
                kind="hybrid-tag",
                interval_s=7,
                first_beep_s=2.9,
            ),
        ),
    )


def saturation(radios: int = 12) -> Scenario:
    """Return one station whose every radio prints 350 lines a second: the most the air allows."""
    tags = 35
    interval_s = tags / SATURATED_PACKETS_PER_S
    return Scenario(
        name="saturation",
        shows=f"{radios} radios that each hear {SATURATED_PACKETS_PER_S} packets a second",
        stations=(
            Station(
                name="colony",
                position=MARSH,
                radios=tuple(
                    Radio(
                        name=f"radio-{number}",
                        generation="G5" if number % 2 else "G4",
                        antenna=f"antenna-{number}",
                    )
                    for number in range(1, radios + 1)
                ),
            ),
        ),
        tags=tuple(
            Tag(
                tag_id=_everyday_id(4_097 + number * 1_607),
                position=_away(50 + 5 * number),
                interval_s=interval_s,
                jitter_s=0,
                first_beep_s=number * interval_s / tags,
            )
            for number in range(tags)
        ),
        duration_s=60,
    )


def all_generations() -> Scenario:
    """Return one radio of every generation for tags, three for nodes, and a node of each."""
    return Scenario(
        name="all-generations",
        shows="a radio of every generation, G0 to G5, and a node of each, V1 to V3",
        stations=(
            Station(
                name="museum",
                position=MARSH,
                radios=(
                    Radio(name="g0", generation="G0", antenna="g0"),
                    Radio(name="g1", generation="G1", antenna="g1"),
                    Radio(name="g2", generation="G2", antenna="g2"),
                    Radio(name="g3", generation="G3", antenna="g3"),
                    Radio(name="g4", generation="G4", antenna="g4"),
                    Radio(name="g5", generation="G5", antenna="g5"),
                    Radio(name="g3-nodes", generation="G3", antenna="g3", channel="nodes"),
                    Radio(name="g4-nodes", generation="G4", antenna="g4", channel="nodes"),
                    Radio(name="g5-nodes", generation="G5", antenna="g5", channel="nodes"),
                ),
            ),
        ),
        nodes=(
            Node(node_id="377", generation=1, position=_away(300), relay_interval_s=7),
            Node(node_id="3796F5", generation=2, position=_away(0, 300), relay_interval_s=11),
            Node(node_id="A3796F5", generation=3, position=_away(-300), relay_interval_s=13),
        ),
        tags=(
            Tag(tag_id="78664C33", position=_away(100), interval_s=5),
            Tag(tag_id="6161527F", position=_away(0, 200), interval_s=5),
            Tag(tag_id="344C2A55", position=_away(-200), interval_s=15.4, kind="hybrid-tag"),
            Tag(tag_id="2D2D2D33", position=_away(0, -100), interval_s=15.4, kind="power-tag"),
        ),
        duration_s=600,
    )


SCENARIOS: Final[Mapping[str, Callable[[], Scenario]]] = {
    "quiet-marsh": quiet_marsh,
    "saturation": saturation,
    "all-generations": all_generations,
}


def scenario(name: str) -> Scenario:
    """Return the scenario called `name`.

    Raises:
        ScenarioError: there is none; the message lists those there are.
    """
    if name not in SCENARIOS:
        raise ScenarioError(f"there is no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]()
