"""Packets under packets, impulses, carriers, the stick's own spike: heard, and none invented."""

from random import Random

import pytest

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from radio_air import OnAir, air, found, hear  # noqa: E402  Below the check for numpy.

from protocols.ctt.packet import build_packet, id_from_number  # noqa: E402
from protocols.radio.ctt_ear import CttEar  # noqa: E402
from protocols.radio.interference import blanked, without_lines  # noqa: E402
from protocols.radio.samples import Samples, complex_samples  # noqa: E402
from simulator.iq import NOISE_RMS, RATE_HZ, Burst, IqTape, encoded, fsk_samples  # noqa: E402

COUNT = 24


def in_eight_bits(samples: Samples) -> Samples:
    return complex_samples(encoded(samples, "cu8"), "cu8")


def packets(snr_db: float, *, seed: int = 1) -> tuple[list[str], Samples]:
    """Return ids and air of packets one after the other."""
    dice = Random(seed)
    sent = [id_from_number(dice.randrange(1 << 20)) for _ in range(COUNT)]
    tape = IqTape(seed)
    for number, tag_id in enumerate(sent):
        samples = fsk_samples(build_packet(tag_id), offset_hz=dice.uniform(-8000, 8000))
        tape.put(Burst(0.01 + 0.01 * number, samples, snr_db))
    return sent, tape.take(0.02 + 0.01 * COUNT)


def pairs(levels_db: tuple[float, ...], *, seed: int = 1) -> tuple[list[list[str]], Samples]:
    """Return ids by level, and air of packets that overlap by a fifth to four fifths."""
    dice = Random(seed)
    tape = IqTape(seed)
    sent: list[list[str]] = [[] for _ in levels_db]
    for number in range(COUNT):
        at_s = 0.01 + 0.015 * number
        for level, snr_db in enumerate(levels_db):
            sent[level].append(id_from_number(dice.randrange(1 << 20)))
            samples = fsk_samples(
                build_packet(sent[level][-1]), offset_hz=dice.uniform(-3000, 3000)
            )
            tape.put(Burst(at_s, samples, snr_db))
            at_s += dice.uniform(0.2, 0.8) * len(samples) / RATE_HZ
    return sent, in_eight_bits(tape.take(0.03 + 0.015 * COUNT))


@pytest.mark.parametrize("levels_db", [(6.0, 6.0), (12.0, 6.0), (15.0, 5.0), (6.0, 0.0)])
def test_of_two_packets_that_overlap_both_are_heard(levels_db: tuple[float, ...]) -> None:
    (stronger, weaker), samples = pairs(levels_db)
    heard = {packet.tag_id for packet in hear(samples)}
    assert len(heard & set(stronger)) >= 22
    assert len(heard & set(weaker)) >= 20
    assert len(heard - set(stronger) - set(weaker)) <= 1


@pytest.mark.parametrize(
    ("stronger", "its_offset_hz", "weaker", "offset_hz", "at"),
    [
        ("7FB34B4B", 490, "ADD22A66", -13, 4408),
        ("1E1EFF7F", -2104, "B32D3387", -622, 4548),
        ("FFE63400", 2206, "2D99CB87", 1922, 4428),
    ],
)
def test_an_id_that_was_decided_beneath_another_packet_is_decided_again_without_it(
    stronger: str, its_offset_hz: int, weaker: str, offset_hz: int, at: int
) -> None:
    """At the first look, while the stronger is not yet known, the weaker's id comes out wrong."""
    sent = [
        OnAir(5000, build_packet(stronger), 14, its_offset_hz),
        OnAir(at, build_packet(weaker), 8, offset_hz),
    ]
    assert found(sent, hear(air(sent, 0.05))) == 2


def collision(*packets: tuple[str, float, int, float]) -> Samples:
    """Return air with packets of these ids, levels, beginnings and offsets."""
    sent = [OnAir(at, build_packet(tag), snr_db, hz) for tag, snr_db, at, hz in packets]
    return air(sent, 0.05)


