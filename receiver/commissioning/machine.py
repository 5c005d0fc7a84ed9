"""Commissioning as a state machine: the same for the command and for the page.

`state` tells how every step is, `step` takes the answers to one. Both read and write files and may
take a disk's time, so the daemon calls them in a thread, one at a time.

Beside the steps there are three actions: `reload` (a running daemon reads its configuration again),
`note` (a line of words into the store), and `finish` (the report's words into the store).
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from protocols.records import LogLine
from receiver.arrivals import Source
from receiver.coded_ids.tag_lists import canonical
from receiver.commissioning import report
from receiver.commissioning.config_file import ConfigurationFile, Edits
from receiver.commissioning.places import places
from receiver.commissioning.progress import PACKETS_WANTED, Progress
from receiver.commissioning.state import (
    CommissioningError,
    CommissioningState,
    Moment,
)
from receiver.commissioning.steps import Scene, free_devices, step_states
from receiver.serial_ports import SerialDevice, serial_devices
from receiver.settings import Settings
from receiver.store.errors import StoreError
from receiver.store.queries import Reader
from receiver.supervision.reload import taken_over
from receiver.whereabouts import STATION_LINK

SOURCE: Final = Source(link=STATION_LINK, decoder="commissioning/1")
"""Where the notes of a commissioning come from, as rows tell it."""

LONGEST_ANSWER: Final = 500
"""Characters: remarks on a visit are the longest; what is longer is refused."""

_USUAL_DECODERS: Final[Mapping[str, str]] = {"0403:6015": "ctt-blu"}
"""By USB vendor and product: what such a device mostly speaks, where it is not `ctt`."""

_Answered: TypeAlias = Callable[[Mapping[str, str], Moment], None]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Commissioning:
    """Leads one station into service."""

    def __init__(
        self,
        configuration: Path,
        *,
        note: Callable[[LogLine], None],
        reload: Callable[[], None],
        devices: Callable[[], Sequence[SerialDevice]] = serial_devices,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        """`note` puts a line into the store, from `SOURCE`; `reload` tells a running daemon."""
        self._file = ConfigurationFile(configuration)
        self._note = note
        self._reload = reload
        self._devices = devices
        self._now = now
        self.progress = Progress(now())
        self._steps: Mapping[str, _Answered] = {
            "station": self._answer_station,
            "radios": self._answer_radios,
            "antennas": self._answer_antennas,
            "test-tag": self._answer_test_tag,
            "clock": self._answer_nothing,
            "store": self._answer_nothing,
            "upload": self._answer_nothing,
            "visit": self._answer_visit,
        }
        self._actions: Mapping[str, _Answered] = {
            "reload": self._do_reload,
            "note": self._do_note,
            "finish": self._do_finish,
        }

    def settings(self) -> Settings:
        """Return the configuration as it is now.

        Raises:
            CommissioningError: it cannot be read, or is wrong.
        """
        return self._file.settings()

    def state(self, moment: Moment) -> CommissioningState:
        """Return how every step is; take what was heard.

        Raises:
            CommissioningError: the configuration cannot be read, or is wrong.
        """
        self.progress.look(moment)
        scene = self._scene(moment)
        steps = tuple(step_states(scene))
        return CommissioningState(
            station=scene.settings.station.id,
            configuration=str(self._file.path),
            is_running=moment.snapshot is not None,
            can_write=self._file.can_write,
            needs_restart=tuple(sorted(self._waiting_for_restart(scene))),
            steps=steps,
            is_finished=all(step.progress != "waiting" for step in steps),
        )

    def step(self, name: str, answers: Mapping[str, object], moment: Moment) -> CommissioningState:
        """Take the answers to a step and do what they ask for; return how every step is then.

        `{"skip": "why"}` skips any step, `{"skip": ""}` takes it up again.

        Raises:
            CommissioningError: there is no such step, an answer is wrong, or the configuration
                cannot be written; nothing was changed then.
        """
        told = {key: _text(key, value) for key, value in answers.items()}
        self.progress.look(moment)  # What came before this answer does not count for it.
        if name in self._actions:
            self._actions[name](told, moment)
        elif name not in self._steps:
            known = ", ".join((*self._steps, *self._actions))
            raise CommissioningError(f"there is no step {name!r}", f"steps are {known}")
        elif told.get("skip"):
            self.progress.skipped[name] = told["skip"]
        else:
            self.progress.skipped.pop(name, None)
            if "skip" not in told:
                self._steps[name](told, moment)
        return self.state(moment)

    def report_text(self, moment: Moment, findings: Sequence[str] = ()) -> str:
        """Return the report as text, 80 columns; `findings` are the doctor's, a line each."""
        return report.text(self._facts(moment, findings))

    def report_html(self, moment: Moment, findings: Sequence[str] = ()) -> str:
        """Return the report as one HTML file without scripts, to be printed."""
        return report.html(self._facts(moment, findings))

    def _facts(self, moment: Moment, findings: Sequence[str]) -> report.Facts:
        state = self.state(moment)
        return report.Facts(
            made=self._now(),
            begun=self.progress.begun,
            state=state,
            settings=self._file.settings(),
            snapshot=moment.snapshot,
            progress=self.progress,
            findings=tuple(findings),
        )

    def _scene(self, moment: Moment) -> Scene:
        return Scene(
            settings=self._file.settings(),
            snapshot=moment.snapshot,
            progress=self.progress,
            devices=self._devices(),
            store_station=_station_of(self._file.settings().store.path),
        )

    def _change(self, edit: Callable[[Edits], None], moment: Moment) -> None:
        """Change the configuration, and let a running daemon read it again."""
        before = self._file.settings()
        after = self._file.change(edit, self._now())
        if after == before:
            return
        if moment.snapshot is not None:
            self.progress.needs_restart.update(taken_over(before, after)[1])
            self._reload()

    def _waiting_for_restart(self, scene: Scene) -> set[str]:
        waiting = set(self.progress.needs_restart)
        if scene.snapshot is not None and scene.snapshot.station == scene.settings.station.id:
            waiting.discard("station.id")
        return waiting if scene.snapshot is not None else set()

    def _answer_station(self, told: Mapping[str, str], moment: Moment) -> None:
        station_id = told.get("id", "").strip()
        latitude = _float(told, "latitude")
        longitude = _float(told, "longitude")

        def edit(edits: Edits) -> None:
            if station_id:
                edits.set("station", "id", station_id)
            edits.set("station", "latitude", latitude)
            edits.set("station", "longitude", longitude)

        self._change(edit, moment)
        self.progress.station_is_told = True

    def _answer_radios(self, told: Mapping[str, str], moment: Moment) -> None:
        device = told.get("device", "").strip()
        if not device:
            return
        scene = self._scene(moment)
        known = {name: each for each in free_devices(scene) for name in _names(each)}
        if device not in known:
            raise CommissioningError(
                f"{device} is not plugged in, or a link uses it already",
                f"free are: {', '.join(known) or 'none'}",
            )
        usual = _USUAL_DECODERS.get(known[device].usb_id or "")
        decoder = told.get("decoder", "").strip() or usual
        preset = told.get("preset", "").strip() if decoder in (None, "ctt") else ""
        name = told.get("name", "").strip()
        if not name or name in {link.name for link in scene.settings.links}:
            raise CommissioningError(
                f"a link is called {name!r} already" if name else "the radio has no name",
                "give it a name of its own, such as ch1",
            )

        def edit(edits: Edits) -> None:
            edits.put(
                "links",
                "name",
                {
                    "kind": "serial",
                    "name": name,
                    "device": device,
                    "antenna": told.get("antenna", "").strip() or None,
                    "decoder": decoder,
                    "preset": preset or None,
                },
            )

        self._change(edit, moment)

    def _answer_antennas(self, told: Mapping[str, str], moment: Moment) -> None:
        known = {place.key: place for place in places(self._file.settings(), moment.snapshot)}
        for key in told:
            if key.partition(":")[2] not in known:
                raise CommissioningError(
                    f"there is no {key!r}", f"radios are {', '.join(known) or 'not configured yet'}"
                )

        def edit(edits: Edits) -> None:
            for key, place in known.items():
                label = told.get(f"antenna:{key}", place.antenna or "").strip()
                if label != (place.antenna or ""):
                    edits.label(place.link, label or None, topic=place.topic, radio=place.radio)
                if label and any(each.endswith(f":{key}") for each in told):
                    values: dict[str, str | float | None] = {"name": label}
                    if f"bearing:{key}" in told:
                        values["bearing_deg"] = _float(told, f"bearing:{key}")
                    if f"kind:{key}" in told:
                        values["kind"] = told[f"kind:{key}"].strip() or None
                    edits.put("antennas", "name", values)

        self._change(edit, moment)

    def _answer_test_tag(self, told: Mapping[str, str], moment: Moment) -> None:
        (tag_id,) = canonical([told.get("tag", "")]) or ("",)
        if not tag_id:
            raise CommissioningError("no tag is named", "give the id that is printed on the tag")
        packets = told.get("packets", "").strip() or str(PACKETS_WANTED)
        if not packets.isdecimal() or not int(packets):
            raise CommissioningError(f"{packets!r} is no number of packets", "give 1 or more")
        self.progress.test_with(tag_id, int(packets))
        if told.get("beacon", "no") == "yes":
            self._change(lambda edits: edits.put("beacons", "tag", {"tag": tag_id}), moment)

    def _answer_visit(self, told: Mapping[str, str], _moment: Moment) -> None:
        self.progress.technician = told.get("technician", "").strip()
        self.progress.remarks = told.get("remarks", "").strip()
        self.progress.visit_is_told = True

    def _answer_nothing(self, _told: Mapping[str, str], _moment: Moment) -> None:
        """Take up a step that only waits for the station."""

    def _do_reload(self, _told: Mapping[str, str], _moment: Moment) -> None:
        self._reload()

    def _do_note(self, told: Mapping[str, str], _moment: Moment) -> None:
        self._note(LogLine(message=told.get("message", ""), level="info"))

    def _do_finish(self, _told: Mapping[str, str], moment: Moment) -> None:
        state = self.state(moment)
        self._note(
            LogLine(
                message=report.line(state, self.progress),
                level="info",
                raw=msgspec.json.encode(state),
            )
        )


def _station_of(store: str) -> str | None:
    """Return whose store this is; None where there is none that can be read."""
    try:
        with Reader(Path(store)) as reader:
            return reader.station_id
    except StoreError:
        return None


def _names(device: SerialDevice) -> tuple[str, ...]:
    return tuple(dict.fromkeys((device.steady_name, *device.by_path, *device.by_id, device.device)))


def _text(key: str, value: object) -> str:
    text = "" if value is None else str(value)
    if len(text) > LONGEST_ANSWER:
        raise CommissioningError(
            f"the answer to {key!r} is too long", f"{LONGEST_ANSWER} characters at most"
        )
    return text


def _float(told: Mapping[str, str], key: str) -> float | None:
    """Return a number as people write it, with a point or a comma; None where it is empty."""
    text = told.get(key, "").strip().replace(",", ".")
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise CommissioningError(
            f"{key}: {told[key]!r} is no number",
            "write degrees as 52.1234, south and west negative",
        ) from None
