"""One link's trouble is its own; a radio that goes deaf is noticed, reset, and called out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from conftest import Until
from pseudo_terminals import PseudoRadio, name_port
from structlog.testing import capture_logs

from receiver.activity import Activity
from receiver.clock import Clock
from receiver.intakes.stream import StreamIntake
from receiver.limits import SILENT_AGAIN_S, SILENT_ALARM_S, SILENT_RESET_S
from receiver.links.backoff import Backoff
from receiver.links.intake import LinkState, LinkStatus
from receiver.links.serial import SerialLink
from receiver.links.usb_reset import UsbResetError
from receiver.pipeline import Pipeline
from receiver.settings import Link
from receiver.settings import SerialLink as Settings
from receiver.store.activity_queries import hours_listened
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.writer import Writer
from receiver.supervision.escalation import Escalation
from receiver.supervision.expectation import Expectation
from receiver.supervision.links import Supervision

PlugIn: TypeAlias = Callable[[], PseudoRadio]

FIRMWARE = b'{"name":"SensorStationRadio","firmware":"4.0.0"}\r\n'
BEEP = b"78664C3304,-75\r\n"
HOUR_S = 3600


def link(name: str, device: str = "/dev/none", **more: Any) -> Settings:  # noqa: ANN401  Settings.
    return Settings(name=name, device=device, **more)


def quick() -> Backoff:
    return Backoff(first_s=0.001, longest_s=0.002)


class Runner:
    """A link of which a test says what becomes of it."""

    def __init__(self, status: LinkStatus) -> None:
        self.status = status
        self.runs = 0
        self.ends: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]
        self.stopped = False

    async def run(self) -> None:
        """Run as the test says."""
        self.runs += 1
        self.status.state = LinkState.QUIET
        try:
            await self.ends()
        except asyncio.CancelledError:
            self.stopped = True
            raise


class Links:
    """A supervision of runners, which it keeps by name."""

    def __init__(self) -> None:
        self.made: dict[str, list[Runner]] = {}
        self.ends_of: dict[str, Callable[[], Awaitable[None]]] = {}
        self.supervision = Supervision(self._make, backoff=quick)

    def _make(self, settings: Link, status: LinkStatus) -> Runner:
        runner = Runner(status)
        self.made.setdefault(settings.name, []).append(runner)
        runner.ends = self.ends_of.get(settings.name, runner.ends)
        return runner

    def runner(self, name: str) -> Runner:
        """Return the link of this name that was made last."""
        return self.made[name][-1]


async def raising() -> None:
    raise ZeroDivisionError("of one link")


async def ending() -> None:
    return


@pytest.fixture
async def links() -> AsyncIterator[Links]:
    made = Links()
    yield made
    await made.supervision.stop()


async def test_a_link_that_raises_is_run_again_and_the_others_never_notice(
    links: Links, until: Until
) -> None:
    links.ends_of["bad"] = raising
    with capture_logs() as told:
        await links.supervision.change([link("good"), link("bad"), link("fine")])
        await until(lambda: "bad" in links.made and links.runner("bad").runs >= 5)
    assert (links.runner("good").runs, links.runner("fine").runs) == (1, 1)
    good, bad, fine = links.supervision.statuses
    assert (good.state, fine.state) == (LinkState.QUIET, LinkState.QUIET)
    assert bad.reason is not None
    assert "ZeroDivisionError" in bad.reason
    assert links.supervision.dead() == []
    faults = [line for line in told if "fault" in line["event"]]
    assert len(faults) == 1, "the same fault is told once"


async def test_a_link_that_cannot_even_be_made_is_tried_again(until: Until) -> None:
    tried = 0

    def make(_: Link, status: LinkStatus) -> Runner:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise ValueError("no such thing")
        return Runner(status)

    supervision = Supervision(make, backoff=quick)
    with capture_logs():
        await supervision.change([link("ch1")])
        await until(lambda: supervision.statuses[0].state is LinkState.QUIET)
    assert tried == 3
    await supervision.stop()


async def test_a_link_that_ends_by_itself_is_run_again(links: Links, until: Until) -> None:
    links.ends_of["ch1"] = ending
    await links.supervision.change([link("ch1")])
    await until(lambda: "ch1" in links.made and links.runner("ch1").runs >= 3)
    assert links.supervision.dead() == []


async def test_the_wait_of_a_link_that_raises_grows_and_begins_anew_after_a_healthy_minute(
    until: Until,
) -> None:
    now_s = 0.0
    waits: list[float] = []

    class Noting(Backoff):
        def failed(self) -> float:
            waits.append(super().failed())
            return 0.0

    async def runs_for_a_while() -> None:
        nonlocal now_s
        now_s += 61 if len(waits) == 4 else 1
        raise ZeroDivisionError

    def make(_: Link, status: LinkStatus) -> Runner:
        runner = Runner(status)
        runner.ends = runs_for_a_while
        return runner

    supervision = Supervision(make, backoff=lambda: Noting(jitter=lambda: 0.0, clock=lambda: now_s))
    with capture_logs():
        await supervision.change([link("ch1")])
        await until(lambda: len(waits) >= 6)
    await supervision.stop()
    assert waits[:6] == [1, 2, 4, 8, 1, 2]


async def test_unchanged_links_keep_running_and_only_changed_ones_are_touched(
    links: Links, until: Until
) -> None:
    await links.supervision.change([link("same"), link("changed"), link("gone")])
    await until(lambda: len(links.made) == 3)
    before = {name: links.runner(name) for name in links.made}
    status = links.supervision.statuses[0]
    changes = await links.supervision.change(
        [link("new"), link("changed", antenna="north"), link("same")]
    )
    await until(lambda: "new" in links.made and len(links.made["changed"]) == 2)
    assert (changes.kept, changes.stopped, changes.started) == (
        ("same",),
        ("changed", "gone"),
        ("new", "changed"),
    )
    assert links.runner("same") is before["same"]
    assert (before["same"].runs, before["same"].stopped) == (1, False)
    assert before["gone"].stopped
    assert before["changed"].stopped
    assert [each.name for each in links.supervision.statuses] == ["new", "changed", "same"]
    assert links.supervision.statuses[2] is status


async def test_a_link_that_does_not_stop_is_left_behind(
    links: Links, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr("receiver.supervision.links.LINK_STOP_S", 0.01)
    freed = asyncio.Event()

    async def stubborn() -> None:
        while not freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await freed.wait()

    links.ends_of["ch1"] = stubborn
    await links.supervision.change([link("ch1")])
    await until(lambda: "ch1" in links.made)
    await until(lambda: links.runner("ch1").runs)
    with capture_logs() as told:
        await links.supervision.change([])
    assert [line["event"] for line in told] == ["link does not stop"]
    assert links.supervision.statuses == []
    freed.set()


class Radio:
    """A status that a test sets, and a reset that it counts."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.status = LinkStatus("ch1")
        self.resets: list[float] = []
        self.now_s = 0.0
        self._refuses = refuses
        self.escalation = Escalation(self.status, self._reset)

    async def _reset(self) -> str:
        self.resets.append(self.now_s)
        if self._refuses:
            raise UsbResetError("may not")
        return "001/004"

    async def is_for(self, state: LinkState, seconds: float) -> list[dict[str, Any]]:
        """Be in a state for so long, looked at every ten seconds; return what was told."""
        self.status.state = state
        until_s = self.now_s + seconds
        with capture_logs() as told:
            while self.now_s < until_s:
                await self.escalation.look(self.now_s)
                self.now_s += 10
        return [dict(line) for line in told if line["log_level"] != "debug"]


