"""The worker's loop with made-up samples and time: losses, a slow processor, gaps, gain, lists."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec
import pytest

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

import numpy as np

from protocols.ctt.packet import build_packet
from protocols.records import Detection
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.channel import Caught, CttChannel
from receiver.radio_worker.feed import Arrival
from receiver.radio_worker.listening import Listening
from receiver.radio_worker.messages import HeardDetection, Level, Opened, Report
from receiver.radio_worker.sources import SourceError
from receiver.radio_worker.tuning import ByteLevels, Decimator
from simulator.iq import Burst, IqTape, encoded, fsk_samples

RATE_HZ = 250_000
NS = 1_000_000_000
PORTION = 62_500
"""Samples of a read: a quarter of a second."""
STICK = SoftwareRadioLink(name="stick", source="rtl_tcp://127.0.0.1")
PACKET = Detection(protocol="ctt-434", tag_id="78664C33", integrity="verified", snr_db=9.0)


class Ticking:
    """A source and its feed at once: a read each quarter of a second, of a clock of its own."""

    radio = "RTL-SDR made up"
    gains_db: tuple[float, ...] = (0.0, 10.0, 20.0, 30.0)
    is_live = True

    def __init__(self, reads: int, *, chunk: bytes = bytes(2 * PORTION)) -> None:
        self.now_s = 100.0
        self.gains: list[float] = []
        self.dropped_reads = 0
        self.lost_before: dict[int, float] = {}
        """Seconds that are lost before the read of a number."""
        self._chunk = chunk
        self._reads = reads
        self._made = 0
        self._taken = 0
        self._lost_s = 0.0

    def monotonic(self) -> float:
        """Return the time of this world."""
        return self.now_s

    def set_gain(self, gain_db: float) -> None:
        """Note the gain."""
        self.gains.append(gain_db)

    def read(self) -> bytes:
        """Never called: reads come by `take`."""
        raise AssertionError

    def stop(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    @property
    def waiting_bytes(self) -> int:
        """What has been read by now and not taken."""
        ready = min(self._reads, int((self.now_s - 100.0) * RATE_HZ / PORTION))
        return (ready - self._taken) * len(self._chunk)

    def take(self, enough_bytes: int, timeout_s: float) -> list[Arrival]:
        """Return the next read, later if it is not there yet."""
        del enough_bytes, timeout_s
        if self._taken == self._reads:
            raise SourceError("the end", "")
        self._lost_s += self.lost_before.get(self._taken, 0.0)
        self._taken += 1
        made_s = 100.0 + self._taken * PORTION / RATE_HZ + self._lost_s
        self.now_s = max(self.now_s, made_s)
        return [Arrival(self._chunk, self._taken * len(self._chunk), round(made_s * NS))]

    def drop(self, left_bytes: int) -> None:
        """Drop reads until only so much is left."""
        while self.waiting_bytes > left_bytes:
            self._taken += 1
            self.dropped_reads += 1


class Listener:
    """A channel that takes its time, and catches a packet at chosen samples."""

    noise_dbfs = -20.0
    occupancy = 0.01
    left_out = 0

    def __init__(
        self, slow: Callable[[int], object] = lambda _: None, packets: Sequence[int] = ()
    ) -> None:
        self.grid_levels = 3
        self.level = 0
        self.begun: list[int] = []
        self.fed: list[int] = []
        self.known: list[frozenset[str]] = []
        self._slow = slow
        self._packets = list(packets)
        self._at = 0

    def begin(self, sample: int) -> None:
        """Note it."""
        self.begun.append(sample)
        self._at = sample

    def feed(self, chunk: bytes, full_scale_dbm: float | None) -> list[Caught]:
        """Take time; return the packets that end in these samples."""
        del full_scale_dbm
        self.fed.append(len(chunk))
        self._at += len(chunk) // 2
        self._slow(self.level)
        caught = [each for each in self._packets if each <= self._at]
        self._packets = self._packets[len(caught) :]
        return [Caught(PACKET, each - 800, each) for each in caught]

    def finish(self, full_scale_dbm: float | None) -> list[Caught]:
        """Return nothing."""
        del full_scale_dbm
        return []

    def know(self, tags: frozenset[str]) -> None:
        """Note them."""
        self.known.append(tags)

    def thin(self, level: int) -> str | None:
        """Note it."""
        self.level = level
        return f"level {level}" if level else None


def listen(world: Ticking, channel: Listener, link: SoftwareRadioLink = STICK) -> list[Report]:
    """Listen to the end; return what was told."""
    reports: list[Report] = []
    listening = Listening(
        link,
        world,
        world,
        channel,
        frame_bytes=2,
        tell=reports.append,
        monotonic=world.monotonic,
    )
    with pytest.raises(SourceError, match="the end"):
        listening.run()
    return reports


def counted(reports: Sequence[Report]) -> dict[str, int]:
    """Return all that was counted, added up."""
    total: dict[str, int] = {}
    for report in reports:
        if isinstance(report, Level):
            for name, count in report.counted.items():
                total[name] = total.get(name, 0) + count
    return total


def test_packets_are_told_with_the_time_of_their_end() -> None:
    world, channel = Ticking(40), Listener(packets=[100_000, 1_000_000, 2_000_000])
    reports = listen(world, channel)
    assert isinstance(reports[0], Opened)
    heard = [each for each in reports if isinstance(each, HeardDetection)]
    assert [each.mono_ns for each in heard] == pytest.approx(
        [104_000 * NS // 1000 - 3600 * NS // 1000, 104 * NS, 108 * NS], abs=1000
    )
    assert counted(reports) == {}


def test_samples_lost_on_the_way_are_counted_and_later_packets_have_the_right_time() -> None:
    world = Ticking(200)
    world.lost_before = {100: 1.25}
    channel = Listener(packets=[45 * RATE_HZ])
    reports = listen(world, channel)
    (heard,) = (each for each in reports if isinstance(each, HeardDetection))
    assert heard.mono_ns == pytest.approx((100 + 45 + 1.25) * NS, abs=2e6)
    assert counted(reports)["samples_lost"] == pytest.approx(1.25 * RATE_HZ, rel=0.01)
    assert counted(reports)["clock_steps"] == 1


def test_a_slow_processor_thins_the_grid_and_that_is_enough() -> None:
    world = Ticking(400)

    def take_time(level: int) -> None:
        world.now_s += (0.4, 0.24, 0.1)[level]

    reports = listen(world, Listener(take_time))
    totals = counted(reports)
    assert world.dropped_reads == 0
    assert "samples_dropped" not in totals
    assert totals["grid_thinned_s"] > 50
    straits = [each.straits for each in reports if isinstance(each, Level)]
    assert "level 1" in straits
    assert straits[-1] is not None


def test_a_processor_that_is_far_too_slow_drops_samples_only_when_the_grid_is_thinnest() -> None:
    world, channel = Ticking(400), Listener(packets=[80 * RATE_HZ])
    levels_at_drops: list[int] = []
    drop = world.drop

    def noted_drop(left_bytes: int) -> None:
        levels_at_drops.append(channel.level)
        drop(left_bytes)

    world.drop = noted_drop  # type: ignore[method-assign]

    def take_time(_: int) -> None:
        world.now_s += 0.5

    channel._slow = take_time
    reports = listen(world, channel)
    totals = counted(reports)
    assert set(levels_at_drops) == {2}
    assert totals["samples_dropped"] == pytest.approx(world.dropped_reads * PORTION, abs=PORTION)
    assert channel.begun, "the channel begins anew behind each gap"
    (heard,) = (each for each in reports if isinstance(each, HeardDetection))
    assert heard.mono_ns == pytest.approx(180 * NS, abs=2e6), "drops are no losses: times are right"
    assert totals["grid_thinned_s"] > 50
    assert "samples_lost" not in totals


def test_a_recording_is_never_dropped_and_never_thinned() -> None:
    world = Ticking(100)
    world.is_live = False

    def take_time(_: int) -> None:
        world.now_s += 3

    channel = Listener(take_time)
    reports = listen(world, channel)
    assert len(channel.fed) == 100
    assert channel.level == 0
    assert counted(reports) == {}


def test_a_read_that_ends_within_a_sample_shifts_nothing() -> None:
    world = Ticking(40, chunk=bytes(2 * PORTION + 1))
    channel = Listener()
    listen(world, channel)
    assert all(length % 2 == 0 for length in channel.fed)
    assert sum(channel.fed) == 40 * (2 * PORTION + 1)
    assert channel.begun == []


def test_new_known_tags_reach_the_ear_at_the_next_samples() -> None:
    world, channel = Ticking(8), Listener()
    listening = Listening(
        STICK,
        world,
        world,
        channel,
        frame_bytes=2,
        tell=lambda _: None,
        monotonic=world.monotonic,
    )
    listening.know(frozenset({"78664C33"}))
    with pytest.raises(SourceError):
        listening.run()
    assert channel.known == [frozenset({"78664C33"})]
    assert channel.begun == [PORTION]


def test_the_stick_is_given_more_gain_until_its_noise_fills_the_converter() -> None:
    rng = np.random.default_rng(1)
    faint = np.rint(127.5 + 3 * rng.standard_normal(2 * PORTION)).astype(np.uint8)
    world = Ticking(40, chunk=faint.tobytes())
    reports = listen(world, Listener())
    assert world.gains[0] == 20.0
    assert world.gains[1:] == [30.0]
    levels = [each for each in reports if isinstance(each, Level)]
    assert levels[-1].measurements["gain_db"] == 30.0


def test_a_gain_that_was_told_stays() -> None:
    world = Ticking(40)
    reports = listen(
        world, Listener(), msgspec.structs.replace(STICK, gain=12.0, full_scale_dbm=-5.0)
    )
    assert world.gains == []
    levels = [each for each in reports if isinstance(each, Level)]
    assert levels[-1].measurements["gain_db"] == 10.0, "what the tuner has nearest to it"
    assert levels[-1].measurements["noise_dbm"] == -20 - 5 - 10


def test_levels_of_bytes_tell_noise_from_packets_and_what_is_cut_off() -> None:
    rng = np.random.default_rng(2)
    steps = 140 + 10 * rng.standard_normal(100_000)
    steps[40_000:42_000] = 255
    noise, clipped, is_busy = ByteLevels(RATE_HZ).of(
        np.clip(np.rint(steps), 0, 255).astype(np.uint8).tobytes()
    )
    assert noise == pytest.approx(10, rel=0.05)
    assert clipped == pytest.approx(0.02, rel=0.05)
    assert not is_busy
    steps[-2_000:] = 140 + 40 * rng.standard_normal(2_000)
    assert ByteLevels(RATE_HZ).of(np.clip(steps, 0, 255).astype(np.uint8).tobytes())[2]


@pytest.mark.parametrize("count", [2, 5, 20])
def test_thinned_out_samples_keep_their_instant_and_leave_out_what_is_beside(count: int) -> None:
    rate_hz = 48_000 * count
    at = np.arange(rate_hz // 4)
    spot = np.exp(-0.5 * ((at - 6_000.0) / (3 * count)) ** 2)
    inside = spot * np.exp(2j * np.pi * 25_000 * at / rate_hz)
    whole = Decimator(rate_hz, 25_000, count)
    out = np.abs(whole.feed(inside.astype(np.complex64)))
    centre = float((out * np.arange(len(out))).sum() / out.sum())
    assert centre * count - whole.delay == pytest.approx(6_000, abs=0.05 * count)
    beside = np.exp(2j * np.pi * (25_000 + 40_000) * at / rate_hz).astype(np.complex64)
    if count > 2:
        assert np.abs(Decimator(rate_hz, 25_000, count).feed(beside)[50:]).max() < 0.002


def test_how_samples_are_cut_makes_no_difference_to_what_comes_out() -> None:
    rng = np.random.default_rng(3)
    samples = (rng.standard_normal(20_000) + 1j * rng.standard_normal(20_000)).astype(np.complex64)
    whole = Decimator(RATE_HZ, 25_000, 5).feed(samples)
    pieces = Decimator(RATE_HZ, 25_000, 5)
    cuts = [0, 1, 2, 700, 701, 5_003, 12_000, 20_000]
    joined = np.concatenate([pieces.feed(samples[a:b]) for a, b in pairwise(cuts)])
    assert np.allclose(joined, whole, atol=1e-5)


def test_where_samples_end_no_packet_is_made_up_of_the_silence_behind_them() -> None:
    tape = IqTape(5)
    samples = encoded(tape.take(2.0), "cu8")
    link = SoftwareRadioLink(name="file", source="file:air.cu8", offset_hz=0)
    for cut in range(100_000, 200_000, 6_500):
        channel = CttChannel(link, frozenset())
        assert channel.feed(samples[:cut], None) + channel.finish(None) == []


def test_a_packet_at_the_very_end_of_samples_is_heard() -> None:
    tape = IqTape(5)
    packet = fsk_samples(build_packet("78664C33"))
    tape.put(Burst(0.5, packet, 15))
    samples = encoded(tape.take(0.5 + len(packet) / RATE_HZ), "cu8")
    channel = CttChannel(
        SoftwareRadioLink(name="file", source="file:air.cu8", offset_hz=0), frozenset()
    )
    (caught,) = channel.feed(samples, None) + channel.finish(None)
    assert isinstance(caught.record, Detection)
    assert caught.record.tag_id == "78664C33"


def test_known_tags_are_believed_where_a_packet_cannot_prove_itself() -> None:
    tape = IqTape(5)
    packet = fsk_samples(build_packet("78664C33"))
    for number in range(40):
        tape.put(Burst(0.2 + 0.05 * number, packet, -7.0))
    samples = encoded(tape.take(2.4), "cu8")
    link = SoftwareRadioLink(name="file", source="file:air.cu8", offset_hz=0)
    heard = {}
    for known in (frozenset[str](), frozenset({"78664C33"})):
        channel = CttChannel(link, frozenset())
        channel.know(known)
        channel.begin(0)
        heard[known] = channel.feed(samples, None) + channel.finish(None)
    without, with_list = heard.values()
    assert len(with_list) > len(without)
    assert {each.record.tag_id for each in with_list if isinstance(each.record, Detection)} == {
        "78664C33"
    }
