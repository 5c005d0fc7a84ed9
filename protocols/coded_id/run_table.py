"""The open runs of one antenna: which code each is of, and when each is to be looked at next."""

from collections.abc import Iterator
from heapq import heappop, heappush

from protocols.coded_id.candidates import Candidate
from protocols.coded_id.code_book import Code, CodeBook
from protocols.coded_id.runs import Run
from protocols.coded_id.tolerances import NS_PER_MS, Tolerances

NEVER_NS = 2**64
"""Later than every time stamp."""


class RunTable:
    """Runs by code, and a queue of the times at which their next bursts will have been heard."""

    def __init__(self, tolerances: Tolerances) -> None:
        self._gap_ns = round(tolerances.gap_ms * NS_PER_MS)
        self._interval_ns = tolerances.interval_ms * NS_PER_MS
        self._by_code: dict[Code, list[Run]] = {}
        self._due: list[tuple[int, int, Run]] = []
        self._due_count = 0

    def __iter__(self) -> Iterator[Run]:
        return iter([run for runs in self._by_code.values() for run in runs])

    def __len__(self) -> int:
        return sum(len(runs) for runs in self._by_code.values())

    def fitting(self, candidate: Candidate) -> Run | None:
        """Return the run that `candidate` fits best, listed ones before others."""
        runs = self._by_code.get(candidate.code)
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

    def add(self, run: Run) -> None:
        """Keep a new run; it is not scheduled yet."""
        self._by_code.setdefault(run.code, []).append(run)

    def remove(self, run: Run) -> None:
        """Forget a run that has ended."""
        runs = self._by_code[run.code]
        runs.remove(run)
        if not runs:
            del self._by_code[run.code]
        run.due_ns = -1

    def clear(self) -> None:
        """Forget what is scheduled; the runs have been removed."""
        self._by_code.clear()
        self._due.clear()

    def schedule(self, run: Run) -> int:
        """Note when the run's next burst will have been heard, or when it ends; return that."""
        since_ns = run.expected * run.interval_ns
        heard_ns = run.last_ns + since_ns + run.phase_ns(since_ns) + run.code.offsets_ns[3]
        due_ns = min(int(heard_ns) + self._gap_ns, run.last_ns + run.silence_ns)
        run.due_ns = due_ns
        self._due_count += 1
        heappush(self._due, (due_ns, self._due_count, run))
        return due_ns

    @property
    def next_due_ns(self) -> int:
        """When a run is to be looked at next."""
        return self._due[0][0] if self._due else NEVER_NS

    def pop_due(self) -> Run | None:
        """Take the run that is due next; None where it has been scheduled anew or has ended."""
        due_ns, _, run = heappop(self._due)
        return run if run.due_ns == due_ns else None

    def move_to(self, book: CodeBook) -> list[Run]:
        """Let runs go on under the names of another list; return those that it does not have."""
        codes = {tag_id: code for code in book.codes for tag_id in code.tag_ids}
        left = []
        for run in self:
            code = codes.get(run.tag_ids[0]) if run.is_listed else None
            choices = tuple(
                interval
                for interval in (code.intervals if code is not None else ())
                if abs(interval.interval_ns - run.interval_ns) <= self._interval_ns
            )
            if (
                code is None
                or not choices
                or any(
                    abs(new - old) > self._gap_ns
                    for new, old in zip(code.gaps_ns, run.code.gaps_ns, strict=True)
                )
            ):
                left.append(run)
                continue
            due_ns = run.due_ns
            self.remove(run)
            run.move_to(code, choices)
            run.due_ns = due_ns
            self.add(run)
        return left
