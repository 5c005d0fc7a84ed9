"""A link that used to decode and starts to fail raises an alarm, once; so does its end."""

import asyncio
from pathlib import Path

from structlog.testing import capture_logs

from receiver.daemon import Daemon
from receiver.decode_watch import DecodeWatch, DecodingChange, LinkTotals
from receiver.intakes.stream import StreamIntake
from receiver.links.intake import LinkStatus
from receiver.settings import SerialLink, Settings, StoreSettings


class Link:
    """Counts what a link hears, and looks after each portion."""

    def __init__(self, watch: DecodeWatch) -> None:
        self.watch = watch
        self.records = self.unknown = 0

    def hears(self, good: int = 0, unknown: int = 0) -> list[DecodingChange]:
        """Add so many frames; return what the watch says."""
        self.records += good + unknown
        self.unknown += unknown
        return self.watch.look([LinkTotals("ch1", self.records, self.unknown)])


def test_a_link_that_starts_to_fail_is_told_once_and_so_is_its_recovery() -> None:
    watch = DecodeWatch()
    link = Link(watch)
    assert link.hears(good=60) == []
    assert link.hears(unknown=49) == []
    assert watch.alarms == []
    assert link.hears(unknown=1) == [DecodingChange("ch1", fails=True, unknown_percent=100)]
    assert ["ch1" in alarm for alarm in watch.alarms] == [True]
    assert link.hears(unknown=200) == []
    assert link.hears(good=60, unknown=60) == []  # Not mended yet, and told already.
    assert link.hears(good=100) == [DecodingChange("ch1", fails=False, unknown_percent=0)]
    assert watch.alarms == []


def test_a_link_that_never_decoded_raises_no_alarm() -> None:
    link = Link(DecodeWatch())
    assert link.hears(unknown=500) == []
    assert link.hears(good=30, unknown=500) == []


def test_noise_among_good_frames_raises_no_alarm() -> None:
    link = Link(DecodeWatch())
    assert link.hears(good=60) == []
    assert link.hears(good=60, unknown=40) == []


def test_a_link_that_was_started_anew_is_judged_anew() -> None:
    watch = DecodeWatch()
    link = Link(watch)
    link.hears(good=60)
    link.hears(unknown=60)
    link.records = link.unknown = 0
    assert link.hears(unknown=60) == []
    assert watch.alarms == []


def test_a_link_that_is_gone_has_no_alarm() -> None:
    watch = DecodeWatch()
    link = Link(watch)
    link.hears(good=60)
    link.hears(unknown=60)
    watch.look([])
    assert watch.alarms == []


def test_the_station_tells_it_in_the_log_and_in_its_status(tmp_path: Path) -> None:
    async def story() -> tuple[list[str], str]:
        daemon = Daemon(Settings(store=StoreSettings(path=str(tmp_path / "a.db"))))
        radio = SerialLink(name="ch1", device="/dev/none")
        intake = StreamIntake(daemon.pipeline, radio, LinkStatus("ch1"))
        with capture_logs() as log:
            for line in (b"78664C3304,-75\r\n", b"?78664C3304-75\r\n", b"?78664C3304-75\r\n"):
                intake.received(60 * line)
                await daemon.look(0)
            alarm = daemon.status_line()
            intake.received(60 * b"78664C3304,-75\r\n")
            await daemon.look(0)
        assert "ALARM" not in daemon.status_line()
        told = [f"{line['event']}: {line['link']}" for line in log if line["event"][:4] == "link"]
        return told, alarm

    told, alarm = asyncio.run(story())
    assert told == ["link hears what it cannot read any more: ch1", "link can be read again: ch1"]
    assert "ALARM link ch1 hears what it cannot read" in alarm
