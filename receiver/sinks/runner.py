"""One sink kept going: read, send, note what was acknowledged; back off, shrink, set aside.

The rules, each for a way in which uploads have failed before:

- The mark moves only when the far end's store has the rows. After a crash the same rows are sent
  again, which far ends ignore.
- An attempt that fails, for whatever reason, halves the next batch down to one row: a line that
  only carries small batches carries them. Each success doubles it again; after a batch that was
  too large it grows by a sixteenth.
- A row that is refused alone, again and again while others are taken, is set aside and does not
  block those behind it (`receiver.sinks.refusals`). Rows set aside are counted, noted in the store
  with the reason, and stay there. A far end that takes nothing at all loses nothing.
- While the disk cannot take notes, sending goes on; what is known in memory is not sent twice.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from receiver.limits import (
    SINK_BATCH_BYTES,
    SINK_REQUEST_OVERHEAD_BYTES,
    SINK_RETRY_AFTER_LONGEST_S,
    SINK_RETRY_FIRST_S,
    SINK_RETRY_LONGEST_S,
)
from receiver.links.backoff import Backoff
from receiver.links.broker import heed_cancellation
from receiver.sink_settings import Sink as SinkSettings
from receiver.sinks import outbox
from receiver.sinks.batches import Batch, pack
from receiver.sinks.budget import Budget, Verdict
from receiver.sinks.far_end import BatchRefusedError, FarEndError, NotYetError, Sink
from receiver.sinks.refusals import Refusals
from receiver.sinks.state import SinkState, SinkStatus
from receiver.store.errors import StoreError
from receiver.store.outbox import DETECTIONS, RefusedRow, SinkNote

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

_GROWTH_AFTER_REFUSAL = 16
_LOOK_AGAIN_S = 60.0
"""A sink that rests looks this often whether somebody paused it or let it go on."""


class SinkRunner:
    """Sends what waits for one sink.

    `note` writes to the store: the daemon's writer thread, or the command's own connection.
    """

    def __init__(
        self,
        sink: Sink,
        settings: SinkSettings,
        store: Path,
        note: Callable[[SinkNote], Awaitable[None]],
        *,
        backoff: Backoff | None = None,
        utc_ns: Callable[[], int] = time.time_ns,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        kind = str(settings.__struct_config__.tag)
        self.status = SinkStatus(settings.name, kind)
        self.settings = settings
        self._sink = sink
        self._store = store
        self._note = note
        self._backoff = backoff or Backoff(
            first_s=SINK_RETRY_FIRST_S, longest_s=SINK_RETRY_LONGEST_S
        )
        self._utc_ns = utc_ns
        self._monotonic_s = monotonic_s
        self._budget = Budget(settings.bytes_per_second, settings.bytes_per_day)
        self._most_rows = settings.batch_rows
        self._grows_slowly = False
        self._known = outbox.Known("", {})
        self._refusals = Refusals()
        self._works = False
        self._told: SinkState | None = None
        self._limited_until_s = 0.0
        self._log: FilteringBoundLogger = structlog.get_logger().bind(sink=settings.name)

    async def run(self) -> None:
        """Send for ever; never raises for what the world does."""
        try:
            while True:
                wait_s = await self.step()
                heed_cancellation()
                await asyncio.sleep(wait_s)
        finally:
            await self._sink.close()

    async def run_once(self) -> bool:
        """Send until nothing waits; return whether all was acknowledged.

        It gives up at the first failure that is not about a batch's size or its rows.
        """
        try:
            while True:
                wait_s = await self.step()
                heed_cancellation()
                state = self.status.state
                if state in (SinkState.UP_TO_DATE, SinkState.NOT_YET):
                    return True
                if state is SinkState.LIMITED and wait_s < _LOOK_AGAIN_S:
                    await asyncio.sleep(wait_s)
                elif state is not SinkState.SENDING:
                    return False
        finally:
            await self._sink.close()

    async def step(self) -> float:
        """Send one batch if there is one; return the seconds until the next look."""
        limited_s = self._limited_until_s - self._monotonic_s()
        if limited_s > 0:
            return limited_s
        outgoing = await self._look()
        if outgoing is None:
            return self.settings.interval
        if outgoing.position.paused:
            self._rests(SinkState.PAUSED, f"`stopover upload --resume {self.settings.name}`")
            return min(self.settings.interval, _LOOK_AGAIN_S)
        if not outgoing.lines:
            return self._nothing_waits()
        return await self._send_within_budget(outgoing)

    async def _look(self) -> outbox.Outgoing | None:
        """Return what waits in the store, None where that cannot be read now."""
        try:
            outgoing = await asyncio.to_thread(
                outbox.read,
                self._store,
                self.settings.name,
                self.settings.also,
                most_rows=self._most_rows,
                most_bytes=SINK_BATCH_BYTES,
                now_utc_ns=self._utc_ns(),
                known=self._tentative(),
            )
        except StoreError as error:
            self._rests(SinkState.NO_STORE, str(error))
            return None
        position = outgoing.position
        self.status.rows_refused = position.rows_refused
        self._budget.restore(position.day, position.bytes_on_day)
        return outgoing

    async def _send_within_budget(self, outgoing: outbox.Outgoing) -> float:
        batch = await asyncio.to_thread(
            pack, outgoing.header, outgoing.lines, self.settings.compression
        )
        verdict, wait_s = self._budget.ask(
            _cost(batch), batch.rows, self._monotonic_s(), self._utc_ns() / 1e9
        )
        if verdict is Verdict.SHRINK:
            self._most_rows = max(1, batch.rows // 2)
            self.status.state = SinkState.SENDING
            return 0.0
        if verdict is Verdict.WAIT:
            self._rests(SinkState.LIMITED, "the bytes it may send are spent for now")
            # The day may turn out to be another one when the clock is set.
            wait_s = min(wait_s, SINK_RETRY_LONGEST_S)
            self._limited_until_s = self._monotonic_s() + wait_s
            return wait_s
        return await self._send(batch, outgoing)

    async def _send(self, batch: Batch, outgoing: outbox.Outgoing) -> float:
        try:
            await self._sink.send(batch)
        except FarEndError as error:
            return await self._failed(batch, error)
        except NotYetError as error:
            return self._not_yet(batch, error)
        except BatchRefusedError as error:
            await self._refused(batch, outgoing, str(error))
            return 0.0
        await self._acknowledged(batch)
        if outgoing.is_all:
            self.status.state = SinkState.UP_TO_DATE
            return self.settings.interval
        return 0.0

    async def _acknowledged(self, batch: Batch) -> None:
        if not self._works:
            self._works = True
            self._backoff.works()
        if self._told is not None:
            self._log.warning("far end takes rows again", was=str(self._told))
            self._told = None
        status = self.status
        status.state, status.reason, status.advice = SinkState.SENDING, None, None
        status.batches += 1
        status.rows += batch.rows
        status.acknowledged_utc_ns = self._utc_ns()
        if self._refusals.of(batch.header.store_uuid).taken():
            # Beyond rows that it refused: it is not the far end; back to the first of them, alone.
            self._most_rows = 1
            await self._write(batch, {})
            return
        marks = self._advanced(batch.header.store_uuid, batch.marks)
        if self._grows_slowly:
            self._most_rows += -(-self._most_rows // _GROWTH_AFTER_REFUSAL)
        else:
            self._most_rows *= 2
        if self._most_rows >= self.settings.batch_rows:
            self._most_rows, self._grows_slowly = self.settings.batch_rows, False
        await self._write(batch, marks)

    async def _failed(self, batch: Batch, error: FarEndError) -> float:
        self._most_rows = max(1, batch.rows // 2)
        self._refusals.forget()
        if error.is_reached:
            await self._write(batch, {})
        self._is_away(error)
        wait_s = self._backoff.refused() if error.refused else self._backoff.failed()
        if error.retry_after_s is not None:
            wait_s = max(wait_s, min(error.retry_after_s, SINK_RETRY_AFTER_LONGEST_S))
        return wait_s

    async def _refused(self, batch: Batch, outgoing: outbox.Outgoing, reason: str) -> None:
        self._grows_slowly = True
        if self._told is None:
            self.status.state = SinkState.SENDING
        if outgoing.last is None:
            self._most_rows = max(1, batch.rows // 2)
            self._log.info("batch refused; a smaller one follows", rows=batch.rows, reason=reason)
            await self._write(batch, {})
            return
        store_uuid = batch.header.store_uuid
        self._advanced(store_uuid, {})
        row = self._refusals.of(store_uuid).refused(*outgoing.last, reason)
        if row is None:
            await self._write(batch, {})
            return
        self._log.error(
            "row set aside: the far end refuses it and takes others",
            kind=row.kind,
            number=row.key,
            reason=reason,
            do="it stays in the store; tell the far end's owner",
        )
        await self._write(batch, self._advanced(store_uuid, {row.kind: row.key}), (row,))

    def _not_yet(self, batch: Batch, error: NotYetError) -> float:
        if batch.rows > 1:
            self._most_rows = batch.rows // 2
            self.status.state = SinkState.SENDING
            return 0.0
        self._most_rows = self.settings.batch_rows
        self._rests(SinkState.NOT_YET, str(error))
        return min(error.wait_s, SINK_RETRY_LONGEST_S)

    def _nothing_waits(self) -> float:
        reason = self._refusals.last_reason
        if reason is not None and self._refusals.leapt_too_far():
            return 0.0
        if reason is not None:
            # Nothing that came after was taken either.
            return self._refuses_everything(reason)
        if self.status.state is not SinkState.UP_TO_DATE:
            self.status.state, self.status.reason = SinkState.UP_TO_DATE, None
        return self.settings.interval

    def _refuses_everything(self, reason: str) -> float:
        self._is_away(
            FarEndError(
                f"it refuses every row: {reason}",
                "does the far end's program fit this station's? See its log",
                refused=True,
            )
        )
        self._refusals.forget()
        return self._backoff.refused()

    def _tentative(self) -> outbox.Known:
        """Return where to read on: beyond the rows whose refusal is being looked into."""
        beyond = self._refusals.passed_over(self._known.marks)
        return outbox.Known(self._known.store_uuid, beyond)

    def _advanced(self, store_uuid: str, marks: Mapping[str, int]) -> dict[str, int]:
        """Take note of how far the far end now is; return all that is known."""
        before = self._known.marks if store_uuid == self._known.store_uuid else {}
        advanced = {**before, **marks}
        self._known = outbox.Known(store_uuid, advanced)
        self.status.acknowledged_seq = advanced.get(DETECTIONS, 0)
        return advanced

    async def _write(
        self, batch: Batch, marks: Mapping[str, int], refused: tuple[RefusedRow, ...] = ()
    ) -> None:
        cost = _cost(batch)
        self.status.bytes += cost
        day = self._budget.spend(cost, self._monotonic_s(), self._utc_ns() / 1e9)
        if not marks and not self.settings.bytes_per_day:
            return  # Nothing that another process would miss: spare the disk.
        await self._note(
            SinkNote(
                sink=self.settings.name,
                store_uuid=batch.header.store_uuid,
                marks=marks,
                refused=refused,
                bytes_sent=cost,
                day=day,
            )
        )

    def _is_away(self, error: FarEndError) -> None:
        self._works = False
        status = self.status
        status.failures += 1
        state = SinkState.REFUSED if error.refused else SinkState.AWAY
        if state is not self._told:
            self._told = state
            self._log.warning(
                "far end takes no rows; they wait in the store",
                reason=str(error),
                advice=error.advice,
            )
        status.state, status.reason, status.advice = state, str(error), error.advice

    def _rests(self, state: SinkState, reason: str) -> None:
        if state is not self.status.state:
            self._log.info("sink rests", state=str(state), reason=reason)
        self.status.state, self.status.reason, self.status.advice = state, reason, None


def _cost(batch: Batch) -> int:
    return len(batch.body) + SINK_REQUEST_OVERHEAD_BYTES
