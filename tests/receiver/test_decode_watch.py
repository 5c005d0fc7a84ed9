"""A link that used to decode and starts to fail raises an alarm, once; so does its end."""

from receiver.decode_watch import DecodeWatch, DecodingChange, LinkTotals


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
