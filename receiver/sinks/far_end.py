"""What a sink promises, and how a far end fails."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from receiver.health.snapshot import AlarmSnapshot
from receiver.sinks.batches import Batch


class FarEndError(Exception):
    """The far end did not take a batch and may take it another time; `advice` says what to do."""

    def __init__(
        self,
        reason: str,
        advice: str,
        *,
        refused: bool = False,
        retry_after_s: float | None = None,
        is_reached: bool = True,
    ) -> None:
        super().__init__(reason)
        self.advice = advice
        self.refused = refused
        """It said no to us, whatever the batch: a wrong password, a wrong address."""
        self.retry_after_s = retry_after_s
        """When it wants to be asked again, if it says so."""
        self.is_reached = is_reached
        """Whether bytes were sent, which may cost money."""


class NotYetError(Exception):
    """The rows are of a time whose file cannot be closed yet; earlier ones may go."""

    def __init__(self, reason: str, wait_s: float) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class BatchRefusedError(Exception):
    """The far end will not take this batch, however often it is sent: too large, or a bad row."""


class Sink(Protocol):
    """A way to one far end."""

    async def send(self, batch: Batch) -> None:
        """Send a batch; return once the far end's store has all of it.

        Sending a batch again that the far end has is harmless.

        Raises:
            FarEndError: it is not known to have it; send it again later.
            BatchRefusedError: it says that it will never take it as it is.
            NotYetError: some of its rows are too young.
        """
        ...

    async def close(self) -> None:
        """Let go of the far end."""
        ...


@runtime_checkable
class TellsAlarms(Protocol):
    """A sink whose far end shows how the station is."""

    def alarms_are(self, alarms: Sequence[AlarmSnapshot]) -> None:
        """Take which alarms are on now; they are told as soon as that can be."""
        ...
