"""How a sink is, in words that `status`, `upload` and the log use."""

import enum


class SinkState(enum.StrEnum):
    """What a sink does now."""

    STARTING = "starting"
    SENDING = "sending"
    """The far end takes rows, and more wait."""
    UP_TO_DATE = "up to date"
    AWAY = "away"
    """The far end cannot be reached or fails; it is tried again."""
    REFUSED = "refused"
    """The far end says no: somebody must mend a setting."""
    PAUSED = "paused"
    LIMITED = "limited"
    """The bytes it may send are spent for now."""
    NOT_YET = "not yet"
    """What waits is too young to be sent."""
    NO_STORE = "no store"
    """The store cannot be read now."""


class SinkStatus:
    """How one sink is: written by its runner, read by whoever tells it."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.state = SinkState.STARTING
        self.reason: str | None = None
        """Why it does not send, for a technician."""
        self.advice: str | None = None
        self.batches = 0
        self.rows = 0
        """Acknowledged since the start, of all kinds."""
        self.bytes = 0
        """Sent since the start, failed attempts and an estimate of the overhead included."""
        self.failures = 0
        self.rows_refused = 0
        self.acknowledged_seq = 0
        self.acknowledged_utc_ns: int | None = None
