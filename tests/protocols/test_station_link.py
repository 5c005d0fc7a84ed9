"""The station link, both ways: frames, records, lost frames."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.checksums import crc16_ibm_3740
from protocols.ctt.extended import PayloadCodecs, build_extended_packet
from protocols.errors import EncodeError, PacketError
from protocols.framing import CobsFramer, cobs_encode
from protocols.payload_codec import PayloadCodec
from protocols.records import (
    CommandReply,
    Detection,
    GpsFix,
    Ignored,
    LogLine,
    Pulse,
    RadioInfo,
    Record,
    StationHealth,
    Unknown,
)
from protocols.registry import entry
from protocols.station_link.bodies import (
    Ack,
    Body,
    Command,
    Gps,
    Hello,
    Log,
    Modulation,
    Packet,
    PulseReading,
    Pulses,
    RadioReading,
    Reply,
    Status,
    Time,
)
from protocols.station_link.decoder import StationLinkDecoder
from protocols.station_link.frames import (
    Frame,
    build_frame,
    build_raw_frame,
    parse_body,
    parse_frame,
)
from protocols.station_link.sequence import SequenceCounter

U8 = st.integers(0, 0xFF)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFFFFFF)
U64 = st.integers(0, 2**64 - 1)
I16 = st.integers(-0x8000, 0x7FFE)
I32 = st.integers(-0x80000000, 0x7FFFFFFE)
TEXT = st.text(max_size=40)
BYTES = st.binary(max_size=40)

PULSE_READINGS = st.builds(
    PulseReading,
    age_us=U32,
    offset_hz=I32,
    signal_ddb=I16,
    noise_ddb=st.none() | I16,
    width_us=st.none() | st.integers(0, 0xFFFE),
)
BODIES: st.SearchStrategy[Body] = st.one_of(
    st.builds(
        Hello,
        uid=st.binary(min_size=8, max_size=8),
        firmware_major=U8,
        firmware_minor=U8,
        firmware_patch=U8,
        reset_cause=U8,
        boot_count=U32,
        radios=U8,
        name=TEXT,
        rest=BYTES,
    ),
    st.builds(
        Packet,
        radio=U8,
        modulation=U8,
        frequency_hz=U32,
        rssi_ddbm=st.none() | I16,
        snr_ddb=st.none() | I16,
        frequency_error_hz=st.none() | I32,
        packet=st.binary(max_size=255),
        rest=BYTES,
    ),
    st.builds(
        Pulses,
        radio=U8,
        frequency_hz=U32,
        pulses=st.lists(PULSE_READINGS, max_size=20).map(tuple),
        rest=BYTES,
    ),
    st.builds(
        Status,
        battery_mv=st.none() | st.integers(0, 0xFFFE),
        solar_mv=st.none() | st.integers(0, 0xFFFE),
        solar_ma=st.none() | I16,
        temperature_cdeg=st.none() | I16,
        dropped=U32,
        queued=U16,
        radios=st.lists(
            st.builds(RadioReading, noise_ddbm=st.none() | I16, packets=U32), max_size=4
        ).map(tuple),
        rest=BYTES,
    ),
    st.builds(Time, token=U64, rest=BYTES),
    st.builds(
        Gps,
        unix_us=st.integers(-(2**63), 2**63 - 1),
        latitude_1e7=I32,
        longitude_1e7=I32,
        altitude_mm=st.none() | I32,
        fix=U8,
        satellites=U8,
        accuracy_mm=st.none() | st.integers(0, 0xFFFFFFFE),
        pps_uptime_us=U64,
        rest=BYTES,
    ),
    st.builds(Log, level=U8, text=TEXT),
    st.builds(Ack, seq=U16, rest=BYTES),
    st.builds(Command, text=TEXT),
    st.builds(Reply, text=TEXT),
)


def records(body: Body) -> tuple[Record, ...]:
    return StationLinkDecoder().decode(build_frame(body, seq=1, uptime_us=2))


def only(body: Body) -> Record:
    (record,) = records(body)
    return record


def ctt_packet(
    after_sync: str,
    *,
    rssi_ddbm: int | None = None,
    snr_ddb: int | None = None,
    frequency_error_hz: int | None = None,
) -> Packet:
    return Packet(
        radio=1,
        modulation=Modulation.CTT_FSK,
        frequency_hz=434_000_000,
        rssi_ddbm=rssi_ddbm,
        snr_ddb=snr_ddb,
        frequency_error_hz=frequency_error_hz,
        packet=bytes.fromhex(after_sync),
    )


@settings(max_examples=200)
@given(body=BODIES, seq=U16, uptime_us=U64)
def test_every_frame_that_is_built_reads_back(body: Body, seq: int, uptime_us: int) -> None:
    frame = parse_frame(build_frame(body, seq=seq, uptime_us=uptime_us))
    assert isinstance(frame, Frame)
    assert (frame.seq, frame.uptime_us) == (seq, uptime_us)
    assert parse_body(frame) == body


@settings(max_examples=200)
@given(body=BODIES)
def test_every_frame_gives_records(body: Body) -> None:
    assert records(body)
    assert not any(isinstance(r, Unknown) and r.reason in {"crc", "body"} for r in records(body))


@settings(max_examples=200)
@given(frame=st.binary(max_size=300))
def test_any_bytes_give_records_and_no_exception(frame: bytes) -> None:
    assert StationLinkDecoder().decode(frame)


@settings(max_examples=200)
@given(frame_type=U8, body=st.binary(max_size=80))
def test_any_body_under_a_right_crc_gives_records_and_no_exception(
    frame_type: int, body: bytes
) -> None:
    frame = build_raw_frame(frame_type, body, seq=0, uptime_us=0)
    assert StationLinkDecoder().decode(frame)


@settings(max_examples=100)
@given(body=BODIES, byte=st.integers(0), mask=st.integers(1, 255))
def test_a_damaged_byte_is_found_and_the_frame_kept(body: Body, byte: int, mask: int) -> None:
    frame = bytearray(build_frame(body, seq=5, uptime_us=6))
    frame[byte % len(frame)] ^= mask
    assert StationLinkDecoder().decode(bytes(frame)) == (Unknown(reason="crc", raw=bytes(frame)),)


def test_a_frame_is_laid_out_as_the_design_draws_it() -> None:
    frame = build_frame(ctt_packet("78554C3358", rssi_ddbm=-881), seq=3, uptime_us=99)
    assert frame[:-2].hex() == ("01020300630000000000000001018050de198ffcff7fffffff7f0578554c3358")
    assert frame[-2:] == crc16_ibm_3740(frame[:-2]).to_bytes(2, "little")


def test_the_decoder_is_registered_for_cobs() -> None:
    found = entry("station-link")
    assert (found.framing, found.identity) == ("cobs", "station-link/1")


def test_a_serial_stream_and_an_mqtt_message_give_the_same_records() -> None:
    frame = build_frame(ctt_packet("78554C3358"), seq=0, uptime_us=0)
    (unstuffed,) = CobsFramer().feed(cobs_encode(frame) + b"\0")
    decoder = entry("station-link").make()
    assert decoder.decode(unstuffed) == decoder.decode(frame)


def test_a_ctt_packet_is_a_detection_with_its_verdict() -> None:
    heard = only(ctt_packet("78554C3358", rssi_ddbm=-881, snr_ddb=95, frequency_error_hz=-1200))
    assert isinstance(heard, Detection)
    assert (heard.protocol, heard.tag_id, heard.integrity) == ("ctt-434", "78554C33", "verified")
    assert (heard.antenna, heard.id_legal) == ("1", True)
    assert (heard.rssi_dbm, heard.snr_db, heard.frequency_offset_hz) == (-88.1, 9.5, -1200)
    assert heard.measurements == {"frequency_hz": 434_000_000}


def test_what_was_not_measured_is_absent() -> None:
    heard = only(ctt_packet("78554C3358"))
    assert isinstance(heard, Detection)
    assert (heard.rssi_dbm, heard.snr_db, heard.frequency_offset_hz) == (None, None, None)


def test_a_detection_keeps_its_whole_frame() -> None:
    frame = build_frame(ctt_packet("78554C335A"), seq=9, uptime_us=10)
    (heard,) = StationLinkDecoder().decode(frame)
    assert isinstance(heard, Detection)
    assert (heard.raw, heard.integrity) == (frame, "failed")


def test_four_bytes_without_a_checksum_are_unverified() -> None:
    heard = only(ctt_packet("61337F34"))
    assert isinstance(heard, Detection)
    assert heard.integrity == "unverified"


def test_a_data_tag_tells_what_the_owner_declared() -> None:
    codec = PayloadCodec.declared([{"name": "temperature_c", "type": "i16be", "scale": 0.01}])
    packet = build_extended_packet("78554C33", form=1, payload=b"\xfe\x0c")
    decoder = StationLinkDecoder(PayloadCodecs({(1, None): codec}))
    frame = build_frame(ctt_packet(packet.hex()), seq=0, uptime_us=0)
    (heard,) = decoder.decode(frame)
    assert isinstance(heard, Detection)
    assert heard.payload == b"\xfe\x0c"
    assert heard.measurements == {
        "frequency_hz": 434_000_000,
        "format": 1,
        "subformat": 0,
        "temperature_c": -5.0,
    }


@pytest.mark.parametrize(
    ("modulation", "reason"),
    [
        (Modulation.LORA, "packet-lora"),
        (Modulation.BLE_ADVERTISEMENT, "packet-ble"),
        (Modulation.OTHER_FSK, "packet-fsk"),
        (Modulation.OTHER_OOK, "packet-ook"),
        (77, "packet-modulation"),
    ],
)
def test_a_packet_nobody_decodes_is_kept(modulation: int, reason: str) -> None:
    frame = build_frame(
        Packet(radio=0, modulation=modulation, frequency_hz=868_100_000, packet=b"\x40abc"),
        seq=0,
        uptime_us=0,
    )
    assert StationLinkDecoder().decode(frame) == (Unknown(reason=reason, raw=frame),)


def test_an_unknown_type_is_kept() -> None:
    frame = build_raw_frame(0x42, b"new", seq=0, uptime_us=0)
    assert StationLinkDecoder().decode(frame) == (Unknown(reason="unknown-type", raw=frame),)


def test_an_unknown_version_is_kept() -> None:
    covered = b"\x02" + build_raw_frame(1, b"", seq=0, uptime_us=0)[1:-2]
    frame = covered + crc16_ibm_3740(covered).to_bytes(2, "little")
    assert StationLinkDecoder().decode(frame) == (Unknown(reason="version", raw=frame),)


def test_a_cut_body_is_kept_under_its_own_reason() -> None:
    frame = build_raw_frame(2, b"\x01\x01", seq=0, uptime_us=0)
    assert StationLinkDecoder().decode(frame) == (Unknown(reason="body", raw=frame),)
    parsed = parse_frame(frame)
    assert isinstance(parsed, Frame)
    with pytest.raises(PacketError, match="frequency_hz"):
        parse_body(parsed)


def test_a_longer_body_is_read_and_its_rest_counted() -> None:
    grown = Packet(
        radio=1,
        modulation=Modulation.CTT_FSK,
        frequency_hz=434_000_000,
        packet=bytes.fromhex("78554C3358"),
        rest=b"later",
    )
    heard = only(grown)
    assert isinstance(heard, Detection)
    assert heard.tag_id == "78554C33"
    assert heard.measurements == {"frequency_hz": 434_000_000, "unread_bytes": 5}


def test_pulses_carry_age_levels_and_tuning() -> None:
    pulse, silent = records(
        Pulses(
            radio=2,
            frequency_hz=166_380_000,
            pulses=(
                PulseReading(
                    age_us=34_200, offset_hz=1250, signal_ddb=-412, noise_ddb=-690, width_us=2500
                ),
                PulseReading(age_us=0, offset_hz=-3, signal_ddb=-400),
            ),
        )
    )
    assert pulse == Pulse(
        frequency_offset_hz=1250,
        tuned_frequency_hz=166_380_000,
        signal_db=-41.2,
        noise_db=-69.0,
        snr_db=27.8,
        width_us=2500,
        antenna="2",
        age_us=34_200,
        device_time_ns=1000 * (2 - 34_200),
    )
    assert isinstance(silent, Pulse)
    assert (silent.noise_db, silent.snr_db, silent.width_us) == (None, None, None)


def test_a_frame_without_pulses_says_nothing() -> None:
    assert records(Pulses(radio=0, frequency_hz=1, pulses=())) == (Ignored(reason="no-pulses"),)


def test_status_is_health_of_board_and_of_each_radio() -> None:
    board, radio = records(
        Status(
            battery_mv=3912,
            temperature_cdeg=-525,
            dropped=2,
            queued=7,
            radios=(RadioReading(noise_ddbm=-1105, packets=42),),
        )
    )
    assert isinstance(board, StationHealth)
    assert board.measurements == {
        "battery_v": 3.912,
        "temperature_c": -5.25,
        "frames_dropped": 2,
        "frames_queued": 7,
    }
    assert isinstance(radio, StationHealth)
    assert (radio.antenna, radio.measurements) == ("0", {"noise_dbm": -110.5, "packets": 42})


def test_a_fix_has_position_time_and_pulse_per_second() -> None:
    fix = only(
        Gps(
            unix_us=1_778_560_330_500_000,
            latitude_1e7=532_530_000,
            longitude_1e7=-52_210_000,
            altitude_mm=3500,
            fix=3,
            satellites=9,
            accuracy_mm=2500,
            pps_uptime_us=17,
        )
    )
    assert isinstance(fix, GpsFix)
    assert (fix.latitude, fix.longitude, fix.altitude_m) == (53.253, -5.221, 3.5)
    assert (fix.fix_mode, fix.satellites, fix.accuracy_m) == (3, 9, 2.5)
    assert fix.gps_unix_s == 1_778_560_330.5
    assert fix.measurements == {"pps_uptime_us": 17}


def test_without_a_fix_there_is_no_position() -> None:
    fix = only(
        Gps(unix_us=0, latitude_1e7=5, longitude_1e7=5, fix=0, satellites=2, pps_uptime_us=0)
    )
    assert isinstance(fix, GpsFix)
    assert (fix.latitude, fix.longitude, fix.fix_mode) == (None, None, 1)
    assert (fix.gps_unix_s, fix.measurements) == (None, None)


def test_a_receiver_says_what_it_is() -> None:
    told = only(
        Hello(
            uid=bytes(range(8)),
            firmware_major=1,
            firmware_minor=2,
            firmware_patch=3,
            reset_cause=4,
            boot_count=5,
            radios=2,
            name="mast",
        )
    )
    assert isinstance(told, RadioInfo)
    assert (told.name, told.firmware) == ("mast", "1.2.3")
    assert told.measurements == {
        "uid": "0001020304050607",
        "reset_cause": 4,
        "boot_count": 5,
        "radios": 2,
    }


@pytest.mark.parametrize(
    ("level", "name"), [(0, "critical"), (3, "error"), (4, "warning"), (6, "info"), (200, "debug")]
)
def test_log_levels_are_those_of_syslog(level: int, name: str) -> None:
    line = only(Log(level=level, text="brown-out"))
    assert isinstance(line, LogLine)
    assert (line.message, line.level) == ("brown-out", name)


@pytest.mark.parametrize(
    ("text", "command", "ok", "message"),
    [
        ("ping ok", "ping", True, None),
        ("led error no such led", "led", False, "no such led"),
        ("version 1.2.3", "version", True, "1.2.3"),
        ("", "", True, None),
    ],
)
def test_replies_name_command_and_verdict(
    text: str,
    command: str,
    ok: bool,  # noqa: FBT001  A table's column.
    message: str | None,
) -> None:
    reply = only(Reply(text=text))
    assert isinstance(reply, CommandReply)
    assert (reply.command, reply.ok, reply.message) == (command, ok, message)


def test_frames_of_the_link_itself_are_no_records() -> None:
    for body in (Time(token=1), Ack(seq=1), Command(text="ping")):
        assert records(body) == (Ignored(reason="link-upkeep"),)


def test_a_value_that_does_not_fit_is_refused_by_name() -> None:
    with pytest.raises(EncodeError, match="uid"):
        build_frame(
            Hello(
                uid=b"short",
                firmware_major=0,
                firmware_minor=0,
                firmware_patch=0,
                reset_cause=0,
                boot_count=0,
                radios=0,
                name="",
            ),
            seq=0,
            uptime_us=0,
        )
    with pytest.raises(EncodeError, match="seq"):
        build_frame(Ack(seq=65_536), seq=0, uptime_us=0)
    with pytest.raises(EncodeError, match="packet"):
        build_frame(ctt_packet("00" * 256), seq=0, uptime_us=0)


def test_a_gap_in_seq_counts_the_frames_between() -> None:
    counter = SequenceCounter()
    arrivals = [counter.observe(seq, 1000 * seq) for seq in (10, 11, 14, 15)]
    assert arrivals == ["first", "next", "gap", "next"]
    assert (counter.lost, counter.frames) == (2, 4)


def test_seq_goes_on_with_0_after_65535() -> None:
    counter = SequenceCounter()
    arrivals = [counter.observe(s, u) for s, u in ((65_534, 1), (65_535, 2), (0, 3), (3, 4))]
    assert arrivals == ["first", "next", "next", "gap"]
    assert counter.lost == 2


def test_a_boot_is_no_loss_of_65000_frames() -> None:
    counter = SequenceCounter()
    counter.observe(500, 3_600_000_000)
    assert counter.observe(0, 1000) == "boot"
    assert counter.observe(1, 2000) == "next"
    assert (counter.lost, counter.boots) == (0, 1)


def test_frames_lost_right_after_a_boot_are_counted() -> None:
    counter = SequenceCounter()
    counter.observe(500, 3_600_000_000)
    assert counter.observe(3, 1_500_000) == "boot"
    assert counter.lost == 3


def test_a_boot_is_seen_although_seq_went_forward() -> None:
    counter = SequenceCounter()
    counter.observe(5, 3_600_000_000)
    assert counter.observe(9, 2_000_000) == "boot"


def test_a_frame_sent_again_is_neither_a_boot_nor_a_loss() -> None:
    counter = SequenceCounter()
    for seq in range(20):
        counter.observe(seq, seq * 5_000_000)
    assert counter.observe(12, 12 * 5_000_000) == "repeated"
    assert counter.observe(20, 20 * 5_000_000) == "next"
    assert (counter.repeated, counter.lost, counter.boots) == (1, 0, 0)


def test_a_lost_frame_that_comes_after_all_is_no_longer_lost() -> None:
    counter = SequenceCounter()
    for seq in (0, 1, 2, 5, 6):
        counter.observe(seq, seq * 5_000_000)
    assert counter.lost == 2
    assert counter.observe(3, 3 * 5_000_000) == "late"
    assert (counter.lost, counter.boots) == (1, 0)


@settings(max_examples=100)
@given(arrivals=st.lists(st.tuples(U16, U64), max_size=50))
def test_any_numbers_keep_the_counts_sane(arrivals: list[tuple[int, int]]) -> None:
    counter = SequenceCounter()
    for seq, uptime_us in arrivals:
        counter.observe(seq, uptime_us)
    assert counter.frames + counter.repeated == len(arrivals)
    assert counter.lost >= 0
