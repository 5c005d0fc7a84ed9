"""How far a run can be trusted: one word, from what the run and its hour look like.

Sources: the `motusFilter` of Motus (filterByActivity of the R package motus: runs of 3 or fewer are
bad, of 5 or more good, a run of 4 is bad in an hour of at least 100 runs of which 85 % or more have
length 2); its public-data rule (4 consecutive detections at quiet, 5 at noisy stations,
docs.motus.org); the model of the motus package's article on false positives: run length, share of
missed bursts, distance of the measured from the listed interval. Aliases have normal levels and
frequencies but odd intervals and larger slop (Motus-TO-DO #667).

The run lengths of those rules are of runs that a quarter of a kilohertz and a loose interval let
through. Here a run of two or three is possible and honest, so it is graded rather than dropped.
"""

from typing import Final, Literal, TypeAlias

import msgspec

Confidence: TypeAlias = Literal["certain", "likely", "doubtful", "false"]

_SHORT_RUN: Final = 3
_LONG_RUN: Final = 5
_NOISY_HOUR_RUNS: Final = 100
_NOISY_HOUR_SHARE: Final = 0.85
_TINY_RUN: Final = 2
_MANY_MISSED: Final = 0.75
_LARGE_INTERVAL_ERROR_MS: Final = 3.0
_GRADES: Final[tuple[Confidence, ...]] = ("false", "doubtful", "likely", "certain")


class HourOfRuns(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one antenna in one hour (floor of unix time / 3600)."""

    runs: int = 0
    runs_of_two: int = 0

    @property
    def is_noisy(self) -> bool:
        """At least 100 runs, at least 85 % of them of two bursts (Motus)."""
        return self.runs >= _NOISY_HOUR_RUNS and self.runs_of_two >= _NOISY_HOUR_SHARE * self.runs


def run_confidence(
    run_length: int,
    *,
    missed_bursts: int = 0,
    complete_bursts: int | None = None,
    mean_interval_error_ms: float = 0.0,
    hour: HourOfRuns | None = None,
) -> Confidence:
    """Return the grade of a run.

    `certain` from 5 bursts on (from 4 in a quiet hour the run is `likely`); `doubtful` for 2 or 3;
    `false` for a single burst and for runs of up to 4 in a noisy hour that have another fault. One
    grade less for each: a noisy hour (up to 4 bursts), three quarters of the bursts missed (up to
    9 bursts), a mean interval error of 3 ms or more, fewer than two complete bursts.
    """
    if run_length < _TINY_RUN:
        return "false"
    if run_length >= _LONG_RUN:
        grade = 3
    elif run_length > _SHORT_RUN:
        grade = 2
    else:
        grade = 1
    if hour is not None and hour.is_noisy and run_length < _LONG_RUN:
        grade -= 1
    missed_share = missed_bursts / (missed_bursts + run_length) if missed_bursts > 0 else 0.0
    if missed_share >= _MANY_MISSED and run_length < 2 * _LONG_RUN:
        grade -= 1
    if abs(mean_interval_error_ms) >= _LARGE_INTERVAL_ERROR_MS:
        grade -= 1
    if complete_bursts is not None and complete_bursts < _TINY_RUN:
        grade -= 1
    return _GRADES[max(grade, 0)]
