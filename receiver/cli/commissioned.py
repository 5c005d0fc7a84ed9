"""One visit to a station: its commissioning, asked of its daemon where one runs."""

import contextlib
import datetime as dt
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from protocols.records import LogLine
from receiver.arrivals import Arrival
from receiver.cli.live_feed import Lost, events
from receiver.cli.station import running_station
from receiver.clock import Clock
from receiver.commissioning.machine import SOURCE, Commissioning
from receiver.commissioning.state import (
    CommissioningError,
    CommissioningState,
    Moment,
    StepState,
)
from receiver.health.snapshot import StationSnapshot
from receiver.limits import LIVE_DETECTIONS_KEPT
from receiver.live import LiveDetection
from receiver.store.database import Store
from receiver.store.errors import StoreError
from receiver.store.lock import holder
from receiver.web.local_client import LocalStationError

_LOOK_EVERY_S: Final = 0.5
_PAUSE_S: Final = 1.0


class Visit:
    """Commissioning with the configuration at one path."""

    def __init__(self, configuration: Path) -> None:
        self.machine = Commissioning(configuration, note=self._note, reload=self._reload)
        self.configuration = configuration
        self._heard: deque[LiveDetection] = deque(maxlen=LIVE_DETECTIONS_KEPT)
        self._lock = threading.Lock()
        self._listening: Path | None = None

    def introduce(self) -> None:
        """See whether the daemon, where one runs, may be asked.

        Raises:
            ClickException: not by this user.
        """
        try:
            running_station(self._store())
        except LocalStationError as error:
            raise click.ClickException(f"{error}: {error.do}") from error

    def state(self) -> CommissioningState:
        """Return how every step is now."""
        return self.machine.state(self.moment())

    def step_state(self, name: str) -> StepState:
        """Return how one step is now."""
        return next(step for step in self.state().steps if step.name == name)

    def step(self, name: str, answers: Mapping[str, object]) -> CommissioningState:
        """Take answers."""
        return self.machine.step(name, answers, self.moment())

    def wait_for(
        self, name: str, longest_s: float, is_enough: Callable[[StepState], bool] | None = None
    ) -> None:
        """Wait until a step waits no more, `is_enough` says so, or so many seconds are over."""
        ends_s = time.monotonic() + longest_s
        while True:
            state = self.step_state(name)
            if state.progress != "waiting" or (is_enough is not None and is_enough(state)):
                return
            if time.monotonic() >= ends_s:
                return
            time.sleep(min(_LOOK_EVERY_S, max(0.0, ends_s - time.monotonic())))

    def moment(self) -> Moment:
        """Return what the station knows now; its daemon is listened to from the first time on."""
        store = self._store()
        if store != self._listening:
            self._listening = store
            threading.Thread(target=self._listen, args=(store,), daemon=True).start()
        snapshot = _snapshot(store)
        with self._lock:
            return Moment(snapshot=snapshot, heard=tuple(self._heard))

    def write_report(self, folder: Path) -> list[Path]:
        """Write the report and note the visit in the store; return the report's files.

        Raises:
            CommissioningError: the folder cannot be written.
        """
        from receiver.cli.doctor import examined

        moment = self.moment()
        findings = [
            f"{each.severity}: {each.subject}: {each.found}" + (f" -> {each.do}" if each.do else "")
            for each in examined(self.configuration)
            if each.severity in ("warning", "fault")
        ]
        station = self.machine.state(moment).station
        name = f"visit-{station}-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
        texts = {
            folder / f"{name}.html": self.machine.report_html(moment, findings),
            folder / f"{name}.txt": self.machine.report_text(moment, findings),
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for path, text in texts.items():
                path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommissioningError(
                f"{folder}: the report cannot be written: {error.strerror or error}",
                "name another folder with --report",
            ) from error
        with contextlib.suppress(CommissioningError):  # A station that never ran has no store.
            self.machine.step("finish", {}, moment)
        return list(texts)

    def _store(self) -> Path:
        return Path(self.machine.settings().store.path)

    def _listen(self, store: Path) -> None:
        """Gather what the daemon hears, in a thread of its own, until another store is meant."""
        while store == self._listening:
            try:
                for event in events(store):
                    if store != self._listening:
                        return
                    with self._lock:
                        if isinstance(event, Lost):
                            self._heard.clear()  # The next daemon numbers from 1 again.
                        elif isinstance(event, LiveDetection):
                            self._heard.append(event)
            except click.ClickException:  # No daemon yet.
                time.sleep(_PAUSE_S)

    def _note(self, line: LogLine) -> None:
        """Put a line into the store, beside the daemon, as an import does."""
        try:
            with Store.open(self._store(), create=False) as store:
                store.append([Arrival(line, SOURCE, Clock().stamp())])
        except StoreError as error:
            raise CommissioningError(str(error), "start the station: it makes the store") from error

    def _reload(self) -> None:
        store = self._store()
        try:
            station = running_station(store)
            if station is not None:
                station.post("/api/commission/reload", {})
                return
        except LocalStationError:
            pass
        process = holder(store)
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGHUP)


def _snapshot(store: Path) -> StationSnapshot | None:
    try:
        station = running_station(store)
        return None if station is None else station.status()
    except LocalStationError:
        return None