async def test_a_silent_radio_is_reset_then_called_out_each_told_once_and_its_end_too() -> None:
    radio = Radio()
    assert await radio.is_for(LinkState.HEARING, 3600) == []
    told = await radio.is_for(LinkState.SILENT, 2 * SILENT_ALARM_S)
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("warning", "radio reset on USB"),
        ("error", "radio stays silent"),
    ]
    assert radio.resets == [3600 + SILENT_RESET_S]
    assert radio.escalation.alarm is not None
    told = await radio.is_for(LinkState.HEARING, 60)
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("error", "radio is back after an alarm")
    ]
    assert radio.escalation.alarm is None


async def test_a_radio_that_a_reset_mends_raises_no_alarm() -> None:
    radio = Radio()
    await radio.is_for(LinkState.SILENT, SILENT_RESET_S + 20)
    told = await radio.is_for(LinkState.FAILED, 10)  # The port is gone for a moment.
    told += await radio.is_for(LinkState.HEARING, 30)
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("warning", "radio is back after a reset")
    ]
    assert len(radio.resets) == 1


async def test_a_radio_that_is_silent_for_a_moment_is_left_to_its_link() -> None:
    radio = Radio()
    assert await radio.is_for(LinkState.SILENT, SILENT_RESET_S - 10) == []
    assert await radio.is_for(LinkState.HEARING, 60) == []
    assert await radio.is_for(LinkState.SILENT, SILENT_RESET_S - 10) == []
    assert radio.resets == []


