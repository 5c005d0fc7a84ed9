"""How each step of commissioning is; nothing here changes anything.

Steps are judged by the configuration, the running station, and what was heard so far.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from receiver.arrivals import SET_CLOCKS
from receiver.commissioning.places import places
from receiver.commissioning.progress import Progress
from receiver.commissioning.state import Choice, Question, StepName, StepState
from receiver.commissioning.words import (
    antenna_words,
    device_words,
    link_advice,
    link_words,
    number,
    sink_words,
)
from receiver.health.snapshot import SinkSnapshot, StationSnapshot
from receiver.serial_ports import SerialDevice
from receiver.settings import SerialLink, Settings, StationSettings

TITLES: Final[Mapping[StepName, str]] = {
    "station": "The station's id and place",
    "radios": "Radios",
    "antennas": "Antennas",
    "test-tag": "The test tag on each antenna",
    "clock": "The clock",
    "store": "The store",
    "upload": "The first upload",
    "visit": "Who was here",
}

_NOT_RUNNING: Final = "no daemon runs with this configuration"
_START: Final = "start it: `sudo systemctl start stopover`, or `stopover run -c FILE`"
_OPEN: Final = ("hearing", "quiet")


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps are judged by."""

    settings: Settings
    snapshot: StationSnapshot | None
    progress: Progress
    devices: Sequence[SerialDevice]
    store_station: str | None = None
    """Whose store lies at `store.path`, where there is one."""


def step_states(scene: Scene) -> Iterator[StepState]:
    """Yield how each step is, in their order; a skipped one keeps what was found."""
    for name, judge in _JUDGES.items():
        state = judge(scene)
        reason = scene.progress.skipped.get(name)
        if reason is not None and state.progress == "waiting":
            state = msgspec.structs.replace(state, progress="skipped", reason=reason, do="")
        yield state


def free_devices(scene: Scene) -> list[SerialDevice]:
    """Return the serial devices that no link uses yet, built-in ports only where there is no link.

    A board has ports that lead nowhere.
    """
    used = {link.device for link in scene.settings.links if isinstance(link, SerialLink)}
    return [
        each
        for each in scene.devices
        if used.isdisjoint((each.device, *each.by_path, *each.by_id))
        and (each.usb_id is not None or not scene.settings.links)
    ]


def required_places(settings: Settings, snapshot: StationSnapshot | None) -> list[str]:
    """Return the name of each antenna that must hear the test tag, once each."""
    return list(dict.fromkeys(place.name for place in places(settings, snapshot)))


def _waiting(
    name: StepName, found: str, do: str, questions: tuple[Question, ...] = ()
) -> StepState:
    return StepState(
        name=name, title=TITLES[name], progress="waiting", found=found, do=do, questions=questions
    )


def _ok(name: StepName, found: str, questions: tuple[Question, ...] = ()) -> StepState:
    return StepState(name=name, title=TITLES[name], progress="ok", found=found, questions=questions)


def _station(scene: Scene) -> StepState:
    station = scene.settings.station
    gps = scene.snapshot
    latitude, longitude = station.latitude, station.longitude
    if latitude is None and gps is not None:
        latitude, longitude = gps.latitude, gps.longitude
    questions = (
        Question(
            name="id",
            words="The station's id: letters, digits, '-', '_', '.'",
            default=station.id,
            required=True,
        ),
        Question(
            name="latitude",
            words="Latitude in degrees, north positive; empty where it moves",
            default=number(latitude),
        ),
        Question(
            name="longitude",
            words="Longitude in degrees, east positive; empty where it moves",
            default=number(longitude),
        ),
    )
    place = (
        "no place: it moves"
        if station.latitude is None
        else f"at {number(station.latitude)}, {number(station.longitude)}"
    )
    found = f"{station.id}, {place}"
    if station.id == StationSettings().id and not scene.progress.station_is_told:
        return _waiting("station", found, "give it an id of its own, and its place", questions)
    if scene.store_station not in (None, station.id):
        store = scene.settings.store.path
        return _waiting(
            "station",
            f"{found}; its store was begun as {scene.store_station}",
            f"stop the daemon, `mv {store} {store}.{scene.store_station}`, and start it again",
            questions,
        )
    return _ok("station", found, questions)


