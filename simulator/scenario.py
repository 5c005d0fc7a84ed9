"""Scenarios: everything that makes a world, in one frozen value, and those that ship by name."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import resources
from typing import Final

import msgspec

from simulator.air import Air
from simulator.checked_toml import WrongKeyError
from simulator.energy import Weather
from simulator.saturation import SATURATED_PACKETS_PER_S, saturated_station, saturating_tags
from simulator.scenario_file import ScenarioFile, read_scenario_file
from simulator.stations import Node, Station
from simulator.tags import Tag

__all__ = [
    "SATURATED_PACKETS_PER_S",
    "SCENARIOS",
    "Scenario",
    "ScenarioError",
    "all_generations",
    "parse_scenario",
    "quiet_marsh",
    "saturation",
    "scenario",
]


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
    weather: Weather = Weather()
    line_noise: float = 0.0
    """Chance that a printed line is cut or comes with garbage."""
    seed: int = 1
    duration_s: float = 3600.0
    start_unix_s: float = 1_714_536_000.0
    """When the world begins where no real clock is near: 2024-05-01 04:00 UTC."""
    file: ScenarioFile | None = None
    """Where flocks come from: another seed makes other tags of it."""

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
        if seed is not None and self.file is not None and self.file.flocks:
            other = msgspec.structs.replace(other, tags=self.file.all_tags(seed))
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


def parse_scenario(text: str, path: str) -> Scenario:
    """Return the scenario that a TOML file describes; its name is the file's.

    Raises:
        ScenarioError: anything in it is wrong; the message names file, line, key and what would be
            right.
    """
    try:
        told = read_scenario_file(text, path)
    except WrongKeyError as error:
        raise ScenarioError(str(error)) from error
    return Scenario(
        name=path.replace("\\", "/").rsplit("/", 1)[-1].removesuffix(".toml"),
        shows=told.shows,
        stations=told.all_stations(),
        tags=told.all_tags(told.seed),
        nodes=told.nodes,
        air=told.air,
        weather=told.weather,
        line_noise=told.line_noise,
        seed=told.seed,
        duration_s=told.duration_s,
        start_unix_s=told.start.timestamp(),
        file=told,
    )


def _shipped(name: str) -> Scenario:
    file = resources.files("simulator.scenarios").joinpath(f"{name}.toml")
    return parse_scenario(file.read_text(encoding="utf-8"), f"{name}.toml")


def quiet_marsh() -> Scenario:
    """Return one station with three radios, one node, six tags: what `stopover demo` shows."""
    return _shipped("quiet-marsh")


def all_generations() -> Scenario:
    """Return one radio of every generation for tags, three for nodes, and a node of each."""
    return _shipped("all-generations")


def saturation(radios: int = 12) -> Scenario:
    """Return one station whose every radio prints 350 lines a second: the most the air allows."""
    return Scenario(
        name="saturation",
        shows=f"{radios} radios that each hear {SATURATED_PACKETS_PER_S} packets a second",
        stations=(saturated_station(radios),),
        tags=saturating_tags(),
        duration_s=60,
    )


SCENARIOS: Final[Mapping[str, Callable[[], Scenario]]] = {
    "quiet-marsh": quiet_marsh,
    "saturation": saturation,
    "all-generations": all_generations,
    **{
        name: partial(_shipped, name)
        for name in (
            "colony",
            "noisy-city",
            "night-migration",
            "ship",
            "power-cut",
            "walk-test",
        )
    },
}


def scenario(name: str) -> Scenario:
    """Return the scenario called `name`.

    Raises:
        ScenarioError: there is none; the message lists those there are.
    """
    if name not in SCENARIOS:
        raise ScenarioError(f"there is no scenario {name!r}; there are: {', '.join(SCENARIOS)}")
    return SCENARIOS[name]()
