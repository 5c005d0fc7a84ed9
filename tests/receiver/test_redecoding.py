"""Newer decoders over kept raw bytes: both verdicts stay, and doing it again adds nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from protocols import registry
from protocols.ctt.extended import build_extended_packet, read_air_packet
from protocols.ctt.packet import build_packet
from protocols.declared_payloads import DeclaredPayload
from protocols.payload_codec import PayloadCodec, PayloadField
from protocols.records import (
    Detection,
    GpsFix,
    Ignored,
    Integrity,
    Pulse,
    Record,
    Unknown,
)
from protocols.registry import register
from protocols.station_link.bodies import Packet
from protocols.station_link.decoder import StationLinkDecoder
from protocols.station_link.frames import build_frame
from receiver.arrivals import Arrival, Source, Stamp
from receiver.cli.main import main
from receiver.radio_settings import DECODER_VERSION
from receiver.redecoding import Redecoding, Tally, Wanted
from receiver.store.database import Store
from receiver.store.queries import DetectionFilter, Reader
from receiver.store.status_queries import unknown_frame_groups

S = 10**9
STAMP = Stamp(1_790_000_000 * S, "ntp", 77 * S, "boot-1")


class FirstEars:
    """Knows `tag X` only, and judges it badly."""

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Decode a line."""
        if not frame.startswith(b"tag "):
            return (Unknown(reason="not-a-tag", raw=frame),)
        tag_id = frame[4:].decode().split("@")[0]
        return (Detection(protocol="x", tag_id=tag_id, integrity="unverified", raw=frame),)


class BetterEars(FirstEars):
    """Knows `TAG X` and fixes too; tells a level where there is one."""

    def decode(self, frame: bytes) -> tuple[Record, ...]:
        """Decode a line."""
        if frame == b"tick":
            return (Ignored(reason="tick"),)
        if frame.startswith(b"TAG "):
            return (
                Detection(protocol="x", tag_id="N", integrity="verified", raw=frame),
                GpsFix(latitude=1.0, longitude=2.0, raw=frame),
            )
        if frame == b"tag LIE":
            return (Unknown(reason="a-lie", raw=frame),)
        (record,) = super().decode(frame)
        if isinstance(record, Detection) and b"@" in frame:
            return (
                Detection(
                    protocol="x",
                    tag_id=record.tag_id,
                    integrity="verified",
                    rssi_dbm=-70,
                    raw=frame,
                ),
            )
        return (record,)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.entries()
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    register("ears", version="2", framing="lines", takes="a test's lines")(BetterEars)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "station.db"


def keep(path: Path, *frames: bytes, decoder: str = "ears/1", link: str = "ch1") -> None:
    """Keep frames as the first version of the decoder read them."""
    source = Source(link=link, decoder=decoder, antenna="north")
    with Store.open(path, station_id="marsh") as store:
        for frame in frames:
            store.append([Arrival(record, source, STAMP) for record in FirstEars().decode(frame)])


def redecode(path: Path, **wanted: Any) -> Tally:  # noqa: ANN401  Each test names its own.
    with Store.open(path) as store:
        redecoding = Redecoding(store, Wanted(**wanted), now_utc_ns=lambda: 1_800_000_000 * S)
        redecoding.run()
    return redecoding.tally


def detections(path: Path) -> list[dict[str, Any]]:
    with Reader(path) as reader:
        return [
            row | {"redecoded": reader.verdicts(row["seq"])}
            for row in reader.detections(DetectionFilter())
        ]


def test_an_unknown_frame_becomes_a_detection_with_the_time_at_which_it_came(path: Path) -> None:
    keep(path, b"tag A", b"TAG N", b"noise")
    tally = redecode(path)
    assert (tally.frames_read, tally.frames_known_now, tally.rows_made) == (2, 1, 2)
    old, new = detections(path)
    assert (new["tag_id"], new["integrity"], new["decoder"]) == ("N", "verified", "ears/2")
    assert (new["link"], new["antenna"], new["raw"]) == ("ch1", "north", b"TAG N".hex())
    assert (new["time"], new["time_quality"]) == (old["time"], "ntp")
    (mark,) = new["redecoded"]
    assert mark["from"] == {"unknown_frame": 1, "reason": "not-a-tag", "decoder": "ears/1"}
    assert old["redecoded"] == []
    with Reader(path) as reader:
        assert reader.counts()["unknown_frames"] == 2  # Nothing is deleted for it.
        assert [group["kept"] for group in unknown_frame_groups(reader)] == [1]
        row = reader.connection.execute("SELECT mono_ns, boot FROM readable_detections").fetchall()
    assert [tuple(each) for each in row] == [(77 * S, "boot-1")] * 2


def test_a_second_run_adds_nothing(path: Path) -> None:
    keep(path, b"tag A", b"TAG N", b"noise", b"tag B@", b"tick")
    redecode(path)
    before = detections(path)
    tally = redecode(path)
    assert (tally.frames_known_now, tally.rows_made) == (0, 0)
    assert detections(path) == before


