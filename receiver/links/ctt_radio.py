"""The conversation with a CTT radio: who are you, listen to this, are you still there.

2 s after opening the radio is asked for its version; one that answers is polled from then on, and
an unanswered poll means that it is silent. Motus Adapters V1 hang when anything is written to them:
with `talk = "auto"` a radio that does not answer within 4 s is taken for one, its port is opened
again, and nothing more is ever written to it. A preset is sent after the first answer, its reply
is checked, and a failure is tried again after every poll, since a radio with the wrong preset hears
nothing that it should.

Source of commands and timing: celltracktech.com station software; SensorGnome's dongle reader.
"""

import enum
from collections.abc import Callable, Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from protocols.ctt import commands
from protocols.records import (
    CommandReply,
    Ignored,
    RadioError,
    RadioInfo,
    Record,
    Unknown,
)
from receiver.links.conversation import Step
from receiver.settings import SerialLink

_NO_SIGN_OF_LIFE = (Unknown, Ignored)

_ERRORS_TOLD = 8
"""Different error texts of one radio logged after an opening; the rest are in the store only."""


class CttTiming(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the conversation."""

    ask_after_s: float = 2.0
    """The radio's processor starts when its port is opened."""
    answer_within_s: float = 4.0
    reopen_after_s: float = 1.0
    command_spacing_s: float = 0.25
    """Commands that follow each other faster get lost."""
    command_answer_s: float = 2.0
    command_tries: int = 3
    silent_reopen_s: float = 60.0
    """A silent radio's port is opened again at most this often: each time costs a second of
    listening, should it hear although it does not answer."""


class _Phase(enum.Enum):
    MUTE = enum.auto()
    ASK = enum.auto()
    AWAIT_VERSION = enum.auto()
    SET = enum.auto()
    AWAIT_REPLY = enum.auto()


class CttConversation:
    """Implements `Conversation` for every generation of CTT radio."""

    def __init__(
        self, settings: SerialLink, log: FilteringBoundLogger, timing: CttTiming | None = None
    ) -> None:
        self._log = log
        self._timing = timing or CttTiming()
        self._talk = settings.talk
        self._poll_interval_s = settings.poll_interval_s
        self._preset = settings.preset
        self.due: float | None = None
        self.silent: str | None = None
        self.problem: str | None = None
        self.firmware: str | None = None
        self.wake: Callable[[], None] | None = None
        self._phase = _Phase.MUTE
        self._answers = False
        """It answered once, so it is no radio that hangs when written to."""
        self._hangs = False
        self._opened_at = 0.0
        self._asked_at = 0.0
        self._alive_since_asked = False
        self._preset_is_set = False
        self._tries = 0
        self._errors_told: set[str] = set()

    def opened(self, now: float) -> None:
        """Begin: the port was just opened (again)."""
        self._opened_at = now
        self._preset_is_set = False
        self._tries = 0
        self._errors_told.clear()
        if self._talk == "never" or self._hangs:
            self._be_mute()
            if self._preset and self.problem is None:
                self.problem = f"preset {self._preset} is not set: the radio is not written to"
                self._log.warning(
                    "preset not set", preset=self._preset, reason="the radio is not written to"
                )
        else:
            self._go(_Phase.ASK, now + self._timing.ask_after_s)

    def heard(self, records: Sequence[Record], now: float) -> None:
        """Take what the radio said, its answers among them."""
        for record in records:
            if isinstance(record, _NO_SIGN_OF_LIFE):
                continue
            self._alive_since_asked = True
            if isinstance(record, RadioInfo):
                self._version(record, now)
            elif isinstance(record, CommandReply):
                self._reply(record, now)
            elif isinstance(record, RadioError):
                self._error(record)

    def step(self, now: float) -> Step:
        """Do what is due; does nothing before `due`."""
        if self.due is None or now < self.due:
            return Step()
        if self._phase is _Phase.ASK:
            self._asked_at = now
            self._alive_since_asked = False
            self._go(_Phase.AWAIT_VERSION, now + self._timing.answer_within_s)
            return Step(commands.VERSION)
        if self._phase is _Phase.SET:
            self._tries += 1
            self._go(_Phase.AWAIT_REPLY, now + self._timing.command_answer_s)
            return Step(commands.preset(self._preset))
        if self._phase is _Phase.AWAIT_REPLY:
            self._preset_failed("the radio does not answer", now)
            return Step()
        return self._unanswered(now)

    def _go(self, phase: _Phase, due: float) -> None:
        self._phase = phase
        self.due = due

    def _be_mute(self) -> None:
        self._phase = _Phase.MUTE
        self.due = None

    def _next_poll(self, now: float) -> None:
        self._go(_Phase.ASK, max(now, self._asked_at + self._poll_interval_s))

    def _version(self, told: RadioInfo, now: float) -> None:
        firmware = " ".join(filter(None, (told.name, told.firmware))) or "unnamed"
        if firmware != self.firmware:
            self._log.info("radio answers", radio=told.name, firmware=told.firmware)
            self.firmware = firmware
        if self.silent is not None:
            self._log.warning("radio answers again", firmware=firmware)
            self.silent = None
        self._answers = True
        if self._hangs:
            self._hangs = False
            self.problem = None
        if self._talk != "never" and self._phase in (_Phase.AWAIT_VERSION, _Phase.MUTE):
            self._after_poll(now)

    def _after_poll(self, now: float) -> None:
        if self._preset and not self._preset_is_set:
            self._tries = 0
            self._go(_Phase.SET, now + self._timing.command_spacing_s)
        else:
            self._next_poll(now)

    def _reply(self, reply: CommandReply, now: float) -> None:
        if self._phase is not _Phase.AWAIT_REPLY:
            return
        if not commands.answers(reply, commands.preset(self._preset)):
            return
        if not reply.ok:
            self._preset_failed(reply.message or "refused", now)
            return
        told = self._log.warning if self.problem else self._log.info
        told("preset set", preset=self._preset)
        self.problem = None
        self._preset_is_set = True
        self._next_poll(now)

    def _preset_failed(self, reason: str, now: float) -> None:
        if self._tries < self._timing.command_tries:
            self._go(_Phase.SET, now + self._timing.command_spacing_s)
            return
        problem = f"preset {self._preset} is not set: {reason}"
        if problem != self.problem:
            self._log.warning(
                "preset not set",
                preset=self._preset,
                reason=reason,
                advice="check that this radio's firmware has this preset",
            )
            self.problem = problem
        self._next_poll(now)

    def _error(self, error: RadioError) -> None:
        if error.message in self._errors_told or len(self._errors_told) >= _ERRORS_TOLD:
            return
        self._errors_told.add(error.message)
        self._log.warning("radio reports an error", error=error.message)

    def _unanswered(self, now: float) -> Step:
        if self._talk == "auto" and not self._answers:
            self._hangs = True
            self._be_mute()
            self._log.info(
                "radio does not answer",
                taken_for="old firmware that hangs when written to; its port is opened again and "
                "nothing more is written",
                advice='set talk = "never" to skip the question, "always" if it should answer',
            )
            return Step(reopen_after_s=self._timing.reopen_after_s)
        if self._alive_since_asked:
            self._after_poll(now)
            return Step()
        if self.silent is None:
            self.silent = f"no answer to `version` within {self._timing.answer_within_s:g} s"
            self._log.warning(
                "radio silent",
                reason=self.silent,
                advice="it is polled on and its port opened again; unplug it and plug it in",
            )
        self._next_poll(now)
        if now - self._opened_at >= self._timing.silent_reopen_s:
            return Step(reopen_after_s=self._timing.reopen_after_s)
        return Step()
