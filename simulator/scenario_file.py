"""Scenario files: what an owner may write in TOML, and the stations and tags that come of it.

shows, start, duration_s, seed, line_noise      keys at the top
[air] [weather]                                 how the world treats radio and light
[[stations]] [[nodes]] [[tags]]                 one by one
[[transects]]                                   stations of one kind in a row
[[flocks]]                                      tags of one kind, each a little different
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from protocols.ctt.packet import id_from_number
from simulator.air import Air, Rate
from simulator.chance import chance
from simulator.checked_toml import WrongKeyError, complaint, parsed
from simulator.energy import Supply, Weather
from simulator.positions import Position
from simulator.stations import Name, Node, Station
from simulator.tags import Tag, TagKind
from simulator.tracks import Track

EVERYDAY_IDS: Final = 65_535
"""Ids without bit 7 in any byte, as assigned ids are, but for the one of zeros."""
_ID_STRIDE: Final = 1_607
"""Prime, so that neighbours of a flock differ in several bytes and none is met twice."""

_HEX_DIGITS: Final = frozenset("0123456789ABCDEF")
_ID_DIGITS: Final = {"lora-tag": 16}


class Transect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stations of one kind in a straight row: `coast` becomes `coast-01`, `coast-02` and so on."""

    count: Annotated[int, Meta(ge=1, le=999, description="How many stations.")]
    to: Annotated[Position, Meta(description="Where the last one stands.")]
    station: Annotated[Station, Meta(description="The first one.")]

    def stations(self) -> Iterator[Station]:
        """Yield them in a row."""
        first = self.station.position
        for number in range(self.count):
            share = number / max(1, self.count - 1)
            place = Position(
                first.latitude + share * (self.to.latitude - first.latitude),
                first.longitude + share * (self.to.longitude - first.longitude),
            )
            name = f"{self.station.name}-{number + 1:02}"
            yield msgspec.structs.replace(self.station, name=name, position=place)


class Flock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tags of one kind on animals that do the same thing, each in its own way."""

    name: Name
    count: Annotated[int, Meta(ge=1, le=EVERYDAY_IDS, description="How many tags.")]
    track: Annotated[Track, Meta(description="What the middle one does.")]
    kind: Annotated[TagKind, Meta(description="What they send.")] = "life-tag"
    first_number: Annotated[
        int, Meta(ge=0, lt=EVERYDAY_IDS, description="Ids are taken from here on.")
    ] = 0
    interval_s: Annotated[
        tuple[float, float], Meta(description="Seconds between beeps, from and to.")
    ] = (5.0, 5.0)
    jitter_s: Annotated[float, Meta(ge=0, le=60, description="See the tag's.")] = 0.01
    power_dbm: Annotated[
        tuple[float, float], Meta(description="Radiated power, from and to, dBm.")
    ] = (10.0, 10.0)
    scatter_m: Annotated[
        float, Meta(ge=0, le=2e6, description="How far apart they begin: standard deviation, m.")
    ] = 0.0
    later_s: Annotated[
        tuple[float, float], Meta(description="How much later each sets out, from and to, seconds.")
    ] = (0.0, 0.0)
    turned_deg: Annotated[
        float, Meta(ge=0, le=180, description="Standard deviation of their bearings.")
    ] = 0.0
    supply: Annotated[Supply | None, Meta(description="What each is fed by.")] = None

    def tags(self, seed: int) -> Iterator[Tag]:
        """Yield them; the same seed, the same tags."""
        dice = chance(seed, "flock", self.name)
        for number in range(self.count):
            track = self.track.moved(
                dice.gauss(0, self.scatter_m),
                dice.gauss(0, self.scatter_m),
                dice.uniform(*self.later_s),
                dice.gauss(0, self.turned_deg),
            )
            yield Tag(
                tag_id=flock_id(self.kind, self.first_number + number, self.name),
                track=track,
                kind=self.kind,
                interval_s=round(dice.uniform(*self.interval_s), 3),
                jitter_s=self.jitter_s,
                power_dbm=round(dice.uniform(*self.power_dbm), 1),
                supply=self.supply,
                gaps_ms=made_up_gaps_ms(number) if self.kind == "coded-tag" else None,
                offset_hz=round(dice.uniform(-1500, 1500)) if self.kind == "coded-tag" else 0.0,
            )


def everyday_id(number: int) -> str:
    """Return one of the 65,536 ids without bit 7 in any byte: assigned ids have none."""
    words = (((number >> 4 * place) & 0xF) << 5 * place for place in range(4))
    return id_from_number(sum(words))


def flock_id(kind: TagKind, number: int, flock: str) -> str:
    """Return the id of a flock's tag: all differ, and look as ids of their kind do."""
    if kind == "coded-tag":
        return f"{flock}#{number + 1}"
    tag_id = everyday_id(1 + number * _ID_STRIDE % EVERYDAY_IDS)
    return f"70B3D57E{tag_id}" if kind == "lora-tag" else tag_id


