"""Which detection of a store is which reception of the truth: by place, id and time."""

import bisect
import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from protocols.ctt.packet import ID_BYTES, PACKET_BYTES, identify
from receiver.scoring.truth_rows import Place, Reception, Truth

WITHIN_S: Final = 2.0
"""A detection is looked for so near to its reception: recorded files may hold whole seconds."""
BETTER_WITHIN_S: Final = 0.5
"""The same where the radio of the simulated world lost it: only software radios, which are late by
half a second at most, hear what that did not."""
RELAYED_WITHIN_S: Final = 3600.0
"""A node's clock may be wrong, and a node may keep a beep for a quarter of an hour."""

_SHARED_PORTS: Final = {"blu": ("ctt-blu", 1), "station-link": ("station-link", 0)}
"""Kind of radio to the link's name and the number of its first channel."""
_PULSE_STREAM: Final = "sensorgnome"
"""The link's name of a station's VHF receivers, which keep their port numbers."""

_LOST_ON_THE_AIR: Final = ("gated", "damaged", "too-weak", "disturbed", "collided", "busy")
"""Outcomes after which better ears may still have heard the tag."""

_RIGHT_CLOCK_S: Final = 0.001
_PLAIN_ID: Final = ID_BYTES * 2


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A detection of the store beside what the truth knows of it."""

    place: Place | None
    """Null where the truth knows no such antenna."""
    tag_id: str
    confidence: str | None
    reception: Reception | None
    true_tag: str | None
    """Whose transmission it was; null for noise and where nothing was received."""
    time_error_s: float | None
    """By how much its time is late; null where the station's clock was wrong, and through nodes."""

    @property
    def is_true(self) -> bool:
        """Whether that tag was really heard there and then."""
        return self.true_tag == self.tag_id


class _Expected:
    """Receptions under one key, in order of time, each to be found once."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._receptions: list[Reception] = []
        self._needs_better: list[bool] = []
        self._is_sorted = True

    def add(self, time_s: float, reception: Reception, *, needs_better: bool) -> None:
        """Expect a reception, or do not wonder at it if ears were better than the radio's."""
        self._is_sorted = self._is_sorted and (not self._times or self._times[-1] <= time_s)
        self._times.append(time_s)
        self._receptions.append(reception)
        self._needs_better.append(needs_better)

    def take(self, time_s: float, within_s: float) -> Reception | None:
        """Return the nearest reception that no detection has, and give it to this one."""
        if not self._is_sorted:
            order = sorted(range(len(self._times)), key=self._times.__getitem__)
            self._times = [self._times[place] for place in order]
            self._receptions = [self._receptions[place] for place in order]
            self._needs_better = [self._needs_better[place] for place in order]
            self._is_sorted = True
        begin = bisect.bisect_left(self._times, time_s - within_s)
        best: int | None = None
        best_s = within_s
        for place in range(begin, len(self._times)):
            apart_s = abs(self._times[place] - time_s)
            if self._times[place] > time_s + best_s:
                break
            if apart_s <= best_s and self._is_free(place, apart_s):
                best, best_s = place, apart_s
        return None if best is None else self._taken(best)

    def _is_free(self, place: int, apart_s: float) -> bool:
        reception = self._receptions[place]
        if self._needs_better[place]:
            return not reception.is_heard_better and apart_s <= BETTER_WITHIN_S
        return not reception.is_stored

    def _taken(self, place: int) -> Reception:
        reception = self._receptions[place]
        if self._needs_better[place]:
            reception.is_heard_better = True
        else:
            reception.is_stored = True
        return reception


def matched(truth: Truth, detections: Iterable[Mapping[str, Any]]) -> Iterator[Heard]:
    """Yield every detection with its reception.

    Receptions found are marked `is_stored`, or `is_heard_better`.

    `detections` are rows as `Reader.detections` gives them, in any order.
    """
    places = _places(truth)
    expected = _expected(truth)
    for row in detections:
        place = places.get((row["link"], row["antenna"]))
        is_card = place is not None and place[0] is None
        # A row of a node's own card names that node as its relay: it is no relayed beep.
        relay, tag_id = None if is_card else row["relay_id"], row["tag_id"]
        time_s = unix_s(row["time"])
        reception = None
        if place is not None:
            is_exact = relay is None and not is_card
            receptions = expected.get((place, relay, tag_id))
            if receptions is not None:
                reception = receptions.take(time_s, WITHIN_S if is_exact else RELAYED_WITHIN_S)
        yield Heard(
            place=place,
            tag_id=tag_id,
            confidence=row.get("confidence"),
            reception=reception,
            true_tag=None if reception is None else truth.true_tag(reception.transmission),
            time_error_s=_time_error_s(reception, time_s) if relay is None else None,
        )


