"""The numbers: detection efficiency, false detections, time errors, and losses by their cause."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from receiver.scoring.matching import Heard, ids_of, matched
from receiver.scoring.truth_rows import Place, Reception, Truth

_NOWHERE: Place = (None, "")

BELIEVED = ("certain", "likely")
"""What an owner takes for a tag that was there."""


class TimeError(msgspec.Struct, frozen=True, kw_only=True):
    """How far stamped times were off where the station's clock was right."""

    detections: int
    median_ms: float | None = None
    p99_ms: float | None = None
    """99 of 100 are off by no more."""
    largest_ms: float | None = None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Receptions of one antenna, of one tag, or of all.

    Every reception that could be heard is in the store or under one of `losses`.
    """

    name: str
    could_be_heard: int
    in_store: int
    """Of those that could be heard: under the right id in the store."""
    efficiency: float | None
    """The share of the two."""
    against_the_odds: int
    """In the store though their mean level was below the sensitivity."""
    heard_better: int
    """In the store though the radio lost them or took a wrong id: a software radio hears more than
    the radio in whose place it stands."""
    heard_right: int
    """Taken by the radio with the right id and passed on: what the truth says should be there."""
    kept: float | None
    """The share of those that the store has."""
    false_detections: int
    losses: dict[str, int]
    """By cause: the truth's outcomes, `wrong-id` (bits arrived wrong), `not-in-store`."""
    time_error: TimeError


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How a store agrees with the truth."""

    transmissions: int
    """Of tags, those out of reach with them."""
    out_of_reach: int
    detections: int
    """Rows of the store."""
    total: Tally
    antennas: tuple[Tally, ...]
    tags: tuple[Tally, ...]
    false_by_cause: dict[str, int]
    """`wrong-id`: a mutilated packet; `noise`; `unexplained`: nothing of the kind was received."""
    false_by_confidence: dict[str, int]
    never_sent_believed: int
    """Detections at `likely` or better of tags that were never on the air."""


class _Count:
    """One tally while it is made."""

    def __init__(self) -> None:
        self.could = self.in_store = self.odds = self.right = self.right_kept = self.false = 0
        self.better = 0
        self.losses: Counter[str] = Counter()
        self.errors_s: list[float] = []

    def detection(self, heard: Heard) -> None:
        """Count one row of the store."""
        self.false += not heard.is_true
        if heard.is_true and heard.time_error_s is not None:
            self.errors_s.append(heard.time_error_s)

    def reception(self, each: Reception, *, is_right: bool) -> None:
        """Count one reception."""
        is_printed = each.outcome == "printed"
        is_there = (is_printed and is_right and each.is_stored) or each.is_heard_better
        self.better += each.is_heard_better
        if is_printed and is_right:
            self.right += 1
            self.right_kept += each.is_stored
        if not each.could_be_heard:
            self.odds += is_there
            return
        self.could += 1
        self.in_store += is_there
        if is_there:
            return
        if not is_printed:
            self.losses[each.outcome] += 1
        elif not is_right:
            self.losses["wrong-id"] += 1
        else:
            self.losses["not-in-store"] += 1

    def tally(self, name: str) -> Tally:
        """Return the numbers."""
        return Tally(
            name=name,
            could_be_heard=self.could,
            in_store=self.in_store,
            efficiency=_share(self.in_store, self.could),
            against_the_odds=self.odds,
            heard_better=self.better,
            heard_right=self.right,
            kept=_share(self.right_kept, self.right),
            false_detections=self.false,
            losses=dict(self.losses.most_common()),
            time_error=_time_error(self.errors_s),
        )


def score(truth: Truth, detections: Iterable[Mapping[str, Any]]) -> Score:
    """Return how rows of a store, as `Reader.detections` gives them, agree with the truth."""
    total = _Count()
    antennas: dict[Place, _Count] = {
        each.place: _Count() for each in truth.receivers if each.station is not None
    }
    tags: dict[str, _Count] = {tag: _Count() for tag in sorted(truth.senders())}
    causes: Counter[str] = Counter()
    confidences: Counter[str] = Counter()
    rows = never_sent_believed = 0
    for heard in matched(truth, detections):
        rows += 1
        for count in (total, antennas.get(heard.place or _NOWHERE), tags.get(heard.tag_id)):
            if count is not None:
                count.detection(heard)
        if not heard.is_true:
            causes[_cause(truth, heard)] += 1
            confidences[heard.confidence or "not-told"] += 1
            is_believed = heard.confidence in BELIEVED
            never_sent_believed += is_believed and heard.tag_id not in tags
    for each, tag in _beeps_at_antennas(truth):
        is_right = tag in ids_of(truth, each)
        for count in (total, antennas[each.station, each.receiver], tags[tag]):
            count.reception(each, is_right=is_right)
    beeps = sum(each.what == "beep" for each in truth.sent.values())
    out_of_reach = sum(truth.out_of_reach.values())
    return Score(
        transmissions=beeps + out_of_reach,
        out_of_reach=out_of_reach,
        detections=rows,
        total=total.tally("all"),
        antennas=tuple(
            count.tally(f"{station} {receiver}") for (station, receiver), count in antennas.items()
        ),
        tags=tuple(count.tally(tag) for tag, count in tags.items()),
        false_by_cause=dict(causes.most_common()),
        false_by_confidence=dict(confidences.most_common()),
        never_sent_believed=never_sent_believed,
    )


def _beeps_at_antennas(truth: Truth) -> Iterator[tuple[Reception, str]]:
    """Yield what antennas made of tags' own beeps: nodes and what they pass on are not air."""
    for each in truth.receptions:
        tag = truth.true_tag(each.transmission)
        if tag is None or each.station is None:
            continue
        if truth.sent[each.transmission].what == "beep":
            yield each, tag


def _cause(truth: Truth, heard: Heard) -> str:
    if heard.reception is None:
        return "unexplained"
    is_noise = truth.sent[heard.reception.transmission].sender_kind == "noise"
    return "noise" if is_noise else "wrong-id"


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _time_error(errors_s: list[float]) -> TimeError:
    if not errors_s:
        return TimeError(detections=0)
    off_ms = sorted(abs(each) * 1000 for each in errors_s)
    return TimeError(
        detections=len(off_ms),
        median_ms=round(off_ms[len(off_ms) // 2], 3),
        p99_ms=round(off_ms[min(len(off_ms) - 1, int(0.99 * len(off_ms)))], 3),
        largest_ms=round(off_ms[-1], 3),
    )