def _radios(scene: Scene) -> StepState:
    free = free_devices(scene)
    questions: tuple[Question, ...] = ()
    if free:
        taken = {link.name for link in scene.settings.links}
        name = next(name for n in range(1, len(taken) + 2) if (name := f"ch{n}") not in taken)
        questions = (
            Question(
                name="device",
                words="A radio that is plugged in and not yet used; empty adds none",
                choices=tuple(
                    Choice(value=each.steady_name, words=device_words(each)) for each in free
                ),
            ),
            Question(name="name", words="Its name in rows and logs", default=name),
            Question(name="antenna", words="Your label for the antenna on it"),
            Question(
                name="decoder",
                words="What it speaks: ctt, ctt-blu, sensorgnome, station-link; empty is what such"
                " a device mostly speaks",
            ),
            Question(
                name="preset",
                words="What a CTT radio listens for: fsktag (tags), node3 (nodes), ooktag (old"
                " tags); empty leaves it as it is",
                default="fsktag",
            ),
        )
    told = [link_words(link.name, scene.snapshot) for link in scene.settings.links]
    found = "; ".join(told) or "no radio is configured"
    if free:
        found += f"; {len(free)} serial ports are free"
    if not scene.settings.links:
        do = "choose a radio" if free else "plug a radio in; if it is, look at its cable and hub"
        return _waiting("radios", found, do, questions)
    if scene.snapshot is None:
        return _waiting("radios", f"{found}; {_NOT_RUNNING}", _START, questions)
    links = {link.name: link for link in scene.snapshot.links}
    missing = [link.name for link in scene.settings.links if link.name not in links]
    if missing:
        return _waiting("radios", found, "the daemon reads the configuration again", questions)
    bad = [link for name, link in links.items() if link.state not in _OPEN]
    if bad:
        return _waiting("radios", found, link_advice(bad[0]), questions)
    return _ok("radios", found, questions)


def _antennas(scene: Scene) -> StepState:
    found_places = places(scene.settings, scene.snapshot)
    told = {antenna.name: antenna for antenna in scene.settings.antennas}
    questions: list[Question] = []
    for place in found_places:
        antenna = told.get(place.antenna or "")
        bearing = antenna.bearing_deg if antenna else None
        questions += (
            Question(
                name=f"antenna:{place.key}",
                words=f"Your label for the antenna on {place.key}",
                default=place.antenna or "",
                required=True,
            ),
            Question(
                name=f"bearing:{place.key}",
                words="Where it points, degrees clockwise from true north; empty: all around",
                default=number(bearing),
            ),
            Question(
                name=f"kind:{place.key}",
                words="What it is: yagi, omni…",
                default=(antenna.kind if antenna else None) or "",
            ),
        )
    if not found_places:
        return _waiting("antennas", "no radio is configured", "choose a radio first")
    lines = [antenna_words(place, scene.settings) for place in found_places]
    waits = [place for place in found_places if place.antenna not in told]
    found = "; ".join(lines)
    if waits:
        do = f"name the antenna on {waits[0].key}, and say where it points"
        return _waiting("antennas", found, do, tuple(questions))
    return _ok("antennas", found, tuple(questions))