def unix_s(iso: str) -> float:
    """Return an ISO time in UTC as Unix seconds."""
    return dt.datetime.fromisoformat(iso).timestamp()


def ids_of(truth: Truth, reception: Reception) -> set[str]:
    """Return the ids under which a store may hold a reception: as taken, or mended."""
    if reception.received is None or len(reception.received) < _PLAIN_ID:
        tag = truth.true_tag(reception.transmission)
        return set() if tag is None else {tag}
    packet = bytes.fromhex(reception.received)
    ids = {reception.received[:_PLAIN_ID]}
    if len(packet) >= PACKET_BYTES:
        ids.add(identify(packet[:ID_BYTES], packet[ID_BYTES]).tag_id)
    tag = truth.true_tag(reception.transmission)
    if tag is not None and len(tag) != _PLAIN_ID:
        # Of LoRa and coded tags the id is not in the packet.
        ids.add(tag)
    return ids


def _places(truth: Truth) -> dict[tuple[str, str | None], Place]:
    """Return where a row's link and antenna stand in the truth: recorded files and live links."""
    places: dict[tuple[str, str | None], Place] = {}
    for each in truth.receivers:
        own = {each.receiver, f"{each.station}-{each.receiver}"}
        shared = {each.recorded_as, *([each.station] if each.station else [])}
        antennas = {str(each.port), each.receiver, *([each.antenna] if each.antenna else [])}
        for link in own | shared:
            for antenna in antennas:
                places.setdefault((link, antenna), each.place)
        for link in own:
            places.setdefault((link, None), each.place)
        if each.station is None:
            places.setdefault((each.recorded_as, None), each.place)
    for link, antenna, place in _shared_receivers(truth):
        places.setdefault((link, antenna), place)
    return places


def _shared_receivers(truth: Truth) -> Iterator[tuple[str, str, Place]]:
    """Yield the radios that share a serial port, by how the simulator names it and its channels."""
    counts: Counter[tuple[str | None, str]] = Counter()
    for each in truth.receivers:
        if each.radio_kind == "pulses":
            for link in (_PULSE_STREAM, f"{each.station}-{_PULSE_STREAM}"):
                yield link, str(each.port), each.place
        shared = _SHARED_PORTS.get(each.radio_kind)
        if shared is not None:
            name, first_channel = shared
            channel = str(first_channel + counts[each.station, each.radio_kind])
            counts[each.station, each.radio_kind] += 1
            for link in (name, f"{each.station}-{name}"):
                yield link, channel, each.place


def _expected(truth: Truth) -> dict[tuple[Place, str | None, str], _Expected]:
    expected: dict[tuple[Place, str | None, str], _Expected] = defaultdict(_Expected)
    for each in truth.receptions:
        told = truth.sent[each.transmission]
        if told.what == "node-health":
            continue
        time_s = each.heard_at_unix_s if each.stamped_unix_s is None else each.stamped_unix_s
        ids: set[str] = set()
        if each.outcome in ("printed", "buffered"):
            ids = ids_of(truth, each)
            relay = told.sender if told.what == "relayed-beep" else None
            for tag_id in ids:
                receptions = expected[(each.station, each.receiver), relay, tag_id]
                receptions.add(time_s, each, needs_better=False)
        tag = _tag_beyond(truth, each)
        if tag is not None and tag not in ids:
            receptions = expected[(each.station, each.receiver), None, tag]
            receptions.add(time_s, each, needs_better=True)
    return expected


def _tag_beyond(truth: Truth, reception: Reception) -> str | None:
    """Return the tag that better ears than the radio's would have heard; None for none."""
    if reception.station is None or truth.sent[reception.transmission].what != "beep":
        return None
    if reception.outcome != "printed" and reception.outcome not in _LOST_ON_THE_AIR:
        return None
    return truth.true_tag(reception.transmission)


def _time_error_s(reception: Reception | None, time_s: float) -> float | None:
    if reception is None or reception.stamped_unix_s is None:
        return None
    if abs(reception.stamped_unix_s - reception.heard_at_unix_s) > _RIGHT_CLOCK_S:
        return None
    return time_s - reception.heard_at_unix_s