def made_up_gaps_ms(number: int) -> tuple[float, float, float]:
    """Return the gaps of a made-up code: multiples of 10/2048 s, as those of real code sets.

    No manufacturer's table is used; numbers below 5,000 give different codes.
    """
    step_ms = 10_000 / 2048
    first, rest = number % 17, number // 17
    second, third = rest % 17, (3 * first + 5 * rest + rest // 17) % 17
    return (
        round((5 + first + 0.5) * step_ms, 3),
        round((5 + second) * step_ms, 3),
        round((5 + third) * step_ms, 3),
    )


class ScenarioFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file."""

    shows: Annotated[str, Meta(min_length=1, description="One line for people.")]
    start: Annotated[
        dt.datetime,
        Meta(tz=True, description="When the world begins where no real clock is near, with zone."),
    ] = dt.datetime(2024, 5, 1, 4, tzinfo=dt.UTC)
    duration_s: Annotated[float, Meta(gt=0, le=3.2e8, description="Seconds.")] = 3600.0
    seed: Annotated[int, Meta(ge=0, description="Which world of the kind.")] = 1
    line_noise: Annotated[
        Rate, Meta(description="Chance that a printed line is cut or comes with garbage.")
    ] = 0.0
    air: Air = Air()
    weather: Weather = Weather()
    stations: tuple[Station, ...] = ()
    transects: tuple[Transect, ...] = ()
    nodes: tuple[Node, ...] = ()
    tags: tuple[Tag, ...] = ()
    flocks: tuple[Flock, ...] = ()

    def all_stations(self) -> tuple[Station, ...]:
        """Return the stations one by one, those of transects after the others."""
        return (*self.stations, *(each for row in self.transects for each in row.stations()))

    def all_tags(self, seed: int) -> tuple[Tag, ...]:
        """Return the tags one by one, those of flocks after the others."""
        return (*self.tags, *(each for flock in self.flocks for each in flock.tags(seed)))


def read_scenario_file(text: str, path: str) -> ScenarioFile:
    """Return what a file says; `path` stands in messages.

    Raises:
        WrongKeyError: anything in it is wrong; the message names file, line, key and what would be
            right.
    """
    told = parsed(text, path, ScenarioFile)
    wrong = [complaint(path, text, key, said) for key, said in _contradictions(told)]
    if wrong:
        raise WrongKeyError("\n".join(wrong))
    return told


def _contradictions(told: ScenarioFile) -> Iterator[tuple[str, str]]:
    """Yield (key, complaint) for what types cannot say."""
    if not told.all_stations():
        yield "stations", "a world needs at least one station"
    if not told.tags and not told.flocks:
        yield "tags", "a world needs at least one tag or flock"
    named = [(f"stations[{place}]", each) for place, each in enumerate(told.stations)]
    named += [(f"transects[{place}].station", each.station) for place, each in _numbered(told)]
    yield from _doubles([(f"{at}.name", each.name) for at, each in named], "stations")
    for at, station in named:
        yield from _wrong_station(at, station)
    yield from _doubles(
        [(f"nodes[{place}].node_id", each.node_id) for place, each in enumerate(told.nodes)],
        "nodes",
    )
    yield from _doubles(
        [(f"tags[{place}].tag_id", each.tag_id) for place, each in enumerate(told.tags)], "tags"
    )
    flocks = [(f"flocks[{place}].name", each.name) for place, each in enumerate(told.flocks)]
    yield from _doubles(flocks, "flocks")
    for place, tag in enumerate(told.tags):
        yield from _wrong_tag(f"tags[{place}]", tag)
    for place, flock in enumerate(told.flocks):
        yield from _wrong_flock(f"flocks[{place}]", flock)
    ids: dict[str, str] = {tag.tag_id: "tags" for tag in told.tags}
    for place, flock in enumerate(told.flocks):
        for number in range(flock.count):
            tag_id = flock_id(flock.kind, flock.first_number + number, flock.name)
            owner = ids.setdefault(tag_id, flock.name)
            if owner != flock.name:
                yield (
                    f"flocks[{place}].first_number",
                    f"{tag_id} is also one of {owner}: take another first number",
                )
                break


def _numbered(told: ScenarioFile) -> Iterator[tuple[int, Transect]]:
    return iter(enumerate(told.transects))


def _doubles(named: list[tuple[str, str]], what: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for key, name in named:
        if name in seen:
            yield key, f"two {what} are called {name!r}: rename one of them"
        seen.add(name)


def _wrong_station(at: str, station: Station) -> Iterator[tuple[str, str]]:
    yield from _doubles(
        [(f"{at}.radios[{place}].name", each.name) for place, each in enumerate(station.radios)],
        "radios",
    )
    yield from _doubles(
        [(f"{at}.antennas[{place}].name", e.name) for place, e in enumerate(station.antennas)],
        "antennas",
    )
    known = [each.name for each in station.antennas]
    for place, radio in enumerate(station.radios):
        if known and radio.antenna not in known:
            yield (
                f"{at}.radios[{place}].antenna",
                f"there is no antenna {radio.antenna!r}; there are: {', '.join(known)}",
            )


def _wrong_tag(at: str, tag: Tag) -> Iterator[tuple[str, str]]:
    if (tag.position is None) == (tag.track is None):
        yield f"{at}.position", "a tag has either a position or a track"
    if tag.kind == "coded-tag":
        if "#" not in tag.tag_id:
            yield f"{at}.tag_id", f"{tag.tag_id!r}: a coded tag is called project#id"
        if tag.gaps_ms is None:
            yield f"{at}.gaps_ms", "a coded tag needs its three gaps"
        return
    digits = _ID_DIGITS.get(tag.kind, 8)
    if len(tag.tag_id) != digits or not _HEX_DIGITS.issuperset(tag.tag_id):
        yield (
            f"{at}.tag_id",
            f"{tag.tag_id!r} must be {digits} upper-case hex digits for a {tag.kind}",
        )


def _wrong_flock(at: str, flock: Flock) -> Iterator[tuple[str, str]]:
    for name, (low, high) in (
        ("interval_s", flock.interval_s),
        ("power_dbm", flock.power_dbm),
        ("later_s", flock.later_s),
    ):
        if low > high:
            yield f"{at}.{name}", f"{low} to {high}: the smaller one comes first"
    if flock.interval_s[0] <= 0:
        yield f"{at}.interval_s", f"{flock.interval_s[0]} s must be more than 0"