def _test_tag(scene: Scene) -> StepState:
    progress = scene.progress
    questions = (
        Question(
            name="tag",
            words="The id of the tag in your hand",
            default=progress.tag_id or next((b.tag for b in scene.settings.beacons), ""),
            required=True,
        ),
        Question(
            name="packets",
            words="Packets that each antenna must hear",
            default=str(progress.packets_wanted),
        ),
        Question(
            name="beacon",
            words="Does this tag stay at the station, so that its silence is an alarm?",
            default="no",
            choices=(Choice(value="no", words="no"), Choice(value="yes", words="yes")),
        ),
    )
    if not progress.tag_id:
        return _waiting("test-tag", "no tag is chosen", "name the tag in your hand", questions)
    wanted = required_places(scene.settings, scene.snapshot)
    lines, deaf = [], []
    for name in dict.fromkeys((*wanted, *progress.heard)):
        heard = progress.heard.get(name)
        if heard is None:
            lines.append(f"{name}: nothing yet")
        else:
            best = heard.best and f", best {heard.best}"
            lines.append(f"{name}: {heard.packets} packets{best}")
        if name in wanted and (heard is None or heard.packets < progress.packets_wanted):
            deaf.append(name)
    found = f"{progress.tag_id}: " + "; ".join(lines)
    if scene.snapshot is None:
        return _waiting("test-tag", f"{found}; {_NOT_RUNNING}", _START, questions)
    if deaf or not wanted:
        do = f"hold the tag near {', '.join(deaf)}" if deaf else "choose a radio first"
        return _waiting("test-tag", found, do, questions)
    return _ok("test-tag", found, questions)


def _clock(scene: Scene) -> StepState:
    if scene.snapshot is None:
        return _waiting("clock", _NOT_RUNNING, _START)
    clock = scene.snapshot.clock
    found = "; ".join(filter(None, (f"{clock.quality}, {clock.time}", clock.gps)))
    if clock.quality in SET_CLOCKS:
        return _ok("clock", found)
    return _waiting(
        "clock",
        found,
        "let it reach the internet, or give gpsd a view of the sky; a cold GPS takes 15 minutes",
    )


def _store(scene: Scene) -> StepState:
    if scene.snapshot is None:
        return _waiting("store", _NOT_RUNNING, _START)
    store = scene.snapshot.store
    days = "" if store.days_left is None else f", {store.days_left:.0f} days at this rate"
    found = (
        f"{store.path}: {store.state}, {store.detections} detections,"
        f" {store.free_bytes / 1e9:.1f} GB free{days}"
    )
    if store.state != "writing":
        return _waiting("store", found, "see `stopover doctor`")
    return _ok("store", found)


def _upload(scene: Scene) -> StepState:
    automatic = [sink.name for sink in scene.settings.sinks if sink.automatic]
    if not automatic:
        return _ok("upload", "no sink sends by itself: data are fetched by hand")
    if scene.snapshot is None:
        return _waiting("upload", _NOT_RUNNING, _START)
    sinks = {sink.name: sink for sink in scene.snapshot.sinks}
    waits = [name for name in automatic if not _is_acknowledged(sinks.get(name), scene.progress)]
    found = "; ".join(sink_words(name, sinks.get(name)) for name in automatic)
    if waits:
        sink = sinks.get(waits[0])
        advice = (sink.advice if sink else None) or "it is tried again by itself; wait"
        return _waiting("upload", found, f"{waits[0]}: {advice}")
    return _ok("upload", found)


def _visit(scene: Scene) -> StepState:
    progress = scene.progress
    questions = (
        Question(name="technician", words="Who is here", default=progress.technician),
        Question(
            name="remarks", words="Anything for those who come next", default=progress.remarks
        ),
    )
    told = ": ".join(filter(None, (progress.technician, progress.remarks)))
    if not progress.visit_is_told:
        return _waiting(
            "visit", "not told yet", "say who is here, and what is worth knowing", questions
        )
    return _ok("visit", told or "nothing to tell", questions)


_JUDGES: Final[Mapping[StepName, Callable[[Scene], StepState]]] = {
    "station": _station,
    "radios": _radios,
    "antennas": _antennas,
    "test-tag": _test_tag,
    "clock": _clock,
    "store": _store,
    "upload": _upload,
    "visit": _visit,
}


def _is_acknowledged(sink: SinkSnapshot | None, progress: Progress) -> bool:
    """Tell whether the far end took something since the begin, or has everything there is."""
    if sink is None or sink.acknowledged_at is None:
        return False
    began = f"{progress.begun:%Y-%m-%dT%H:%M:%S}"
    return sink.acknowledged_at >= began or not sink.waiting_rows
