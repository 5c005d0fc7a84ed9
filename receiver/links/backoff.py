"""When to try again: one policy for every link."""

import random
import time
from collections.abc import Callable

from receiver.limits import HEALTHY_AFTER_S, SERIAL_REOPEN_FIRST_S, SERIAL_REOPEN_LONGEST_S

_JITTER = 0.25
"""A wait is up to a quarter longer than its step, so that twelve radios on one hub, or a hundred
stations of one broker, do not come back in the same moment."""


class Backoff:
    """Waits that double from `first_s` to `longest_s`, with jitter.

    A link that opens and fails at once keeps its long waits: they begin anew only after it worked
    for `healthy_after_s`.
    """

    def __init__(
        self,
        *,
        first_s: float = SERIAL_REOPEN_FIRST_S,
        longest_s: float = SERIAL_REOPEN_LONGEST_S,
        healthy_after_s: float = HEALTHY_AFTER_S,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._healthy_after_s = healthy_after_s
        self._jitter = jitter
        self._clock = clock
        self._step_s = first_s
        self._works_since: float | None = None

    def works(self) -> None:
        """Tell that the link works from now on."""
        self._works_since = self._clock()

    def failed(self) -> float:
        """Tell that it failed (again); return the seconds to wait, within the two bounds."""
        worked_since, self._works_since = self._works_since, None
        if worked_since is not None and self._clock() - worked_since >= self._healthy_after_s:
            self._step_s = self._first_s
        step_s = min(self._step_s, self._longest_s / (1 + _JITTER))
        self._step_s = min(self._step_s * 2, self._longest_s)
        return step_s * (1 + _JITTER * self._jitter())

    def refused(self) -> float:
        """Tell that the far end said no, which waiting hardly mends; return about the longest."""
        self._works_since = None
        self._step_s = self._longest_s
        return self.failed()
