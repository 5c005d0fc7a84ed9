"""CTT packets out of I/Q: how weak, how far off, how sure, and what is never heard."""

from random import Random

import pytest

np = pytest.importorskip("numpy", reason="numpy is not installed: pip install 'stopover[sdr]'")

from radio_air import (  # noqa: E402  Below the check for numpy.
    FIELD_PACKET,
    NOISE_DBFS,
    PACKET_SAMPLES,
    OnAir,
    air,
    found,
    hear,
    some_packets,
)

from protocols.checksums import crc8_smbus  # noqa: E402
from protocols.ctt.extended import build_extended_packet  # noqa: E402
from protocols.ctt.packet import id_from_number  # noqa: E402
from protocols.radio.ctt_ear import CttEar  # noqa: E402
from protocols.radio.heard_packet import detection_of  # noqa: E402
from protocols.radio.samples import SampleBytes  # noqa: E402
from simulator.iq import RATE_HZ, Burst, IqTape, encoded, fsk_samples  # noqa: E402


def test_the_packet_of_the_field_records_is_heard_with_all_its_numbers() -> None:
    (packet,) = hear(air([OnAir(70_123, FIELD_PACKET, 10, offset_hz=3210)], 0.5))
    assert (packet.tag_id, packet.body, packet.integrity) == ("78664C33", FIELD_PACKET, "verified")
    assert packet.first_sample == pytest.approx(70_123, abs=1.5)
    assert packet.end_sample == pytest.approx(70_123 + PACKET_SAMPLES, abs=2)
    assert packet.frequency_offset_hz == pytest.approx(3210, abs=10)
    assert packet.bit_rate_error == pytest.approx(0, abs=2e-4)
    assert packet.signal_dbfs == pytest.approx(NOISE_DBFS + 10, abs=0.3)
    assert packet.noise_dbfs == pytest.approx(NOISE_DBFS, abs=0.3)
    assert packet.snr_db == pytest.approx(10, abs=0.5)
    assert packet.score == pytest.approx(0.99, abs=0.01)


def test_all_packets_at_the_level_of_the_noise_are_heard_whatever_their_frequency() -> None:
    sent = some_packets(60, -1)
    assert found(sent, hear(air(sent, 0.8))) == 60


def test_four_decibels_below_the_noise_nine_of_ten_packets_are_heard() -> None:
    sent = some_packets(60, -4, seed=4)
    assert found(sent, hear(air(sent, 0.8, seed=4))) >= 54


def test_a_tag_beyond_the_end_of_the_grid_is_heard_there() -> None:
    sent = [OnAir(9000, FIELD_PACKET, 0, offset_hz=25_000), OnAir(20_000, FIELD_PACKET, 0, -25_000)]
    assert found(sent, hear(air(sent, 0.2))) == 2


@pytest.mark.parametrize("rate_error", [-0.005, -0.002, 0.002, 0.005])
def test_bit_rates_half_a_percent_off_are_heard_and_told(rate_error: float) -> None:
    sent = [
        each._replace(bit_rate=25_000 * (1 + rate_error)) for each in some_packets(12, 0, seed=7)
    ]
    heard = hear(air(sent, 0.2))
    assert found(sent, heard) >= 11
    assert np.median([packet.bit_rate_error for packet in heard]) == pytest.approx(
        rate_error, abs=5e-4
    )


def test_a_drifting_tag_is_followed() -> None:
    sent = [
        OnAir(5000 + 5000 * step, FIELD_PACKET, -1, -20_000 + 2000 * step) for step in range(20)
    ]
    heard = hear(air(sent, 0.45))
    assert found(sent, heard) == 20
    for each, packet in zip(sent, heard, strict=True):
        assert packet.frequency_offset_hz == pytest.approx(each.offset_hz, abs=60)


def test_a_tag_that_sends_two_bytes_of_preamble_is_heard_from_its_own_beginning() -> None:
    samples = fsk_samples(FIELD_PACKET)[80:]
    tape = IqTape(3)
    tape.put(Burst(0.05, samples, 6))
    (packet,) = hear(tape.take(0.1))
    assert packet.tag_id == "78664C33"
    assert packet.first_sample == pytest.approx(0.05 * RATE_HZ, abs=1.5)


@pytest.mark.parametrize(("form", "length"), [(1, 2), (7, 4), (9, 6), (15, 10)])
def test_long_packets_are_heard_whole(form: int, length: int) -> None:
    packet = build_extended_packet("78664C33", form=form, payload=bytes(range(7, 7 + length)))
    sent = [OnAir(9000, packet, 1, 4000), OnAir(19_000, FIELD_PACKET, 1, 4000)]
    long, short = hear(air(sent, 0.15))
    assert (long.body, short.body) == (packet, FIELD_PACKET)
    assert long.end_sample - long.first_sample == pytest.approx(10 * 8 * (5 + len(packet)), abs=3)
    record = detection_of(long, antenna="whip", full_scale_dbm=None)
    assert record.payload == bytes(range(7, 7 + length))