async def test_a_radio_that_stays_silent_is_reset_every_hour_without_a_word() -> None:
    radio = Radio()
    told = await radio.is_for(LinkState.SILENT, 5 * SILENT_AGAIN_S)
    assert len(told) == 2
    assert len(radio.resets) == 5


async def test_a_reset_that_is_not_permitted_is_told_once_and_the_alarm_comes() -> None:
    radio = Radio(refuses=True)
    told = await radio.is_for(LinkState.SILENT, 5 * SILENT_AGAIN_S)
    assert [line["event"] for line in told] == ["radio cannot be reset", "radio stays silent"]


async def test_a_link_on_no_bus_is_called_out_without_a_reset() -> None:
    radio = Radio()
    radio.escalation = Escalation(radio.status, None)
    told = await radio.is_for(LinkState.SILENT, 2 * SILENT_ALARM_S)
    assert [line["event"] for line in told] == ["radio stays silent"]


class Heard:
    """A link of which something is expected every ten minutes."""

    def __init__(self, within_s: float = 600.0) -> None:
        self.status = LinkStatus("ch1")
        self.status.state = LinkState.QUIET
        self.now_s = 0.0
        self.reopened_at: list[float] = []
        self.expectation = Expectation(
            self.status, within_s, lambda: self.reopened_at.append(self.now_s)
        )

    def passes(self, seconds: float) -> list[str]:
        """Look every ten seconds for so long; return what was told."""
        until_s = self.now_s + seconds
        with capture_logs() as told:
            while self.now_s < until_s:
                self.expectation.look(self.now_s)
                self.now_s += 10
        return [line["event"] for line in told]

    def hears(self) -> None:
        """Hear something now."""
        self.status.heard(round(self.now_s * 1e9) + 1)


def test_a_radio_that_is_not_heard_for_too_long_is_silent_and_opened_again_every_minute() -> None:
    radio = Heard()
    radio.hears()
    assert radio.passes(600) == []
    assert radio.passes(130) == ["radio silent"]
    assert radio.status.state is LinkState.SILENT
    assert "600 s" in (radio.status.reason or "")
    assert radio.reopened_at == [600, 660, 720]
    radio.hears()
    assert radio.passes(20) == ["radio heard again"]
    assert str(radio.status.state) == "hearing"
    assert radio.status.reason is None


def test_a_radio_that_was_never_heard_is_missed_too() -> None:
    assert Heard().passes(700) == ["radio silent"]


def test_opening_a_silent_radio_again_does_not_make_it_heard() -> None:
    radio = Heard()
    radio.passes(700)
    radio.status.state = LinkState.QUIET  # What a link is that was just opened.
    radio.passes(10)
    assert radio.status.state is LinkState.SILENT


def test_a_silent_radio_whose_port_vanishes_for_a_moment_is_silent_still() -> None:
    radio = Heard()
    assert radio.passes(700) == ["radio silent"]
    radio.status.state = LinkState.FAILED  # A reset on USB takes it away.
    radio.passes(10)
    radio.status.state = LinkState.QUIET
    radio.passes(10)
    assert radio.status.state is LinkState.SILENT


