"""From bursts that may be to runs that are: settles claims, opens, continues and ends runs."""

from collections import deque
from collections.abc import Sequence

from protocols.coded_id.bursts import Burst, HeardPulse
from protocols.coded_id.candidates import Candidate, leading, sharing, strength
from protocols.coded_id.code_book import Code, CodeBook
from protocols.coded_id.events import Event, IntervalMismatch, RunContinued, RunEnded, RunOpened
from protocols.coded_id.expected_burst import Expectation, find_expected
from protocols.coded_id.linking import Link, LoneBursts
from protocols.coded_id.run_table import NEVER_NS, RunTable
from protocols.coded_id.runs import Run
from protocols.coded_id.tolerances import NS_PER_MS, NS_PER_S

_MISMATCH_AGAIN_NS = 3600 * NS_PER_S


class Settlement:
    """The bursts and runs of one antenna; time moves on by `settle_until` alone."""

    def __init__(self, book: CodeBook, window: Sequence[HeardPulse], reach_ns: int) -> None:
        self._tolerances = book.tolerances
        self._gap_ns = round(book.tolerances.gap_ms * NS_PER_MS)
        self._window = window
        """The pulses that were heard last, as the search keeps them."""
        self.reach_ns = reach_ns
        """How long a burst waits for others that want its pulses."""
        self.pending: deque[Candidate] = deque()
        self.runs = RunTable(book.tolerances)
        self.lone = LoneBursts(book.tolerances)
        self.events: list[Event] = []
        self.next_due_ns = NEVER_NS
        """Nothing is to be done before."""
        self.runs_opened = 0
        self.runs_cut = 0

    def is_variant(self, candidate: Candidate) -> bool:
        """Say whether a pending burst is the same one but for a pulse."""
        for other in self.pending:
            if other.code is candidate.code and other.shares_pulses_with(candidate):
                return True
        return False

    def expecting(self, candidate: Candidate) -> Run | None:
        """Return the run that `candidate` would continue, which now expects the one after."""
        run = self.runs.fitting(candidate)
        if run is not None:
            run.has_seen(candidate.time_ns)
            self._schedule(run)
        return run

    def add(self, candidate: Candidate) -> None:
        """Let `candidate` wait for its rivals."""
        self.pending.append(candidate)
        self.next_due_ns = min(self.next_due_ns, candidate.due_ns)
        if len(self.pending) > self._tolerances.pending_bursts:
            self._settle(self.pending.popleft())

    def settle_until(self, now_ns: int) -> None:
        """Settle bursts and look for expected ones, in the order in which they are due."""
        pending, runs = self.pending, self.runs
        while True:
            pending_ns = pending[0].due_ns if pending else NEVER_NS
            due_ns = runs.next_due_ns
            if pending_ns <= due_ns:
                if pending_ns > now_ns:
                    self.next_due_ns = pending_ns
                    return
                self._settle(pending.popleft())
            elif due_ns > now_ns:
                self.next_due_ns = due_ns
                return
            else:
                run = runs.pop_due()
                if run is not None:
                    self._look_at(run)

    def settle_all(self) -> None:
        """Settle what is pending without waiting for more."""
        while self.pending:
            self._settle(self.pending.popleft())

    def begin_anew(self) -> None:
        """Settle what is pending, end all runs, forget the rest."""
        self.settle_all()
        for run in self.runs:
            self._end(run)
        self.runs.clear()
        self.lone.clear()
        self.next_due_ns = NEVER_NS

    def use(self, book: CodeBook) -> None:
        """Go on with another list: runs that it has stay, the others end, lone bursts go."""
        self.settle_all()
        self.lone.clear()
        for run in self.runs.move_to(book):
            self._end(run)

    def _settle(self, first: Candidate) -> None:
        """Give pulses that several bursts want to the strongest of them."""
        if first.is_settled:
            return
        cluster = sharing(first, self.pending) if self.pending else [first]
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
        run = self.runs.fitting(candidate)
        is_confirming = (
            run is None and candidate.is_complete and self.lone.link(candidate) is not None
        )
        return -strength(candidate, run, is_confirming=is_confirming), candidate.cost

    def _accept(self, candidate: Candidate) -> None:
        run = self.runs.fitting(candidate)
        if run is not None:
            self._continue(run, candidate)
        elif candidate.is_complete:
            link = self.lone.link(candidate)
            unlisted = self.lone.link_unlisted(candidate) if link is None else None
            if link is not None:
                self._open(link, candidate)
            elif unlisted is not None:
                self._follow_unlisted(unlisted, candidate)
            else:
                self.lone.forget_before(candidate.time_ns)
                self.lone.add(candidate)

    def _continue(self, run: Run, candidate: Candidate) -> None:
        candidate.claim()
        burst = candidate.burst
        error_ms = run.take(burst)
        if run.due_ns < candidate.time_ns + run.interval_ns:
            # Else the next burst was scheduled when this one was seen.
            self._schedule(run)
        if run.is_listed:
            self.events.append(
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

    def _open(self, link: Link, latest: Candidate) -> None:
        self.runs_opened += 1
        run, bursts, errors_ms = self._begin_run(link, latest, self.runs_opened)
        self.events.append(
            RunOpened(
                run=run.number,
                tag_ids=run.tag_ids,
                labels=run.labels,
                bursts=bursts,
                interval_errors_ms=(None, *errors_ms),
            )
        )
        self._cut()

    def _follow_unlisted(self, link: Link, latest: Candidate) -> None:
        run, bursts, _ = self._begin_run(link, latest, 0)
        self._tell_mismatch(run, bursts)
        self._cut()

    def _begin_run(
        self, link: Link, latest: Candidate, number: int
    ) -> tuple[Run, tuple[Burst, ...], tuple[float, ...]]:
        members = (*link.earlier, latest)
        bursts = tuple(candidate.burst for candidate in members)
        run = Run(
            number,
            latest.code,
            link.choices,
            bursts[0],
            interval_ns=link.interval_ns,
            tolerances=self._tolerances,
            is_listed=number > 0,
        )
        errors_ms = tuple(run.take(burst) for burst in bursts[1:])
        for candidate in members:
            candidate.claim()
        self.lone.remove(link.earlier)
        self.runs.add(run)
        self._schedule(run)
        return run, bursts, errors_ms

    def _cut(self) -> None:
        """End the run that has been silent longest, if there are too many."""
        if len(self.runs) > self._tolerances.runs:
            self.runs_cut += 1
            self._end(min(self.runs, key=lambda run: run.last_ns))

    def _tell_mismatch(self, run: Run, bursts: tuple[Burst, ...]) -> None:
        run.told_ns = bursts[-1].time_ns
        self.events.append(
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
        due_ns = self.runs.schedule(run)
        self.next_due_ns = min(self.next_due_ns, due_ns)

    def _look_at(self, run: Run) -> None:
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
                self.add(
                    Candidate(
                        run.code,
                        found.pulses,
                        time_ns=found.time_ns,
                        slop_ns=found.slop_ns,
                        due_ns=now_ns + self.reach_ns,
                    )
                )
        run.expected += 1
        self._schedule(run)

    def _is_pending(self, code: Code, expected_ns: int, phase_ns: int) -> bool:
        """Say whether the expected burst was heard whole and only waits to be settled."""
        return any(
            candidate.code is code and abs(candidate.time_ns - expected_ns) <= phase_ns
            for candidate in self.pending
        )

    def _end(self, run: Run) -> None:
        self.runs.remove(run)
        if run.is_listed:
            self.events.append(
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