MADE_UP = [
    pytest.param(
        "B3555555",
        (("AD550752", 15, 5469, -2399), ("D280E634", 9, 5001, -2070)),
        id="what is left beneath it is as strong as it is",
    ),
    pytest.param(
        "80E62A61",
        (("E62A619E", 6, 5000, -987), ("3380E12D", 3, 5163, -993)),
        id="the end of the preamble taken for the sync word",
    ),
    pytest.param(
        "ADD20055",
        (("2AB35500", 15, 5000, 143), ("ADD22A66", 9, 4409, 490)),
        id="a stronger packet in its last bytes",
    ),
]


@pytest.mark.parametrize(("made_up", "packets"), MADE_UP)
def test_an_id_that_two_packets_make_up_together_is_doubtful_where_listed_and_else_not_told(
    made_up: str, packets: tuple[tuple[str, float, int, float], ...]
) -> None:
    samples = collision(*packets)
    assert {packet.tag_id for packet in hear(samples)} <= {tag_id for tag_id, *_ in packets}
    heard = hear(samples, CttEar(RATE_HZ, known_tags=frozenset({made_up})))
    told = {(packet.integrity, packet.body.hex()) for packet in heard if packet.tag_id == made_up}
    assert told == {("unverified", made_up.lower())}


def test_a_packet_is_not_taken_for_what_another_makes_of_its_end() -> None:
    """Its last bytes count for less: so neither is subtracted wrong, and both are heard."""
    samples = collision(("2AB35500", 15, 5000, 143), ("ADD22A66", 9, 4409, 490))
    assert {packet.tag_id for packet in hear(samples)} == {"2AB35500", "ADD22A66"}


def test_of_three_packets_that_overlap_most_are_heard() -> None:
    sent, samples = pairs((15.0, 9.0, 3.0), seed=2)
    heard = {packet.tag_id for packet in hear(samples)}
    assert [len(heard & set(ids)) >= 18 for ids in sent] == [True, True, True]


def test_a_packet_alone_leaves_nothing_to_be_heard_beneath_it_however_strong_it_is() -> None:
    for snr_db in (10.0, 17.0, 24.0, 50.0):
        sent, samples = packets(snr_db)
        assert [packet.tag_id for packet in hear(in_eight_bits(samples))] == sent, snr_db


def test_impulses_are_blanked_and_packets_are_not() -> None:
    sent, samples = packets(-2)
    dice = np.random.default_rng(1)
    for at in dice.integers(0, len(samples), 300):
        samples[at : at + 6] += np.complex64(4 * np.exp(2j * np.pi * dice.random()))
    heard = {packet.tag_id for packet in hear(in_eight_bits(samples))}
    assert len(heard & set(sent)) >= COUNT - 1
    assert heard <= set(sent)


def test_without_blanking_impulses_would_do_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.radio.ctt_ear.blanked", lambda samples: samples)
    with pytest.raises(AssertionError):
        test_impulses_are_blanked_and_packets_are_not()


def test_noise_and_packets_pass_the_blanker_as_they_are() -> None:
    _, samples = packets(25)
    assert np.count_nonzero(blanked(samples) != samples) <= 3


@pytest.mark.parametrize(("level_db", "offset_hz"), [(10, 13_000), (25, 25_100), (0, -24_300)])
def test_packets_are_heard_through_a_carrier(level_db: float, offset_hz: float) -> None:
    sent, samples = packets(-2)
    carrier = np.exp(2j * np.pi * offset_hz / RATE_HZ * np.arange(len(samples)))
    level = np.float32(NOISE_RMS * 10 ** (level_db / 20))
    heard = {packet.tag_id for packet in hear(samples + level * carrier.astype(np.complex64))}
    assert len(heard & set(sent)) >= COUNT - 1
    assert heard <= set(sent)


def test_without_the_notch_a_carrier_would_do_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protocols.radio.ctt_ear.without_lines", lambda samples: samples)
    with pytest.raises(AssertionError):
        test_packets_are_heard_through_a_carrier(10, 13_000)