def test_what_is_no_tail_is_left_off() -> None:
    """Bits that go on behind the packet, their CRC-16 wrong, and noise."""
    sent = [OnAir(9000 + 5000 * number, FIELD_PACKET + bytes(13)) for number in range(4)]
    sent += [OnAir(29_000 + 3000 * number, FIELD_PACKET, -2) for number in range(40)]
    heard = hear(air(sent, 0.7))
    assert {packet.body for packet in heard} == {FIELD_PACKET}
    assert found(sent, heard) >= 43


def test_what_is_known_may_be_weaker_and_is_doubtful_then() -> None:
    sent = some_packets(40, -8, seed=8)
    samples = air(sent, 0.55, seed=8)
    on_air = {each.tag_id for each in sent}
    unknown, known = hear(samples), hear(samples, expecting(sent))
    right, more = ({packet.tag_id for packet in heard} & on_air for heard in (unknown, known))
    assert len(right) < len(more)
    assert len(unknown) <= len(right) + 1
    assert len(known) <= len(more) + 2
    assert {packet.integrity for packet in unknown} == {"verified"}
    doubtful = [packet for packet in known if packet.integrity == "unverified"]
    assert len(doubtful) >= 5
    assert all(len(packet.body) == 4 for packet in doubtful)


def expecting(sent: list[OnAir]) -> CttEar:
    return CttEar(RATE_HZ, known_tags=frozenset(each.tag_id for each in sent))


def test_a_tag_without_a_crc_is_heard_when_it_is_expected_and_never_as_verified() -> None:
    without = [
        OnAir(5000 + 3000 * number, each.packet[:4], 6)
        for number, each in enumerate(some_packets(10, 6))
    ]
    samples = air(without, 0.2)
    assert hear(samples) == []
    heard = hear(samples, expecting(without))
    assert found(without, heard) == 10
    assert {packet.integrity for packet in heard} == {"unverified"}


def test_a_wrong_crc_makes_no_packet() -> None:
    wrong = bytes([FIELD_PACKET[4] ^ 0xFF])
    assert crc8_smbus(FIELD_PACKET[:4]) != wrong[0]
    sent = [OnAir(5000 + 3000 * number, FIELD_PACKET[:4] + wrong, 12) for number in range(10)]
    assert [packet.tag_id for packet in hear(air(sent, 0.2))] == []


def test_in_noise_nothing_is_heard_that_nobody_sent() -> None:
    dice = Random(2)
    known = frozenset(id_from_number(dice.randrange(1 << 20)) for _ in range(300))
    ear = CttEar(RATE_HZ, known_tags=known)
    samples = SampleBytes("cu8")
    tape = IqTape(77)
    for second in range(1, 7):
        assert ear.feed(samples.feed(encoded(tape.take(second), "cu8"))) == []
    assert ear.finish() == []
    assert ear.noise_dbfs == pytest.approx(NOISE_DBFS, abs=0.1)
    assert ear.occupancy == pytest.approx(0, abs=0.001)


def test_the_detection_carries_levels_score_and_the_packet() -> None:
    (packet,) = hear(air([OnAir(9000, FIELD_PACKET, 10, offset_hz=3210)], 0.2))
    record = detection_of(packet, antenna="whip", full_scale_dbm=-30.0)
    assert (record.protocol, record.tag_id, record.antenna) == ("ctt-434", "78664C33", "whip")
    assert (record.integrity, record.id_legal, record.raw) == ("verified", True, FIELD_PACKET)
    assert record.rssi_dbm == pytest.approx(packet.signal_dbfs - 30, abs=0.1)
    assert record.noise_dbm == pytest.approx(packet.noise_dbfs - 30, abs=0.1)
    assert record.snr_db == pytest.approx(10, abs=0.5)
    assert record.frequency_offset_hz == pytest.approx(3210, abs=10)
    assert record.measurements is not None
    assert record.measurements["score"] == pytest.approx(packet.score, abs=0.001)
    assert record.payload is None


def test_levels_are_relative_where_full_scale_is_not_known() -> None:
    (packet,) = hear(air([OnAir(9000, FIELD_PACKET, 10)], 0.2))
    record = detection_of(packet, antenna=None, full_scale_dbm=None)
    assert (record.rssi_dbm, record.noise_dbm) == (None, None)
    assert record.measurements is not None
    assert record.measurements["rssi_db"] == pytest.approx(packet.signal_dbfs, abs=0.1)
    assert record.measurements["noise_db"] == pytest.approx(packet.noise_dbfs, abs=0.1)