def test_nothing_is_expected_of_a_link_that_is_not_open_nor_where_the_owner_expects_nothing() -> (
    None
):
    radio = Heard()
    radio.status.state = LinkState.FAILED
    assert radio.passes(7000) == []
    radio.status.state = LinkState.QUIET
    assert radio.passes(590) == []
    assert Heard(within_s=0).passes(100_000) == []


class Station:
    """Serial links with a real pipeline and store, on a loop whose time a test moves on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writer = Writer(folder / "marsh.db", "marsh")
        clock = Clock(quality=lambda: "ntp")
        self.activity = Activity(clock.stamp().utc_ns)
        self.pipeline = Pipeline(clock, self.writer, self.activity, commit_interval_s=60)
        self.waits: list[float] = []
        self.resets = 0
        self.on_reset: Callable[[], None] = lambda: None
        self.supervision = Supervision(self._make, reset_of=lambda _: self._reset)
        self._later_s = 0.0
        loop = asyncio.get_running_loop()
        real_time = loop.time
        monkeypatch.setattr(loop, "time", lambda: real_time() + self._later_s)

    def _make(self, settings: Link, status: LinkStatus) -> SerialLink:
        assert isinstance(settings, Settings)
        waits = self.waits

        class Noting(Backoff):
            def failed(self) -> float:
                waits.append(super().failed())
                return waits[-1]

        backoff = Noting(jitter=lambda: 0.0, clock=self.now_s)
        intake = StreamIntake(self.pipeline, settings, status)
        return SerialLink(settings, intake, status, backoff=backoff)

    async def _reset(self) -> str:
        self.resets += 1
        self.on_reset()
        return "001/004"

    def now_s(self) -> float:
        """Return the time of the loop."""
        return asyncio.get_running_loop().time()

    def passes(self, seconds: float) -> None:
        """Let time pass for the loop's timers, at once."""
        self._later_s += seconds

    async def lasts_until(self, is_true: Callable[[], object]) -> None:
        """Let time pass, half a second at a time, until something is true; an hour at most."""
        for _ in range(2 * HOUR_S):
            if is_true():
                return
            self.passes(0.5)
            await asyncio.sleep(0.001)
        raise TimeoutError("an hour has passed")

    @property
    def status(self) -> LinkStatus:
        """How the first link is."""
        return self.supervision.statuses[0]

    async def end(self) -> None:
        """Stop and drain."""
        await self.supervision.stop()
        self.pipeline.flush(with_activity=True)
        await self.writer.stop(5)


@pytest.fixture
async def station(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Station]:
    made = Station(tmp_path, monkeypatch)
    made.writer.start()
    yield made
    await made.end()


