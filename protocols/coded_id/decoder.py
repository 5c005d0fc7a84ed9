"""One antenna's decoder: pulses in, bursts and runs out. No clock, no waiting, nothing shared.

    pulses ─► order (late ones) ─► search ─► pending bursts ─► strongest claims ─► runs
                                     └─► BurstSeen at once         └─► lone bursts ─► RunOpened …

Every step is driven by the pulses' own time stamps, so that a recording and a live station give
the same events, whatever portions the pulses come in. `tick` lets that time run on while nothing is
heard. Antennas never mix: each has its own decoder, all share one `CodeBook`.
"""

from collections import deque
from collections.abc import Iterable
from heapq import heappop, heappush

import msgspec

from protocols.coded_id.burst_search import find_bursts, narrowed
from protocols.coded_id.bursts import Burst, HeardPulse
from protocols.coded_id.candidates import Candidate, leading, sharing, strength
from protocols.coded_id.code_book import Code, CodeBook
from protocols.coded_id.events import (
    BurstSeen,
    ClockStepped,
    Event,
    IntervalMismatch,
    RunContinued,
    RunEnded,
    RunOpened,
)
from protocols.coded_id.expected_burst import Expectation, find_expected
from protocols.coded_id.linking import Link, LoneBursts
from protocols.coded_id.ordering import PulseOrder
from protocols.coded_id.runs import Run
from protocols.coded_id.tolerances import NS_PER_MS, NS_PER_S