def test_both_verdicts_of_a_detection_can_be_seen(path: Path) -> None:
    keep(path, b"tag A", b"tag B@", b"tag LIE")
    tally = redecode(path)
    assert (tally.detections_read, tally.detections_differing) == (3, 2)
    same, better, lie = detections(path)
    assert same["redecoded"] == []
    assert (better["integrity"], better["rssi_dbm"]) == ("unverified", None)
    assert better["redecoded"] == [
        {
            "decoder": "ears/2",
            "read_at": "2027-01-15T08:00:00.000000Z",
            "fields": {"integrity": "verified", "rssi_dbm": -70.0},
        }
    ]
    assert lie["redecoded"][0]["unknown"] == "a-lie"


def test_a_decoder_of_the_same_version_reads_nothing_again(path: Path) -> None:
    keep(path, b"tag A", b"noise", decoder="ears/2")
    tally = redecode(path)
    assert (tally.frames_read, tally.detections_read) == (0, 0)


def test_another_decoder_can_be_tried_on_what_a_link_could_not_read(path: Path) -> None:
    keep(path, b"TAG N", decoder="ctt/1", link="ch1")
    keep(path, b"TAG N", decoder="ctt/1", link="ch2")
    assert redecode(path).frames_known_now == 0
    assert redecode(path, decoder="ears", link="ch2").frames_known_now == 1
    assert [row["link"] for row in detections(path)] == ["ch2"]


def test_only_the_wanted_time_is_read(path: Path) -> None:
    keep(path, b"TAG N")
    assert redecode(path, since_utc_ns=STAMP.utc_ns + 1).frames_read == 0
    assert redecode(path, until_utc_ns=STAMP.utc_ns).frames_read == 0
    assert redecode(path, since_utc_ns=STAMP.utc_ns).frames_read == 1


def test_rows_whose_decoder_is_not_installed_are_left_and_counted(path: Path) -> None:
    keep(path, b"tag A", b"noise", decoder="gone/1")
    assert redecode(path).without_decoder == 2


def test_a_layout_that_was_declared_later_reads_the_payloads_that_were_kept(path: Path) -> None:
    payload = bytes.fromhex("0CFE0000")
    tag = build_extended_packet("78554C33", form=5, payload=payload)
    body = Packet(radio=0, modulation=1, frequency_hz=434_000_000, packet=tag)
    frame = build_frame(body, seq=0, uptime_us=0)
    source = Source(link="esp", decoder=registry.entry("station-link").identity)
    with Store.open(path) as store:
        records = StationLinkDecoder().decode(frame)
        store.append([Arrival(record, source, STAMP) for record in records])
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    declared = [DeclaredPayload(protocol="ctt-434", format=5, codec=layout)]
    for _ in range(2):
        assert redecode(path, payloads=declared).detections_differing == 1
    (row,) = detections(path)
    (verdict,) = row["redecoded"]
    assert verdict["fields"]["measurements"]["temperature_c"] == -5
    assert "temperature_c" not in row["measurements"]
    other = PayloadCodec([PayloadField(name="light_lux", type="u8")])
    redecode(path, payloads=[DeclaredPayload(protocol="ctt-434", format=9, codec=other)])
    assert detections(path)[0]["redecoded"] == []  # It says again what the row says.


def test_verdicts_of_rows_that_were_deleted_go_too(path: Path) -> None:
    keep(path, b"tag B@", b"tag C@")
    redecode(path)
    with Store.open(path) as store:
        store.connection.execute("DELETE FROM detections WHERE seq = 1")
    redecode(path)
    with Reader(path) as reader:
        kept = reader.connection.execute("SELECT id FROM redecoded").fetchall()
    assert [row[0] for row in kept] == [2]


