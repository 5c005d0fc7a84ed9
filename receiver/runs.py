"""Runs, and how far each can be trusted.

A run is the detections of one tag at one antenna (or relay) that follow each other. Noise and
mutilated packets make ids that look like tags; no detection is deleted for it, but each run gets a
confidence and the reason for it:

certain    the checksum held repeatedly, or the tag beeps as regularly as only a tag does
likely     the checksum held once, the id is on the station's list, or it came again and again
doubtful   nothing speaks against it, too little for it: one packet without a checksum
false      the id is outside the dictionary, its checksum failed, or it is a mutilation of a tag
           that is heard all the time

What mutilations look like (bit 7 of a byte flipped, one bit wrong, the last bytes lost as zeros)
and how common they are: measured in CTT node files, where 779 of 808 ids of three months were seen
exactly once; MotusDev/Motus-TO-DO issues 659 and 985.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from protocols.records import Detection
from receiver.arrivals import RunRow
from receiver.confidence import Confidence
from receiver.limits import OPEN_RUNS, STRONG_TAGS

RUN_GAP_NS: Final = 600 * 10**9
"""A run ends when its tag was silent for ten minutes: fifteen beeps of the slowest tag measured
(42.5 s), and a bird that comes back later is a new visit."""

_HALF_LIFE_NS: Final = 3600 * 10**9
"""What was heard an hour ago counts half when tags are compared."""

_STRONG_COUNT: Final = 8.0
"""A tag heard this often lately may leave mutilations."""

_STRONG_RATIO: Final = 6.0
"""…and is to be this many times as frequent as what is taken for its mutilation. Measured: 7,526
good rows of 344C2A55 beside 31 to 48 of each of its bit-7 twins, a ratio of 150."""

_GAPS_KEPT: Final = 32
_GAPS_FOR_REGULAR: Final = 3
_CHANCE_OF_REGULAR: Final = 1e-4
"""Gaps count as regular when random ones would fit one interval in fewer than one case of ten
thousand; a dozen intervals are tried."""

_SHORTEST_INTERVAL_S: Final = 1.0
_LONGEST_INTERVAL_S: Final = 120.0
_LONGEST_MULTIPLE: Final = 60

_ID_DIGITS: Final = 8
_BIT_7: Final = 0x80808080


class _Tag:
    """What the whole station heard of one tag id lately."""

    __slots__ = ("at_ns", "count", "is_strong", "verified")

    def __init__(self, at_ns: int) -> None:
        self.at_ns = at_ns
        self.count = 0.0
        self.verified = 0.0
        self.is_strong = False

    def counts(self, now_ns: int) -> tuple[float, float]:
        """Return how often it was heard and verified, an hour ago counting half."""
        fade = 0.5 ** (max(0, now_ns - self.at_ns) / _HALF_LIFE_NS)
        return self.count * fade, self.verified * fade

    def heard(self, now_ns: int, *, verified: bool) -> None:
        self.count, self.verified = self.counts(now_ns)
        self.count += 1
        self.verified += verified
        self.at_ns = max(self.at_ns, now_ns)


class _Run:
    """One open run."""

    __slots__ = (
        "changed",
        "first_ns",
        "gaps_s",
        "id_legal",
        "integrities",
        "last_ns",
        "last_sent_ns",
        "number",
        "place",
        "protocol",
        "tag_id",
    )

    def __init__(self, number: int, detection: Detection, place: str, at_ns: int) -> None:
        self.number = number
        self.protocol = detection.protocol
        self.tag_id = detection.tag_id
        self.place = place
        self.id_legal = detection.id_legal
        self.first_ns = self.last_ns = at_ns
        self.last_sent_ns = 0
        self.integrities: dict[str, int] = {}
        # Most runs of a noisy site are of one detection: what only longer ones need waits for them.
        self.gaps_s: deque[float] | tuple[float, ...] = ()
        self.changed = True

    @property
    def detections(self) -> int:
        return sum(self.integrities.values())

    def count(self, integrity: str) -> int:
        return self.integrities.get(integrity, 0)

    def heard(self, integrity: str, at_ns: int, sent_ns: int) -> None:
        if self.integrities:
            if isinstance(self.gaps_s, tuple):
                self.gaps_s = deque(maxlen=_GAPS_KEPT)
            self.gaps_s.append(abs(sent_ns - self.last_sent_ns) / 1e9)
        self.last_sent_ns = sent_ns
        self.integrities[integrity] = self.count(integrity) + 1
        self.first_ns = min(self.first_ns, at_ns)
        self.last_ns = max(self.last_ns, at_ns)
        self.changed = True


class RunTracker:
    """Sorts detections into runs and judges them; bounded, pure of I/O, no clock of its own.

    The rows that it returns are the runs' verdicts as they stand; `number` is the tracker's own.
    """

    def __init__(self, known_tags: Iterable[str] = ()) -> None:
        """`known_tags` is the station's list: ids that are deployed somewhere."""
        self._known_tags = frozenset(known_tags)
        self._runs: dict[tuple[str, str], _Run] = {}
        self._tags: dict[str, _Tag] = {}
        self._strong: dict[str, int] = {}
        self._closed: list[RunRow] = []
        self._next_number = 1

    def heard(
        self, detection: Detection, place: str, at_ns: int, sent_ns: int | None = None
    ) -> int:
        """Take one detection, return the number of its run.

        `at_ns` is when the station heard it; late and repeated times are allowed. `sent_ns` is the
        relay's own time of it, where one that keeps detections for a while passed it on: only the
        gaps between such times are used.
        """
        key = (detection.tag_id, place)
        run = self._runs.pop(key, None)
        if run is not None and not (run.first_ns - RUN_GAP_NS <= at_ns <= run.last_ns + RUN_GAP_NS):
            self._close(run)
            run = None
        if run is None:
            run = _Run(self._next_number, detection, place, at_ns)
            self._next_number += 1
        # The order of the mapping is that of the last detection: the oldest run is the first.
        self._runs[key] = run
        run.heard(detection.integrity, at_ns, at_ns if sent_ns is None else sent_ns)
        self._note_tag(detection, at_ns)
        if len(self._runs) > OPEN_RUNS:
            self._close(self._runs.pop(next(iter(self._runs))))
        return run.number

    def verdicts(self, now_ns: int) -> list[RunRow]:
        """Return the runs whose verdict may have changed since last asked; end those gone silent.

        Runs still open are judged anew each time: a mutilation may be known as such only when its
        tag has been heard more often.
        """
        for key in [key for key, run in self._runs.items() if _is_over(run, now_ns)]:
            self._close(self._runs.pop(key))
        verdicts, self._closed = self._closed, []
        for run in self._runs.values():
            if run.changed:
                verdicts.append(self._verdict(run))
                run.changed = False
        return verdicts

    def open_numbers(self) -> set[int]:
        """Return the numbers of the runs that may go on."""
        return {run.number for run in self._runs.values()}

    def end(self) -> list[RunRow]:
        """End all runs and return the verdicts that were not returned yet."""
        for run in self._runs.values():
            self._close(run)
        self._runs.clear()
        verdicts, self._closed = self._closed, []
        return verdicts

    def _close(self, run: _Run) -> None:
        self._closed.append(self._verdict(run))

    def _note_tag(self, detection: Detection, at_ns: int) -> None:
        tag = self._tags.get(detection.tag_id)
        if tag is None:
            if len(self._tags) >= OPEN_RUNS:
                self._forget_weak_tags()
            tag = self._tags[detection.tag_id] = _Tag(at_ns)
        tag.heard(at_ns, verified=detection.integrity == "verified")
        if not tag.is_strong and tag.count >= _STRONG_COUNT and len(self._strong) < STRONG_TAGS:
            number = _number(detection.tag_id)
            if number is not None:
                tag.is_strong = True
                self._strong[detection.tag_id] = number

    def _forget_weak_tags(self) -> None:
        """Make room: of the tags not strong, the half heard longest ago is forgotten."""
        weak = sorted(
            (tag_id for tag_id, tag in self._tags.items() if not tag.is_strong),
            key=lambda tag_id: self._tags[tag_id].at_ns,
        )
        for tag_id in weak[: max(1, len(weak) // 2)]:
            del self._tags[tag_id]
        if len(self._strong) >= STRONG_TAGS:
            for tag_id in list(self._strong)[: STRONG_TAGS // 2]:
                del self._strong[tag_id]
                self._tags[tag_id].is_strong = False

    def _verdict(self, run: _Run) -> RunRow:
        interval_s = regular_interval_s(run.gaps_s)
        confidence, reason = self._judge(run, interval_s)
        return RunRow(
            number=run.number,
            protocol=run.protocol,
            tag_id=run.tag_id,
            place=run.place,
            first_utc_ns=run.first_ns,
            last_utc_ns=run.last_ns,
            detections=run.detections,
            verified=run.count("verified"),
            interval_s=interval_s,
            confidence=confidence,
            reason=reason,
        )

    def _judge(self, run: _Run, interval_s: float | None) -> tuple[Confidence, str]:
        tag = self._tags.get(run.tag_id)
        count, verified = tag.counts(run.last_ns) if tag else (0.0, 0.0)
        count, verified = (
            max(count, run.detections),
            max(verified, run.count("verified")),
        )
        outside = run.id_legal is False
        if run.tag_id in self._known_tags:
            sure = verified >= 1 or interval_s is not None
            return ("certain" if sure else "likely"), "on-the-list"
        if verified >= (3 if outside else 2):
            return ("likely" if outside else "certain"), "verified-repeatedly"
        if verified >= 1 and not outside:
            # Assigned ids have bit 7 in no byte: there it is rather a flip that met the right CRC.
            if (_number(run.tag_id) or 0) & _BIT_7:
                return "doubtful", "verified-once-with-bit-7"
            return "likely", "verified-once"
        mutilation = self._mutilation_of(run.tag_id, count, run.last_ns)
        if mutilation is not None:
            return "false", mutilation
        return _judge_without_checksum(run, interval_s, outside=outside)

    def _mutilation_of(self, tag_id: str, count: float, now_ns: int) -> str | None:
        """Return which tag this id is a mutilation of, and how; None where it is none."""
        number = _number(tag_id)
        if number is None:
            return None
        for strong_id, strong in self._strong.items():
            how = mutilation(number, strong)
            if how is not None and self._tags[strong_id].counts(now_ns)[0] >= _STRONG_RATIO * count:
                return f"{how}-of-{strong_id}"
        return None


def _judge_without_checksum(
    run: _Run, interval_s: float | None, *, outside: bool
) -> tuple[Confidence, str]:
    """Judge a run in which no checksum held: by repetition, regularity and dictionary."""
    carries_none = run.count("unverified") > 0
    mended = run.count("repaired")
    if outside:
        regular_at_least = interval_s is not None and carries_none
        return ("doubtful" if regular_at_least else "false"), "not-in-dictionary"
    verdict: tuple[Confidence, str]
    if interval_s is not None:
        verdict = ("certain" if run.detections > 2 * _GAPS_FOR_REGULAR else "likely"), "regular"
    elif mended:
        # Twice mended to one id is no chance.
        verdict = ("likely" if mended > 1 else "doubtful"), "repaired"
    elif run.detections > 2 and carries_none:  # noqa: PLR2004  Thrice one of a million ids.
        verdict = "likely", "heard-repeatedly"
    elif carries_none:
        verdict = "doubtful", "without-checksum"
    else:
        verdict = "false", "checksum-failed"
    return verdict


def mutilation(number: int, strong: int) -> str | None:
    """Return how the packet of id `strong` could have become `number`: both as 32-bit numbers."""
    differs = number ^ strong
    if differs == 0:
        return None
    if differs & ~_BIT_7 == 0:
        return "bit-7"
    if differs.bit_count() <= 2:  # noqa: PLR2004  One wrong bit, or two.
        return "wrong-bit"
    for lost_bytes in (1, 2, 3):
        tail = (1 << (8 * lost_bytes)) - 1
        if differs & ~tail == 0 and number & tail == 0:
            return "lost-tail"
    return None


def regular_interval_s(gaps_s: Iterable[float]) -> float | None:
    """Return the interval that the gaps are multiples of, None where chance would do as well.

    A gap fits when it is within 0.15 s + 1 % of a multiple; one that fits by chance does so with
    twice that over the interval, and `_CHANCE_OF_REGULAR` bounds the chance of all that fit.
    """
    gaps = [gap for gap in gaps_s if gap >= _SHORTEST_INTERVAL_S]
    if len(gaps) < _GAPS_FOR_REGULAR:
        return None
    for base in _candidates(gaps):
        fits = 0
        chance = 1.0
        for gap in gaps:
            multiple = min(max(1, round(gap / base)), _LONGEST_MULTIPLE)
            slack = 0.15 + 0.01 * base * multiple**0.5
            if abs(gap - multiple * base) <= slack:
                fits += 1
                chance *= min(1.0, 2 * slack / base)
        if fits >= max(_GAPS_FOR_REGULAR, 0.8 * len(gaps)) and chance <= _CHANCE_OF_REGULAR:
            return base
    return None


def _candidates(gaps: list[float]) -> Iterator[float]:
    """Yield intervals that the shortest gaps suggest, longest first where they agree."""
    shortest = sorted(gaps)[:4]
    for divisor in (1, 2, 3):
        for gap in shortest:
            base = gap / divisor
            if _SHORTEST_INTERVAL_S <= base <= _LONGEST_INTERVAL_S:
                yield base


def _is_over(run: _Run, now_ns: int) -> bool:
    return now_ns > run.last_ns + RUN_GAP_NS


def _number(tag_id: str) -> int | None:
    """Return an id of eight hex digits as a number; None for ids of other makers."""
    if len(tag_id) != _ID_DIGITS:
        return None
    try:
        return int(tag_id, 16)
    except ValueError:
        return None
