"""The parts of a software radio's worker: times, gain, keeping up, sources, kept samples."""

import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.errors import PacketError
from protocols.rtl_tcp import (
    COMMAND,
    GREETING,
    SET_BIAS_TEE,
    SET_FREQUENCY,
    SET_GAIN,
    SET_PPM,
    TUNER_R820T,
    tuner_of,
    tuning,
)
from receiver import config, radio_settings
from receiver.radio_settings import SoftwareRadioLink
from receiver.radio_worker.auto_gain import LOUDEST_LSB, QUIETEST_LSB, AutoGain
from receiver.radio_worker.feed import Feed
from receiver.radio_worker.kept_samples import KeptSamples, Packet
from receiver.radio_worker.pace import Pace, grids
from receiver.radio_worker.sample_clock import SampleClock
from receiver.radio_worker.sources import Pipe, Played, SourceError, Stick
from receiver.spectrum.tuning import tunings

RATE_HZ = 250_000
PORTION = 131_072
"""Samples that a stick hands over at once: librtlsdr's 256 KiB."""
NS = 1_000_000_000
STEP_NS = 20_000_000
GAINS_DB = tuner_of(GREETING.build({"tuner": TUNER_R820T, "gains": 29}))[1]


def link(**told: object) -> SoftwareRadioLink:
    return msgspec.convert(
        {"name": "stick", "source": "rtl_tcp://127.0.0.1", **told}, SoftwareRadioLink
    )


# Times.