@pytest.fixture
def stopover() -> Callable[..., str]:
    def run(*arguments: str | Path) -> str:
        result = CliRunner().invoke(main, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_the_command_tells_what_it_did_and_detections_show_both_verdicts_when_asked(
    path: Path, stopover: Callable[..., str]
) -> None:
    keep(path, b"TAG N", b"tag B@", b"noise 1", b"noise 22")
    said = stopover("redecode", "--db", path)
    assert "3 unknown frames read: 1 known now, 2 rows made" in said
    assert "1 detections read: 1 read otherwise now" in said
    lines = stopover("detections", "--db", path, "--format", "json", "--redecoded").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [[*row["redecoded"][0]] for row in rows] == [
        ["decoder", "read_at", "fields"],
        ["decoder", "read_at", "from"],
    ]
    plain = stopover("detections", "--db", path, "--format", "json").splitlines()
    assert "redecoded" not in json.loads(plain[0])
    status = stopover("status", "--db", path)
    assert "2 kept for not-a-tag, like a 9; newest" in status


def test_redecoded_goes_with_json_only(path: Path) -> None:
    keep(path, b"tag A")
    result = CliRunner().invoke(main, ["detections", "--db", str(path), "--redecoded"])
    assert result.exit_code == 2
    assert "--format json" in result.output


def software_radios(path: Path, *records: Record, decoder: str = "radio-ctt/0") -> None:
    """Keep what a software radio of an earlier version heard."""
    source = Source(link="stick", decoder=decoder, antenna="roof")
    with Store.open(path, station_id="marsh") as store:
        store.append([Arrival(record, source, STAMP) for record in records])


def radio_packet(body: bytes, integrity: Integrity = "verified", **told: Any) -> Detection:  # noqa: ANN401  Each test names its own.
    """Return a packet as samples told it, with a score and levels that its bytes do not have."""
    air = read_air_packet(body)
    assert air is not None
    measurements = {"score": 0.61, "rssi_db": -31.5, "noise_db": -20.0}
    fields: dict[str, Any] = {
        "tag_id": body[:4].hex().upper(),
        "id_legal": air.id_legal,
        "measurements": measurements
        | ({"format": air.format, "subformat": 0} if air.format else {}),
        "payload": air.payload,
        "raw": body,
    }
    return Detection(
        protocol="ctt-434",
        integrity=integrity,
        rssi_dbm=-101.5,
        snr_db=-1.5,
        noise_dbm=-100.0,
        frequency_offset_hz=812.0,
        **{**fields, **told},
    )


def test_packets_of_a_software_radio_are_read_by_their_bytes_and_stay_what_samples_told(
    path: Path,
) -> None:
    short = build_packet("78664C33")
    extended = build_extended_packet("78554C33", form=5, payload=bytes(4))
    software_radios(
        path,
        radio_packet(short),
        radio_packet(short[:4], "unverified"),
        radio_packet(short, "unverified"),
        radio_packet(extended),
    )
    tally = redecode(path)
    assert (tally.detections_read, tally.detections_differing, tally.without_decoder) == (4, 0, 0)
    assert all(row["redecoded"] == [] for row in detections(path))


def test_a_software_radios_row_that_its_bytes_contradict_gets_a_verdict(path: Path) -> None:
    short = build_packet("78664C33")
    software_radios(
        path,
        radio_packet(short[:4] + bytes([short[4] ^ 0xFF])),
        radio_packet(short, id_legal=False),
        radio_packet(short, tag_id="78664C34"),
        radio_packet(short, raw=b"x"),
    )
    assert redecode(path).detections_differing == 4
    said = [row["redecoded"][0] for row in detections(path)]
    assert [each.get("fields", each.get("unknown")) for each in said] == [
        {"integrity": "failed"},
        {"id_legal": True},
        {"tag_id": "78664C33"},
        "length",
    ]
    assert {each["decoder"] for each in said} == {f"radio-ctt/{DECODER_VERSION}"}


def test_payloads_of_a_software_radios_packets_are_read_by_layouts_of_today(path: Path) -> None:
    body = build_extended_packet("78554C33", form=5, payload=bytes.fromhex("0CFE0000"))
    software_radios(path, radio_packet(body), decoder=f"radio-ctt/{DECODER_VERSION}")
    layout = PayloadCodec([PayloadField(name="temperature_c", type="i16le", scale=0.01)])
    declared = [DeclaredPayload(protocol="ctt-434", format=5, codec=layout)]
    assert redecode(path).of_today == 1
    assert redecode(path, payloads=declared).detections_differing == 1
    (row,) = detections(path)
    assert row["redecoded"][0]["fields"] == {
        "measurements": row["measurements"] | {"temperature_c": -5}
    }


def test_what_cannot_be_read_again_is_left_and_counted_by_why(
    path: Path, stopover: Callable[..., str]
) -> None:
    software_radios(path, radio_packet(build_packet("78664C33"), raw=b""))
    pulse = Pulse(frequency_offset_hz=1700.0, signal_db=-40.0)
    software_radios(path, pulse, pulse, decoder="radio-pulse/1")
    coded = Detection(protocol="coded-id", tag_id="Lotek#25", integrity="unverified")
    software_radios(path, coded, decoder="coded-id/1")
    tally = redecode(path)
    assert (tally.without_raw, tally.pulses, tally.coded_ids) == (1, 2, 1)
    assert (tally.without_decoder, tally.detections_read) == (0, 0)
    assert redecode(path, link="other").pulses == 0
    said = stopover("redecode", "--db", path, "--link", "stick")
    for words in ("1 detections left: no raw", "1 detections of coded IDs left", "2 pulses left"):
        assert words in said


def test_packets_of_software_radios_can_be_chosen_and_no_unknown_frame_becomes_one(
    path: Path, stopover: Callable[..., str]
) -> None:
    keep(path, b"noise", b"tag B@", decoder="ears/1")
    software_radios(path, radio_packet(build_packet("78664C33")))
    tally = redecode(path, decoder="radio-ctt")
    assert (tally.detections_read, tally.frames_read, tally.rows_made) == (1, 0, 0)
    said = stopover("redecode", "--db", path, "--decoder", "radio-ctt")
    assert "0 unknown frames read" in said
