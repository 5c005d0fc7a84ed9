"""What is done about a radio that does not answer: opened again, reset on USB, then an alarm.

The link itself opens a silent radio's port again every minute. This watches for how long that does
not help, resets the radio, and calls for somebody. Each is told once, and its end at its level.
"""

from collections.abc import Awaitable, Callable

import structlog

from receiver.limits import SILENT_AGAIN_S, SILENT_ALARM_S, SILENT_RESET_S
from receiver.links.intake import LinkState, LinkStatus
from receiver.links.usb_reset import UsbResetError

log = structlog.get_logger()


class Escalation:
    """Watches one radio; `look` is called every minute or so, with a steady clock's seconds."""

    def __init__(self, status: LinkStatus, reset: Callable[[], Awaitable[str]] | None) -> None:
        """`reset` resets the radio or raises UsbResetError; None where it is on no bus."""
        self.alarm: str | None = None
        """Why somebody must come, None while nobody must."""
        self._status = status
        self._reset = reset
        self._silent_since_s: float | None = None
        self._reset_at_s: float | None = None
        self._told_reset = False

    async def look(self, now_s: float) -> None:
        """Do what is due."""
        if self._status.state is not LinkState.SILENT:
            if self._status.state in (LinkState.HEARING, LinkState.QUIET):
                self._ends(now_s)
            return
        if self._silent_since_s is None:
            self._silent_since_s = now_s
        silent_s = now_s - self._silent_since_s
        if silent_s >= SILENT_RESET_S:
            await self._reset_if_due(now_s)
        if silent_s >= SILENT_ALARM_S and self.alarm is None:
            self.alarm = f"{self._status.name}: silent for {silent_s / 60:.0f} min"
            log.error(
                "radio stays silent",
                link=self._status.name,
                silent_s=round(silent_s),
                reason=self._status.reason,
                do="somebody must look: power, cable, hub, then the radio itself",
            )

    async def _reset_if_due(self, now_s: float) -> None:
        due = self._reset_at_s is None or now_s - self._reset_at_s >= SILENT_AGAIN_S
        if self._reset is None or not due:
            return
        self._reset_at_s = now_s
        told = log.debug if self._told_reset else log.warning
        self._told_reset = True
        try:
            where = await self._reset()
        except UsbResetError as error:
            told("radio cannot be reset", link=self._status.name, reason=str(error))
        else:
            told("radio reset on USB", link=self._status.name, usb=where)

    def _ends(self, now_s: float) -> None:
        silent_s = 0.0 if self._silent_since_s is None else now_s - self._silent_since_s
        if self.alarm is not None:
            log.error(
                "radio is back after an alarm",
                link=self._status.name,
                silent_s=round(silent_s),
            )
        elif self._told_reset:
            log.warning(
                "radio is back after a reset", link=self._status.name, silent_s=round(silent_s)
            )
        self.alarm = None
        self._silent_since_s = None
        self._reset_at_s = None
        self._told_reset = False