def test_packets_are_heard_through_the_sticks_own_spike() -> None:
    sent, samples = packets(-2)
    heard = {packet.tag_id for packet in hear(in_eight_bits(samples + np.complex64(0.3 + 0.2j)))}
    assert len(heard & set(sent)) >= COUNT - 1
    assert heard <= set(sent)


def test_the_notch_takes_a_carrier_and_leaves_the_rest() -> None:
    tape = IqTape(4)
    noise = tape.take(0.15)
    carrier = 2 * np.exp(2j * np.pi * (17_333.0 / RATE_HZ) * np.arange(len(noise)))
    left = without_lines(noise + carrier.astype(np.complex64))
    assert np.mean(np.abs(left - noise) ** 2) < 0.05 * np.mean(np.abs(noise) ** 2)
    assert without_lines(noise) is noise


def test_a_stream_of_strong_packets_is_no_carrier() -> None:
    sent, samples = packets(25)
    assert without_lines(samples) is samples
    assert [packet.tag_id for packet in hear(samples)] == sent


@pytest.mark.parametrize(
    "kind", ["carrier", "keyed", "two tones", "spike", "silence", "full scale"]
)
def test_what_is_no_packet_makes_none(kind: str) -> None:
    count = RATE_HZ
    place = np.arange(count)
    turn = 2j * np.pi * place / RATE_HZ
    made = {
        "carrier": 2 * np.exp(turn * 25_000),
        "keyed": 2 * np.exp(turn * 25_000) * (place // 1000 % 2),
        "two tones": np.exp(turn * np.where(place // 10 % 2, 25_000, -25_000)),
        "spike": np.full(count, 0.5 + 0.5j),
        "silence": np.zeros(count),
        "full scale": np.full(count, 1.0 + 1.0j),
    }[kind]
    noise = np.zeros(count) if kind in ("silence", "full scale") else IqTape(6).take(1.0)
    assert hear(in_eight_bits((made + noise).astype(np.complex64))) == []


def test_a_packet_that_drives_the_stick_to_full_scale_is_heard_once_and_weaker_ones_after_it() -> (
    None
):
    tape = IqTape(8)
    tape.put(Burst(0.02, fsk_samples(build_packet("78664C33")), 40))
    tape.put(Burst(0.0233, fsk_samples(build_packet("19E680CB")), -1))
    heard = hear(in_eight_bits(tape.take(0.1)))
    assert [packet.tag_id for packet in heard] == ["78664C33", "19E680CB"]


@pytest.mark.parametrize("offset", [0.0, 0.5, 0.25 + 0.1j])
def test_a_stick_with_too_little_gain_hears_strong_packets_once_and_nothing_between(
    offset: complex,
) -> None:
    """No noise reaches the converter's first step: what is left is one byte, again and again."""
    samples = np.full(250_000, offset / 127.5, dtype=np.complex64)
    sent = [id_from_number(1 + 4001 * number) for number in range(20)]
    for number, tag_id in enumerate(sent):
        packet = fsk_samples(build_packet(tag_id))
        samples[5000 + 12_000 * number :][: len(packet)] += np.complex64(0.3) * packet
    assert [packet.tag_id for packet in hear(in_eight_bits(samples))] == sent


@pytest.mark.parametrize("level", [0.05, 1.0])
@pytest.mark.parametrize("offset_hz", [-25_000, 25_000])
@pytest.mark.parametrize("on_samples", [250_000, 12_500, 2_000])
def test_a_carrier_in_the_place_of_one_tone_makes_no_packet(
    level: float, offset_hz: int, on_samples: int
) -> None:
    at = np.arange(250_000)
    tone = np.exp(2j * np.pi * offset_hz / RATE_HZ * at) * (at % 25_000 < on_samples)
    silence = np.zeros(len(at), dtype=np.complex64)
    for beside in (silence, IqTape(1).take(1.0)):
        assert hear(in_eight_bits(beside + (level * tone).astype(np.complex64))) == []


def test_digital_silence_makes_no_packet_however_noise_is_cut_out_by_it() -> None:
    noise = IqTape(2).take(1.0)
    for period in (640, 1000, 25_000):
        there = np.arange(len(noise)) % period < period // 2
        assert hear(noise * there) == []