class Air:
    """A stick that hands over portions, each a little late; now and then the reader is away."""

    def __init__(self, ppm: float, seed: int) -> None:
        self.period_ns = NS / RATE_HZ * (1 + ppm * 1e-6)
        self.clock = SampleClock(RATE_HZ)
        self.samples = 0
        self.lost_ns = 0.0
        self._dice = random.Random(seed)
        self._read_ns = 0

    def true_ns(self, sample: float) -> float:
        """Return when a sample was made."""
        return sample * self.period_ns + self.lost_ns

    def play(self, seconds: float) -> Iterator[float]:
        """Yield the error of the newest sample's time, in ms, after each portion."""
        for _ in range(round(seconds * RATE_HZ / PORTION)):
            first, self.samples = self.samples, self.samples + PORTION
            late_ns = self._dice.expovariate(1 / 3e6)
            if self._dice.random() < 0.02:
                late_ns += self._dice.random() * 2e9
            ready_ns = round(self.true_ns(self.samples) + late_ns)
            self._read_ns = max(self._read_ns, ready_ns)
            for part in (1, 2, 3, 4):
                self.clock.arrived(first + PORTION * part // 4, self._read_ns + 100_000 * part)
            self._read_ns += 400_000
            yield (self.clock.mono_ns(self.samples) - self.true_ns(self.samples)) / 1e6


@pytest.mark.parametrize("ppm", [-100.0, -20.0, 0.0, 60.0, 100.0])
def test_times_stay_within_5_ms_for_an_hour_whatever_the_crystal_and_the_delays(ppm: float) -> None:
    air = Air(ppm, seed=7)
    errors = list(air.play(3600))[6:]
    assert max(abs(error) for error in errors) < 5
    assert abs(air.clock.crystal_ppm + ppm) < 20
    assert (air.clock.steps, air.clock.samples_lost) == (0, 0)


def test_gaps_between_pulses_are_right_to_a_fifth_of_a_millisecond() -> None:
    air = Air(100.0, seed=3)
    told = []
    for _ in air.play(300):
        told += [
            (sample, air.clock.mono_ns(sample)) for sample in (air.samples - 60_000, air.samples)
        ]
    for (first, first_ns), (second, second_ns) in pairwise(told[60:]):
        assert abs(second_ns - first_ns - (second - first) * air.period_ns) < 0.2e6


def test_samples_lost_on_the_way_are_counted_and_times_are_right_again_soon() -> None:
    air = Air(30.0, seed=5)
    list(air.play(60))
    air.lost_ns += 1.5 * NS
    errors = list(air.play(60))
    assert abs(errors[-1]) < 5
    assert max(abs(error) for error in errors[14:]) < 5, "within seven seconds"
    assert abs(air.clock.samples_lost / RATE_HZ - 1.5) < 0.02
    assert air.clock.steps == 1


def test_a_reader_that_was_away_for_ten_seconds_has_lost_nothing() -> None:
    air = Air(0.0, seed=5)
    list(air.play(60))
    air._read_ns += 10 * NS
    errors = list(air.play(60))
    assert air.clock.samples_lost == 0
    assert abs(errors[-1]) < 5


def test_times_of_the_first_seconds_are_those_of_the_earliest_arrivals() -> None:
    clock = SampleClock(RATE_HZ)
    for part in (1, 2, 3, 4):
        clock.arrived(PORTION * part // 4, NS)
    assert abs(clock.mono_ns(PORTION) - NS) < 1000


# Gain.


def settled(auto: AutoGain, noise_at_0_db_lsb: float, blocks: int = 400) -> list[float]:
    """Return the gains that were set, for noise of a level."""
    said = []
    for _ in range(blocks):
        noise_lsb = min(60.0, noise_at_0_db_lsb * 10 ** (auto.gain_db / 20))
        wanted = auto.heard(noise_lsb, 0.1 if noise_lsb > 45 else 0.0, is_busy=False)
        if wanted is not None:
            said.append(wanted)
    return said


@pytest.mark.parametrize("noise_lsb", [0.03, 0.1, 0.5, 1.0, 3.0, 8.0])
def test_the_gain_settles_where_noise_fills_eight_to_twenty_steps(noise_lsb: float) -> None:
    auto = AutoGain(GAINS_DB)
    settled(auto, noise_lsb)
    assert QUIETEST_LSB <= noise_lsb * 10 ** (auto.gain_db / 20) <= LOUDEST_LSB
    assert settled(auto, noise_lsb) == [], "and stays there"


def test_the_gain_waits_for_the_end_of_a_packet() -> None:
    auto = AutoGain(GAINS_DB)
    assert all(auto.heard(2.0, 0.0, is_busy=True) is None for _ in range(50))
    assert auto.heard(2.0, 0.0, is_busy=False) is not None


def test_strong_packets_do_not_turn_the_gain_down() -> None:
    auto = AutoGain(GAINS_DB)
    said = [auto.heard(12.0, 0.2 if n % 4 == 0 else 0.03, is_busy=False) for n in range(200)]
    assert set(said) == {None}


def test_what_is_always_cut_off_turns_the_gain_down_though_the_noise_is_low() -> None:
    auto = AutoGain(GAINS_DB)
    before = auto.gain_db
    said = [auto.heard(4.0, 0.3, is_busy=False) for _ in range(16)]
    assert auto.gain_db < before
    lower = auto.gain_db
    assert [auto.heard(4.0, 0.0, is_busy=False) for _ in range(60)] == [None] * 60, "no pumping"
    assert auto.gain_db == lower
    assert any(said)


# Keeping up.


def test_the_grid_is_thinned_step_by_step_before_anything_is_dropped() -> None:
    pace = Pace(3, now_s=0.0)
    happened: list[tuple[int, bool]] = []
    for tenths in range(200):
        now_s = tenths / 10
        dropped = pace.look(0.5 * now_s, now_s)
        if not happened or happened[-1] != (pace.level, dropped):
            happened.append((pace.level, dropped))
    assert happened == [(0, False), (1, False), (2, False), (2, True)]
    assert pace.thinned_s == pytest.approx(19.9 - 3.0, abs=0.2)


def test_the_whole_grid_comes_back_later_each_time_that_it_was_too_much() -> None:
    pace = Pace(2, now_s=0.0)
    returns = []
    changed_s = 0.0
    for second in range(4000):
        level = pace.level
        pace.look(2.0 if level == 0 and second - changed_s >= 3 else 0.1, float(second))
        if pace.level != level:
            if pace.level == 0:
                returns.append(second - changed_s)
            changed_s = second
    assert returns[0] >= 60
    assert all(later >= sooner for sooner, later in pairwise(returns))
    assert returns[-1] >= 480


def test_grids_grow_thinner_around_the_middle() -> None:
    assert grids([-20e3, -10e3, 0, 10e3, 20e3]) == [
        (-20e3, -10e3, 0, 10e3, 20e3),
        (-20e3, 0, 20e3),
        (0,),
    ]


# Sources.


def test_a_stick_is_told_everything_it_needs_and_negative_numbers_too() -> None:
    commands = b"".join(
        tuning(frequency_hz=433_950_000, rate_hz=250_000, ppm=-3, gain_db=38.6, bias_tee=True)
    )
    told = [COMMAND.parse(commands[at : at + 5]) for at in range(0, len(commands), 5)]
    arguments = {each.number: each.argument for each in told}
    assert arguments[SET_FREQUENCY] == 433_950_000
    assert arguments[SET_PPM] == 0xFFFFFFFD
    assert arguments[SET_GAIN] == 386
    assert arguments[SET_BIAS_TEE] == 1


@given(st.binary(max_size=16))
def test_no_greeting_raises_anything_but_a_packet_error(greeting: bytes) -> None:
    try:
        tuner_of(greeting)
    except PacketError:
        return
    assert greeting.startswith(b"RTL0")


def test_something_else_that_answers_is_told_as_such() -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    with ours, theirs, pytest.raises(SourceError, match="not rtl_tcp"):
        Stick.greeted(ours, link())


def test_a_stick_that_says_nothing_is_silent_and_one_that_hangs_up_is_not() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(SourceError) as silent:
        Stick.greeted(ours, link(), stall_s=0.02)
    assert silent.value.is_silent
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(SourceError) as gone:
        Stick.greeted(ours, link(), stall_s=0.02)
    assert not gone.value.is_silent


def test_a_pipe_waits_for_its_writer_and_tells_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "air.cu8"
    os.mkfifo(path)
    pipe = Pipe(str(path))
    writer = threading.Thread(target=lambda: path.write_bytes(bytes(1000)))
    writer.start()
    assert pipe.read() == bytes(1000)
    writer.join()
    with pytest.raises(SourceError, match="has ended"):
        pipe.read()
    pipe.close()


def test_a_file_is_played_at_its_own_pace_and_once(tmp_path: Path) -> None:
    path = tmp_path / "air.cu8"
    path.write_bytes(bytes(2 * RATE_HZ))
    now = [100.0]
    file = Played(
        str(path),
        2 * RATE_HZ,
        monotonic=lambda: now[0],
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
    )
    assert sum(len(file.read()) for _ in range(4)) == 2 * RATE_HZ
    with pytest.raises(SourceError) as over:
        file.read()
    file.close()
    assert over.value.is_over
    assert now[0] == pytest.approx(101.25)


def test_what_is_not_what_the_source_says_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="not a pipe"):
        Pipe(str(tmp_path))
    with pytest.raises(SourceError, match="No such file"):
        Played(str(tmp_path / "none.cu8"), 500_000)


class Poured:
    """A live source that gives all at once and then waits."""

    radio = "poured"
    gains_db: tuple[float, ...] = ()
    is_live = True

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = iter(chunks)
        self._stopped = threading.Event()

    def read(self) -> bytes:
        """Return the next chunk at once."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self._stopped.wait()
            raise SourceError("stopped", "")
        return chunk

    def set_gain(self, gain_db: float) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Wait no more."""
        self._stopped.set()

    def close(self) -> None:
        """Do nothing."""


def test_a_feed_is_bounded_and_what_it_dropped_shows_as_a_gap() -> None:
    feed = Feed(Poured([bytes([n]) * 100 for n in range(10)]), 300)
    feed.start()
    deadline = time.monotonic() + 5
    while feed._received_bytes < 1000 and time.monotonic() < deadline:
        time.sleep(0.001)
    taken = feed.take(1, 1)
    assert taken[0].end == 800
    assert taken[0].chunk == bytes([7]) * 100
    assert sum(len(each.chunk) for each in feed.take(200, 1)) == 200
    feed.close()
    with pytest.raises(SourceError):
        feed.take(1, 1)


# Kept samples.


def utc_of(sample: int) -> int:
    return 1_780_000_000 * NS + sample * NS // RATE_HZ


def test_samples_around_packets_are_files_that_say_what_is_in_them(tmp_path: Path) -> None:
    kept = KeptSamples(link(keep="all", keep_folder=str(tmp_path), keep_seconds=0.1), 2, 4.0)
    at = 0
    block = RATE_HZ // 4
    for number in range(12):
        kept.heard(at, bytes([number]) * (2 * block), utc_of)
        at += block
        if number == 3:
            kept.want(Packet(2 * block, 2 * block + 640, "78664C33 verified"), utc_of)
            kept.want(Packet(2 * block + 900, 2 * block + 1540, "61552D4C doubtful"), utc_of)
    assert kept.files == 1
    (samples,) = tmp_path.glob("*.cu8")
    assert samples.name == "stick_20260528T202640.400Z_433.95M_250k.cu8"
    assert samples.stat().st_size == 2 * (2 * 25_000 + 1540)
    assert samples.read_bytes()[: 2 * 25_000] == bytes([1]) * (2 * 25_000)
    told = msgspec.json.decode(samples.with_suffix(".sigmf-meta").read_bytes())
    assert told["global"]["core:sample_rate"] == RATE_HZ
    assert told["captures"][0]["core:frequency"] == 433_950_000
    assert [each["core:label"] for each in told["annotations"]] == [
        "78664C33 verified",
        "61552D4C doubtful",
    ]
    assert told["annotations"][0]["core:sample_start"] == 25_000


def test_kept_samples_never_take_more_room_than_they_may(tmp_path: Path) -> None:
    told = link(keep="all", keep_folder=str(tmp_path), keep_seconds=0.5, keep_mb=2)
    kept = KeptSamples(told, 2, 4.0)
    at = 0
    for number in range(60):
        kept.heard(at, bytes(RATE_HZ), utc_of)
        at += RATE_HZ // 2
        if number % 6 == 3:
            kept.want(Packet(at - 1000, at - 400, "packet"), utc_of)
    sizes = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert kept.files == 10
    assert kept.files_removed == 7
    assert 1_400_000 < sizes < 2_010_000
    assert len(list(tmp_path.glob("*.sigmf-meta"))) == len(list(tmp_path.glob("*.cu8"))) == 3


def test_a_disk_that_takes_nothing_costs_a_count(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    kept = KeptSamples(link(keep="all", keep_folder=str(blocked)), 2, 4.0)
    kept.heard(0, bytes(4 * RATE_HZ), utc_of)
    kept.want(Packet(RATE_HZ, RATE_HZ + 640, "packet"), utc_of)
    kept.heard(2 * RATE_HZ, bytes(4), utc_of)
    assert (kept.files, kept.packets_not_kept) == (0, 1)


# Settings.


@settings(max_examples=50)
@given(st.integers(160_000, 3_200_000), st.sampled_from(["ctt-434", "coded-id"]))
def test_every_rate_is_used_or_refused_with_what_would_do(rate_hz: int, hears: str) -> None:
    told = link(rate_hz=rate_hz, hears=hears, frequency_mhz=166.38)
    complaints = radio_settings.contradictions(told)
    if not complaints and hears == "coded-id":
        assert rate_hz % told.decimation == 0
        assert 48_000 <= rate_hz // told.decimation <= 96_000
    assert all(key in {"rate_hz", "offset_hz"} for key, _ in complaints)


def test_a_coded_id_link_needs_a_frequency_and_a_port_must_exist() -> None:
    assert [key for key, _ in radio_settings.contradictions(link(hears="coded-id"))] == [
        "frequency_mhz"
    ]
    assert radio_settings.contradictions(link(source="rtl_tcp://[::1]:70000"))[0][0] == "source"
    assert link(source="rtl_tcp://[::1]:7000").address == ("::1", 7000)
    assert link(source="rtl_tcp://pi.example").address == ("pi.example", 1234)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('source = "rtl_tcp://pi"\nrate_hz = 500000', ["rate_hz", "225001 to 300000"]),
        ('source = "rtl_tcp://pi"\ngain = "much"', ["gain", "auto"]),
        ('source = "usb:0"', ["source", "rtl_tcp://HOST"]),
        ('source = "rtl_tcp://pi"\noffset_hz = 100000', ["offset_hz", "do not fit"]),
        ('source = "rtl_tcp://pi"\nhears = "coded-id"', ["frequency_mhz", "166.38"]),
        ('source = "rtl_tcp://pi"\nbais_tee = true', ["bais_tee", "bias_tee"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(lines: str, words: list[str]) -> None:
    text = f'[[links]]\nkind = "software-radio"\nname = "stick"\n{lines}\n'
    with pytest.raises(config.ConfigError) as caught:
        config.parse(text, Path("/etc/stopover/station.toml"))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_paths_of_a_link_are_taken_from_the_folder_of_its_configuration() -> None:
    text = (
        '[[links]]\nkind = "software-radio"\nname = "s"\nsource = "pipe:air.cu8"\nkeep = "weak"\n'
    )
    (parsed,) = config.parse(text, Path("/etc/stopover/station.toml")).links
    assert isinstance(parsed, SoftwareRadioLink)
    assert parsed.source == "pipe:/etc/stopover/air.cu8"
    assert parsed.keep_folder == "/etc/stopover/samples"


def test_the_spectrum_evidence_knows_where_a_software_radio_listens() -> None:
    (tuning,) = tunings([link(hears="coded-id", frequency_mhz=166.38)])
    assert (tuning.low_hz, tuning.high_hz, tuning.decoder) == (
        166_380_000,
        166_380_000,
        "radio-pulse",
    )
    assert [each.low_hz for each in tunings([link()])] == [434_000_000]
