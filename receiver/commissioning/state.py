"""What commissioning shows and takes: the values between its steps and whoever leads through them.

The command asks in a terminal, the page in a browser; both show a `CommissioningState` and hand
answers back by the name of a step. Their names are those of the JSON.
"""

from typing import Literal, TypeAlias

import msgspec

from receiver.health.snapshot import StationSnapshot
from receiver.live import LiveDetection

StepName: TypeAlias = Literal[
    "station", "radios", "antennas", "test-tag", "clock", "store", "upload", "visit"
]
StepProgress: TypeAlias = Literal["waiting", "ok", "skipped"]


class CommissioningError(Exception):
    """A step that could not be done; `do` says what would help."""

    def __init__(self, message: str, do: str, *, text_to_save: str | None = None) -> None:
        super().__init__(message)
        self.do = do
        self.text_to_save = text_to_save
        """The new configuration, where its file could not be written: somebody else may save it."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """What the running station knows now; make one for every call."""

    snapshot: StationSnapshot | None = None
    """None where no daemon runs."""
    heard: tuple[LiveDetection, ...] = ()
    """The newest detections, as many as there are at hand; those that were handed in before are
    told by their numbers."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to choose from."""

    value: str
    words: str


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One answer that a step takes; all are text, numbers as people write them."""

    name: str
    """The key under which the answer is handed back."""
    words: str
    default: str = ""
    """What stands now, or may be meant."""
    choices: tuple[Choice, ...] = ()
    """Where it is one of some."""
    required: bool = False


class StepState(msgspec.Struct, frozen=True, kw_only=True):
    """How one step is."""

    name: StepName
    title: str
    progress: StepProgress
    found: str
    """What is there now, in words."""
    do: str = ""
    """What to do next, where it waits."""
    reason: str = ""
    """Why it was skipped."""
    questions: tuple[Question, ...] = ()


class CommissioningState(msgspec.Struct, frozen=True, kw_only=True):
    """All steps at one moment."""

    station: str
    configuration: str
    """Its file."""
    is_running: bool
    """Whether the station's daemon runs."""
    can_write: bool
    """Whether the configuration can be written from here."""
    needs_restart: tuple[str, ...] = ()
    """Keys of the configuration that a running daemon takes only when it is started anew."""
    steps: tuple[StepState, ...]
    is_finished: bool
    """No step waits any more: the report may be kept."""