async def test_a_dongle_that_stops_talking_after_an_hour_is_reset_and_hears_again(
    station: Station, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    radio.listen()
    radio.answer = lambda _: FIRMWARE.replace(b"4.0.0", b"4.0.%d" % len(radio.told))
    await station.supervision.change([link("ch1", radio.device, talk="always")])
    await until(lambda: station.supervision.statuses and station.status.opened)
    for minute in range(60):
        polls = len(radio.told)
        station.passes(61)
        await until(lambda: len(radio.told) > polls)  # noqa: B023  Called at once.
        # Before the next minute passes its answer must have come: else it would be a minute late.
        await until(lambda: (station.status.firmware or "").endswith(f".{len(radio.told)}"))
        await station.supervision.look(station.now_s())
        assert station.status.state is not LinkState.SILENT, minute
    radio.answer = lambda _: b""
    with capture_logs() as told:
        await station.lasts_until(lambda: station.status.state is LinkState.SILENT)
        while not station.resets:
            silent_since_s, reopened = station.now_s(), station.status.opened
            await station.lasts_until(lambda: station.now_s() - silent_since_s > 30)  # noqa: B023  Called at once.
            await station.supervision.look(station.now_s())
        assert reopened >= 2, "its port was opened again first"
        radio.answer = lambda _: FIRMWARE
        await station.lasts_until(lambda: station.status.state is not LinkState.SILENT)
        await station.supervision.look(station.now_s())
    levels = [(line["event"], line["log_level"]) for line in told]
    assert levels.count(("radio silent", "warning")) == 1
    assert levels.count(("radio answers again", "warning")) == 1
    assert levels.count(("radio reset on USB", "warning")) == 1
    assert levels.count(("radio is back after a reset", "warning")) == 1
    assert station.supervision.alarms == []


async def test_a_dongle_that_unplugs_every_30_s_is_found_each_time_and_never_hammered(
    station: Station, plug_in: PlugIn, until: Until, tmp_path: Path
) -> None:
    name = tmp_path / "by-path"
    radio = plug_in()
    name_port(name, radio)
    await station.supervision.change([link("ch1", str(name), talk="never")])
    for times in range(1, 9):
        await until(lambda: station.supervision.statuses)
        await until(lambda: station.status.opened == times)  # noqa: B023  Called at once.
        radio.say(BEEP)
        await until(lambda: station.pipeline.heard.detections == times)  # noqa: B023  Called at once.
        station.passes(30)
        radio.unplug()
        await until(lambda: station.status.state is LinkState.FAILED)
        radio = plug_in()
        name_port(name, radio)
        station.passes(60)
    await until(lambda: station.status.opened == 9)
    assert station.waits == [1, 2, 4, 8, 16, 32, 48, 48]
    station.passes(61)  # A healthy minute.
    radio.unplug()
    await until(lambda: len(station.waits) == 9)
    assert station.waits[-1] == 1


async def test_a_mute_dongle_of_which_nothing_is_heard_is_opened_again_and_reset(
    station: Station, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    settings = link("ch1", radio.device, talk="never", silent_after=600)
    await station.supervision.change([settings])
    await until(lambda: station.supervision.statuses and station.status.opened)
    radio.say(BEEP)
    await until(lambda: station.pipeline.heard.detections == 1)
    (supervised,) = station.supervision._links
    opened = 1
    while not station.resets:
        before_s = supervised.expectation._reopened_s
        await station.supervision.look(station.now_s())
        if supervised.expectation._reopened_s != before_s:
            opened += 1
            await until(lambda: station.status.opened == opened)  # noqa: B023  Called at once.
        station.passes(30)
    assert station.status.opened >= 3
    assert station.resets == 1
    assert station.supervision.dead() == []
    radio.say(BEEP)
    await until(lambda: station.pipeline.heard.detections == 2)
    await station.supervision.look(station.now_s())
    assert station.status.state is LinkState.HEARING
    assert station.supervision.alarms == []


async def test_a_link_that_cancels_itself_is_no_busy_loop(links: Links, until: Until) -> None:
    async def cancels_itself() -> None:
        raise asyncio.CancelledError

    links.ends_of["ch1"] = cancels_itself
    await links.supervision.change([link("ch1")])
    await until(lambda: "ch1" in links.made and links.runner("ch1").runs >= 2)
    assert links.supervision.statuses[0].state is LinkState.FAILED


async def test_a_link_that_is_restarted_goes_on_counting_its_hour(
    station: Station, plug_in: PlugIn, until: Until
) -> None:
    radio = plug_in()
    settings = link("ch1", radio.device, talk="never", antenna="north")
    await station.supervision.change([settings])
    await until(lambda: station.status.opened)
    radio.say(BEEP * 3)
    await until(lambda: station.pipeline.heard.detections == 3)
    await station.supervision.change([])
    station.activity.end("ch1")
    station.pipeline.flush(with_activity=True)
    await station.supervision.change([settings])
    await until(lambda: station.supervision.statuses and station.status.opened)
    radio.say(BEEP)
    await until(lambda: station.pipeline.heard.detections == 4)
    station.pipeline.flush(with_activity=True)
    await until(lambda: station.pipeline.waiting_rows == 0)
    await until(lambda: station.writer.commits >= 2)
    with Reader(station.writer.path) as reader:
        hours = list(hours_listened(reader, DetectionFilter()))
    assert sum(hour["detections"] for hour in hours) == 4