_NEVER_NS = 2**64
_MISMATCH_AGAIN_NS = 3600 * NS_PER_S
_WINDOW_SLACK_NS = 60 * NS_PER_MS
"""Twice the widest prediction (3 ms + 60 ppm of 300 s = 21 ms) and some."""


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything that was fed, since the decoder was made."""

    pulses: int
    implausible_pulses: int
    late_pulses: int
    pulses_released_early: int
    narrowed_searches: int
    """Made with a narrower frequency limit, for too many pulses lay about."""
    skipped_pulses: int
    """Not searched at all: even within the narrowest limit too many lay about."""
    clock_steps: int
    bursts_seen: int
    lone_bursts_dropped: int
    runs_opened: int
    runs_cut: int
    """Ended because too many were open."""


class AntennaDecoder:
    """Finds the tags of a `CodeBook` in the pulses of one antenna.

    No input raises: pulses that cannot be (times below 0 or beyond 2262, frequencies that are not a
    number…) are counted and left out. Memory is bounded by the book's tolerances.
    """

    def __init__(self, book: CodeBook) -> None:
        self._order = PulseOrder(book.tolerances)
        self._events: list[Event] = []
        self._window: deque[HeardPulse] = deque()
        self._pending: deque[Candidate] = deque()
        self._runs: dict[Code, list[Run]] = {}
        self._open_runs = 0
        self._due: list[tuple[int, int, Run]] = []
        self._due_count = 0
        self._next_due_ns = _NEVER_NS
        self._idle_since: tuple[int, int] | None = None
        self._narrowed = 0
        self._skipped = 0
        self._bursts_seen = 0
        self._runs_opened = 0
        self._runs_cut = 0
        self._lone = LoneBursts(book.tolerances)
        self._set_book(book)

    def _set_book(self, book: CodeBook) -> None:
        self._book = book
        self._tolerances = book.tolerances
        self._reach_ns = book.longest_burst_ns + _WINDOW_SLACK_NS
        self._gap_ns = round(book.tolerances.gap_ms * NS_PER_MS)

    @property
    def counters(self) -> Counters:
        """The counts so far."""
        order = self._order.counts
        return Counters(
            pulses=order.pulses,
            implausible_pulses=order.implausible,
            late_pulses=order.late,
            pulses_released_early=order.released_early,
            narrowed_searches=self._narrowed,
            skipped_pulses=self._skipped,
            clock_steps=order.clock_steps,
            bursts_seen=self._bursts_seen,
            lone_bursts_dropped=self._lone.dropped,
            runs_opened=self._runs_opened,
            runs_cut=self._runs_cut,
        )

    @property
    def open_runs(self) -> int:
        """How many runs of listed tags are open."""
        return sum(run.is_listed for runs in self._runs.values() for run in runs)

    def feed(self, pulses: Iterable[HeardPulse]) -> list[Event]:
        """Take pulses as they come and return what they have made known.

        Pulses may be out of order by `lateness_s`; how they are portioned makes no difference.
        """
        self._idle_since = None
        for released, step in self._order.feed(pulses):
            if released:
                self._advance(released)
            if step is not None:
                self._begin_anew()
                self._events.append(ClockStepped(from_ns=step[0], to_ns=step[1]))
        return self._take_events()

    def tick(self, now_ns: int) -> list[Event]:
        """Let time run on while no pulse comes; return what that has made known.

        `now_ns` is any clock that is never set (monotonic): only the time between ticks counts,
        so that neither clock steps nor slow delivery of pulses end a run. Call it once a second.
        """
        newest_ns = self._order.newest_ns
        if newest_ns is None:
            return []
        if self._idle_since is None or now_ns < self._idle_since[0]:
            self._idle_since = (now_ns, newest_ns)
        waited_ns = now_ns - self._idle_since[0]
        if waited_ns > 0:
            until_ns = self._idle_since[1] + waited_ns - self._order.lateness_ns
            self._advance(self._order.flush(until_ns))
            self._settle_until(until_ns)
        return self._take_events()

    def finish(self) -> list[Event]:
        """Settle everything, as at the end of a recording: open runs end."""
        self._advance(self._order.flush())
        self._begin_anew()
        return self._take_events()

    def use(self, book: CodeBook) -> list[Event]:
        """Look for the tags of another list from now on (it was edited).

        Runs whose tags are listed as before go on under their numbers, the others end. The book
        must have the same tolerances.
        """
        now_ns = self._order.newest_ns or 0
        self._settle_all(now_ns)
        self._lone.clear()
        codes = {tag_id: code for code in book.codes for tag_id in code.tag_ids}
        kept: dict[Code, list[Run]] = {}
        for run in [run for runs in self._runs.values() for run in runs]:
            code = codes.get(run.tag_ids[0])
            interval_ns = run.interval_ns
            slack_ns = self._tolerances.interval_ms * NS_PER_MS
            choices = tuple(
                interval
                for interval in (code.intervals if code is not None else ())
                if abs(interval.interval_ns - interval_ns) <= slack_ns
            )
            same_gaps = code is not None and all(
                abs(new - old) <= self._gap_ns
                for new, old in zip(code.gaps_ns, run.code.gaps_ns, strict=True)
            )
            if code is not None and choices and same_gaps and run.is_listed:
                run.move_to(code, choices)
                kept.setdefault(code, []).append(run)
            else:
                self._end(run)
        self._runs = kept
        self._set_book(book)
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _advance(self, pulses: list[HeardPulse]) -> None:
        """Search each pulse, in order of time, settling what is due before it."""
        window = self._window
        reach_ns = self._reach_ns
        range_hz = self._tolerances.frequency_range_hz
        range_db = self._tolerances.signal_range_db
        search_pulses = self._book.search_pulses
        most = self._tolerances.window_pulses
        for pulse in pulses:
            time_ns = pulse.time_ns
            if time_ns >= self._next_due_ns:
                self._settle_until(time_ns)
            oldest_ns = time_ns - reach_ns
            while window and window[0].time_ns < oldest_ns:
                window.popleft()
            frequency = pulse.frequency_offset_hz
            low = frequency - range_hz
            high = frequency + range_hz
            near = [other for other in window if low <= other.frequency_offset_hz <= high]
            window.append(pulse)
            if len(near) < 3:  # noqa: PLR2004  Three pulses before the last.
                continue
            low = pulse.signal_db - range_db
            high = pulse.signal_db + range_db
            near = [other for other in near if low <= other.signal_db <= high]
            if len(near) > search_pulses:
                self._narrowed += 1
                near = narrowed(pulse, near, self._book)
                self._skipped += not near
            if len(near) >= 3:  # noqa: PLR2004  As above.
                self._see(pulse, near)
            if len(window) > most:
                window.popleft()
                self._skipped += 1

    def _see(self, last: HeardPulse, near: list[HeardPulse]) -> None:
        """Tell the bursts that `last` completes, and let them wait for their rivals."""
        for found in find_bursts(last, near, self._book):
            candidate = Candidate(
                found.code,
                found.pulses,
                time_ns=found.pulses[0].time_ns,
                slop_ns=found.slop_ns,
                due_ns=last.time_ns + self._reach_ns,
            )
            if candidate.has_lost():
                continue
            if not self._pending or not any(
                other.code is candidate.code and other.shares_pulses_with(candidate)
                for other in self._pending
            ):
                self._bursts_seen += 1
                run = self._run_of(candidate)
                self._events.append(
                    BurstSeen(
                        burst=candidate.burst,
                        tag_ids=found.code.tag_ids,
                        run=run.number if run is not None and run.is_listed else None,
                    )
                )
            self._await(candidate)

    def _await(self, candidate: Candidate) -> None:
        self._pending.append(candidate)
        self._next_due_ns = min(self._next_due_ns, candidate.due_ns)
        if len(self._pending) > self._tolerances.pending_bursts:
            self._settle(self._pending.popleft())

    def _settle_until(self, now_ns: int) -> None:
        """Settle bursts and look for expected ones, in the order in which they are due."""
        pending, due = self._pending, self._due
        while True:
            pending_ns = pending[0].due_ns if pending else _NEVER_NS
            due_ns = due[0][0] if due else _NEVER_NS
            if pending_ns <= due_ns:
                if pending_ns > now_ns:
                    self._next_due_ns = pending_ns
                    return
                self._settle(pending.popleft())
            elif due_ns > now_ns:
                self._next_due_ns = due_ns
                return
            else:
                run = heappop(due)[2]
                if run.due_ns == due_ns:
                    self._expect(run)

    def _settle_all(self, now_ns: int) -> None:
        while self._pending:
            self._settle(self._pending.popleft())
        self._lone.forget_before(now_ns)

    def _run_of(self, candidate: Candidate) -> Run | None:
        """Return the run that `candidate` fits best, listed ones before others."""
        runs = self._runs.get(candidate.code)
        if runs is None:
            return None
        chosen = None
        best = (True, 0.0)
        for run in runs:
            error_ns = run.error_ns(candidate.time_ns, candidate.frequency_hz)
            if error_ns is not None:
                rank = (not run.is_listed, abs(error_ns))
                if chosen is None or rank < best:
                    best, chosen = rank, run
        return chosen

    def _settle(self, first: Candidate) -> None:
        """Give pulses that several bursts want to the strongest of them."""
        if first.is_settled:
            return
        cluster = sharing(first, self._pending) if self._pending else [first]
        if len(cluster) == 1:
            first.is_settled = True
            if not first.has_lost():
                self._accept(first)
            return
        cluster.sort(key=self._rank)
        accepted: list[Candidate] = []
        for candidate in cluster:
            candidate.is_settled = True
            if candidate.has_lost() or any(
                other.code is candidate.code and other.shares_pulses_with(candidate)
                for other in accepted
            ):
                continue
            chosen = leading(candidate, cluster)
            accepted.append(chosen)
            self._accept(chosen)

    def _rank(self, candidate: Candidate) -> tuple[float, float]:
        """Return a key that sorts the strongest claim first."""
        run = self._run_of(candidate)
        is_confirming = (
            run is None and candidate.is_complete and self._lone.link(candidate) is not None
        )
        return -strength(candidate, run, is_confirming=is_confirming), candidate.cost

    def _accept(self, candidate: Candidate) -> None:
        run = self._run_of(candidate)
        if run is not None:
            self._continue(run, candidate)
        elif candidate.is_complete:
            link = self._lone.link(candidate)
            if link is not None:
                self._open(link, candidate, is_listed=True)
                return
            link = self._lone.link_unlisted(candidate)
            if link is not None:
                self._open(link, candidate, is_listed=False)
            else:
                self._lone.forget_before(candidate.time_ns)
                self._lone.add(candidate)

    def _continue(self, run: Run, candidate: Candidate) -> None:
        candidate.claim()
        burst = candidate.burst
        error_ms = run.take(burst)
        self._schedule(run)
        if run.is_listed:
            self._events.append(
                RunContinued(
                    run=run.number,
                    tag_ids=run.tag_ids,
                    burst=burst,
                    interval_error_ms=error_ms,
                    run_length=run.length,
                    missed_bursts=run.missed,
                )
            )
        elif candidate.time_ns - run.told_ns >= _MISMATCH_AGAIN_NS:
            self._tell_mismatch(run, (burst,))

    def _open(self, link: Link, latest: Candidate, *, is_listed: bool) -> None:
        if is_listed:
            self._runs_opened += 1
        first = link.earlier[0].burst
        run = Run(
            self._runs_opened if is_listed else 0,
            latest.code,
            link.choices,
            first,
            interval_ns=link.interval_ns,
            tolerances=self._tolerances,
            is_listed=is_listed,
        )
        members = (*link.earlier, latest)
        bursts = tuple(candidate.burst for candidate in members)
        errors_ms = tuple(run.take(burst) for burst in bursts[1:])
        for candidate in members:
            candidate.claim()
        self._lone.remove(link.earlier)
        self._runs.setdefault(latest.code, []).append(run)
        self._open_runs += 1
        self._schedule(run)
        if is_listed:
            self._events.append(
                RunOpened(
                    run=run.number,
                    tag_ids=run.tag_ids,
                    labels=run.labels,
                    bursts=bursts,
                    interval_errors_ms=(None, *errors_ms),
                )
            )
        else:
            self._tell_mismatch(run, bursts)
        if self._open_runs > self._tolerances.runs:
            every = (run for runs in self._runs.values() for run in runs)
            self._runs_cut += 1
            self._end(min(every, key=lambda run: run.last_ns))

    def _tell_mismatch(self, run: Run, bursts: tuple[Burst, ...]) -> None:
        run.told_ns = bursts[-1].time_ns
        self._events.append(
            IntervalMismatch(
                tag_ids=run.code.tag_ids,
                labels=run.code.labels,
                measured_interval_s=run.mean_interval_ns / NS_PER_S,
                listed_intervals_s=tuple(
                    interval.interval_ns / NS_PER_S for interval in run.code.intervals
                ),
                bursts=bursts,
                burst_count=run.length,
            )
        )

    def _schedule(self, run: Run) -> None:
        """Note when the run's next burst will have been heard, or when the run ends."""
        since_ns = run.expected * run.interval_ns
        heard_ns = run.last_ns + since_ns + run.phase_ns(since_ns) + run.code.offsets_ns[3]
        due_ns = min(int(heard_ns) + self._gap_ns, run.last_ns + run.silence_ns)
        run.due_ns = due_ns
        self._due_count += 1
        heappush(self._due, (due_ns, self._due_count, run))
        self._next_due_ns = min(self._next_due_ns, due_ns)

    def _expect(self, run: Run) -> None:
        """Look for a burst that should have come and that the search has not found."""
        now_ns = run.due_ns
        if now_ns >= run.last_ns + run.silence_ns:
            self._end(run)
            return
        since_ns = run.expected * run.interval_ns
        expected_ns = round(run.last_ns + since_ns)
        phase_ns = round(run.phase_ns(since_ns))
        if run.is_listed and not self._is_pending(run.code, expected_ns, phase_ns):
            found = find_expected(
                self._window,
                Expectation(
                    code=run.code,
                    time_ns=expected_ns,
                    phase_ns=phase_ns,
                    frequency_hz=run.frequency_hz,
                    range_hz=self._tolerances.follow_frequency_hz,
                    gap_ns=self._gap_ns,
                ),
            )
            if found is not None:
                self._await(
                    Candidate(
                        run.code,
                        found.pulses,
                        time_ns=found.time_ns,
                        slop_ns=found.slop_ns,
                        due_ns=max(now_ns, self._window[-1].time_ns) + self._reach_ns,
                    )
                )
        run.expected += 1
        self._schedule(run)

    def _is_pending(self, code: Code, expected_ns: int, phase_ns: int) -> bool:
        """Say whether the expected burst was heard whole and only waits to be settled."""
        for candidate in self._pending:
            if candidate.code is code and abs(candidate.time_ns - expected_ns) <= phase_ns:
                return True
        return False

    def _end(self, run: Run) -> None:
        runs = self._runs[run.code]
        runs.remove(run)
        if not runs:
            del self._runs[run.code]
        self._open_runs -= 1
        run.due_ns = -1
        if run.is_listed:
            self._events.append(
                RunEnded(
                    run=run.number,
                    tag_ids=run.tag_ids,
                    first_ns=run.first_ns,
                    last_ns=run.last_ns,
                    run_length=run.length,
                    complete_bursts=run.complete,
                    missed_bursts=run.missed,
                    interval_s=run.mean_interval_ns / NS_PER_S,
                    listed_interval_s=run.listed.interval_ns / NS_PER_S,
                    worst_interval_error_ms=run.worst_error_ms,
                )
            )

    def _begin_anew(self) -> None:
        """Settle what is pending, end all runs, forget the rest."""
        self._settle_all(self._order.newest_ns or 0)
        for run in [run for runs in self._runs.values() for run in runs]:
            self._end(run)
        self._window.clear()
        self._due.clear()
        self._lone.clear()
        self._next_due_ns = _NEVER_NS
